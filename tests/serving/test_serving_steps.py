"""The steps that serve: what is asked where project.yaml names no sample."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.artifacts import Artifact
from mlproject.digests import Digests
from mlproject.errors import DataError, RegistryError
from mlproject.registry import MODEL_DIGEST_TAG, VersionInfo, model_digest
from mlproject.sections import InfraSection
from mlproject.warmup import write_warmup_requests
from serving.export import export_version
from serving.steps import run_infra_validate, run_serve


@pytest.fixture
def warm_model(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    """The train artifact of a model with a list of a fixed length, with warm-up requests."""
    model = export_version(saved_models["keras"], tmp_path / "train", 1).rename(
        tmp_path / "train" / "saved_model"
    )
    split = tmp_path / "Split-eval"
    split.mkdir()
    rows = pa.array([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]], pa.list_(pa.float64()))
    pq.write_table(pa.table({"row": rows}), split / "examples-00000.parquet")
    assert write_warmup_requests(model, "listed", split) == 2
    return tmp_path / "train"


def context(
    tmp_path: Path, inputs: dict[str, Artifact], notes: list[str], cases: str | None = None
) -> Any:
    config = SimpleNamespace(
        name="listed",
        serving=SimpleNamespace(sample={}),
        infra_validation=InfraSection(server="local", requests=5),
        evaluation=SimpleNamespace(cases=cases),
        training=SimpleNamespace(task="regression"),
    )
    out = tmp_path / "out"
    out.mkdir()
    project = SimpleNamespace(config=config, folder=tmp_path)
    plan = SimpleNamespace(digests=Digests("source", cases="of other cases"))
    return SimpleNamespace(
        project=project, plan=plan, inputs=inputs, out_dir=out, note=notes.append
    )


def serve_context(tmp_path: Path, exported: Path, digest: str) -> Any:
    """Of the step `serve`, with a registry that holds one version."""
    value = {"name": "listed", "version": 4, "path": str(exported)}
    ctx = context(tmp_path, {"export": Artifact("export", "f", "", value)}, [])
    version = VersionInfo("listed", 4, {MODEL_DIGEST_TAG: digest}, None)
    ctx.registry = SimpleNamespace(resolve={"listed/4": version}.__getitem__)
    return ctx


def test_without_a_sample_the_served_model_is_asked_its_first_warm_up_request(
    warm_model: Path, tmp_path: Path
) -> None:
    exported = export_version(warm_model / "saved_model", tmp_path / "served" / "listed", 4)
    ctx = serve_context(tmp_path, exported, model_digest(exported))
    served = run_serve(ctx)
    assert len(served["prediction"]) == 1
    assert isinstance(served["prediction"][0], float)
    written = json.loads((tmp_path / "out" / "figures" / "prediction.json").read_text())
    assert written["prediction"] == served["prediction"]


def test_an_export_that_was_changed_is_not_served(warm_model: Path, tmp_path: Path) -> None:
    exported = export_version(warm_model / "saved_model", tmp_path / "served" / "listed", 4)
    ctx = serve_context(tmp_path, exported, model_digest(exported))
    (exported / "assets" / "more").touch()
    with pytest.raises(RegistryError, match="The exported version 4 of 'listed' is not what was"):
        run_serve(ctx)


def test_the_trial_leaves_its_verdict_measurements_and_text(
    warm_model: Path, tmp_path: Path
) -> None:
    train = Artifact("train", "f", str(warm_model), {})
    notes: list[str] = []
    value = run_infra_validate(context(tmp_path, {"train": train}, notes))
    assert value["verdict"] == "INFRA_BLESSED", value
    out = tmp_path / "out"
    assert json.loads((out / "infra.json").read_text()) == value
    assert "2 requests over REST and gRPC" in (out / "figures/infra_validation.md").read_text()
    record = json.loads((out / "record.json").read_text())
    assert record["metrics"] == value["measurements"]
    assert record["tags"]["benison.infra"] == "INFRA_BLESSED"
    assert record["params"]["server"] == "local"


def test_cases_that_changed_since_the_plan_are_not_asked(warm_model: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text("golden: [{name: a, row: {x: 1}, at_most: 1}]")
    train = Artifact("train", "f", str(warm_model), {})
    ctx = context(tmp_path, {"train": train}, [], cases="cases.yaml")
    with pytest.raises(DataError, match="file of cases changed while the run was going on"):
        run_infra_validate(ctx)
