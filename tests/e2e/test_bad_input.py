"""Bad input through the command line: the right exit code, one clear line, nothing half-written."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.conftest import STEPS, Done, Pipeline, Product, assert_one_clear_error

from flows.cli import main

pytestmark = pytest.mark.e2e

Command = Callable[..., Done]


@pytest.fixture(scope="module")
def home(make_product: Callable[..., Product]) -> Product:
    """One home for all: what a refused run leaves in MLflow must not disturb the next."""
    return make_product("bad-input")


@pytest.fixture
def bad(home: Product, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Product:
    """The shared home with a project and a pipeline root of the test's own."""
    shutil.copytree(generated, tmp_path / "taxi")
    root = tmp_path / "pipeline"
    variables = {"BENISON_PIPELINE_ROOT": str(root)}
    return replace(home, project=tmp_path / "taxi", root=root, variables=variables)


@pytest.fixture
def benison(
    bad: Product,
    in_process: Callable[[Product], Pipeline],
    capfd: pytest.CaptureFixture[str],
) -> Command:
    """Runs a command in this process: what it raises, other than its exit, fails the test."""
    in_process(bad)

    def run(*args: str) -> Done:
        capfd.readouterr()
        code = main([*args, str(bad.project)])
        return Done(code, *capfd.readouterr(), 0.0)

    return run


def run_until(benison: Command, last: str) -> Done:
    """Runs the steps one by one until one does not end with 0."""
    for step in STEPS[: STEPS.index(last) + 1]:
        done = benison("step", step)
        if done.code:
            return done
    return done


def lines_of(product: Product) -> list[bytes]:
    return (product.project / "data" / "trips.csv").read_bytes().splitlines(keepends=True)


def cut(line: bytes) -> bytes:
    return line.rstrip(b"\n").rpartition(b",")[0] + b"\n"


BROKEN_FILES = {
    "empty": (lambda lines: [], ["trips.csv", "empty"]),
    "header only": (lambda lines: lines[:1], ["header only"]),
    "ragged rows": (
        lambda lines: [*lines[:700], cut(lines[700]), *lines[701:]],
        ["line 701", "17 cells", "18 cells"],
    ),
    "wrong delimiter": (
        lambda lines: [line.replace(b",", b";") for line in lines],
        ["single column", "data.delimiter"],
    ),
    "not UTF-8": (
        lambda lines: [*lines[:900], lines[900].replace(b"Ca", b"C\xe9", 1), *lines[901:]],
        ["UTF-8"],
    ),
    "duplicate columns": (
        lambda lines: [lines[0].replace(b"trip_miles", b"fare"), *lines[1:]],
        ["fare"],
    ),
    "text in a number": (
        lambda lines: [*lines[:900], b"x" + lines[900], *lines[901:]],
        ["pickup_community_area"],
    ),
    "NUL bytes": (lambda lines: [*lines[:9], b"\0" + lines[9], *lines[10:]], ["NUL"]),
}


@pytest.mark.parametrize("fault", BROKEN_FILES)
def test_a_broken_file_is_refused(bad: Product, benison: Command, fault: str) -> None:
    change, words = BROKEN_FILES[fault]
    lines = lines_of(bad)
    if fault == "not UTF-8":
        lines[900] = next(line for line in lines[1:] if b"Cash" in line)
    (bad.project / "data" / "trips.csv").write_bytes(b"".join(change(lines)))
    assert_one_clear_error(benison("step", "ingest"), 1, *words)
    assert_nothing_is_left(bad)


def test_a_process_of_its_own_says_the_same(product: Product) -> None:
    file = product.project / "data" / "trips.csv"
    file.write_bytes(b"".join(lines_of(product)[:1]))
    done = product.run("step", "ingest", str(product.project))
    assert_one_clear_error(done, 1, "header only")
    assert done.out == ""
    assert_nothing_is_left(product)


