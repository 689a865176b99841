"""The steps hold what they read against the plan: nothing else goes under its fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from mlproject.artifacts import ArtifactStore
from mlproject.config import load_project
from mlproject.errors import DataError
from mlproject.execution import StepContext
from mlproject.plan import Plan, make_plan
from mlproject.settings import read_settings
from mlproject.steps import FUNCTIONS

PROJECT = """
name: taxi
module: taxi.py
data: {path: trips.csv}
schema: {path: schema.pbtxt}
training: {label: y}
"""
MODULE = """
SIZE = 8

def preprocessing_fn(inputs):
    return inputs

def run_fn(fn_args):
    return SIZE
"""
SCHEMA = 'feature { name: "fare" type: FLOAT }\n'


class NoVersions:
    """A registry with nothing in it."""

    def champion(self, name: str) -> None:
        return None

    def version(self, name: str, number: int) -> None:
        return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    rows = "".join(f"{number}.5,{number}\n" for number in range(60))
    for name, text in (
        ("project.yaml", PROJECT),
        ("taxi.py", MODULE),
        ("schema.pbtxt", SCHEMA),
        ("trips.csv", "fare,zip\n" + rows),
    ):
        (project / name).write_text(text)
    return project


def run_after(folder: Path, step: str, change: Callable[[Path], Any]) -> dict[str, Any]:
    """Plans, changes the project, and runs one step as the run that was planned."""
    settings = read_settings({}, folder.parent)
    store = ArtifactStore(settings.pipeline_root)
    plan: Plan = make_plan(load_project(folder), store, NoVersions(), settings.serving_root)
    change(folder)
    out_dir = folder.parent / "out"
    out_dir.mkdir()
    context = StepContext(
        plan=plan,
        step=plan.step(step),
        settings=settings,
        registry=cast("Any", NoVersions()),
        store=store,
        inputs={},
        out_dir=out_dir,
        pipeline_run_id="run",
        run_id="run",
        tracker=cast("Any", None),
    )
    return dict(FUNCTIONS[step](context))


def test_what_is_as_it_was_planned_runs(folder: Path) -> None:
    value = run_after(folder, "ingest", lambda _: None)
    assert sum(value["splits"].values()) == 60


@pytest.mark.parametrize(
    ("step", "file", "more", "what"),
    [
        ("ingest", "trips.csv", "99.5,99\n", "data"),
        ("schema", "schema.pbtxt", 'feature { name: "zip" type: INT }\n', "reviewed schema"),
    ],
)
def test_a_file_that_changed_since_the_plan_is_refused(
    folder: Path, step: str, file: str, more: str, what: str
) -> None:
    def change(project: Path) -> None:
        (project / file).write_text((project / file).read_text() + more)

    with pytest.raises(DataError, match=f"The {what} changed while the run was going on"):
        run_after(folder, step, change)


def test_code_that_changed_since_the_plan_is_refused(folder: Path) -> None:
    def change(project: Path) -> None:
        (project / "taxi.py").write_text(MODULE.replace("SIZE = 8", "SIZE = 9"))

    from mlproject.steps.planned import load_planned_module

    settings = read_settings({}, folder.parent)
    store = ArtifactStore(settings.pipeline_root)
    plan = make_plan(load_project(folder), store, NoVersions(), settings.serving_root)
    context = StepContext(
        plan=plan,
        step=plan.step("train"),
        settings=settings,
        registry=cast("Any", NoVersions()),
        store=store,
        inputs={},
        out_dir=folder,
        pipeline_run_id="run",
        run_id="run",
        tracker=cast("Any", None),
    )
    assert load_planned_module(context, "run_fn").SIZE == 8
    change(folder)
    assert load_planned_module(context, "preprocessing_fn")  # it does not reach SIZE
    with pytest.raises(DataError, match="The module file changed"):
        load_planned_module(context, "run_fn")
