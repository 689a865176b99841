"""What is kept with a version: the files that it was made of, as they were when it was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlproject.config import load_project
from mlproject.digests import Digests, cases_digest, code_digests, schema_digest
from mlproject.errors import DataError
from mlproject.steps.evidence import evidence_of
from mlproject.user_module import read_module

PROJECT = """\
# A remark of the person's own.
name: toy
module: src/toy.py
data: {path: rows.csv}
schema: {path: schema.pbtxt}
evaluation: {cases: cases.yaml}
training: {label: y, train_steps: 1}
"""
MODULE = """\
import parts
from names import FEATURES
def preprocessing_fn(inputs): return parts.scale(inputs, FEATURES)
def build_model(hyperparameters): return None
"""
MEASURED = {
    "bless": ("blessing.json", "figures/model_card.md"),
    "evaluate": ("metrics.parquet", "differences.parquet", "predictions.parquet"),
    "infra_validate": ("infra.json",),
    "schema": ("schema.pbtxt",),
    "statistics": (
        "Split-train/stats.pb",
        "Split-train/span-0000000012/stats.pb",
        "Split-eval/stats.pb",
        "figures/profile.html",
    ),
}


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name, text in {
        "project.yaml": PROJECT,
        "schema.pbtxt": "reviewed",
        "cases.yaml": "golden: []",
        "src/toy.py": MODULE,
        "src/names.py": "FEATURES = ['x']",
        "src/parts/__init__.py": "from parts.scaling import scale",
        "src/parts/scaling.py": "def scale(inputs, names): return inputs",
        "src/unused.py": "",
    }.items():
        write(project / name, text)
    return project


@pytest.fixture
def ctx(folder: Path, tmp_path: Path) -> Any:
    """The step's context, as the run was planned with."""
    project = load_project(folder, data=("other.csv",))
    source = read_module(project.module_path)
    digests = Digests(
        source="rows",
        module=source.digest,
        code=code_digests(source),
        schema=schema_digest(project),
        cases=cases_digest(project),
    )
    made = {step: SimpleNamespace(path=tmp_path / "made" / step) for step in MEASURED}
    for step, names in MEASURED.items():
        for name in names:
            write(made[step].path / name, f"{step}: {name}")
    (tmp_path / "out").mkdir()
    notes: list[str] = []
    return SimpleNamespace(
        project=project,
        plan=SimpleNamespace(digests=digests),
        inputs=made,
        published=made.__getitem__,
        out_dir=tmp_path / "out",
        notes=notes,
        note=notes.append,
    )


def test_everything_that_it_was_made_of_and_measured_by_is_kept(ctx: Any) -> None:
    kept = evidence_of(ctx)
    assert set(kept) == {
        "blessing.json",
        "model_card.md",
        "metrics.parquet",
        "differences.parquet",
        "infra.json",
        "schema.pbtxt",
        "config.json",
        "project.yaml",
        "code/cases.yaml",
        "code/schema.pbtxt",
        "code/src/names.py",
        "code/src/parts/__init__.py",
        "code/src/parts/scaling.py",
        "code/src/toy.py",
        "statistics/Split-eval/stats.pb",
        "statistics/Split-train/span-0000000012/stats.pb",
        "statistics/Split-train/stats.pb",
    }
    assert kept["schema.pbtxt"].read_text(encoding="utf-8") == "schema: schema.pbtxt"
    assert kept["code/schema.pbtxt"].read_text(encoding="utf-8") == "reviewed"
    assert kept["code/src/toy.py"].read_text(encoding="utf-8") == MODULE
    assert kept["project.yaml"].read_text(encoding="utf-8") == PROJECT
    assert ctx.notes == []


def test_the_configuration_is_kept_as_it_ran(ctx: Any) -> None:
    text = evidence_of(ctx)["config.json"].read_text(encoding="utf-8")
    assert text == ctx.project.config.model_dump_json(indent=1, by_alias=True)
    config = json.loads(text)
    assert config["data"]["path"].endswith("/other.csv")  # of the command line
    assert config["schema"]["path"] == "schema.pbtxt"


@pytest.mark.parametrize(
    "text", [PROJECT.replace("train_steps: 1", "train_steps: 2"), "name: [", ""]
)
def test_a_project_file_that_says_something_else_by_now_is_left_out(
    text: str, ctx: Any, folder: Path
) -> None:
    write(folder / "project.yaml", text)
    kept = evidence_of(ctx)
    assert "project.yaml" not in kept
    assert json.loads(kept["config.json"].read_text())["training"]["train_steps"] == 1
    assert ctx.notes == [
        "project.yaml changed while the run was going on; config.json is kept alone"
    ]


def test_a_project_file_of_another_name_is_kept_as_project_yaml(ctx: Any, folder: Path) -> None:
    (folder / "project.yaml").rename(folder / "night.yaml")
    ctx.project = load_project(folder / "night.yaml", data=("other.csv",))
    assert evidence_of(ctx)["project.yaml"] == folder / "night.yaml"


def other_module(folder: Path) -> None:
    write(folder / "src/toy.py", MODULE + "# a remark\n")


def other_import(folder: Path) -> None:
    write(folder / "src/parts/scaling.py", "def scale(inputs, names): return {}")


def other_schema(folder: Path) -> None:
    write(folder / "schema.pbtxt", "reviewed again")


def no_cases(folder: Path) -> None:
    write(folder / "cases.yaml", "metamorphic: []")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (other_module, "module file"),
        (other_import, "code that the module file imports"),
        (other_schema, "reviewed schema"),
        (no_cases, "file of cases"),
    ],
)
def test_code_that_changed_since_the_plan_is_no_evidence(
    change: Callable[[Path], None], what: str, ctx: Any, folder: Path
) -> None:
    change(folder)
    with pytest.raises(DataError, match=f"The {what} changed while the run was going on"):
        evidence_of(ctx)


def test_a_module_file_outside_the_folder_is_kept_by_its_name(ctx: Any, folder: Path) -> None:
    write(folder / "project.yaml", PROJECT.replace("src/toy.py", "../shared/toy.py"))
    write(folder.parent / "shared/toy.py", MODULE.replace("import parts\n", ""))
    ctx.project = load_project(folder, data=("other.csv",))
    source = read_module(ctx.project.module_path)
    ctx.plan.digests = Digests(
        "rows",
        source.digest,
        code_digests(source),
        ctx.plan.digests.schema,
        ctx.plan.digests.cases,
    )
    kept = evidence_of(ctx)
    assert {name for name in kept if name.startswith("code/")} == {
        "code/cases.yaml",
        "code/schema.pbtxt",
        "code/toy.py",
    }
