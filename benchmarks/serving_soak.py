"""Does the model server keep its latency while versions come and go?

    python benchmarks/serving_soak.py                              # ten minutes, a swap each minute
    python benchmarks/serving_soak.py --seconds 60 --swap-every 10 --rate 200

Half of the requests go by REST and half by gRPC, each due at a fixed time; latency counts from
that time, so a stall shows in every request that it delays. At each swap the next version of the
model is put into the base path, as a deployment does; the server loads it and unloads the one
before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

from serving_processes import (
    MODEL,
    Server,
    find_model,
    load_result,
    model_command,
    model_server,
    start_load,
)
from serving_targets import Target


def push(folder: Path, version: int) -> None:
    """Puts a version into the base path, whole at once."""
    base = folder / "models" / MODEL
    copied = shutil.copytree(base / "1", folder / f"version-{version}")
    copied.rename(base / str(version))


def wait_for_version(server: Server, version: int, timeout_s: float = 60) -> None:
    """Waits until a version answers and the one before is unloaded."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        url = f"http://{server.rest}/v1/models/{MODEL}"
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            states = {
                int(status["version"]): status["state"]
                for status in json.load(answer)["model_version_status"]
            }
        if states.get(version) == "AVAILABLE" and states.get(version - 1, "END") == "END":
            return
        time.sleep(0.2)
    raise SystemExit(f"Version {version} does not answer: {states}")


def main() -> None:
    """Prints the figures of both APIs, and whether the targets are reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dense", help="dense, taxi, or a SavedModel's folder")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second in all")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--swap-every", type=float, default=60.0, help="seconds between swaps")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serving-soak-") as name:
        folder = Path(name)
        model_command("prepare", find_model(given.model), str(folder))
        with model_server(folder) as server:
            loads = {"rate": given.rate / 2, "seconds": given.seconds}
            running = [
                start_load("rest", server.rest, folder / "rest_1.http", **loads),
                start_load("grpc", server.grpc, folder / "grpc_1.pb", **loads),
            ]
            before, began, version = server.cpu_s(), time.monotonic(), 1
            while time.monotonic() - began + given.swap_every < given.seconds:
                time.sleep(given.swap_every)
                version += 1
                push(folder, version)
                wait_for_version(server, version)
                memory, busy = server.memory_mib(), os.getloadavg()[0]
                print(
                    f"version {version}: {memory:.0f} MiB, load of the machine {busy:.1f}",
                    flush=True,
                )
            figures = {
                api: load_result(each) for api, each in zip(("rest", "grpc"), running, strict=True)
            }
            cpu_s = server.cpu_s() - before
    for api, found in figures.items():
        print(f"{api}: {json.dumps(found)}")
    requests = sum(found["requests"] for found in figures.values())
    late = sum(found["over_100_ms"] for found in figures.values())
    print(f"{requests} requests, {version - 1} swaps, server CPU {cpu_s:.0f} s")
    print(Target("part of requests under 100 ms", 1 - late / requests, 0.9999).line())
    errors = sum(found["errors"] for found in figures.values())
    print(Target("errors", errors, 0, at_most=True).line())


if __name__ == "__main__":
    main()
