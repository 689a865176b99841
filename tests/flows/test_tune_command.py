"""`benison tune`: its options, and a whole tuning of a small project."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import cli, tune_command
from mlproject.errors import ConfigError

PROJECT = """
name: taxi
module: taxi.py
data: {path: trips.csv}
training:
  label: big_tip
  epochs: 2
  hyperparameters: {learning_rate: 0.5, units: [4]} # outside the space: no trial tries it
tuning:
  trials: 2
  space:
    learning_rate: {low: 1e-3, high: 0.1, log: true}
    units: {choices: [[4], [2]]}
"""
MODEL = """


def build_model(hyperparameters):
    inputs = {"fare_xf": keras.Input((1,), name="fare_xf")}
    x = inputs["fare_xf"]
    for units in hyperparameters["units"]:
        x = keras.layers.Dense(units, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))
    model.compile(keras.optimizers.Adam(hyperparameters["learning_rate"]), "binary_crossentropy")
    return model
"""


@pytest.fixture
def folder(make_project: Callable[[str, str], Path]) -> Path:
    """A project, and a platform home of its own."""
    return make_project(PROJECT, MODEL)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    tune_command.add_parser(parser.add_subparsers(dest="command"))
    return parser.parse_args(["tune", *words])


def request(folder: Path, **changes: Any) -> Any:
    from flows.tuning import TuneRequest

    return TuneRequest(str(folder), **changes)


def test_options_win_over_project_yaml(folder: Path) -> None:
    tuning = request(folder, trials=9, parallel=3, timeout_s=1.5).load().config.tuning
    assert (tuning.trials, tuning.parallel, tuning.timeout_s) == (9, 3, 1.5)
    assert list(tuning.space) == ["learning_rate", "units"]
    assert request(folder).load().config.tuning.trials == 2


def test_a_project_without_a_tuning_section_is_told_what_to_write(folder: Path) -> None:
    file = folder / "project.yaml"
    file.write_text(PROJECT.partition("tuning:")[0], encoding="utf-8")
    with pytest.raises(ConfigError, match="does not say what to tune") as caught:
        request(folder).load()
    assert "tuner_fn" in str(caught.value.expected)


@pytest.mark.parametrize(
    "words",
    [
        ("--trials", "0"),
        ("--trials", "2.5"),
        ("--parallel", "-1"),
        ("--timeout-s", "0"),
        ("--timeout-s", "inf"),
        ("--timeout-s", "soon"),
        ("--force=maybe",),
    ],
)
def test_wrong_options_are_usage_errors(
    words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("taxi", *words)
    assert caught.value.code == 2
    assert words[0].partition("=")[0] in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "force"), [((), False), (("--force",), True), (("--force=True",), True)]
)
def test_force_is_said_in_either_way(words: tuple[str, ...], force: bool) -> None:
    assert parse("taxi", *words).force is force


def test_a_space_that_is_missing_ends_before_anything_is_trained(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = folder / "project.yaml"
    file.write_text(PROJECT.replace("low: 1e-3, high: 0.1", "low: 1, high: 0.1"), encoding="utf-8")
    assert cli.main(["tune", str(folder)]) == 2
    assert "'low' must be below 'high'" in capfd.readouterr().err


@pytest.mark.slow
def test_a_tuning_shows_its_trials_and_training_takes_what_it_found(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["tune", str(folder)]) == 0
    shown = capfd.readouterr()
    assert "trial 0 (1 of 2 done): val_loss" in shown.err
    assert "trial 1 (2 of 2 done): val_loss" in shown.err
    assert "Trials   2: 2 complete, 0 pruned, 0 failed" in shown.out
    assert f"benison train {folder}" in shown.out
    (first,) = (tmp_path / "home" / "pipeline" / "tune").glob("*/best.json")
    best = json.loads(first.read_text(encoding="utf-8"))
    assert f"learning_rate: {best['hyperparameters']['learning_rate']}" in shown.out

    assert cli.main(["tune", str(folder)]) == 0
    assert "= tune" in capfd.readouterr().err  # cached

    assert cli.main(["tune", str(folder), "--trials", "3"]) == 0
    shown = capfd.readouterr()
    assert "trial 2 (3 of 3 done)" in shown.err
    assert "trial 1 (" not in shown.err
    assert f"benison train {folder}   takes them" in shown.out

    assert cli.main(["tune", str(folder)]) == 0  # cached, and no longer the newest
    assert f"benison train {folder}   takes a newer result" in capfd.readouterr().out

    other_seed = PROJECT.replace("trials: 2", "trials: 2\n  seed: 7")
    (folder / "project.yaml").write_text(other_seed, encoding="utf-8")
    assert cli.main(["tune", str(folder), "--force"]) == 0
    shown = capfd.readouterr()
    assert "trial 0 (1 of 2 done)" in shown.err
    assert ".2\n" in shown.out  # the second study of its name
    figures = next(line for line in shown.out.splitlines() if line.startswith("Figures"))
    file = Path(figures.removeprefix("Figures").strip()).parent / "best.json"
    newest = json.loads(file.read_text(encoding="utf-8"))["hyperparameters"]
    assert newest["learning_rate"] != best["hyperparameters"]["learning_rate"]

    assert cli.main(["step", "train", str(folder)]) == 0
    (trained,) = (tmp_path / "home" / "pipeline" / "train").glob("*/record.json")
    params = json.loads(trained.read_text(encoding="utf-8"))["params"]
    assert {name: params[name] for name in ("learning_rate", "units")} == newest


@pytest.mark.slow
def test_blocked_data_is_not_tuned(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    schema = 'feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 } }\n'
    schema += 'feature { name: "gone" type: INT presence { min_fraction: 1.0 min_count: 1 } }\n'
    (folder / "schema.pbtxt").write_text(schema, encoding="utf-8")
    text = PROJECT + "schema: {path: schema.pbtxt}\nvalidation: {default: block}\n"
    (folder / "project.yaml").write_text(text, encoding="utf-8")
    assert cli.main(["tune", str(folder)]) == 4
    shown = capfd.readouterr()
    assert "the data is blocked" in shown.err
    assert "gone" in shown.err
