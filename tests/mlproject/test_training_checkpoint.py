"""A checkpoint file: whole or not at all, and nothing but a checkpoint is read as one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mlproject.training.checkpoint import (
    Checkpoint,
    Place,
    checkpoint_file,
    read_checkpoint,
    write_checkpoint,
)

PLACE = Place(
    epoch=2,
    steps=3,
    steps_total=43,
    iterator_steps=3,
    data_epochs=[2, 0],
    history={"loss": [0.5, float("inf")]},
    logs={"loss": 0.4},
)
GROUPS = {
    "model": [np.arange(6, dtype="float32").reshape(2, 3), np.array(7), np.zeros((0, 2))],
    "optimizer": [np.full(12, n) for n in range(12)],  # more than ten: their order is by number
}


def written(folder: Path) -> Path:
    path = checkpoint_file(folder / "state", 1)
    write_checkpoint(path, Checkpoint(PLACE, GROUPS, {"stopping": {"wait": 1, "best": None}}))
    return path


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["fit-1.npz"]
    found = read_checkpoint(path)
    assert found is not None
    assert found.place == PLACE
    assert found.callbacks == {"stopping": {"wait": 1, "best": None}}
    assert list(found.groups) == ["model", "optimizer"]
    for group, arrays in GROUPS.items():
        for stored, array in zip(found.groups[group], arrays, strict=True):
            np.testing.assert_array_equal(stored, array)
            assert stored.dtype == array.dtype


def test_the_one_before_stands_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(path, Checkpoint(Place(epoch=9), GROUPS))
    assert [p.name for p in path.parent.iterdir()] == ["fit-1.npz"]
    found = read_checkpoint(path)
    assert found is not None
    assert found.place == PLACE


def test_where_nothing_was_written_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "fit-0.npz") is None
    assert read_checkpoint(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off", b"\x93NUMPY\x01\x00"])
def test_what_is_no_checkpoint_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fit-0.npz"
    path.write_bytes(content)
    assert read_checkpoint(path) is None


def test_a_checkpoint_that_is_cut_off_is_none(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        assert read_checkpoint(path) is None


@pytest.mark.parametrize(
    "about", [b"[]", b"{}", b'{"place": {"epoch": 1, "extra": 2}, "callbacks": {}}', b"\xff"]
)
def test_a_place_that_is_none_of_ours_is_none(about: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fit-0.npz"
    np.savez(path, about=np.frombuffer(about, np.uint8))
    assert read_checkpoint(path) is None


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (3,))


def test_no_code_of_a_checkpoint_is_run(tmp_path: Path) -> None:
    path = tmp_path / "fit-0.npz"
    np.savez(path, about=np.array([Hostile()], dtype=object))
    assert read_checkpoint(path) is None
    path.write_bytes(pickle.dumps(Hostile()))
    assert read_checkpoint(path) is None