def assert_nothing_is_left(product: Product, *finished: str) -> None:
    """Finished steps only under the pipeline root; no registered model; no run left open."""
    published = product.published()
    assert {name.partition("/")[0] for name in published} == set(finished)
    assert [name for name in published if "/." in name] == []
    assert product.versions() == []
    assert product.runs(status="RUNNING") == []


def test_a_missing_file_is_refused(bad: Product, benison: Command) -> None:
    data = bad.project / "data" / "trips.csv"
    data.rename(data.with_name("trip.csv"))
    for command in (("step", "ingest"), ("train",)):
        assert_one_clear_error(benison(*command), 1, "trips.csv", "did you mean 'trip.csv'?")
    assert_nothing_is_left(bad)


def test_check_finds_a_missing_file(bad: Product, benison: Command) -> None:
    (bad.project / "data" / "trips.csv").unlink()
    assert_one_clear_error(benison("check"), 1, "trips.csv")


def test_a_mistyped_key_is_a_usage_error(bad: Product, benison: Command) -> None:
    bad.configure(trainning={"label": "big_tipper"})
    for command in (("check",), ("step", "ingest"), ("train",)):
        assert_one_clear_error(benison(*command), 2, "trainning", "did you mean 'training'")
    assert_nothing_is_left(bad)


def test_a_missing_column_blocks_the_run(bad: Product, benison: Command) -> None:
    rows = [line.split(b",") for line in lines_of(bad)]
    column = rows[0].index(b"company")
    # No generated name of a company holds a comma, so cells can be dropped by position.
    assert {len(row) for row in rows} == {len(rows[0])}
    kept = [b",".join(row[:column] + row[column + 1 :]) for row in rows]
    (bad.project / "data" / "trips.csv").write_bytes(b"".join(kept))
    done = run_until(benison, "train")
    assert done.code == 4, done.err
    assert "company" in done.err
    assert "Traceback" not in done.err
    done = benison("step", "transform")
    assert done.code == 4
    assert "'transform' was not run: validate says no" in done.err
    assert_nothing_is_left(bad, "ingest", "statistics", "schema", "validate")


def test_the_whole_pipeline_stops_at_blocked_data(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    """As a user sees it: Prefect and all, exit 4, the reasons in the summary."""
    file = product.project / "data" / "trips.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    for number in range(1, 400):
        cells = lines[number].split(b",")
        cells[3] = b"99"  # trip_start_hour
        lines[number] = b",".join(cells)
    file.write_bytes(b"".join(lines))
    done = product.train()
    assert done.code == 4, done.err
    assert done.outcome["status"] == "blocked"
    assert any("trip_start_hour" in reason for reason in done.outcome["reasons"])
    assert "Traceback" not in done.err
    assert_nothing_is_left(product, "ingest", "statistics", "schema", "validate")
    (run,) = product.runs(step="validate")
    assert run.info.status == "FINISHED"
    again = in_process(product).settled()
    assert again is not None
    assert (again.exit_code, [*again.reasons]) == (4, done.outcome["reasons"])


@pytest.mark.slow
def test_a_fault_inside_the_flow_is_one_clear_line(product: Product) -> None:
    """Found by a Prefect task, after the plan: still no traceback on the terminal."""
    file = product.project / "data" / "trips.csv"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:700], cut(lines[700]), *lines[701:]]))
    done = product.run("train", str(product.project))
    assert_one_clear_error(done, 1, "line 701", "17 cells")
    assert_nothing_is_left(product)
    assert {run.info.status for run in product.runs()} == {"FAILED"}
    assert not product.processes()


@pytest.mark.slow
def test_a_label_of_one_class_is_refused(bad: Product, benison: Command) -> None:
    lines = lines_of(bad)
    no_tips = [lines[0], *(cut(line).rstrip(b"\n") + b",0\n" for line in lines[1:])]
    (bad.project / "data" / "trips.csv").write_bytes(b"".join(no_tips))
    done = run_until(benison, "evaluate")
    assert_one_clear_error(done, 1, "big_tipper", "one class")
    finished = {name.partition("/")[0] for name in bad.published()}
    assert "evaluate" not in finished
    assert_nothing_is_left(bad, *finished)


