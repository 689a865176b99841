"""`benison explain` on a registered model, in this process."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flows import explain_command
from mlproject.errors import ConfigError, RegistryError, ServingError, StorageError

SAMPLE = {"fare": 10.0, "rank": 3, "way": "Cash"}
Run = Callable[..., tuple[int, str]]


def save_model(folder: Path, signatures: tuple[str, ...]) -> Path:
    """A model of three raw features, which gives three classes."""
    import tensorflow as tf

    from mlproject.saved_model.origins import write_origins

    raw = {"fare": tf.float32, "rank": tf.int64, "way": tf.string}
    specs = {n: tf.TensorSpec([None], dtype, name=n) for n, dtype in raw.items()}
    made = {
        "fare_xf": tf.TensorSpec([None], tf.float32, name="fare_xf"),
        "rank_way_xf": tf.TensorSpec([None], tf.int64, name="rank_way_xf"),
    }

    def transform(features: Any) -> Any:
        fare, way = features["fare"], tf.cast(tf.strings.length(features["way"]), tf.int64)
        rank = tf.maximum(features["rank"], 0)
        return {
            "fare_xf": tf.where(tf.math.is_nan(fare), tf.zeros_like(fare), fare) / 10.0,
            "rank_way_xf": rank + way,
        }

    def predict(features: Any) -> Any:
        fare, number = features["fare_xf"], tf.cast(features["rank_way_xf"], tf.float32)
        return {"predictions": tf.nn.softmax(tf.stack([fare, number / 4.0, -fare], axis=1))}

    traced = {
        "serving_default": tf.function(
            lambda features: predict(transform(features)), input_signature=[specs]
        ),
        "transform_features": tf.function(transform, input_signature=[specs]),
        "predict_transformed": tf.function(predict, input_signature=[made]),
    }
    kept = {name: traced[name].get_concrete_function() for name in signatures}
    tf.saved_model.save(tf.Module(), str(folder), signatures=kept)
    write_origins({"fare_xf": ["fare"], "rank_way_xf": ["rank", "way"]}, folder)
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A platform home with two versions of a model; the second cannot be explained."""
    from mlproject.registry import CHAMPION_ALIAS, TRAIN_RUN_TAG, Column, Registration, Registry
    from mlproject.settings import read_settings
    from mlproject.tracking import connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENISON_HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("MLFLOW_TRACKING_URI", "BENISON_PIPELINE_ROOT"):
            patch.delenv(name, raising=False)
        settings = read_settings()
        client = connect(settings)
        run = client.create_run(
            client.create_experiment("toy", (settings.home / "artifacts").as_uri())
        )
        registry = Registry(settings)
        both = (
            ("serving_default",),
            ("serving_default", "transform_features", "predict_transformed"),
        )
        for number, signatures in enumerate(reversed(both)):
            saved = save_model(tmp_path_factory.mktemp("models") / "saved_model", signatures)
            registry.register(
                Registration(
                    name="toy",
                    saved_model=saved,
                    keras_model=None,
                    evidence={},
                    columns=(
                        Column("fare", "float"),
                        Column("rank", "int"),
                        Column("way", "string"),
                    ),
                    output="float list",
                    sample=SAMPLE,
                    run_id=run.info.run_id,
                    tags={TRAIN_RUN_TAG: f"train-{number}"},
                    description="",
                )
            )
        client.set_registered_model_alias("toy", CHAMPION_ALIAS, "1")
        yield


