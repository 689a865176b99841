"""Versions as files that servers watch: in a bucket of an emulator, and in a folder."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import ConfigError, ServingError
from mlproject.registry.integrity import model_digest
from mlproject.sections import DeploymentSection
from serving.model_config import read_model_configs
from serving.targets import bucket_shelf
from serving.targets.base import BASE_PATH_VARIABLE, DeployedVersion, Deployment, Place
from serving.targets.bucket_shelf import BucketShelf
from serving.targets.gcs import FilesTarget
from serving.targets.shelf import open_shelf

pytest.importorskip("gcp_storage_emulator", reason="install gcp-storage-emulator")

ROOT = "gs://models/prod"
FILES = ("assets/words.txt", "saved_model.pb", "variables/variables.data", "variables/x.index")


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket named "models", as Google's library sees it."""
    from google.cloud import storage

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    monkeypatch.setattr(bucket_shelf, "GIVE_UP_AFTER_S", 1.0)
    urllib.request.urlopen(f"{emulator}/wipe", timeout=5).close()
    return storage.Client().create_bucket("models")


def version(folder: Path, number: int, words: str = "") -> DeployedVersion:
    """A version of a few files that stand for a model."""
    exported = folder / "taxi" / str(number)
    for name in FILES:
        (exported / name).parent.mkdir(parents=True, exist_ok=True)
        (exported / name).write_text(f"{name} of {number} {words}")
    return DeployedVersion(number, exported, model_digest(exported))


def deployment(folder: Path, champion: int, *others: int, canary: int = 0) -> Deployment:
    numbers = sorted({champion, *others, *([canary] if canary else [])})
    labels = {"stable": champion} | ({"canary": canary} if canary else {})
    versions = tuple(version(folder, number) for number in numbers)
    return Deployment("taxi", versions, champion, labels, DeploymentSection())


def target(home: Path, root: str, said: list[str] | None = None) -> FilesTarget:
    say = (said if said is not None else []).append
    return FilesTarget(Place(home, {BASE_PATH_VARIABLE: root}, say))


def names(bucket: Any) -> list[str]:
    return sorted(blob.name for blob in bucket.list_blobs())


