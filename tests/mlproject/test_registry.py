"""The registry: one version a model, aliases for blessed ones alone, and what a version holds."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pytest

from mlproject.errors import RegistryError, TrackingError, Transient
from mlproject.examples.reader import read_batches
from mlproject.raw_inputs import raw_arrays
from mlproject.registry import (
    BLESSING_TAG,
    CHAMPION_ALIAS,
    EVIDENCE,
    KERAS_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    PREVIOUS_ALIAS,
    REGISTER_TAG,
    SAMPLE_TAG,
    SAVED_MODEL,
    TRAIN_RUN_TAG,
    Column,
    Registration,
    Registry,
    VersionInfo,
    model_digest,
    parse_reference,
)
from mlproject.saved_model import OUTPUT, load_test, open_signature
from mlproject.settings import Settings
from mlproject.tracking import Tracker
from mlproject.training import MODEL_FOLDER

SAMPLE = {"fare": 10.25, "trip_miles": 2.5, "trip_start_hour": 18, "payment_type": "Cash"}
TYPES = {1: "string", 2: "int", 3: "float"}  # of TensorFlow Metadata's FeatureType


class Models:
    """A registry on a store of its own, and registrations of the taxi model."""

    def __init__(
        self, settings: Settings, saved_model: Path, columns: tuple[Column, ...], folder: Path
    ) -> None:
        self.settings = settings
        self.tracker = Tracker(settings, "taxi")
        self.registry = Registry(settings)
        self.run_id = self.tracker.start_run("pipeline", {})
        (folder / "blessing.json").write_text('{"verdict": "BLESSED"}', encoding="utf-8")
        self.registration = Registration(
            name="taxi",
            saved_model=saved_model,
            keras_model=None,
            evidence={"blessing.json": folder / "blessing.json"},
            columns=columns,
            output="float",
            sample=SAMPLE,
            run_id=self.run_id,
            tags={},
            description="Will the rider tip?",
        )

    def register(self, fingerprint: str, blessing: str = "BLESSED", **changes: Any) -> VersionInfo:
        tags = {
            REGISTER_TAG: fingerprint,
            TRAIN_RUN_TAG: fingerprint,
            BLESSING_TAG: blessing,
        }
        changed = dataclasses.replace(self.registration, tags=tags, **changes)
        return self.registry.register(changed)

    def quick(self, blessing: str = "BLESSED") -> VersionInfo:
        """A version without a model: for what concerns names, tags and aliases alone."""
        client = self.tracker.client
        if not client.search_registered_models("name='taxi'"):
            client.create_registered_model("taxi")
        source = f"file://{self.settings.home}/none"
        made = client.create_model_version("taxi", source, tags={BLESSING_TAG: blessing})
        found = self.registry.version("taxi", int(made.version))
        assert found is not None
        return found

    def point(self, alias: str, version: VersionInfo) -> None:
        self.tracker.client.set_registered_model_alias("taxi", alias, str(version.version))

    def logged_models(self) -> list[Any]:
        return list(self.tracker.client.search_logged_models([self.tracker.experiment_id, "0"]))


@pytest.fixture(scope="module")
def taxi_columns(taxi_trained: Any, taxi_schema: Any) -> tuple[Column, ...]:
    """The inputs of the taxi model."""
    types = {f.name: TYPES[f.type] for f in taxi_schema.feature}
    return tuple(Column(n, types[n]) for n in load_test(taxi_trained.folder / MODEL_FOLDER))


@pytest.fixture
def models(
    settings: Settings, taxi_trained: Any, taxi_columns: tuple[Column, ...], tmp_path: Path
) -> Models:
    return Models(settings, taxi_trained.folder / MODEL_FOLDER, taxi_columns, tmp_path)


def test_registering_twice_makes_one_version(models: Models) -> None:
    first = models.register("one")
    assert (first.name, first.version, first.run_id) == ("taxi", 1, models.run_id)
    assert type(first.version) is int
    assert models.register("one") == first
    assert len(models.logged_models()) == 1
    second = models.register("two")
    assert second.version == 2
    assert [v.version for v in models.registry.versions("taxi")] == [1, 2]
    assert second.tags == {
        REGISTER_TAG: "two",
        TRAIN_RUN_TAG: "two",
        BLESSING_TAG: "BLESSED",
        MODEL_DIGEST_TAG: model_digest(models.registration.saved_model),
        KERAS_DIGEST_TAG: "",
    }


def test_the_model_belongs_to_its_run_and_lies_with_its_experiments_artifacts(
    models: Models,
) -> None:
    models.register("one")
    (logged,) = models.logged_models()
    assert logged.experiment_id == models.tracker.experiment_id
    assert logged.source_run_id == models.run_id
    assert str(logged.status) == "READY"
    assert logged.artifact_location.startswith((models.settings.artifact_root / "taxi").as_uri())
    outputs = models.tracker.client.get_run(models.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [logged.model_id]


def test_a_version_carries_its_model_and_evidence(models: Models, tmp_path: Path) -> None:
    version = models.register("one")
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    load_test(models.registry.download(version, SAVED_MODEL, fetched))
    evidence = models.registry.download(version, EVIDENCE, fetched)
    assert {file.name for file in evidence.iterdir()} == {"blessing.json", "sample.json"}
    assert models.registry.sample(version) == SAMPLE
    made = models.tracker.client.get_model_version("taxi", "1")
    assert made.description == "Will the rider tip?"


def test_the_signature_and_the_input_example_are_there(models: Models) -> None:
    models.register("one")
    info = mlflow.models.get_model_info("models:/taxi/1")
    inputs = {column["name"]: column for column in info.signature.inputs.to_dict()}
    assert set(inputs) == {c.name for c in models.registration.columns}
    assert "tips" not in inputs
    assert not any(column["required"] for column in inputs.values())
    assert inputs["fare"]["type"] == "any"
    assert inputs["trip_start_hour"]["type"] == "any"
    assert inputs["company"]["type"] == "string"
    assert [c["name"] for c in info.signature.outputs.to_dict()] == [OUTPUT]
    loaded = mlflow.pyfunc.load_model("models:/taxi/1")
    assert loaded.input_example.to_dict("records") == [SAMPLE]


def test_mlflow_loads_the_version_and_predicts_as_it_is_served(
    models: Models, taxi_examples: Path
) -> None:
    models.register("one")
    rows = next(read_batches(taxi_examples / "Split-eval")).slice(0, 60)
    with open_signature(models.registration.saved_model) as predict:
        served = predict(raw_arrays(rows, predict.input_names))[OUTPUT].ravel()  # type: ignore[attr-defined]
    loaded = mlflow.pyfunc.load_model("models:/taxi/1")
    given = rows.to_pylist()
    assert any(row["dropoff_community_area"] is None for row in given)
    assert any(row["company"] is None for row in given)
    frame = rows.to_pandas()
    assert frame["dropoff_community_area"].dtype == np.float64  # integers and NaN
    every = {"frame": frame, "nullable": frame.convert_dtypes(), "rows": given}
    for kind, asked in every.items():
        scores = loaded.predict(asked)[OUTPUT]
        np.testing.assert_allclose(scores, served, atol=1e-6, err_msg=kind)
    without = [{n: v for n, v in row.items() if v is not None} for row in given]
    for some in (given, without):  # a row at a time: None, and the column left out
        scores = [float(loaded.predict(row)[OUTPUT][0]) for row in some[:20]]
        np.testing.assert_allclose(scores, served[:20], atol=1e-6)
    assert served.std() > 0.01


def test_mlflow_predicts_with_missing_columns_as_it_is_served(
    models: Models, taxi_examples: Path
) -> None:
    models.register("one")
    rows = next(read_batches(taxi_examples / "Split-eval")).slice(0, 200)
    few = ["payment_type", "fare", "trip_start_hour", "company"]
    with open_signature(models.registration.saved_model) as predict:
        arrays = raw_arrays(rows, predict.input_names)  # type: ignore[attr-defined]
        for name in set(arrays) - set(few):
            stand_in = {"i": -(2**63), "f": np.nan, "O": b""}[arrays[name].dtype.kind]
            arrays[name] = np.full(len(arrays[name]), stand_in, arrays[name].dtype)
        served = predict(arrays)[OUTPUT].ravel()
    frame = rows.to_pandas()[few]
    assert frame["company"].isna().any()
    scores = mlflow.pyfunc.load_model("models:/taxi/1").predict(frame)[OUTPUT]
    np.testing.assert_allclose(scores, served, atol=1e-6)


def test_numbers_of_any_type_are_taken_and_others_refused(models: Models) -> None:
    models.register("one")
    loaded = mlflow.pyfunc.load_model("models:/taxi/1")
    expected = loaded.predict({"fare": 12.0, "trip_start_hour": 18})[OUTPUT][0]
    for fare, hour in [(12, 18), (12.0, 18.0), (np.float32(12), np.int32(18)), ("12", "18.0")]:
        assert loaded.predict({"fare": fare, "trip_start_hour": hour})[OUTPUT][0] == expected
    with pytest.raises(ValueError, match="'trip_start_hour' must hold 64-bit integers"):
        loaded.predict({"fare": 12, "trip_start_hour": 18.5})
    with pytest.raises(ValueError, match="'fare' must hold numbers"):
        loaded.predict({"fare": "twelve"})


def test_a_folder_with_a_percent_sign_is_taken_as_it_is(models: Models, tmp_path: Path) -> None:
    odd = tmp_path / "my%20home" / SAVED_MODEL
    shutil.copytree(models.registration.saved_model, odd)
    version = models.register("one", saved_model=odd)
    load_test(models.registry.download(version, SAVED_MODEL, tmp_path))


def test_aliases_name_versions(models: Models) -> None:
    one, two = models.quick(), models.quick()
    assert models.registry.champion("taxi") is None
    models.point(CHAMPION_ALIAS, two)
    models.point(PREVIOUS_ALIAS, one)
    assert models.registry.resolve("taxi") == two
    assert models.registry.resolve("taxi@champion") == two
    assert models.registry.resolve("taxi@previous") == one


@pytest.mark.parametrize(
    ("reference", "parsed"),
    [
        ("taxi", ("taxi", None, None)),
        ("taxi@previous", ("taxi", "previous", None)),
        ("taxi/3", ("taxi", None, 3)),
    ],
)
def test_references_name_a_model_an_alias_or_a_version(
    reference: str, parsed: tuple[str, str | None, int | None]
) -> None:
    assert parse_reference(reference) == parsed


@pytest.mark.parametrize(
    "reference", ["", "@", "/", "taxi@", "@champion", "taxi/", "/3", "taxi/v3", "taxi/3@champion"]
)
def test_other_references_are_refused(reference: str) -> None:
    with pytest.raises(RegistryError, match="taxi@champion"):
        parse_reference(reference)


def test_a_version_is_resolved_by_its_number(models: Models) -> None:
    models.quick()
    two = models.quick("NOT_BLESSED")
    assert models.registry.resolve("taxi/2") == two
    assert type(two.version) is int
    with pytest.raises(RegistryError, match="no such version") as caught:
        models.registry.resolve("taxi/7")
    assert caught.value.expected == "one of 1, 2"


@pytest.mark.parametrize("name", ["taxis", "taxis@champion", "taxis/1"])
def test_an_unknown_model_names_the_closest(name: str, models: Models) -> None:
    models.quick()
    with pytest.raises(RegistryError, match="no such registered model") as caught:
        models.registry.resolve(name)
    assert caught.value.expected == "did you mean 'taxi'?"


def test_an_unknown_alias_names_the_closest(models: Models) -> None:
    models.point(CHAMPION_ALIAS, models.quick())
    with pytest.raises(RegistryError, match="no version with that alias") as caught:
        models.registry.resolve("taxi@champions")
    assert caught.value.expected == "did you mean 'champion'?"


def test_a_model_without_a_champion_says_so(models: Models) -> None:
    models.quick("NOT_BLESSED")
    with pytest.raises(RegistryError) as caught:
        models.registry.resolve("taxi")
    assert caught.value.received == "champion"
    assert "only a blessed version" in str(caught.value.next_step)


@pytest.mark.parametrize("name", ["o'brien", 'say "hi"', "50%", "a:b"])
def test_names_with_odd_characters_are_unknown_models(name: str, models: Models) -> None:
    assert models.registry.versions(name) == []
    with pytest.raises(RegistryError, match="no such registered model"):
        models.registry.resolve(name)


def test_artifacts_that_are_gone_are_a_registry_error(models: Models, tmp_path: Path) -> None:
    version = models.register("one")
    with pytest.raises(RegistryError, match="Fetching version 1 of 'taxi' failed"):
        models.registry.download(version, "evidence/none.json", tmp_path)
    shutil.rmtree(models.settings.artifact_root / "taxi")
    for what in (SAVED_MODEL, f"{EVIDENCE}/sample.json"):
        with pytest.raises(RegistryError, match="Fetching version 1 of 'taxi' failed") as caught:
            models.registry.download(version, what, tmp_path)
        assert what in str(caught.value.received)
    with pytest.raises(RegistryError):
        models.registry.sample(version)


@pytest.mark.parametrize(
    ("missing", "error", "said"),
    [
        ("saved_model", RegistryError, "Reading a model's files failed"),
        ("evidence", TrackingError, "Registering a version of 'taxi' failed"),
    ],
)
def test_a_registration_that_fails_leaves_no_model_behind(
    missing: str, error: type[Exception], said: str, models: Models, tmp_path: Path
) -> None:
    nothing: Any = tmp_path / "none"
    value = {"blessing.json": nothing} if missing == "evidence" else nothing
    with pytest.raises(error, match=said):
        models.register("one", **{missing: value})
    assert models.logged_models() == []
    assert models.registry.versions("taxi") == []
    assert models.register("one").version == 1


def test_a_name_that_mlflow_refuses_leaves_no_model_behind(models: Models) -> None:
    with pytest.raises(TrackingError, match="Invalid model name") as caught:
        models.register("one", name="taxi:cab")
    assert not isinstance(caught.value, Transient)
    assert models.logged_models() == []


def test_versions_of_a_deleted_model_are_gone(models: Models) -> None:
    models.point(CHAMPION_ALIAS, models.quick())
    models.tracker.client.delete_registered_model("taxi")
    assert models.registry.champion("taxi") is None
    assert models.registry.version("taxi", 1) is None
    with pytest.raises(RegistryError):
        models.registry.resolve("taxi")


def test_the_same_weights_judged_again_are_the_same_version(models: Models, tmp_path: Path) -> None:
    """A change of thresholds alone must not push the last other model out of `previous`."""
    first = models.register("one", blessing="NOT_BLESSED")
    tags = {
        TRAIN_RUN_TAG: "one",
        REGISTER_TAG: "other thresholds",
        BLESSING_TAG: "BLESSED",
        SAMPLE_TAG: '{"fare": 3.5}',
    }
    changed = dataclasses.replace(models.registration, tags=tags, description="Later.")
    changed.evidence["blessing.json"].write_text('{"verdict": "judged again"}', encoding="utf-8")
    again = models.registry.register(changed)
    assert again.version == first.version
    fetched = models.registry.download(again, "evidence/blessing.json", tmp_path)
    assert fetched.read_text(encoding="utf-8") == '{"verdict": "judged again"}'
    assert models.registry.version("taxi", 1) == again
    assert models.tracker.client.get_model_version("taxi", "1").description == "Later."
    assert models.registry.sample(again) == {"fare": 3.5}
    assert len(models.logged_models()) == 1
