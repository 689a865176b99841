"""A registered version as a run leaves it: what it can be traced by, and what is served of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import STEPS, Trained, assert_one_clear_error

from mlproject.registry import EVIDENCE, MODEL_DIGEST_TAG, Registry, model_digest
from mlproject.settings import read_settings

pytestmark = pytest.mark.e2e


@pytest.fixture
def version(trained: Trained) -> Any:
    return trained.product.mlflow().get_model_version("taxi", "1")


def test_a_version_names_the_runs_data_and_code_it_was_made_by(
    trained: Trained, version: Any
) -> None:
    tags = version.tags
    found = trained.product.runs(parent=trained.done.outcome["mlflow_run_id"])
    runs = {run.data.tags["benison.step"]: run.info.run_id for run in found}
    before = STEPS[: STEPS.index("register")]
    assert {f"benison.run.{step}": runs[step] for step in before}.items() <= tags.items()
    assert sum(json.loads(tags["benison.rows"]).values()) == 1_500
    uris = json.loads(tags["benison.source_uri"])
    source = (trained.product.project / "data" / "trips.csv").as_uri()
    assert uris == {"train": source, "eval": source}
    assert tags["benison.infra"] == "INFRA_BLESSED"
    assert all(tags[f"benison.{n}_digest"] for n in ("source", "schema", "module", "keras"))


def test_a_version_holds_what_it_was_made_of(trained: Trained, tmp_path: Path) -> None:
    product = trained.product
    registry = Registry(read_settings(product.environment(), product.home.parent))
    evidence = registry.download(registry.resolve("taxi/1"), EVIDENCE, tmp_path)
    run_id = trained.done.outcome["mlflow_run_id"]
    logged = product.mlflow().download_artifacts(run_id, "config.json", str(tmp_path))
    assert (evidence / "config.json").read_bytes() == Path(logged).read_bytes()
    steps = {step["name"]: Path(step["uri"]) for step in trained.done.outcome["steps"]}
    for split in ("train", "eval"):
        kept = evidence / "statistics" / f"Split-{split}" / "stats.pb"
        made = steps["statistics"] / f"Split-{split}" / "stats.pb"
        assert kept.read_bytes() == made.read_bytes()
    for name in ("taxi.py", "schema.pbtxt"):
        assert (evidence / "code" / name).is_file()
    for name in ("project.yaml", "differences.parquet", "blessing.json", "infra.json"):
        assert (evidence / name).is_file()


def test_an_exported_model_with_one_changed_bit_is_not_served(
    trained: Trained, version: Any
) -> None:
    exported = trained.product.home / "serving" / "taxi" / "1"
    assert model_digest(exported) == version.tags[MODEL_DIGEST_TAG]
    (file,) = exported.glob("variables/*.data-*")
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    try:
        file.write_bytes(bytes(changed))
        done = trained.product.run("serve", "taxi/1", "--once")
    finally:
        file.write_bytes(whole)
    words = ("The exported version 1 of 'taxi' is not what", f"remove the folder {exported}")
    assert_one_clear_error(done, 1, *words)
