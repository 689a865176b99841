"""The plan: which change makes which steps run again, what is forced, what it is compared with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlproject.artifacts import ArtifactStore
from mlproject.blessing import Override
from mlproject.chain import STEPS
from mlproject.config import load_project
from mlproject.errors import ConfigError, DataError, UserModuleError
from mlproject.plan import Plan, check_step_name, make_plan
from mlproject.registry import BASE_TAG, BASELINE_TAG, RECIPE_TAG, TRAIN_RUN_TAG, VersionInfo
from mlproject.tuning.digest import space_digest

MODULE = """
COLUMNS = ("tips", "fare")
UNITS = 8

def preprocessing_fn(inputs):
    return {name: inputs[name] for name in COLUMNS}

def run_fn(fn_args):
    return UNITS
"""
CASES = "golden: [{name: a, row: {fare: 1}, at_most: 1}]\n"
SCHEMA = 'feature { name: "tips" type: FLOAT }\nfeature { name: "zip" type: BYTES }\n'


@dataclass
class Versions:
    """The registered versions, as the plan asks for them."""

    known: dict[int, VersionInfo] = field(default_factory=dict)
    champion_version: int | None = None

    def add(self, number: int, **tags: str) -> VersionInfo:
        self.known[number] = VersionInfo("taxi", number, tags, None)
        self.champion_version = number
        return self.known[number]

    def champion(self, name: str) -> VersionInfo | None:
        assert name == "taxi"
        return self.version(name, self.champion_version) if self.champion_version else None

    def version(self, name: str, number: int) -> VersionInfo | None:
        assert name == "taxi"
        return self.known.get(number)


class Bench:
    """A project on disk, with an artifact store and registered versions beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.store = ArtifactStore(folder / "root")
        self.versions = Versions()
        self.serving_root = folder / "serving"
        self.write("taxi.py", MODULE)
        self.write("trips.csv", "tips,fare,zip\n1,2,3\n")
        self.write("other.csv", "tips,fare,zip\n4,5,6\n")
        self.write("schema.pbtxt", SCHEMA)
        self.values: dict[str, Any] = {
            "name": "taxi",
            "module": "taxi.py",
            "data": {"path": "trips.csv"},
            "schema": {},
            "validation": {},
            "training": {"label": "y"},
            "tuning": {"when": "every_run", "space": {"units": {"low": 1, "high": 9}}},
            "infra_validation": {},
            "model_card": {},
            "evaluation": {"slices": ["zip"], "value_thresholds": {"auc": {"min": 0.5}}},
            "serving": {},
            "deployment": {},
        }

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def set(self, section: str, **values: Any) -> None:
        self.values[section].update(values)

    def plan(self, data: tuple[str, ...] = (), **options: Any) -> Plan:
        self.write("project.yaml", yaml.safe_dump(self.values))
        project = load_project(self.folder, data)
        return make_plan(project, self.store, self.versions, self.serving_root, **options)

    def publish(self, plan: Plan, *steps: str, by: str = "first") -> None:
        """Publishes steps as a run of that name made them."""
        for name in steps or STEPS:
            step = plan.step(name)
            made = {i: self.store.find(i, key) for i, key in step.inputs.items()}
            with self.store.write_aside(name) as aside:
                self.store.publish(
                    aside,
                    *(name, step.fingerprint, {}),
                    inputs={i: a.made_by for i, a in made.items() if a},
                    seconds=1,
                    mlflow_run_id=by,
                )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def keys(plan: Plan) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan.steps}


def changed(before: Plan, after: Plan) -> set[str]:
    return {name for name in STEPS if keys(before).get(name) != keys(after).get(name)}


def cached(plan: Plan) -> set[str]:
    return {step.name for step in plan.steps if step.cached is not None}


def since(step: str) -> set[str]:
    return set(STEPS[STEPS.index(step) :])


ALL = set(STEPS)
NOTHING: set[str] = set()
# What is registered comes from the training and the blessing.
MODEL = since("tune")
JUDGED = since("evaluate") - {"infra_validate"}
DATA_SEEN = ALL - {"ingest"}

