"""Artifacts: whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.artifacts import (
    MANIFEST,
    Artifact,
    ArtifactStore,
    fingerprint,
    read_value,
    translate_os_errors,
)
from mlproject.errors import BusyError, DataError, StorageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def publish(store: ArtifactStore, key: str = "k", text: str = "rows", **value: Any) -> Artifact:
    with store.write_aside("ingest") as aside:
        (aside / "data.txt").write_text(text)
        return store.publish(
            aside, "ingest", key, value, inputs={"a": "1"}, seconds=1.5, mlflow_run_id="run"
        )


def folders(store: ArtifactStore) -> list[str]:
    return sorted(path.name for path in store.root.glob("*/*"))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "root")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    yield from mount(tmp_path / "mounted", "size=64k")


def mount(folder: Path, options: str) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a tmpfs")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"needs leave to mount a tmpfs: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_fingerprint_is_the_same_on_every_machine_and_day() -> None:
    parts = {"step": "train", "params": {"seed": 42, "rate": 0.003, "layers": [64, 32]}, "ä": None}
    assert fingerprint(parts) == "83375eb6f4a030255eac"


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint(
        {"b": {"d": 3, "c": 2}, "a": 1}
    )


@pytest.mark.parametrize("other", [{"a": "1"}, {"a": 1.0}, {"a": True}, {"a": [1]}, {"b": 1}, {}])
def test_a_fingerprint_tells_values_and_types_apart(other: dict[str, Any]) -> None:
    assert fingerprint({"a": 1}) != fingerprint(other)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), JSON), st.dictionaries(st.text(), JSON))
def test_equal_fingerprints_mean_equal_json(left: dict[str, Any], right: dict[str, Any]) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (fingerprint(left) == fingerprint(right)) == same


def test_a_published_artifact_is_found_with_its_files_and_its_manifest(
    store: ArtifactStore,
) -> None:
    made = publish(store, rows=7)
    assert store.find("ingest", "k") == made
    assert (made.value, made.seconds, made.mlflow_run_id) == ({"rows": 7}, 1.5, "run")
    assert made.path == store.root / "ingest" / "k"
    assert (made.path / "data.txt").read_text() == "rows"
    manifest = json.loads((made.path / MANIFEST).read_text())
    assert (manifest["step"], manifest["fingerprint"], manifest["inputs"]) == (
        *("ingest", "k"),
        {"a": "1"},
    )


def test_what_was_not_published_is_not_found(store: ArtifactStore) -> None:
    publish(store)
    assert store.find("ingest", "other") is None
    assert store.find("train", "k") is None


def test_a_step_that_raises_leaves_nothing(store: ArtifactStore) -> None:
    def fail() -> None:
        with store.write_aside("ingest") as aside:
            (aside / "data.txt").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert folders(store) == []


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_a_failing_publish_leaves_nothing_under_the_fingerprint(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(KeyboardInterrupt):
        publish(store)
    assert store.find("ingest", "k") is None
    assert folders(store) == []


def test_a_value_that_is_no_json_is_not_published(store: ArtifactStore) -> None:
    with pytest.raises(TypeError):
        publish(store, rows=object())
    assert folders(store) == []


def test_publishing_again_replaces_the_whole_folder(store: ArtifactStore) -> None:
    first = publish(store, rows=1)
    (first.path / "stale.txt").write_text("of the first")
    second = publish(store, text="new", rows=2)
    assert second.value == {"rows": 2}
    assert sorted(p.name for p in second.path.iterdir()) == [MANIFEST, "data.txt"]
    assert (second.path / "data.txt").read_text() == "new"
    assert folders(store) == ["k"]


def test_a_run_sweeps_what_killed_runs_left_and_nothing_else(store: ArtifactStore) -> None:
    publish(store)
    orphan = store.root / "train" / ".aside-1-abc"
    orphan.mkdir(parents=True)
    (orphan / "half.txt").write_text("half")
    (store.root / "ingest" / ".aside-2-abc-replaced").mkdir()
    with store.lock():
        assert folders(store) == ["k"]
    assert store.find("ingest", "k") is not None


def test_a_refused_run_sweeps_nothing(store: ArtifactStore) -> None:
    with store.lock(), store.write_aside("ingest") as aside:
        with pytest.raises(BusyError), ArtifactStore(store.root).lock():
            pass
        assert aside.is_dir()


HOLD = """
import sys, time
from pathlib import Path
from mlproject.artifacts import ArtifactStore
store = ArtifactStore(Path(sys.argv[1]))
with store.lock(), store.write_aside("train") as aside:
    (aside / "half.txt").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(store: ArtifactStore) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the root and is in the middle of a step."""
    command = [sys.executable, "-c", HOLD, str(store.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_holds_the_root(
    store: ArtifactStore, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(BusyError) as caught, store.lock():
        pass
    assert f"Received: pid {holder.pid} since 20" in str(caught.value)
    assert "BENISON_PIPELINE_ROOT" in str(caught.value)


def test_the_root_is_free_and_clean_once_its_holder_was_killed(
    store: ArtifactStore, holder: subprocess.Popen[str]
) -> None:
    assert len(folders(store)) == 1
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with store.lock():
        assert folders(store) == []
        assert (store.root / ".lock").read_text().startswith(f"pid {os.getpid()} since ")


def test_the_lock_is_freed_when_the_run_raises(store: ArtifactStore) -> None:
    with pytest.raises(ZeroDivisionError), store.lock():
        raise ZeroDivisionError
    with store.lock():
        pass


def test_the_lock_names_the_last_holder_only(store: ArtifactStore) -> None:
    store.root.mkdir()
    (store.root / ".lock").write_text("pid 123456789 since " + "long ago " * 20)
    with store.lock():
        text = (store.root / ".lock").read_text()
    assert text.startswith(f"pid {os.getpid()} since ")
    assert "long ago" not in text


def test_a_full_disk_publishes_nothing_and_says_so(mounted: Path) -> None:
    store = ArtifactStore(mounted / "root")
    kept = publish(store, "before")
    with pytest.raises(StorageError) as caught:
        publish(store, text="x" * 200_000)
    assert "the disk is full" in str(caught.value)
    assert "bytes free" in str(caught.value)
    assert folders(store) == ["before"]
    assert store.find("ingest", "before") == kept


def test_a_disk_that_fills_up_under_the_manifest_publishes_nothing(mounted: Path) -> None:
    store = ArtifactStore(mounted)
    with store.write_aside("ingest") as aside:
        fill(aside / "data.bin")
        with pytest.raises(StorageError, match="the disk is full"):
            store.publish(aside, "ingest", "k", {}, inputs={}, seconds=0, mlflow_run_id=None)
    assert folders(store) == []


def test_a_disk_that_is_full_at_the_start_is_a_storage_error(mounted: Path) -> None:
    fill(mounted / "other.bin")
    store = ArtifactStore(mounted)
    with pytest.raises(StorageError, match="the disk is full"), store.lock():
        pass
    (mounted / "other.bin").unlink()
    with store.lock():
        pass


def fill(file: Path) -> None:
    with open(file, "wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"x" * 4096)


def test_a_disk_that_is_read_only_is_a_storage_error(tmp_path: Path) -> None:
    for folder in mount(tmp_path / "ro", "ro"):
        store = ArtifactStore(folder / "root")
        for attempt in (store.lock(), store.write_aside("ingest")):
            with pytest.raises(StorageError) as caught, attempt:
                pass
            assert "the folder cannot be written" in str(caught.value)
            assert "Read-only file system" in str(caught.value)
        assert store.find("ingest", "k") is None


def test_other_errors_of_the_system_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), translate_os_errors("Reading", tmp_path):
        tmp_path.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"value": {}}',
        b'{"value": 1, "seconds": 1, "cpu_seconds": 1, "mlflow_run_id": null}',
        b'{"value": {}, "seconds": "soon", "cpu_seconds": 1, "mlflow_run_id": null}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_corrupted_manifest_is_a_storage_error_that_names_the_folder(
    store: ArtifactStore, content: bytes
) -> None:
    made = publish(store)
    (made.path / MANIFEST).write_bytes(content)
    with pytest.raises(StorageError) as caught:
        store.find("ingest", "k")
    assert f"remove the folder {made.path}" in str(caught.value)


def test_a_manifest_that_is_a_folder_is_a_storage_error(store: ArtifactStore) -> None:
    (store.root / "ingest" / "k" / MANIFEST).mkdir(parents=True)
    with pytest.raises(StorageError):
        store.find("ingest", "k")


def test_a_folder_without_a_manifest_does_not_count_as_published(store: ArtifactStore) -> None:
    (store.root / "ingest" / "k").mkdir(parents=True)
    assert store.find("ingest", "k") is None
    assert publish(store).path.is_dir()


def test_a_field_that_the_value_lacks_names_the_command_that_makes_it(
    store: ArtifactStore,
) -> None:
    made = publish(store, rows=7)
    assert read_value(made, "rows") == 7
    with pytest.raises(DataError, match="--from ingest"):
        read_value(made, "columns")


def test_finding_and_reading_write_nothing(store: ArtifactStore) -> None:
    assert store.find("ingest", "k") is None
    assert not store.root.exists()


def test_the_time_of_publishing_is_in_utc(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2024, 2, 29, 1, 2, 3, 3, 60, 0)))
    manifest = json.loads((publish(store).path / MANIFEST).read_text())
    assert manifest["published_at"] == "2024-02-29T01:02:03Z"
