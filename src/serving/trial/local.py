"""The local model server in a process of its own, for a trial."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import serving
from serving.trial.values import POLL_S, not_blessed, not_validated, tail

STOP_S = 10.0
_ADDRESSES = re.compile(r"REST (\S+), gRPC (\S+)")
_MIB = 1 << 20


class LocalServer:
    """A model server process on two free loopback ports; a context manager that always ends it.

    Args:
        saved_model_dir: The SavedModel; it is served as version 1, where it lies.
        model_name: Its name in requests.
        max_memory_mb: The process is killed when its resident memory passes this, in MiB.

    Attributes:
        rest_url: The base URL of the REST API, once known.
        grpc_address: `host:port` of the gRPC API, once known.
    """

    kind = "local"

    def __init__(self, saved_model_dir: Path, model_name: str, max_memory_mb: float) -> None:
        self._saved_model = saved_model_dir.resolve()
        self._name = model_name
        self._max_bytes = max_memory_mb * _MIB
        self._peak_bytes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._over = False
        self.rest_url = ""
        self.grpc_address = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException as err:
            self.__exit__()
            if isinstance(err, OSError):
                raise not_validated(f"no server could be started here: {err}") from err
            raise
        return self

    def __exit__(self, *error: object) -> None:
        process, folder = self._process, self._folder
        if process is not None:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        """The server's process."""
        return self._process.pid if self._process else None

    def wait_for_addresses(self, timeout_s: float) -> None:
        """Returns once the ports are known.

        Raises:
            TrialEnded: The process ended before, or took too long.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = _ADDRESSES.search(self._read("out"))
            if found:
                self.rest_url, self.grpc_address = found.groups()
                return
            code = self._process.poll() if self._process else 1
            if code is not None:
                # It prints its addresses before the model is loaded: an exit status here is the
                # machine's (no port, a library that is missing), a signal may be the model's.
                end = not_blessed if code < 0 or self._over else not_validated
                raise end(f"the server process did not start: {self.death()}")
            time.sleep(POLL_S)
        raise not_blessed(f"the server process opened no port within {timeout_s:g} s")

    def death(self) -> str | None:
        """How the process ended, in words; None while it runs."""
        code = self._process.poll() if self._process else None
        if self._over:
            return f"it was stopped, since it took more than {self._max_bytes / _MIB:.0f} MiB"
        if code is None:
            return None
        if code < 0:
            return f"it died of signal {signal.Signals(-code).name}"
        return f"it ended with exit status {code}"

    def memory_mb(self) -> float | None:
        """The most resident memory seen so far, in MiB."""
        self._measure()
        return self._peak_bytes / _MIB if self._peak_bytes else None

    def log_tail(self) -> str:
        """The last lines of the process's log."""
        return tail(self._read("log"))

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="benison-trial-"))
        base = self._folder / "model"
        base.mkdir()
        (base / "1").symlink_to(self._saved_model, target_is_directory=True)
        command = [sys.executable, "-m", "serving.trial.process", f"--model_name={self._name}"]
        command += [f"--model_base_path={base}", "--host=127.0.0.1", "--port=auto"]
        command += ["--rest_api_port=auto", "--file_system_poll_wait_seconds=0"]
        command += ["--max_num_load_retries=0", "--answer_while_loading", "--drain_seconds=1"]
        with (self._folder / "out").open("wb") as out, (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # closes when this process ends, and the server with it
                stdout=out,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for this process, which stops the server
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Kills the process when it leaves its memory budget, before the machine suffers."""
        process = self._process
        while process is not None and process.poll() is None:
            self._measure()
            if self._peak_bytes > self._max_bytes:
                self._over = True
                process.kill()
                return
            time.sleep(POLL_S)

    def _measure(self) -> None:
        import psutil

        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            now = psutil.Process(process.pid).memory_info().rss
        except psutil.Error:  # it ended between the two looks
            return
        self._peak_bytes = max(self._peak_bytes, now)

    def _read(self, name: str) -> str:
        if self._folder is None:
            return ""
        try:
            return (self._folder / name).read_text(encoding="utf-8", errors="replace")
        except OSError:  # it was stopped
            return ""


def _environment() -> dict[str, str]:
    """This process's environment, with this package importable and no GPU.

    The process that trained may hold all of the GPU's memory.
    """
    source = str(Path(next(iter(serving.__path__))).parent)
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": "-1"}
