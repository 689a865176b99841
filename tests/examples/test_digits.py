"""The digits example: the images of its generator, and what its files make of them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mlproject.config import load_project
from mlproject.examples.ingest import ingest
from mlproject.examples.reader import read_batches
from mlproject.examples.request import ImageOptions
from mlproject.project_data import ingest_request
from mlproject.schema import feature_specs, read_schema, serving_features, set_environments

FOLDER = Path(__file__).parents[2] / "examples" / "digits"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits_generate", FOLDER / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Any = _load()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its images."""
    folder = tmp_path_factory.mktemp("example") / "digits"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("data", "__*"))
    assert generate.write(folder / "data") == 1_797
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_every_image_lies_in_the_folder_of_its_digit_and_loses_no_level(project: Path) -> None:
    digits = load_digits()
    wanted = {f"{digit}/{n:04}.png": n for n, digit in enumerate(digits.target)}
    assert set(_content(project / "data")) == set(wanted)
    for name, number in wanted.items():
        with Image.open(project / "data" / name) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))
            levels = np.rint(np.asarray(image) / 255 * 16)
        np.testing.assert_array_equal(levels, digits.images[number])


def test_the_same_images_are_written_again(project: Path, tmp_path: Path) -> None:
    generate.write(tmp_path / "deep" / "data")
    assert _content(tmp_path / "deep" / "data") == _content(project / "data")
    (tmp_path / "deep" / "data" / "3" / "extra.png").write_bytes(b"")
    generate.write(tmp_path / "deep" / "data")
    assert _content(tmp_path / "deep" / "data") == _content(project / "data")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["data"]


def test_a_write_that_fails_leaves_the_old_folder_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "0").mkdir(parents=True)
    (tmp_path / "data" / "0" / "old.png").write_bytes(b"old")

    def failing(image: Any, path: Path) -> None:
        if path.name == "0500.png":
            assert path.parents[1].name.startswith(".data.")
            raise OSError("disk is full")
        path.write_bytes(b"")

    monkeypatch.setattr(generate.Image.Image, "save", failing)
    with pytest.raises(OSError, match="disk is full"):
        generate.write(tmp_path / "data")
    assert _content(tmp_path) == {"data/0/old.png": b"old"}
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, message in [
        (tmp_path, "holds: file"),
        (tmp_path / "file", "must be a folder"),
        (tmp_path / "file" / "data", "cannot write"),
    ]:
        assert generate.main(["--out", str(out)]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_the_command_line_says_what_it_wrote(tmp_path: Path) -> None:
    script = [sys.executable, str(FOLDER / "generate.py")]
    done = subprocess.run(
        [*script, "--out", str(tmp_path / "data")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote 1,797 images to {tmp_path / 'data'}\n"
    done = subprocess.run([*script, "--onto", "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_images_are_ingested_as_the_schema_says(project: Path, tmp_path: Path) -> None:
    loaded = load_project(project)
    examples = ingest(ingest_request(loaded), tmp_path)
    assert dict(examples.columns) == {"image": "int list", "label": "string", "file": "string"}
    assert sum(dict(examples.splits).values()) == 1_797
    rows = [r for b in read_batches(tmp_path / "Split-eval") for r in b.to_pylist()]
    row = next(r for r in rows if r["label"] == "4")
    with Image.open(project / "data" / row["file"]) as image:
        assert row["image"] == np.asarray(image).ravel().tolist()


def test_a_schema_that_says_bytes_takes_no_image_for_text(project: Path, tmp_path: Path) -> None:
    request = ingest_request(load_project(project))
    request = replace(
        request, images=ImageOptions(keep="encoded"), type_hints=(("image", "string"),)
    )
    examples = ingest(request, tmp_path)
    assert dict(examples.columns)["image"] == "bytes"
    row = next(read_batches(tmp_path / "Split-eval")).slice(0, 1).to_pylist()[0]
    assert row["image"] == (project / "data" / row["file"]).read_bytes()


def test_pixels_are_the_one_feature_at_serving(project: Path) -> None:
    loaded = load_project(project)
    schema = set_environments(
        read_schema(project / "schema.pbtxt"), loaded.config.schema_.training_only
    )
    assert serving_features(schema) == ("image",)
    spec: Any = feature_specs(schema)["image"]
    assert spec.shape == [64]


def test_the_sample_is_a_real_image(project: Path) -> None:
    sample = load_project(project).config.serving.sample
    with Image.open(project / "data" / "4" / "0004.png") as image:
        assert sample == {"image": np.asarray(image).ravel().tolist()}
