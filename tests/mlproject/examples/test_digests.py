"""Digests of files: remembered between runs, never wrong."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlproject.examples import digests
from mlproject.examples.digests import content_digest
from mlproject.examples.local_state import keep_in


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home to keep digests in, and an empty memory."""
    monkeypatch.setattr(digests, "_known", {})
    keep_in(tmp_path / "home")
    yield tmp_path / "home"
    keep_in(None)


@pytest.fixture
def another_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forgets what this process knows."""
    return lambda: monkeypatch.setattr(digests, "_known", {})


def old_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    long_ago = time.time() - 60
    os.utime(path, (long_ago, long_ago))
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def forge(home: Path, digest: str) -> None:
    """Makes the store say something else, to tell an answer from the store from a new reading."""
    with sqlite3.connect(home / "digests.sqlite") as store:
        assert store.execute("UPDATE digests SET digest = ?", (digest,)).rowcount == 1
    store.close()


def test_another_run_does_not_read_an_unchanged_file_again(
    home: Path, tmp_path: Path, another_run: Callable[[], None]
) -> None:
    file = old_file(tmp_path / "data.csv", b"a,b\n")
    assert content_digest(file) == sha256(b"a,b\n")
    forge(home, "0" * 64)
    assert content_digest(file) == sha256(b"a,b\n")
    another_run()
    assert content_digest(file) == "0" * 64


def test_another_process_knows_it_too(home: Path, tmp_path: Path) -> None:
    file = old_file(tmp_path / "data.csv", b"a,b\n")
    content_digest(file)
    forge(home, "0" * 64)
    code = (
        "import sys; from pathlib import Path; from mlproject.examples import digests, local_state;"
        "local_state.keep_in(Path(sys.argv[1])); print(digests.content_digest(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(home), str(file)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert found.stdout.strip() == "0" * 64


def rewrite_in_place(file: Path) -> None:
    """Another content of the same size, with the old time put back."""
    before = file.stat()
    with file.open("r+b") as handle:
        handle.write(b"x")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(file: Path) -> None:
    other = file.with_name("other")
    before = file.stat()
    other.write_bytes(b"x,b\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


def lengthen(file: Path) -> None:
    file.write_bytes(b"x,b\n\n")


@pytest.mark.parametrize("change", [rewrite_in_place, replace, lengthen])
def test_a_changed_file_is_read_again(
    home: Path, tmp_path: Path, another_run: Callable[[], None], change: Callable[[Path], None]
) -> None:
    file = old_file(tmp_path / "data.csv", b"a,b\n")
    before = content_digest(file)
    time.sleep(0.02)  # the file system's clock ticks every few milliseconds
    change(file)
    another_run()
    assert content_digest(file) == sha256(file.read_bytes()) != before


def test_a_file_written_a_moment_ago_is_not_remembered(
    home: Path, tmp_path: Path, another_run: Callable[[], None]
) -> None:
    (tmp_path / "data.csv").write_bytes(b"a,b\n")
    content_digest(tmp_path / "data.csv")
    assert not digests._known
    assert not (home / "digests.sqlite").exists() or not rows(home)


def rows(home: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(home / "digests.sqlite") as store:
        found = store.execute("SELECT name, state, digest FROM digests").fetchall()
    store.close()
    return found


def test_the_store_holds_one_row_a_file(home: Path, tmp_path: Path) -> None:
    for content in (b"1", b"22", b"333"):
        content_digest(old_file(tmp_path / "data.csv", content))
    assert [digest for _, _, digest in rows(home)] == [sha256(b"333")]


def test_a_name_that_is_no_text_is_remembered(
    home: Path, tmp_path: Path, another_run: Callable[[], None]
) -> None:
    file = old_file(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")), b"a")
    content_digest(file)
    assert len(rows(home)) == 1


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\1" * 200])
def test_a_broken_store_does_no_harm(home: Path, tmp_path: Path, content: bytes) -> None:
    home.mkdir()
    (home / "digests.sqlite").write_bytes(content)
    assert content_digest(old_file(tmp_path / "data.csv", b"a")) == sha256(b"a")


def test_a_store_that_cannot_be_made_does_no_harm(home: Path, tmp_path: Path) -> None:
    home.write_text("a file where the folder should be")
    assert content_digest(old_file(tmp_path / "data.csv", b"a")) == sha256(b"a")


def test_a_value_that_is_no_digest_is_passed_over(
    home: Path, tmp_path: Path, another_run: Callable[[], None]
) -> None:
    file = old_file(tmp_path / "data.csv", b"a")
    content_digest(file)
    forge(home, "nonsense")
    another_run()
    assert content_digest(file) == sha256(b"a")


def test_a_locked_store_does_not_hold_a_run_up(home: Path, tmp_path: Path) -> None:
    content_digest(old_file(tmp_path / "one.csv", b"1"))
    other = sqlite3.connect(home / "digests.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    assert content_digest(old_file(tmp_path / "two.csv", b"2")) == sha256(b"2")
    assert time.monotonic() - began < 10
    other.close()


def test_without_a_home_nothing_is_written(tmp_path: Path, another_run: Callable[[], None]) -> None:
    another_run()
    assert content_digest(old_file(tmp_path / "data.csv", b"a")) == sha256(b"a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv"]