RAISING = {
    "at import": ("import", "ZeroDivisionError", "transform"),
    "in preprocessing_fn": ("preprocessing_fn", "ZeroDivisionError", "transform"),
    "in run_fn": ("run_fn", "ZeroDivisionError", "train"),
}


@pytest.fixture(scope="module")
def ready(make_product: Callable[..., Product]) -> Product:
    """A product whose steps up to transform are done."""
    return make_product("raising")


@pytest.mark.parametrize("where", RAISING)
def test_a_module_that_raises_is_named_with_its_line(
    ready: Product,
    where: str,
    in_process: Callable[[Product], Pipeline],
    capfd: pytest.CaptureFixture[str],
    generated: Path,
) -> None:
    function, kind, step = RAISING[where]
    in_process(ready)
    shutil.copy(generated / "taxi.py", ready.project / "taxi.py")
    if function == "import":
        file = ready.project / "taxi.py"
        file.write_text(file.read_text(encoding="utf-8") + "\nBROKEN = 1 / 0\n", encoding="utf-8")
    else:
        ready.edit_function(function, "1 / 0")
    text = (ready.project / "taxi.py").read_text(encoding="utf-8")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "1 / 0" in row)
    for name in STEPS[: STEPS.index(step)]:
        assert main(["step", name, str(ready.project)]) == 0
    before = ready.published()
    capfd.readouterr()
    code = main(["step", step, str(ready.project)])
    done = Done(code, *capfd.readouterr(), 0.0)
    assert_one_clear_error(done, 1, "taxi.py", kind, f"line {line}")
    assert ready.published() == before
    failed = ready.runs(step=step, status="FAILED")[0]  # the newest comes first
    assert "ZeroDivisionError" in failed.data.tags["benison.error"]


def test_a_module_without_run_fn_is_refused_before_anything_runs(
    bad: Product, benison: Command
) -> None:
    bad.edit_module("def run_fn(", "def runn_fn(")
    for command in (("check",), ("train",), ("step", "ingest")):
        assert_one_clear_error(benison(*command), 1, "run_fn", "taxi.py")
    assert_nothing_is_left(bad)


def test_an_mlflow_server_that_is_down_is_named(
    bad: Product, benison: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    monkeypatch.setattr("mlproject.tracking.connection.time.sleep", lambda _: None)
    for command in (("train",), ("step", "ingest")):
        done = benison(*command)
        assert_one_clear_error(done, 1, f"127.0.0.1:{port}", "MLFLOW_TRACKING_URI")
        assert "secret" not in done.err
    assert not bad.published()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs on a folder; skips where this user cannot mount one."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a tmpfs needs root and mount(8)")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("command", ["step ingest", "train"])
def test_a_read_only_pipeline_root_is_refused(bad: Product, benison: Command, command: str) -> None:
    with mounted(bad.pipeline_root, "ro"):
        done = benison(*command.split())
        assert_one_clear_error(
            done, 1, "cannot be written", str(bad.pipeline_root), "BENISON_PIPELINE_ROOT"
        )
        assert_nothing_is_left(bad)


@pytest.mark.parametrize(("kilobytes", "step"), [(32, "ingest"), (160, "statistics")])
def test_a_full_disk_is_refused_and_leaves_what_was_finished(
    bad: Product, benison: Command, kilobytes: int, step: str
) -> None:
    with mounted(bad.pipeline_root, f"size={kilobytes}k"):
        done = run_until(benison, step)
        assert_one_clear_error(done, 1, str(bad.pipeline_root))
        assert re.search("the disk is full|No space left on device", done.err)
        assert_nothing_is_left(bad, *STEPS[: STEPS.index(step)])
        subprocess.run(["mount", "-o", "remount,size=8m", str(bad.pipeline_root)], check=True)
        assert run_until(benison, step).code == 0, "there is room now: it goes on"
