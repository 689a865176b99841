"""A Docker engine of the tests' own, with a stand-in for TensorFlow Serving's image.

The engine is a real one (Debian's `docker.io`, as root). No image can be fetched offline, so the
image `tensorflow/serving` is made here: a root file system of a few hundred bytes whose entry point
starts our model server with the flags that TensorFlow Serving's own entry point gives. What the
server needs of this machine (Python, the environment, the sources) is mounted, read-only, into each
container by a wrapper around the engine's runtime.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import serving

IMAGE = "tensorflow/serving:2.16.1"
_RUNTIME = """#!/usr/bin/python3
import json, os, sys

arguments = sys.argv[1:]
if "create" in arguments:
    path = os.path.join(arguments[arguments.index("--bundle") + 1], "config.json")
    with open(path) as file:
        config = json.load(file)
    for folder in {folders!r}:
        mount = dict(destination=folder, type="bind", source=folder, options=["rbind", "ro"])
        config["mounts"].append(mount)
    with open(path, "w") as file:
        json.dump(config, file)
os.execv({runc!r}, ["runc", *arguments])
"""
_ENTRY = """#!/bin/sh
# The arguments of TensorFlow Serving's own entry point, and the caller's after them.
export PYTHONPATH={source} HOME=/tmp
exec {python} -m serving.model_server --host=0.0.0.0 --port=8500 --rest_api_port=8501 \
  --model_name="$MODEL_NAME" --model_base_path="$MODEL_BASE_PATH/$MODEL_NAME" "$@"
"""


def start_engine(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Starts an engine; a reason to skip is a `pytest.skip`.

    Args:
        folder: For its state: on a real disk.

    Returns:
        Its process and its address.
    """
    tools = ("dockerd", "runc", "docker", "ip")
    missing = [name for name in tools if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(
            "a Docker engine can be started as root, with Debian's docker.io and iproute2 installed"
        )
    source = str(Path(serving.__file__).parents[1])
    folders = ["/usr", sys.base_prefix, sys.prefix, source]
    runtime = folder / "runtime"
    runtime.write_text(_RUNTIME.format(folders=folders, runc=shutil.which("runc")))
    runtime.chmod(0o755)
    address = f"unix://{folder}/docker.sock"
    command = ["dockerd", "-H", address, "--data-root", f"{folder}/data"]
    command += ["--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
    command += ["--storage-driver=overlay2", "--iptables=false", "--ip-forward=false"]
    command += ["--ip-masq=false", f"--bridge={_add_bridge()}"]
    command += ["--add-runtime", f"with-python={runtime}", "--default-runtime", "with-python"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    for _ in range(200):
        if process.poll() is None and _answers(address):
            return process, address
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    last = (folder / "log").read_text(errors="replace").splitlines()[-3:]
    pytest.skip(f"no Docker engine can be started here: {' '.join(last)[-300:]}")


def _bridge() -> str:
    return f"benison{os.getpid()}"


def _add_bridge() -> str:
    """A network of this process's own: engines that share one give their containers one address."""
    name, number = _bridge(), os.getpid()
    address = f"10.{200 + number // 256 % 50}.{number % 256}.1/24"
    for words in (
        ["link", "add", name, "type", "bridge"],
        ["addr", "add", address, "dev", name],
        ["link", "set", name, "up"],
    ):
        done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no bridge for a Docker engine can be made here: {done.stderr.strip()}")
    return name


def import_stand_in(address: str) -> None:
    """Makes the stand-in image."""
    import docker

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("models", "tmp", "usr", "etc", "proc", "dev", "sys"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64", "sbin"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        text = _ENTRY.format(source=Path(serving.__file__).parents[1], python=sys.executable)
        script = tarfile.TarInfo("entry.sh")
        script.mode, script.size = 0o755, len(text)
        tar.addfile(script, io.BytesIO(text.encode()))
    changes = ['ENTRYPOINT ["/entry.sh"]', "ENV MODEL_BASE_PATH=/models", "ENV MODEL_NAME=model"]
    changes += ["EXPOSE 8500", "EXPOSE 8501"]
    client = docker.DockerClient(base_url=address)
    repository, _, tag = IMAGE.partition(":")
    client.api.import_image_from_data(
        buffer.getvalue(), repository=repository, tag=tag, changes=changes
    )
    client.close()


def run_engine() -> Iterator[str]:
    """An engine with the stand-in image, until the tests end; gives its address."""
    folder = Path(tempfile.mkdtemp(prefix="benison-docker-", dir="/var/tmp"))
    process = None
    try:
        process, address = start_engine(folder)
        import_stand_in(address)
        yield address
    finally:
        if process is not None:
            _end(process, folder)
        subprocess.run(["ip", "link", "del", _bridge()], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Containers that run on without their engine.
    for shim in _shims(folder):
        os.kill(shim, signal.SIGKILL)
    mounts = Path("/proc/self/mounts").read_text().split("\n")
    for line in reversed(mounts):
        place = line.split(" ")[1] if line else ""
        if place.startswith(str(folder)):
            subprocess.run(["umount", "--lazy", place], check=False)


def _shims(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command:
            found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def _answers(address: str) -> bool:
    done = subprocess.run(["docker", "-H", address, "version"], capture_output=True, check=False)
    return done.returncode == 0
