"""The digest of a model's files: what changes it, what does not, and what is refused."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.errors import RegistryError
from mlproject.registry import VersionInfo
from mlproject.registry.integrity import check_model, model_digest, registered_digest

# Paths of one or two levels; a folder's name is never a file's.
PATHS = st.from_regex(r"[a-c.é]{0,3}f|d[a-c]{0,2}/[a-c]{0,2}f", fullmatch=True)
TREES = st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=6)


def write(folder: Path, tree: dict[str, bytes], order: list[str], mtime_s: int) -> Path:
    for name in order:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tree[name])
        os.utime(file, (mtime_s, mtime_s))
    return folder


def digest_of(tree: dict[str, bytes], seed: int = 0) -> str:
    order = sorted(tree)
    random.Random(seed).shuffle(order)
    with tempfile.TemporaryDirectory() as folder:
        return model_digest(write(Path(folder), tree, order, 1_000_000 + seed))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tree = {
        "saved_model.pb": b"graph",
        "variables/variables.index": b"index",
        "variables/variables.data-00000-of-00001": bytes(3 << 20),
        "assets/vocabulary": b"Cash\nCard\n",
    }
    return write(tmp_path / "model", tree, sorted(tree), 1_000_000)


@settings(max_examples=60, deadline=None)
@given(tree=TREES, seed=st.integers(1, 1_000))
def test_the_digest_depends_on_no_order_time_or_place(tree: dict[str, bytes], seed: int) -> None:
    assert digest_of(tree) == digest_of(tree, seed)


@settings(max_examples=60, deadline=None)
@given(one=TREES, other=TREES)
def test_two_trees_have_one_digest_only_if_they_are_the_same(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)


@settings(max_examples=60, deadline=None)
@given(tree=TREES, data=st.data())
def test_every_bit_counts(tree: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(tree)))
    content = bytearray(tree[name] or b"\0")
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    assert digest_of({**tree, name: bytes(content)}) != digest_of(tree)


def test_modes_times_and_empty_folders_do_not_count(model: Path) -> None:
    before = model_digest(model)
    (model / "variables" / "empty" / "deep").mkdir(parents=True)
    (model / "saved_model.pb").chmod(0o600)
    os.utime(model / "saved_model.pb")
    assert model_digest(model) == before
    check_model(model, before, "The model")


def changed(model: Path) -> None:
    file = model / "variables" / "variables.data-00000-of-00001"
    with file.open("r+b") as stream:  # the last byte, beyond the first chunks
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\1")


def cut(model: Path) -> None:
    os.truncate(model / "saved_model.pb", 4)


def added(model: Path) -> None:
    (model / "assets" / ".hidden").touch()


def missing(model: Path) -> None:
    (model / "assets" / "vocabulary").unlink()


def renamed(model: Path) -> None:
    (model / "assets" / "vocabulary").rename(model / "assets" / "words")


def swapped(model: Path) -> None:
    one, other = model / "saved_model.pb", model / "variables" / "variables.index"
    graph, index = one.read_bytes(), other.read_bytes()
    one.write_bytes(index)
    other.write_bytes(graph)


@pytest.mark.parametrize(
    ("damage", "files"),
    [(changed, 4), (cut, 4), (added, 5), (missing, 3), (renamed, 4), (swapped, 4)],
)
def test_what_was_changed_added_or_lost_is_refused(damage: object, files: int, model: Path) -> None:
    expected = model_digest(model)
    damage(model)  # type: ignore[operator]
    with pytest.raises(RegistryError, match="Version 3 of 'taxi' is not what") as caught:
        check_model(model, expected, "Version 3 of 'taxi'")
    assert f"of {files} files" in str(caught.value.received)
    assert caught.value.expected == f"digest {expected[:12]}"
    assert caught.value.next_step == "restore MLflow's artifact store, or serve another version"
    assert "\n" not in str(caught.value)


def test_the_next_step_is_the_callers(model: Path) -> None:
    with pytest.raises(RegistryError) as caught:
        check_model(model, "another", "The export", next_step="remove it")
    assert caught.value.next_step == "remove it"


@pytest.mark.parametrize("expected", ["", "SHA256", "0" * 64])
def test_an_odd_digest_fits_nothing(expected: str, model: Path) -> None:
    with pytest.raises(RegistryError, match="is not what was registered"):
        check_model(model, expected, "The model")


def test_a_model_of_one_file_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"weights")
    before = model_digest(tmp_path / "model.keras")
    shutil.copy(tmp_path / "model.keras", tmp_path / "copy")
    assert model_digest(tmp_path / "copy") == before
    (tmp_path / "copy").write_bytes(b"weightz")
    assert model_digest(tmp_path / "copy") != before


@pytest.mark.parametrize("what", ["nowhere", "empty", "empty_folders"])
def test_where_there_is_no_file_there_is_no_model(what: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty_folders" / "variables").mkdir(parents=True)
    with pytest.raises(RegistryError, match="Reading a model's files failed") as caught:
        model_digest(tmp_path / what)
    assert what in str(caught.value.received)


@pytest.mark.parametrize("target", ["saved_model.pb", "variables", "nowhere", ".."])
def test_a_symbolic_link_is_refused(target: str, model: Path) -> None:
    (model / "assets" / "link").symlink_to(model / target)
    with pytest.raises(RegistryError, match="a symbolic link"):
        model_digest(model)


def test_a_link_to_the_models_folder_itself_is_followed(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    assert model_digest(tmp_path / "link") == model_digest(model)


def test_a_pipe_is_refused_and_not_waited_for(model: Path) -> None:
    os.mkfifo(model / "pipe")
    with pytest.raises(RegistryError, match="neither a file nor a folder"):
        model_digest(model)


def test_a_name_that_is_no_unicode_counts(model: Path) -> None:
    before = model_digest(model)
    odd = os.fsencode(model) + b"/\xff"
    with open(odd, "wb"):
        pass
    assert model_digest(model) != before


def test_a_version_with_a_digest_may_be_deployed() -> None:
    assert registered_digest(VersionInfo("taxi", 3, {"benison.model_digest": "ab"}, None)) == "ab"


@pytest.mark.parametrize("tags", [{}, {"benison.model_digest": ""}, {"blessing": "BLESSED"}])
def test_a_version_without_a_digest_may_not(tags: dict[str, str]) -> None:
    with pytest.raises(RegistryError, match="Version 3 of 'taxi' cannot be deployed") as caught:
        registered_digest(VersionInfo("taxi", 3, tags, None))
    assert "benison.model_digest" in str(caught.value.received)
    assert "--from register" in str(caught.value.next_step)
