"""Base paths on gs://, against an emulator."""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlproject.errors import ConfigError
from mlproject.examples.google import bucket as bucket_module
from mlproject.examples.google.bucket import ObjectState
from serving.model_config import ModelConfig
from serving.model_server.cloud_versions import CloudFolder, CloudSource
from serving.model_server.manager import ModelManager
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError

pytest.importorskip("gcp_storage_emulator", reason="install gcp-storage-emulator")


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket named "models"."""
    from google.cloud import storage

    monkeypatch.setattr(bucket_module, "GIVE_UP_AFTER_S", 0.5)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    urllib.request.urlopen(f"{emulator}/wipe", timeout=5).close()
    return storage.Client().create_bucket("models")


def upload(bucket: Any, folder: Path, prefix: str, without: str = "") -> None:
    for file in folder.rglob("*"):
        if file.is_file() and file.name != without:
            name = f"{prefix}/{file.relative_to(folder).as_posix()}"
            bucket.blob(name).upload_from_filename(str(file))


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_versions_come_from_a_bucket_and_go(
    bucket: Any, saved_models: dict[str, Path], tmp_path: Path
) -> None:
    upload(bucket, saved_models["fare"], "taxi/fare/1")
    config = ModelConfig("fare", "gs://models/taxi/fare")
    options = ManagerOptions(poll_wait_s=0.05, max_load_retries=0, cache_dir=tmp_path / "cache")
    manager = ModelManager([config], options)
    manager.start()
    row = {"x": np.float32([1]), "n": np.int64([1]), "s": np.array([b"a"], object)}

    def score() -> float:
        with manager.acquire("fare") as (_, model):
            return float(model.predict(model.signatures["serving_default"], row)["score"][0])

    def states() -> dict[int, str]:
        return {status.version: status.state.name for status in manager.statuses("fare")}

    try:
        assert manager.wait_until_available(60) == []
        assert score() == 2.0
        whole = saved_models["fare_plus_100"]
        upload(bucket, whole, "taxi/fare/2", without="saved_model.pb")
        time.sleep(0.3)
        assert states() == {1: "AVAILABLE"}, "a version without its graph is none yet"
        upload(bucket, whole, "taxi/fare/2")
        wait_for(lambda: states() == {1: "END", 2: "AVAILABLE"})
        assert score() == 102.0
        assert len(list((tmp_path / "cache").iterdir())) == 1, "the old copy is gone"
        for blob in list(bucket.list_blobs(prefix="taxi/fare/2/")):
            blob.delete()
        upload(bucket, saved_models["fare"], "taxi/fare/1")
        wait_for(lambda: states() == {1: "AVAILABLE", 2: "END"})
    finally:
        manager.close()


def test_only_numbered_folders_with_a_graph_are_versions(bucket: Any, tmp_path: Path) -> None:
    for name in (
        "m/7/saved_model.pb",
        "m/00000008/saved_model.pbtxt",
        "m/9/variables/variables.index",
        "m/v1/saved_model.pb",
        "m/10/deeper/saved_model.pb",
        "m/saved_model.pb",
        "more/11/saved_model.pb",
    ):
        bucket.blob(name).upload_from_string(b"x")
    found = CloudSource("gs://models/m/", tmp_path).find()
    assert found is not None
    assert {version: folder.where for version, folder in found.items()} == {
        7: "gs://models/m/7/",
        8: "gs://models/m/00000008/",
    }
    assert CloudSource("gs://models/nowhere", tmp_path).find() is None
    assert CloudSource("gs://no-such-bucket/m", tmp_path).find() is None


def test_a_copy_is_whole_or_not_there(bucket: Any, tmp_path: Path) -> None:
    bucket.blob("m/1/saved_model.pb").upload_from_string(b"graph")
    bucket.blob("m/1/variables/variables.index").upload_from_string(b"index")
    found = CloudSource("gs://models/m", tmp_path / "cache").find()
    assert found is not None
    bucket.blob("m/1/variables/variables.index").delete()
    with pytest.raises(StatusError) as caught:
        found[1].fetch()
    assert caught.value.code is Code.ABORTED
    assert os.listdir(tmp_path / "cache") == []
    bucket.blob("m/1/variables/variables.index").upload_from_string(b"index 2")
    found = CloudSource("gs://models/m", tmp_path / "cache").find()
    assert found is not None
    copy = found[1].fetch()
    assert (copy / "saved_model.pb").read_bytes() == b"graph"
    assert (copy / "variables" / "variables.index").read_bytes() == b"index 2"
    assert found[1].fetch() == copy
    found[1].forget()
    assert os.listdir(tmp_path / "cache") == []


def test_an_object_cannot_leave_the_folder_of_copies(tmp_path: Path) -> None:
    asked: list[str] = []

    class Downloads:
        """Notes what is asked of a bucket; the emulator cannot hold such a name."""

        name = "models"

        def download(self, state: ObjectState, sink: Any) -> bool:
            asked.append(state.key)
            return True

    for key in ("m/1/../../../escaped", "m/1//etc/escaped"):
        folder = CloudFolder(Downloads(), "m/1/", (ObjectState(key, 1, 1, None),), tmp_path / "c")
        with pytest.raises(StatusError, match="leaves its folder"):
            folder.fetch()
        assert os.listdir(tmp_path / "c") == []
    assert asked == []


def test_a_bucket_that_does_not_answer_changes_nothing(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    assert CloudSource("gs://models/m", tmp_path).find() is None


@pytest.mark.parametrize("address", ["s3://models/m", "gs://"])
def test_another_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gs://BUCKET/FOLDER"):
        CloudSource(address, tmp_path)
