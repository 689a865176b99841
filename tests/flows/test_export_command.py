"""`benison export` of a registered model, in this process."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docker_engine import run_engine
from tests.flows.trips import trips_home

from flows.cli import main
from mlproject.settings import Settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def settings(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home with the model `trips`."""
    with trips_home(empty_store, tmp_path_factory.mktemp("trips")) as found:
        yield found


@pytest.fixture
def run(settings: Settings, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs `export`: the exit code, standard output and error."""

    def call(model: str, kind: str, out: Path, *words: str) -> tuple[int, str, str]:
        code = main(["export", model, "--to", kind, "--out", str(out), *words])
        return code, *capfd.readouterr()

    return call


def told(run: Run, *words: Any) -> dict[str, Any]:
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return dict(json.loads(out))


def test_a_folder_for_tensorflow_serving(run: Run, tmp_path: Path) -> None:
    from mlproject.registry import model_digest

    found = told(run, "trips/1", "saved_model", tmp_path / "trips")
    assert found["path"] == str(tmp_path / "trips" / "1")
    assert model_digest(tmp_path / "trips" / "1") == found["digest"]
    assert run("trips/1", "saved_model", tmp_path / "trips")[0] == 0  # the same is there
    (tmp_path / "trips" / "1" / "more").touch()
    code, _, err = run("trips/1", "saved_model", tmp_path / "trips")
    assert code == 1
    assert "already exported with other content" in err
    told(run, "trips/1", "saved_model", tmp_path / "trips", "--replace")
    assert [path.name for path in (tmp_path / "trips").iterdir()] == ["1"]
    assert model_digest(tmp_path / "trips" / "1") == found["digest"]


def test_a_tensorflow_lite_file_that_answers_as_the_model_does(run: Run, tmp_path: Path) -> None:
    found = told(run, "trips/1", "tflite", tmp_path / "trips.tflite")
    assert found["operations"] == "built-in and TensorFlow"  # tf.strings
    assert found["compared_rows"] == 3  # the sample and two of a warm-up request
    assert found["bytes"] == (tmp_path / "trips.tflite").stat().st_size
    assert found["largest_difference"] == 0.0


def test_the_keras_model_that_was_registered(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "trips.keras"
    assert told(run, "trips/1", "keras", out)["bytes"] == 13
    assert out.read_bytes() == b"a Keras model"
    code, _, err = run("trips/1", "keras", out)
    assert code == 2
    assert "--replace" in err
    assert run("trips/1", "keras", out, "--replace")[0] == 0
    code, _, err = run("trips/2", "keras", tmp_path / "none.keras", "--unblessed")
    assert code == 1
    assert "has no Keras model" in err
    assert not (tmp_path / "none.keras").exists()


def test_a_damaged_model_is_not_exported(run: Run, settings: Settings, tmp_path: Path) -> None:
    found = [path for path in settings.home.rglob("model.keras") if path.is_file()]
    kept = found[0].read_bytes()
    found[0].write_bytes(b"another model")
    try:
        code, _, err = run("trips/1", "keras", tmp_path / "trips.keras")
    finally:
        found[0].write_bytes(kept)
    assert code == 1
    assert "is not what was registered" in err
    assert list(tmp_path.iterdir()) == []


def test_an_unblessed_version_needs_to_be_asked_for(run: Run, tmp_path: Path) -> None:
    code, _, err = run("trips/2", "saved_model", tmp_path / "trips")
    assert code == 1
    assert "BLESSED" in err
    assert run("trips/2", "saved_model", tmp_path / "trips", "--unblessed")[0] == 0


def test_an_image_without_an_engine_is_an_error_that_leaves_no_file(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    code, _, err = run("trips/1", "image", tmp_path / "trips.tar")
    assert code == 1
    assert "No Docker engine answers" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.docker
def test_an_image_is_saved_as_docker_loads_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import docker

    engine = run_engine()
    monkeypatch.setenv("DOCKER_HOST", next(engine))
    try:
        found = told(run, "trips/1", "image", tmp_path / "trips.tar")
        assert found["bytes"] == (tmp_path / "trips.tar").stat().st_size
        assert run("trips/1", "image", tmp_path / "trips.tar")[0] == 2  # it is there
        with contextlib.closing(docker.from_env()) as client:
            client.images.remove(found["tag"])
            (image,) = client.images.load((tmp_path / "trips.tar").read_bytes())
        assert image.tags == [found["tag"]]
        assert image.labels["benison.versions"] == "1"
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("kind", "out"), [("tflite", "model.bin"), ("keras", "model.h5"), ("saved_model", "gs://b/m")]
)
def test_a_wrong_path_is_exit_code_2(run: Run, kind: str, out: str) -> None:
    code, _, err = run("trips/1", kind, Path(out) if "://" not in out else out)
    assert code == 2
    assert "--out" in err
