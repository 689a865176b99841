"""A text that takes the place of another in one step."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlproject.whole_file import write_whole


def test_a_text_is_written_and_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    for text in ("first, and longer", "größer"):
        write_whole(file, text)
        assert file.read_text(encoding="utf-8") == text
        assert os.listdir(tmp_path) == ["state.json"]


def test_readers_find_a_whole_text_at_any_moment(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    texts = {"a" * 100_000, "b" * 50_000}
    write_whole(file, min(texts))
    found, stop = set(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            found.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for text in texts:
            write_whole(file, text)
    stop.set()
    reader.join()
    assert found <= texts


def test_threads_that_write_at_once_are_not_in_each_others_way(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    texts = [letter * 10_000 for letter in "abcd"]

    def write(text: str) -> None:
        for _ in range(10):
            write_whole(file, text)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, texts))
    assert file.read_text() in texts
    assert os.listdir(tmp_path) == ["state.json"]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "schema").write_text("old")
    (kept / "schema").chmod(0o640)
    (tmp_path / "link").symlink_to(kept / "schema")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (kept / "schema").read_text() == "new"
    assert (kept / "schema").stat().st_mode & 0o777 == 0o640


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "a surrogate: \ud800")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["state.json"]
    with pytest.raises(OSError, match="No such file"):
        write_whole(tmp_path / "no folder" / "state.json", "new")
