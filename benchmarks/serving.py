"""How fast is the model server? In process, REST, gRPC, batched, and beside `mlflow models serve`.

    python benchmarks/serving.py                          # 10 features, dense 64-32-1
    python benchmarks/serving.py --model taxi             # the taxi model that BENISON_HOME serves
    python benchmarks/serving.py --model DIR --quick      # any SavedModel, a few seconds a line
    python benchmarks/serving.py --soak-requests 1000000  # and whether memory stays flat

All in one run on one machine: the ratios hold where seconds do not. Load generators run in
processes of their own with prepared bytes (`serving_load.py`). They share the cores with the
server, so CPU milliseconds of server and client stand apart; these hold on a busy machine, too.
`in process` is `tf.saved_model.load(...).signatures[...]` with its outputs as NumPy arrays.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from serving_processes import (
    Server,
    find_model,
    load,
    load_result,
    mlflow_server,
    model_command,
    model_server,
    seconds_to_import_tensorflow,
    start_load,
)
from serving_targets import Target

BATCHING = """max_batch_size { value: 64 }
batch_timeout_micros { value: 500 }
max_enqueued_batches { value: 1000 }
num_batch_threads { value: 2 }
"""
SAMPLES = 10


class Table:
    """Lines of figures, printed as they come."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, Any]] = {}
        columns = ("requests/s", "rows/s", "p50 ms", "p99 ms", "errors", "server", "client")
        print(f"{'':34}" + "".join(f"{name:>12}" for name in columns) + "  (CPU ms a request)")

    def add(self, name: str, figures: dict[str, Any], rows: int = 1) -> dict[str, Any]:
        """Print and keep a line."""
        figures = {"rows_per_s": round(rows * figures["requests_per_s"]), **figures}
        self.lines[name] = figures
        client = figures.get("client_cpu_s", 0.0) / figures.get("requests", 1) * 1e3
        values = [figures[key] for key in ("requests_per_s", "rows_per_s", "p50_ms")]
        values += [figures.get("p99_ms", ""), figures.get("errors", "")]
        values += [figures.get("server_cpu_ms", figures.get("cpu_ms", "")), round(client, 3)]
        print(f"{name:34}" + "".join(f"{value:>12}" for value in values), flush=True)
        return figures


def call(folder: Path, rows: int, seconds: float) -> dict[str, Any]:
    """Calls in process, in a process of their own."""
    output = model_command("call", str(folder), f"--rows={rows}", f"--seconds={seconds}")
    return dict(json.loads(output))


def measure_requests(table: Table, server: Server, folder: Path, seconds: float) -> None:
    """One row a request, at one and at sixteen callers."""
    for api, request in (("rest", "rest_1.http"), ("grpc", "grpc_1.pb")):
        for callers in (1, 16):
            figures = load(server, api, folder / request, concurrency=callers, seconds=seconds)
            table.add(f"{api}, 1 row, {callers} at once", figures)


def measure_batches(table: Table, server: Server, folder: Path, seconds: float) -> None:
    """512 rows a request, in process before and after."""
    for callers in (1, 4):
        table.add(f"in process, 512 rows, before {callers}", call(folder, 512, seconds), 512)
        for api, request in (("rest", "rest_512.http"), ("grpc", "grpc_512.pb")):
            figures = load(server, api, folder / request, concurrency=callers, seconds=seconds)
            table.add(f"{api}, 512 rows, {callers} at once", figures, 512)


def measure_batching(table: Table, folder: Path, seconds: float) -> None:
    """The same with dynamic batching, and more callers."""
    parameters = folder / "batching.txt"
    parameters.write_text(BATCHING)
    flags = ("--enable_batching=true", f"--batching_parameters_file={parameters}")
    for name, server_flags in (("", ()), (", batching", flags)):
        with model_server(folder, *server_flags) as server:
            for api, request in (("rest", "rest_1.http"), ("grpc", "grpc_1.pb")):
                for callers in (16, 64):
                    figures = load(
                        server, api, folder / request, concurrency=callers, seconds=seconds
                    )
                    table.add(f"{api}, {callers} at once{name}", figures)


