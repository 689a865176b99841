"""The supervisor with servers of a few lines: restarts, ends, orphans, logs, two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlproject.errors import BusyError, ServingError
from serving.targets.processes import ProcessId, process_id
from serving.targets.supervised import SupervisedServer
from serving.targets.supervisor import LOG, SPEC, STATE, Spec, SupervisorState

SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(600)"
# As `serving.trial.process`: it ends when its standard input closes.
ENDS_WITH_STDIN = """
import os, threading, time
def watch():
    while os.read(0, 1024): pass
    time.sleep({linger}); os._exit(1)
threading.Thread(target=watch, daemon=True).start()
print('up', flush=True)
time.sleep(600)
"""
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SupervisedServer]:
    """A supervised server, ended at the end whatever became of it."""
    folder = tmp_path / "deployments" / "toy"
    folder.mkdir(parents=True)
    server = SupervisedServer(folder)
    yield server
    server.stop(lambda line: None)
    state = server.state()
    if state is not None:
        state.supervisor.end(5)


def spec(program: str, **values: float) -> Spec:
    return Spec((sys.executable, "-c", program), {}, **{"drain_s": 5.0, **values})


def await_state(server: SupervisedServer, holds: Callable[[SupervisorState], bool]) -> None:
    deadline = time.monotonic() + 20
    while True:
        state = server.state()
        if state is not None and holds(state):
            return
        assert time.monotonic() < deadline, state
        time.sleep(0.02)


def up(server: SupervisedServer, times: int = 1) -> SupervisorState:
    """The state once the server has said that it is up so many times."""
    await_state(server, lambda s: bool(s.server_pid) and server.log(1000).count("\nup") >= times)
    state = server.state()
    assert state is not None
    return state


def test_it_outlives_its_starter_in_a_session_of_its_own(server: SupervisedServer) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from serving.targets.supervised import SupervisedServer\n"
        "from serving.targets.supervisor import Spec\n"
        f"spec = Spec((sys.executable, '-c', {SLEEPS!r}), {{}}, 5.0)\n"
        f"SupervisedServer(Path({str(server.folder)!r})).start(spec, os.environ)\n"
    )
    starter = subprocess.run([sys.executable, "-c", program], timeout=30, check=True)
    assert starter.returncode == 0
    state = up(server)
    assert server.running
    assert os.getsid(state.pid) != os.getsid(0)
    os.kill(state.pid, signal.SIGHUP)  # the terminal closes
    time.sleep(0.2)
    assert server.running
    assert state.server is not None
    assert state.server.alive


def test_it_imports_nothing_heavy_and_takes_little_memory(server: SupervisedServer) -> None:
    import psutil

    server.start(spec(SLEEPS), os.environ)
    state = up(server)
    assert psutil.Process(state.pid).memory_info().rss < 40 * 2**20
    names = [Path(m.path).name for m in psutil.Process(state.pid).memory_maps()]
    assert not [name for name in names if "tensorflow" in name or "numpy" in name]


def test_a_server_that_is_killed_is_started_again(server: SupervisedServer) -> None:
    server.start(spec(SLEEPS), os.environ)
    first = up(server)
    os.kill(first.server_pid, signal.SIGKILL)
    again = up(server, times=2)
    assert again.server_pid != first.server_pid
    assert (again.pid, again.restarts, again.young_deaths) == (first.pid, 1, 1)
    assert again.last_error == "the server died of signal SIGKILL"


def test_waits_grow_while_it_dies_young_and_it_never_gives_up(server: SupervisedServer) -> None:
    server.start(spec("raise SystemExit('no port')", first_wait_s=0.05), os.environ)
    await_state(server, lambda state: state.young_deaths >= 4)
    waits = [line.split(" in ")[-1] for line in server.log(100).splitlines() if "again in" in line]
    assert waits[:4] == ["0.05 s", "0.1 s", "0.2 s", "0.4 s"]
    state = server.state()
    assert state is not None
    assert state.last_error == "the server ended with exit status 1"
    assert "no port" in server.log(100)
    assert server.running


def test_after_a_long_life_waits_begin_anew(server: SupervisedServer) -> None:
    program = "import time; time.sleep(0.3)"
    server.start(spec(program, first_wait_s=0.05, stable_s=0.2), os.environ)
    await_state(server, lambda state: state.restarts >= 3)
    state = server.state()
    assert state is not None
    assert state.young_deaths == 0


def test_a_command_that_is_none_is_told(server: SupervisedServer) -> None:
    server.start(Spec(("/no/such/program",), {}, 1.0, first_wait_s=0.05), os.environ)
    await_state(server, lambda state: state.young_deaths >= 2)
    state = server.state()
    assert state is not None
    assert "could not be started" in state.last_error


def test_stop_ends_both_and_kills_a_server_that_does_not_listen(server: SupervisedServer) -> None:
    server.start(spec(DEAF, drain_s=0.3), os.environ)
    state = up(server)
    server.stop(lambda line: None)
    assert not server.running
    assert not state.supervisor.alive
    assert state.server is not None
    assert not state.server.alive
    assert "did not end within 0.3 s: killed" in server.log(100)
    ended = server.state()
    assert ended is not None
    assert (ended.phase, ended.server_pid) == ("stopped", 0)
    server.stop(lambda line: None)  # nothing to do, and no error


def test_stop_while_it_waits_to_start_again_is_quick(server: SupervisedServer) -> None:
    server.start(spec("raise SystemExit(1)", first_wait_s=30.0), os.environ)
    await_state(server, lambda state: state.phase == "waiting" and state.young_deaths == 1)
    began = time.monotonic()
    server.stop(lambda line: None)
    assert time.monotonic() - began < 5
    assert not server.running


def test_a_supervisor_that_is_killed_takes_its_server_with_it(server: SupervisedServer) -> None:
    server.start(spec(ENDS_WITH_STDIN.format(linger=0)), os.environ)
    state = up(server)
    os.kill(state.pid, signal.SIGKILL)
    assert state.server is not None
    assert state.server.wait(10)
    assert not server.running


def test_the_server_that_a_killed_supervisor_left_is_ended_before_another_starts(
    server: SupervisedServer,
) -> None:
    server.start(spec(ENDS_WITH_STDIN.format(linger=60)), os.environ)
    left = up(server)
    os.kill(left.pid, signal.SIGKILL)
    left.supervisor.wait(5)
    assert left.server is not None
    assert left.server.alive
    server.start(spec(SLEEPS), os.environ)
    after = up(server, times=2)
    assert not left.server.alive
    assert after.server_pid != left.server_pid
    assert f"ending the server {left.server_pid}" in server.log(100)


def test_stop_ends_the_server_that_a_killed_supervisor_left(server: SupervisedServer) -> None:
    server.start(spec(ENDS_WITH_STDIN.format(linger=60)), os.environ)
    left = up(server)
    os.kill(left.pid, signal.SIGKILL)
    left.supervisor.wait(5)
    said: list[str] = []
    server.stop(said.append)
    assert left.server is not None
    assert not left.server.alive
    assert "of a supervisor that was killed" in said[0]


def test_two_starts_at_once_make_one_supervisor(server: SupervisedServer) -> None:
    server.start(spec(SLEEPS), os.environ)
    first = up(server)
    server.start(spec(SLEEPS), os.environ)
    second = server.state()
    assert second is not None
    assert second.pid == first.pid
    assert server.log(100).count("started the server") == 1


def test_a_number_that_another_process_was_given_is_left_alone(server: SupervisedServer) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", SLEEPS], stdout=subprocess.DEVNULL)
    try:
        known = process_id(bystander.pid)
        assert known is not None
        stale = {"pid": bystander.pid, "started": known.started - 100}
        stale |= {"server_pid": bystander.pid, "server_started": known.started - 100}
        (server.folder / STATE).write_text(json.dumps(stale))
        assert not ProcessId(bystander.pid, known.started - 100).alive
        server.stop(lambda line: None)
        server.start(spec(SLEEPS), os.environ)
        up(server)
        assert bystander.poll() is None
        assert known.alive
    finally:
        bystander.kill()
        bystander.wait()
    assert not known.alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "started": 2, "x": 3}'])
def test_a_damaged_state_is_none(server: SupervisedServer, text: str) -> None:
    (server.folder / STATE).write_text(text)
    (server.folder / SPEC).write_text(text)
    assert server.state() is None
    assert server.spec() is None
    server.stop(lambda line: None)


def test_a_supervisor_that_cannot_start_says_why(server: SupervisedServer) -> None:
    (server.folder / LOG).mkdir()
    with pytest.raises(ServingError, match="Starting the supervisor failed") as caught:
        server.start(spec(SLEEPS), os.environ)
    assert "IsADirectoryError" in str(caught.value.received)


def test_the_log_is_turned_over(server: SupervisedServer, tmp_path: Path) -> None:
    program = "for n in range(60): print(str(n) + 'x' * 99_990)\n" + SLEEPS
    server.start(spec(program), os.environ)
    await_state(server, lambda state: "\nup" in server.log(3))
    assert (server.folder / f"{LOG}.1").exists()
    assert (server.folder / LOG).stat().st_size < 5_100_000
    assert [line[:2] for line in server.log(3).splitlines()] == ["58", "59", "up"]


def test_one_deploys_at_a_time(server: SupervisedServer) -> None:
    other = SupervisedServer(server.folder)
    said: list[str] = []
    with (
        server.locked(1.0, said.append),
        pytest.raises(BusyError, match="Somebody else deploys 'toy'"),
        other.locked(0.2, said.append),
    ):
        pass
    assert said == ["waiting for another deployment of this model to end"]
    with other.locked(0.2, said.append):
        pass