@pytest.fixture
def run(desk: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `explain`: the exit code, and what it printed."""

    def call(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        explain_command.add_parser(parser.add_subparsers(required=True))
        args = parser.parse_args(["explain", *words])
        code = int(args.run(args))
        return code, capsys.readouterr().out

    return call


def as_json(run: Run, *words: str) -> Mapping[str, Any]:
    code, out = run(*words, "--json")
    assert code == 0
    found: Mapping[str, Any] = json.loads(out)
    return found


def test_the_table_tells_what_each_raw_feature_adds(run: Run) -> None:
    code, out = run("toy", '{"fare": 20.0, "rank": 1, "way": "Card"}')
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "toy/1"
    assert lines[1].split() == ["feature", "value", "adds"]
    assert sum(line.startswith(("fare ", "rank + way ")) for line in lines) == 2
    assert "rank=1, way=Card" in out
    assert "++++++++++++++++++++" in out
    assert any(line.startswith("prediction of class 0") for line in lines)
    assert "a row of which every value is missing" in out


def test_the_attributions_and_the_baseline_add_up(run: Run) -> None:
    found = as_json(run, "toy@champion", '{"fare": 20.0, "rank": 1, "way": "Card"}')
    total = sum(share["attribution"] for share in found["raw"])
    assert (found["model"], found["version"], found["output"]) == ("toy", 1, 0)
    assert found["prediction"] - found["baseline"] == pytest.approx(total + found["gap"], abs=1e-6)
    assert abs(found["gap"]) < 5e-3
    assert {share["feature"] for share in found["transformed"]} == {"fare_xf", "rank_way_xf"}
    assert {share["feature"] for share in found["raw"]} == {"fare", "rank + way"}


def test_the_sample_row_is_explained(run: Run) -> None:
    assert as_json(run, "toy", "--sample") == as_json(run, "toy/1", json.dumps(SAMPLE))


def test_a_class_and_the_steps_can_be_asked_for(run: Run) -> None:
    found = as_json(run, "toy", "--sample", "--class", "2", "--steps", "3")
    assert (found["output"], found["steps"]) == (2, 3)
    with pytest.raises(ConfigError, match="no such class"):
        run("toy", "--sample", "--class", "3")


def test_values_left_out_or_null_are_missing(run: Run) -> None:
    left_out = as_json(run, "toy", '{"rank": 2}')
    assert left_out == as_json(run, "toy", '{"rank": "2", "fare": null}')
    values = {share["feature"]: share["value"] for share in left_out["raw"]}
    assert values == {"fare": None, "rank + way": {"rank": 2, "way": None}}


@pytest.mark.parametrize("name", ["why.png", "why.html"])
def test_a_picture_is_written(name: str, run: Run, tmp_path: Path) -> None:
    _, out = run("toy", '{"way": "<script>alert(1)</script>"}', "--out", str(tmp_path / name))
    assert out.splitlines()[-1] == str(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    if name.endswith(".png"):
        assert content.startswith(b"\x89PNG")
    else:
        page = content.decode()
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "data:image/png;base64," in page
        assert "rank + way" in page


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ((), ConfigError, "neither a row nor --sample"),
        (("{}", "--sample"), ConfigError, "both a row and --sample"),
        (("{fare: 1}",), ConfigError, "JSON"),
        (("[" * 100_000,), ConfigError, "JSON"),
        (("[1, 2]",), ConfigError, "one object"),
        (('[{"fare": 1}, {"fare": 2}]',), ConfigError, "one object"),
        (('{"fair": 1}',), ServingError, "did you mean 'fare'"),
        (('{"fare": "much"}',), ServingError, "wrong type for feature 'fare'"),
        (('{"fare": 1e300}',), ServingError, "does not fit the model"),
        (('{"rank": 9223372036854775808}',), ServingError, "wrong type for feature 'rank'"),
        (("{}", "--out", "why.pdf"), ConfigError, "a file ending in .png or .html"),
        (("{}", "--out", "/nowhere/why.png"), StorageError, "Writing the picture failed"),
        (("{}", "--steps", "0"), ConfigError, "0 steps"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    words: tuple[str, ...], error: type[Exception], message: str, run: Run
) -> None:
    with pytest.raises(error) as caught:
        run("toy", *words)
    assert message in str(caught.value)


def test_a_model_without_the_signatures_says_what_to_do(run: Run) -> None:
    with pytest.raises(ServingError, match="cannot be explained") as caught:
        run("toy/2", "{}")
    assert caught.value.received == "serving_default"
    assert "train again" in str(caught.value.next_step)


def test_a_model_that_is_not_there_is_refused(run: Run) -> None:
    with pytest.raises(RegistryError, match="did you mean 'toy'"):
        run("toi", "{}")