def measure_memory(server: Server, folder: Path, requests: int) -> float:
    """Sends many requests; prints the server's memory on the way.

    Returns:
        MiB grown after the first of ten parts.
    """
    memory = []
    for part in range(SAMPLES):
        half = requests // SAMPLES // 2
        running = [
            start_load("rest", server.rest, folder / "rest_1.http", concurrency=8, requests=half),
            start_load("grpc", server.grpc, folder / "grpc_1.pb", concurrency=8, requests=half),
        ]
        errors = sum(load_result(each)["errors"] for each in running)
        memory.append(server.memory_mib())
        sent = (part + 1) * requests // SAMPLES
        print(f"after {sent:>9} requests: {memory[-1]:8.1f} MiB, {errors} errors", flush=True)
    return memory[-1] - memory[0]


def targets(lines: dict[str, dict[str, Any]], start_s: float) -> list[Target]:
    """What the figures have to reach."""
    rest, grpc = lines["rest, 1 row, 16 at once"], lines["grpc, 1 row, 16 at once"]
    found = [
        Target("REST, 16 at once: p99 ms", rest["p99_ms"], 30, at_most=True),
        Target("gRPC, 16 at once: requests/s", grpc["requests_per_s"], 3000),
        Target("start to ready beyond importing TensorFlow, s", start_s, 3, at_most=True),
        Target("errors", sum(f.get("errors", 0) for f in lines.values()), 0, at_most=True),
    ]
    if "mlflow, 16 at once" in lines:
        factor = rest["requests_per_s"] / lines["mlflow, 16 at once"]["requests_per_s"]
        found.append(Target("REST, 16 at once: times mlflow models serve", factor, 100))
    calls = [figures for name, figures in lines.items() if name.startswith("in process, 512")]
    in_process = max(figures["rows_per_s"] for figures in calls)
    for api in ("rest", "grpc"):
        added = lines[f"{api}, 1 row, 1 at once"]["p50_ms"] - lines["in process, 1 row"]["p50_ms"]
        found.append(Target(f"{api}, 1 at once: ms added to the call", added, 2, at_most=True))
        best = max(f["rows_per_s"] for n, f in lines.items() if n.startswith(f"{api}, 512"))
        found.append(
            Target(f"{api}, 512 rows: part of the rows/s in process", best / in_process, 0.7)
        )
    return found


def main() -> None:
    """Prints the table, the targets, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="dense", help="dense, taxi, or a SavedModel's folder")
    parser.add_argument("--quick", action="store_true", help="two seconds a line, not eight")
    parser.add_argument("--no-mlflow", action="store_true", help="leave mlflow models serve out")
    parser.add_argument("--soak-requests", type=int, default=0, help="requests of the memory soak")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    seconds = 2.0 if given.quick else 8.0
    grown: Target | None = None
    with tempfile.TemporaryDirectory(prefix="serving-benchmark-") as name:
        folder = Path(name)
        model = find_model(given.model)
        model_command("prepare", model, str(folder))
        table = Table()
        table.add("in process, 1 row", call(folder, 1, seconds))
        tensorflow_s = seconds_to_import_tensorflow()
        with model_server(folder) as server:
            start_s = server.ready_s - tensorflow_s
            measure_requests(table, server, folder, seconds)
            measure_batches(table, server, folder, seconds)
            if given.soak_requests:
                growth = measure_memory(server, folder, given.soak_requests)
                grown = Target("MiB grown after the first tenth", growth, 50, at_most=True)
        measure_batching(table, folder, seconds)
        if model == "dense" and not given.no_mlflow:
            with mlflow_server(folder) as server:
                for callers in (1, 16):
                    figures = load(
                        server,
                        "rest",
                        folder / "mlflow_1.http",
                        concurrency=callers,
                        seconds=max(seconds, 5),
                    )
                    table.add(f"mlflow, {callers} at once", figures)
    print(f"\nStart to ready {start_s + tensorflow_s:.1f} s, of it TensorFlow {tensorflow_s:.1f} s")
    for target in [*targets(table.lines, start_s), *([grown] if grown else [])]:
        print(target.line())
    if given.json:
        given.json.write_text(json.dumps(table.lines, indent=1))


if __name__ == "__main__":
    main()
