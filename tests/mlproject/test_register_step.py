"""What the step `register` says of a version in its tags."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlproject.artifacts import Artifact
from mlproject.blessing import Blessing, Override
from mlproject.digests import Digests
from mlproject.registry import VersionInfo
from mlproject.schema import SCHEMA_FILE
from mlproject.steps.register import (
    _data_tags,
    _override,
    _run_tags,
    _training_tags,
    _verdict_tags,
)

OVERRIDE = Override("ann", "the data was late", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        ("applied", "ann, 2026-01-01T00:00:00Z: the data was late"),
        ("not needed", ""),
        ("refused", ""),
    ],
)
def test_only_an_override_that_was_applied_is_one(effect: str, said: str) -> None:
    blessing = Blessing("BLESSED", (), (), "NOT_BLESSED", OVERRIDE, effect)  # type: ignore[arg-type]
    assert _override(blessing.as_value()) == said


def test_without_an_override_the_tag_is_empty() -> None:
    assert _override(Blessing("BLESSED", (), (), "BLESSED").as_value()) == ""


def artifact(step: str, folder: Path, **value: object) -> Artifact:
    return Artifact(step, f"f-{step}", str(folder / step), value, mlflow_run_id=f"run-{step}")


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    """The step's context, of a run on two files, one a split."""
    schema = tmp_path / "schema" / SCHEMA_FILE
    schema.parent.mkdir()
    schema.write_text("feature {}", encoding="utf-8")
    made = {
        "ingest": artifact(
            "ingest", tmp_path, splits={"train": 90, "eval": 10}, spans=[[12, None, False]]
        ),
        "schema": artifact("schema", tmp_path),
        "train": artifact("train", tmp_path),
        "infra_validate": artifact("infra_validate", tmp_path, verdict="INFRA_BLESSED"),
        "bless": artifact("bless", tmp_path, verdict="BLESSED", reasons=["auc rose", "all fast"]),
    }
    steps = [SimpleNamespace(name=name) for name in (*made, "register", "export", "serve")]
    plan = SimpleNamespace(
        steps=steps,
        tuned=None,
        base_model=VersionInfo("toy", 3, {}, None),
        baseline=None,
        recipe="recipe",
        digests=Digests("rows", "module"),
        source_uris=(("train", str(tmp_path / "a b.csv")), ("eval", "gs://bucket/x@y-?.csv")),
    )
    project = SimpleNamespace(folder=tmp_path)
    return SimpleNamespace(
        plan=plan, project=project, inputs=made, published=made.__getitem__, store=None
    )


def test_the_tags_say_which_data_it_was_made_of(ctx: Any, tmp_path: Path) -> None:
    tags = _data_tags(ctx)
    assert json.loads(tags["benison.source_uri"]) == {
        "train": (tmp_path / "a b.csv").as_uri(),
        "eval": "gs://bucket/x@y-?.csv",
    }
    assert json.loads(tags["benison.rows"]) == {"train": 90, "eval": 10}
    assert json.loads(tags["benison.spans"]) == [[12, None, False]]
    assert tags["benison.source_digest"] == "rows"
    assert tags["benison.schema_digest"] == hashlib.sha256(b"feature {}").hexdigest()[:20]


def test_one_source_that_a_rule_splits_is_every_splits(ctx: Any) -> None:
    ctx.plan.source_uris = ((None, "postgresql://host/db?table=trips"),)
    uris = json.loads(_data_tags(ctx)["benison.source_uri"])
    assert uris == dict.fromkeys(("train", "eval"), "postgresql://host/db?table=trips")


def test_the_tags_name_the_run_that_made_each_artifact(ctx: Any) -> None:
    runs = {f"benison.run.{name}": f"run-{name}" for name in ctx.inputs}
    assert _run_tags(ctx) == runs
    ctx.plan.tuned = artifact("tune", Path())
    assert _run_tags(ctx) == {**runs, "benison.run.tune": "run-tune"}


def test_the_tags_say_what_was_found_and_from_what_it_was_trained(ctx: Any) -> None:
    verdict = _verdict_tags(ctx)
    assert verdict["blessing"] == "BLESSED"
    assert verdict["benison.infra"] == "INFRA_BLESSED"
    assert verdict["benison.reasons"] == "auc rose; all fast"
    assert verdict["benison.baseline_version"] == ""
    assert _training_tags(ctx) == {
        "benison.train_fingerprint": "f-train",
        "benison.train_run": "run-train",
        "benison.recipe": "recipe",
        "benison.base_version": "3",
        "benison.module_digest": "module",
        "benison.git_commit": "",
    }
