"""Quiet logs: what is printed, from C too, goes to a file, and the terminal comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.logs import quiet
from mlproject.errors import StorageError

PROGRAM = """
import os, sys, warnings
from pathlib import Path
from flows.logs import quiet

print("before")
try:
    with quiet(Path(sys.argv[1]), "train", verbose=sys.argv[2] == "verbose") as (stream, log):
        os.write(1, b"from C, out\\n")
        os.write(2, b"from C, err\\n")
        os.system("echo from a child")
        print("from Python, out")
        print("from Python, err", file=sys.stderr)
        warnings.warn("from a warning")
        print("progress", file=stream)
        if sys.argv[3:] == ["exit"]:
            sys.exit(7)
        if sys.argv[3:]:
            raise getattr(__import__("builtins"), sys.argv[3])("out of it")
finally:
    print("after")
    os.write(2, b"after, from C\\n")
"""
EVERYTHING = ("from C, out", "from C, err", "from a child", "from Python, out", "from Python, err")


def run(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(home), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def the_log(home: Path) -> str:
    (file,) = (home / "logs").iterdir()
    assert file.name.endswith("-train.log")
    return file.read_text()


def test_everything_goes_to_the_log_and_progress_to_the_terminal(tmp_path: Path) -> None:
    done = run(tmp_path, "quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "before\nafter\n"
    assert done.stderr == "progress\nafter, from C\n"
    log = the_log(tmp_path)
    for text in (*EVERYTHING, "from a warning"):
        assert text in log
    assert "progress" not in log


@pytest.mark.parametrize(
    ("how", "code"), [("ValueError", 1), ("KeyboardInterrupt", -2), ("exit", 7)]
)
def test_the_terminal_comes_back_when_the_block_raises(tmp_path: Path, how: str, code: int) -> None:
    done = run(tmp_path, "quiet", how)
    assert done.returncode == code
    assert done.stdout == "before\nafter\n"
    assert done.stderr.startswith("progress\nafter, from C\n")
    if how != "exit":
        assert f"{how}: out of it" in done.stderr
    assert "from C, err" in the_log(tmp_path)


def test_an_error_names_the_log_where_there_is_something_in_it(tmp_path: Path) -> None:
    def fail(text: bytes) -> None:
        with quiet(tmp_path, "train", verbose=False):
            os.write(1, text)
            raise StorageError("It broke")

    with pytest.raises(StorageError) as empty:
        fail(b"")
    assert not hasattr(empty.value, "__notes__")
    for log in (tmp_path / "logs").iterdir():
        log.unlink()
    with pytest.raises(StorageError) as failed:
        fail(b"what happened")
    (log,) = (tmp_path / "logs").iterdir()
    assert failed.value.__notes__ == [f"Log      {log}"]


def test_verbose_leaves_everything_on_the_terminal(tmp_path: Path) -> None:
    done = run(tmp_path, "verbose")
    assert done.returncode == 0
    for text in EVERYTHING:
        assert text in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with quiet(tmp_path, "train", verbose=False):
            pass
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_the_user_s_own_settings_of_tensorflow_win(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "later removed by this")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    with quiet(tmp_path, "train", verbose=False) as (_, log):
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
        assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert log is not None
    assert log.parent == tmp_path / "logs"


def test_a_home_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    for folder in mount(tmp_path / "ro", "ro"):
        attempt = quiet(folder, "train", verbose=False)
        with pytest.raises(StorageError, match="Opening the log failed"), attempt:
            pass


FILL = """
import os, sys
from pathlib import Path
from flows.logs import quiet

with quiet(Path(sys.argv[1]), "train", verbose=False) as (stream, log):
    print("x" * 1000)
    try:
        while True:
            os.write(1, b"x" * 4096)
    except OSError:
        pass
os.write(2, b"after\\n")
"""


def test_a_disk_that_is_full_still_gives_the_terminal_back(tmp_path: Path) -> None:
    for folder in mount(tmp_path / "small", "size=64k"):
        command = [sys.executable, "-c", FILL, str(folder)]
        buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
        done = subprocess.run(command, env=buffered, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "after\n")


def mount(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs for the length of a loop."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a tmpfs")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs leave to mount a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
