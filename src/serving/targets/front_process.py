"""The front of a deployment (`front.py`), supervised: it outlives the command that starts it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlproject.errors import ServingError
from mlproject.sections.deployment import DeploymentSection
from mlproject.whole_file import write_whole
from serving.targets.front import LOOK_EVERY_S
from serving.targets.local_ports import kept_ports
from serving.targets.supervised import SupervisedServer, python_path
from serving.targets.supervisor import Spec

START_S = 60.0
POLL_S = 0.05
DRAIN_S = 5.0
SETTLE_S = 3 * LOOK_EVERY_S
FOLDER = "front"


class FrontProcess:
    """The process that holds a deployment's ports, and its supervisor.

        <folder>/front/routes.json               port -> address, which the process watches
        <folder>/front/routes.json.connections   what it says, once it holds the ports

    Args:
        folder: The deployment's folder.
        environ: Environment variables of the process.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._folder = folder / FOLDER
        self._routes = self._folder / "routes.json"
        self._said = Path(f"{self._routes}.connections")
        self._server = SupervisedServer(self._folder)

    def choose(self, config: DeploymentSection, kept: tuple[int, int]) -> tuple[int, int]:
        """The REST and gRPC port to hold: the configured ones, those of before, or free ones."""
        return kept_ports("127.0.0.1", config, kept, held=self.alive())

    def hold(self, ports: tuple[int, int], behind: tuple[int, int]) -> None:
        """Leads new connections of these ports to those behind them, from now on.

        Raises:
            ServingError: A port cannot be had; what was held before stays.
        """
        before = self._read_routes()
        routes = {
            str(port): f"127.0.0.1:{there}" for port, there in zip(ports, behind, strict=True)
        }
        held = self.alive()
        if held and set(before) == set(routes):
            self.route(routes)
            return
        self.stop()
        try:
            self._start(routes)
        except BaseException:
            self.stop()
            if held:
                self._start(before)
            raise

    def route(self, routes: Mapping[str, str]) -> None:
        """Changes where the ports lead; open connections stay until they are silent."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._routes, json.dumps({"routes": dict(routes)}))

    def await_silence(self, behind: Iterable[int], most_s: float) -> bool:
        """Waits until no connection leads anywhere but to these ports; False if some remain."""
        valid = {f"127.0.0.1:{port}" for port in behind}
        deadline = time.monotonic() + most_s
        time.sleep(SETTLE_S)  # until it has read the routes, and said what is open
        while self.alive():
            open_to = {address for address, count in self._connections().items() if count}
            if open_to <= valid:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def alive(self) -> bool:
        """Whether it holds the ports; one that could not have them is started again and again."""
        state = self._server.state()
        return self._server.running and state is not None and state.phase == "running"

    def stop(self) -> None:
        """Frees the ports."""
        self._server.stop(lambda line: None)

    def _start(self, routes: Mapping[str, str]) -> None:
        self.route(routes)
        self._said.unlink(missing_ok=True)
        command = (sys.executable, "-m", "serving.targets.front", str(self._routes.resolve()))
        spec = Spec(command, {"PYTHONPATH": python_path(self._environ)}, DRAIN_S)
        self._server.start(spec, self._environ)
        deadline = time.monotonic() + START_S
        while not self._said.exists():
            if self._died() or time.monotonic() > deadline:
                raise ServingError(
                    f"Holding the ports {', '.join(routes)} failed",
                    received=" ".join(self._server.log(5).split())[-300:] or "no answer",
                    expected="ports that no other process uses",
                    next_step="set deployment.rest_port and deployment.grpc_port, 0 for free ones",
                )
            time.sleep(POLL_S)

    def _died(self) -> bool:
        state = self._server.state()
        return state is None or state.young_deaths > 0

    def _read_routes(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._routes.read_text(encoding="utf-8"))["routes"])
        except (OSError, ValueError):
            return {}

    def _connections(self) -> dict[str, int]:
        try:
            return dict(json.loads(self._said.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}