@pytest.fixture(params=["bucket", "folder"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A base path of each kind."""
    if request.param == "bucket":
        request.getfixturevalue("bucket")
        return ROOT
    return f"file://{tmp_path}/volume"


def test_what_is_deployed_lies_there_whole_and_is_pushed_once(root: str, tmp_path: Path) -> None:
    said: list[str] = []
    files = target(tmp_path, root, said)
    assert files.status("taxi").state == "absent"
    wanted = deployment(tmp_path / "served", 2, 1)
    status = files.deploy(wanted)
    assert (status.state, status.versions, status.default_version) == ("running", (1, 2), 2)
    assert status.labels == {"stable": 2}
    assert sum("pushed" in line for line in said) == 2
    again = files.deploy(wanted)
    assert again.versions == (1, 2)
    assert sum("was there" in line for line in said) == 2


def test_a_challenger_is_kept_from_servers_that_take_the_newest(root: str, tmp_path: Path) -> None:
    files = target(tmp_path, root)
    kept = files.deploy(deployment(tmp_path / "a", 1, canary=2))
    assert (kept.versions, kept.labels) == ((1,), {"stable": 1})
    config = DeploymentSection(canary=True)
    shown = files.deploy(replace(deployment(tmp_path / "a", 1, canary=2), config=config))
    assert (shown.versions, shown.labels) == ((1, 2), {"stable": 1, "canary": 2})


def test_after_a_rollback_it_says_what_such_servers_do_and_prunes_when_asked(
    root: str, tmp_path: Path
) -> None:
    files = target(tmp_path, root)
    files.deploy(deployment(tmp_path / "a", 3, 1, 2))
    back = files.deploy(deployment(tmp_path / "a", 2))
    assert back.versions == (1, 2, 3)
    assert "serve version 3, not 2" in back.detail
    assert files.prune("taxi", 1) == (1, 3)
    after = files.status("taxi")
    assert (after.versions, after.detail, after.state) == ((2,), "", "running")
    assert files.prune("taxi", 1) == ()


def test_what_was_removed_behind_its_back_is_told_and_pushed_again(
    root: str, tmp_path: Path
) -> None:
    files = target(tmp_path, root)
    wanted = deployment(tmp_path / "a", 1)
    files.deploy(wanted)
    open_shelf(Place(tmp_path, {BASE_PATH_VARIABLE: root}), print).remove("taxi", 1)
    lost = files.status("taxi")
    assert (lost.state, lost.detail) == ("failed", "gone from the base path: version 1")
    assert files.deploy(wanted).state == "running"


def test_other_content_under_the_same_number_is_refused(root: str, tmp_path: Path) -> None:
    files = target(tmp_path, root)
    files.deploy(deployment(tmp_path / "a", 1))
    other = version(tmp_path / "b", 1, "other")
    with pytest.raises(ServingError, match="other content"):
        files.deploy(Deployment("taxi", (other,), 1, {}, DeploymentSection()))
    assert files.status("taxi").state == "running"


def test_a_server_can_be_told_of_versions_and_labels(bucket: Any, tmp_path: Path) -> None:
    target(tmp_path, ROOT).deploy(deployment(tmp_path / "a", 2, 1))
    file = tmp_path / "taxi.config"
    bucket.blob("prod/taxi.config").download_to_filename(str(file))
    (config,) = read_model_configs(file)
    assert (config.base_path, config.policy.versions) == ("gs://models/prod/taxi", (1, 2))
    assert config.labels == {"stable": 2}


def test_the_graph_is_the_last_object_written_and_the_first_removed(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    copy, delete = BucketShelf._copy, BucketShelf._delete

    def spy_copy(shelf: Any, source: str, key: str, checksum: str) -> None:
        calls.append(key)
        copy(shelf, source, key, checksum)

    def spy_delete(shelf: Any, key: str) -> None:
        calls.append(key)
        delete(shelf, key)

    monkeypatch.setattr(BucketShelf, "_copy", spy_copy)
    monkeypatch.setattr(BucketShelf, "_delete", spy_delete)
    shelf = BucketShelf(ROOT, print)
    shelf.put("taxi", version(tmp_path, 1))
    assert calls[: len(FILES)][-1] == "prod/taxi/1/saved_model.pb"
    assert [n for n in names(bucket) if "/.staging/" in n] == []
    calls.clear()
    shelf.remove("taxi", 1)
    assert calls[0] == "prod/taxi/1/saved_model.pb"
    assert names(bucket) == []


@pytest.mark.parametrize("uploads", [0, 2, 4])
@pytest.mark.parametrize("copies", [0, 1, 3])
def test_a_push_that_was_killed_shows_no_version_and_is_resumed(
    uploads: int, copies: int, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for SIGKILL."""

    done = {"_upload": 0, "_copy": 0}

    def until(name: str, limit: int) -> None:
        real = getattr(BucketShelf, name)

        def counted(*args: Any) -> None:
            if done[name] == limit:
                raise Killed
            done[name] += 1
            real(*args)

        monkeypatch.setattr(BucketShelf, name, counted)

    until("_upload", uploads)
    until("_copy", copies)
    shelf, wanted = BucketShelf(ROOT, print), version(tmp_path, 1)
    with pytest.raises(Killed):
        shelf.put("taxi", wanted)
    assert shelf.versions("taxi") == ()
    uploaded = done["_upload"]
    monkeypatch.undo()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", bucket.client._connection.API_BASE_URL)
    second: list[str] = []
    real = BucketShelf._upload

    def counted(shelf: Any, file: Path, key: str, checksum: str) -> None:
        second.append(key)
        real(shelf, file, key, checksum)

    monkeypatch.setattr(BucketShelf, "_upload", counted)
    assert shelf.put("taxi", wanted)
    assert shelf.versions("taxi") == (1,)
    assert len(second) == len(FILES) - uploaded  # what was uploaded is used
    assert names(bucket) == [f"prod/taxi/1/{name}" for name in FILES]


@pytest.mark.parametrize("damage", ["changed", "added", "lost"])
def test_a_version_that_was_damaged_is_refused(damage: str, bucket: Any, tmp_path: Path) -> None:
    shelf, wanted = BucketShelf(ROOT, print), version(tmp_path, 1)
    shelf.put("taxi", wanted)
    if damage == "lost":
        bucket.blob("prod/taxi/1/variables/x.index").delete()
    else:
        name = "variables/x.index" if damage == "changed" else "more"
        bucket.blob(f"prod/taxi/1/{name}").upload_from_string("else")
    with pytest.raises(ServingError, match="holds other content"):
        shelf.put("taxi", wanted)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "received=nothing"),
        ("models", "models"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("gs://B", "gs://B"),
        ("gs://", "gs:"),
        ("file://relative", "file://relative"),
    ],
)
def test_a_base_path_that_is_none_is_refused(value: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=BASE_PATH_VARIABLE) as caught:
        target(tmp_path, value).deploy(deployment(tmp_path / "a", 1))
    assert (caught.value.received or "") in words


def test_a_bucket_that_is_not_there_or_does_not_answer(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServingError, match="cannot be written"):
        target(tmp_path, "gs://nobody/x").deploy(deployment(tmp_path / "a", 1))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    with pytest.raises(bucket_shelf.BucketUnavailable, match="cannot be reached"):
        target(tmp_path, ROOT).deploy(deployment(tmp_path / "a", 1))


def test_its_servers_are_not_stopped_from_here(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="not run from here"):
        target(tmp_path, f"{tmp_path}/volume").stop("taxi")


def test_another_base_path_than_at_the_push_is_told(tmp_path: Path) -> None:
    target(tmp_path, f"{tmp_path}/one").deploy(deployment(tmp_path / "a", 1))
    status = target(tmp_path, f"{tmp_path}/two").status("taxi")
    assert status.state == "absent"
    assert f"it was pushed to {tmp_path}/one" in status.detail


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_record_says_what_to_do(text: str, tmp_path: Path) -> None:
    files = target(tmp_path, f"{tmp_path}/volume")
    files.deploy(deployment(tmp_path / "a", 1))
    (tmp_path / "deployments" / "taxi" / "gcs.json").write_text(text)
    with pytest.raises(ServingError, match="Reading what was deployed") as caught:
        files.status("taxi")
    assert "then deploy again" in str(caught.value.next_step)