CHANGES: dict[str, tuple[Callable[[Bench], object], set[str]]] = {
    "a comment": (lambda b: b.write("taxi.py", MODULE + "# later\n"), NOTHING),
    "the description": (lambda b: b.values.update(description="x"), since("bless")),
    "a file's time": (lambda b: b.write("trips.csv", "tips,fare,zip\n1,2,3\n"), NOTHING),
    "the data": (lambda b: b.write("trips.csv", "tips,fare,zip\n1,2,4\n"), ALL),
    "the source": (lambda b: b.set("data", path="other.csv"), ALL),
    "the shares": (lambda b: b.set("data", splits={"train": 3, "eval": 1}), ALL),
    "the splits": (lambda b: b.set("data", splits={"train": 2, "eval": 1, "test": 1}), ALL),
    "the key of the split": (lambda b: b.set("data", split_key=["zip"]), ALL),
    "a column's type": (lambda b: b.set("data", column_types={"zip": "string"}), ALL),
    "the delimiter": (lambda b: b.set("data", delimiter=";"), ALL),
    "what is missing": (lambda b: b.set("data", null_values=["", "?"]), ALL),
    "a training-only column": (
        lambda b: b.set("schema", training_only=["tips"]),
        {"schema", "validate"} | since("transform"),
    ),
    "the policy": (lambda b: b.set("validation", policy={"X": "warn"}), {"validate"}),
    "the default policy": (lambda b: b.set("validation", default="warn"), {"validate"}),
    "preprocessing": (
        lambda b: b.write("taxi.py", MODULE.replace('("tips", "fare")', '("fare",)')),
        since("transform"),
    ),
    "the model": (lambda b: b.write("taxi.py", MODULE.replace("UNITS = 8", "UNITS = 16")), MODEL),
    "a hyperparameter": (lambda b: b.set("training", hyperparameters={"a": 1}), MODEL),
    "the seed": (lambda b: b.set("training", seed=1), MODEL),
    "the steps of training": (lambda b: b.set("training", train_steps=10), MODEL),
    "the label": (lambda b: b.set("training", label="z"), MODEL),
    "the slices": (lambda b: b.set("evaluation", slices=["zip", "fare"]), JUDGED),
    "the smallest slice": (
        lambda b: b.set("evaluation", min_slice_examples=7),
        JUDGED,
    ),
    "a bound": (
        lambda b: b.set("evaluation", value_thresholds={"auc": {"min": 0.6}}),
        since("bless"),
    ),
    "a bound on a slice": (
        lambda b: b.set("evaluation", value_thresholds={"auc": {"min": 0.5, "slices": ["zip=1"]}}),
        since("bless"),
    ),
    "a bound on the change": (
        lambda b: b.set("evaluation", change_thresholds={"auc": {"max_loss": 0}}),
        since("bless"),
    ),
    "where models are exported": (
        lambda b: setattr(b, "serving_root", b.folder / "elsewhere"),
        since("export"),
    ),
    "the sample": (lambda b: b.set("serving", sample={"fare": 1}), since("register")),
    "the deployment": (lambda b: b.set("deployment", replicas=2), since("register")),
    "the champion": (lambda b: b.versions.add(1), JUDGED),
    "the steps between checkpoints": (lambda b: b.set("training", checkpoint_steps=7), NOTHING),
    "the search space": (
        lambda b: b.set("tuning", space={"units": {"low": 1, "high": 8}}),
        MODEL,
    ),
    "the number of trials": (lambda b: b.set("tuning", trials=7), MODEL),
    "the workers of the Tuner": (lambda b: b.set("tuning", parallel=2), NOTHING),
    "the resamples": (lambda b: b.set("evaluation", resamples=200), JUDGED),
    "the confidence": (lambda b: b.set("evaluation", confidence=0.9), JUDGED),
    "the behavioural cases": (
        lambda b: (b.write("cases.yaml", CASES), b.set("evaluation", cases="cases.yaml")),
        since("evaluate"),
    ),
    "a budget of the trial": (
        lambda b: b.set("infra_validation", max_latency_ms=9),
        since("infra_validate"),
    ),
    "the model card": (lambda b: b.set("model_card", intended_use="x"), since("bless")),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_exactly_the_steps_run_that_depend_on_it(
    bench: Bench, change: Callable[[Bench], object], expected: set[str]
) -> None:
    before = bench.plan()
    bench.publish(before)
    change(bench)
    after = bench.plan()
    assert changed(before, after) == expected
    assert cached(after) == ALL - expected


def test_the_name_makes_another_registered_model(bench: Bench) -> None:
    before = bench.plan()
    bench.values["name"] = "taxi2"
    bench.versions.champion = lambda name: None  # type: ignore[method-assign]
    assert changed(before, bench.plan()) == since("register")


def test_a_reviewed_schema_stands_for_itself_and_gives_types(bench: Bench) -> None:
    inferred = bench.plan()
    bench.set("schema", path="schema.pbtxt")
    reviewed = bench.plan()
    assert changed(inferred, reviewed) == ALL
    assert reviewed.step("schema").inputs == {}
    bench.write("schema.pbtxt", SCHEMA + "# reviewed\n")
    assert changed(reviewed, bench.plan()) == ALL - {"ingest", "statistics"}
    bench.write("schema.pbtxt", SCHEMA.replace("BYTES", "INT"))
    assert changed(reviewed, bench.plan()) == ALL
    bench.write("schema.pbtxt", SCHEMA)
    bench.write("trips.csv", "tips,fare,zip\n9,9,9\n")
    assert changed(reviewed, bench.plan()) == ALL - {"schema"}


def test_splits_that_come_split_are_told_apart(bench: Bench) -> None:
    bench.values["data"] = {"split_paths": {"train": "trips.csv", "eval": "other.csv"}}
    before = bench.plan()
    bench.values["data"] = {"split_paths": {"train": "other.csv", "eval": "trips.csv"}}
    assert changed(before, bench.plan()) == ALL


def test_data_from_elsewhere_with_the_same_content_changes_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    before = bench.plan()
    (tmp_path / "moved").mkdir()
    shutil.copy(bench.folder / "trips.csv", tmp_path / "moved")
    assert changed(before, bench.plan((str(tmp_path / "moved" / "trips.csv"),))) == NOTHING


def test_every_step_names_its_inputs_fingerprints(bench: Bench) -> None:
    plan = bench.plan()
    known = keys(plan)
    assert tuple(known) == STEPS
    assert len(set(known.values())) == len(STEPS)
    for step in plan.steps:
        assert step.inputs == {name: known[name] for name in step.inputs}
    assert set(plan.step("train").inputs) == {"transform", "schema", "ingest", "tune"}
    assert set(plan.step("register").inputs) == {"train", "bless"}


def test_what_was_never_made_runs_and_what_was_is_cached(bench: Bench) -> None:
    plan = bench.plan()
    assert cached(plan) == NOTHING
    assert {step.reason for step in plan.steps} == {"not made before"}
    bench.publish(plan, "ingest", "statistics")
    plan = bench.plan()
    assert cached(plan) == {"ingest", "statistics"}
    assert plan.step("ingest").reason == "nothing that determines it has changed"
    assert plan.step("ingest").cached == bench.store.find("ingest", keys(plan)["ingest"])


def test_a_plan_writes_nothing(bench: Bench) -> None:
    bench.plan()
    assert not bench.store.root.exists()
    assert not bench.serving_root.exists()


def test_force_runs_everything_under_the_same_fingerprints(bench: Bench) -> None:
    plan = bench.plan()
    bench.publish(plan)
    forced = bench.plan(force=True)
    assert keys(forced) == keys(plan)
    assert cached(forced) == NOTHING
    assert {step.reason for step in forced.steps} == {"--force"}


@pytest.mark.parametrize("step", STEPS)
def test_from_runs_a_step_and_all_after_it(bench: Bench, step: str) -> None:
    bench.publish(bench.plan())
    plan = bench.plan(from_step=step)
    assert cached(plan) == ALL - since(step)
    assert plan.step(step).reason == f"--from {step}"


def test_a_step_that_does_not_exist_names_the_closest(bench: Bench) -> None:
    for attempt in (
        lambda: bench.plan(from_step="trian"),
        lambda: bench.plan().step("trian"),
        lambda: check_step_name("trian"),
    ):
        with pytest.raises(ConfigError, match="did you mean 'train'"):
            attempt()
    check_step_name("train")


def test_without_a_champion_there_is_no_baseline(bench: Bench) -> None:
    assert bench.plan().baseline is None


def test_the_baseline_is_the_champion_that_another_training_made(bench: Bench) -> None:
    bench.publish(bench.plan())
    champion = bench.versions.add(4, **{TRAIN_RUN_TAG: "another", BASELINE_TAG: "3"})
    assert bench.plan().baseline == champion


def test_another_champion_asks_for_another_evaluation(bench: Bench) -> None:
    bench.versions.add(4, **{TRAIN_RUN_TAG: "another"})
    before = bench.plan()
    bench.versions.add(5, **{TRAIN_RUN_TAG: "yet another"})
    assert changed(before, bench.plan()) == JUDGED


def test_a_candidate_that_became_champion_keeps_its_evaluation(bench: Bench) -> None:
    first = bench.versions.add(4, **{TRAIN_RUN_TAG: "another"})
    before = bench.plan()
    bench.publish(before)
    bench.versions.add(5, **{TRAIN_RUN_TAG: "first", BASELINE_TAG: "4"})
    after = bench.plan()
    assert after.baseline == first
    assert changed(before, after) == NOTHING


def test_the_first_champion_keeps_its_evaluation_without_a_baseline(bench: Bench) -> None:
    before = bench.plan()
    bench.publish(before)
    bench.versions.add(1, **{TRAIN_RUN_TAG: "first", BASELINE_TAG: ""})
    after = bench.plan()
    assert after.baseline is None
    assert changed(before, after) == NOTHING


def test_a_tag_that_was_edited_by_hand_still_leaves_something_to_compare_with(
    bench: Bench,
) -> None:
    bench.publish(bench.plan())
    champion = bench.versions.add(5, **{TRAIN_RUN_TAG: "first", BASELINE_TAG: "the old one"})
    assert bench.plan().baseline == champion


def test_a_baseline_that_was_deleted_is_none(bench: Bench) -> None:
    bench.publish(bench.plan())
    bench.versions.add(5, **{TRAIN_RUN_TAG: "first", BASELINE_TAG: "4"})
    assert bench.plan().baseline is None


def test_a_champion_that_is_trained_again_is_compared_with(bench: Bench) -> None:
    """The same fingerprint need not give the same weights."""
    bench.publish(bench.plan())
    champion = bench.versions.add(5, **{TRAIN_RUN_TAG: "first", BASELINE_TAG: ""})
    assert bench.plan(from_step="train").baseline == champion
    bench.publish(bench.plan(), "train", by="second")
    assert bench.plan().baseline == champion


def test_what_was_made_of_an_artifact_that_is_made_again_is_stale(bench: Bench) -> None:
    plan = bench.plan()
    bench.publish(plan)
    bench.publish(plan, "train", by="second")
    after = bench.plan()
    assert cached(after) == ALL - since("evaluate")
    assert after.step("evaluate").reason == "'train' is made again"
    shutil.rmtree(bench.store.root / "schema")
    assert cached(bench.plan()) == {"ingest", "statistics"}


def test_a_plan_refuses_what_it_cannot_read(bench: Bench) -> None:
    bench.write("taxi.py", "def preprocessing_fn(inputs): pass\n")
    with pytest.raises(UserModuleError, match="no function 'run_fn'"):
        bench.plan()
    bench.write("taxi.py", MODULE)
    bench.set("data", path="gone.csv")
    with pytest.raises(DataError, match=r"gone\.csv"):
        bench.plan()
    bench.set("data", path="trips.csv")
    bench.set("schema", path="gone.pbtxt")
    with pytest.raises(ConfigError, match=r"gone\.pbtxt"):
        bench.plan()


def test_without_a_tuning_section_nothing_is_tuned(bench: Bench) -> None:
    del bench.values["tuning"]
    plan = bench.plan()
    assert tuple(keys(plan)) == tuple(step for step in STEPS if step != "tune")
    with pytest.raises(ConfigError, match="without the section 'tuning'"):
        plan.step("tune")


def test_tuning_by_hand_is_no_part_of_the_pipeline_and_training_takes_what_it_found(
    bench: Bench,
) -> None:
    bench.set("tuning", when="by_hand")
    before = bench.plan()
    assert "tune" not in keys(before)
    tune = before.step("tune")
    found = {"project": "taxi", "hyperparameters": {"units": 4}}
    space = space_digest(before.project.config, before.digests.code)
    for made, value in (
        ("other", {**found, "space": "another"}),
        ("this", {**found, "space": space}),
    ):
        with bench.store.write_aside("tune") as aside:
            key = tune.fingerprint if made == "this" else made
            bench.store.publish(aside, "tune", key, value, inputs={}, seconds=1, mlflow_run_id=made)
    after = bench.plan()
    assert after.tuned is not None
    assert after.tuned.made_by == "this"
    assert changed(before, after) == since("train")
    bench.write("trips.csv", "tips,fare,zip\n7,7,7\n")
    assert bench.plan().tuned == after.tuned, "what was found holds for newer data"
    bench.set("training", hyperparameters={"layers": 2})
    assert bench.plan().tuned is None, "it was found with other values of what is not tuned"


def test_a_warm_start_begins_with_the_champion_and_does_not_chase_itself(bench: Bench) -> None:
    bench.set("training", warm_start=True)
    assert bench.plan().base_model is None
    first = bench.versions.add(1, **{TRAIN_RUN_TAG: "first"})
    plan = bench.plan()
    assert plan.base_model == first
    own = {TRAIN_RUN_TAG: "second", RECIPE_TAG: plan.recipe, BASE_TAG: "1"}
    bench.versions.add(2, **own)
    again = bench.plan()
    assert again.base_model == first
    assert keys(again)["train"] == keys(plan)["train"]
    bench.set("training", seed=7)
    assert bench.plan().base_model == bench.versions.known[2]


def test_an_override_makes_another_blessing(bench: Bench) -> None:
    before = bench.plan()
    after = bench.plan(override=Override("ann", "the data was late", "2026-01-01T00:00:00Z"))
    later = bench.plan(override=Override("ann", "the data was late", "2026-02-02T00:00:00Z"))
    assert changed(before, after) == since("bless")
    assert changed(after, later) == NOTHING


def test_a_file_of_cases_that_is_missing_names_the_closest(bench: Bench) -> None:
    bench.write("cases.yaml", CASES)
    bench.set("evaluation", cases="case.yaml")
    with pytest.raises(ConfigError, match=r"did you mean 'cases\.yaml'"):
        bench.plan()
