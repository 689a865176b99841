"""A version made again: identical, different by a changed module, refused on changed data."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

# A loaded machine takes minutes for a training, the one of the fixture among them.
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def scratch_runs(trained: Any, step: str = "") -> list[Any]:
    """The runs of the scratch experiment, the newest first: of a step, else at the top."""
    client = trained.product.mlflow()
    experiment = client.get_experiment_by_name("taxi-reproduce")
    if experiment is None:
        return []
    runs = client.search_runs([experiment.experiment_id], max_results=1_000)
    return [run for run in runs if run.data.tags.get("benison.step", "") == step]


def left_over(trained: Any) -> list[Path]:
    return list((trained.product.home / "reproductions").glob("*"))


def state(trained: Any) -> tuple[set[str], int, int | None]:
    """What a reproduction must not touch: artifacts, versions, champion."""
    product = trained.product
    return product.published(), len(product.versions()), product.champion()


def reproduce(trained: Any, *options: str) -> Any:
    reference = f"taxi/{trained.champion}"
    return trained.product.run("reproduce", reference, "--json", *options)


def test_a_version_is_identical_after_a_killed_try_and_nothing_else_has_moved(
    trained: Any,
) -> None:
    before = state(trained)
    with trained.product.start("reproduce", f"taxi/{trained.champion}") as running:
        running.line("✓ ingest", timeout_s=240)
        running.kill()
    assert [folder.name for folder in left_over(trained)] == [f"taxi-{trained.champion}"]
    assert [run.info.status for run in scratch_runs(trained)] == ["RUNNING"]

    done = reproduce(trained)
    assert done.code == 0, done.err + done.out
    found = done.outcome
    assert found["verdict"] == "identical"
    comparison = found["comparison"]
    assert comparison["metrics"] > 20
    assert comparison["predictions"]["compared"] > 300
    assert comparison["weights"]["compared"] > 3
    assert comparison["gaps"] == comparison["asked_again"] == []
    newest, killed = scratch_runs(trained)
    assert (newest.info.status, killed.info.status) == ("FINISHED", "KILLED")
    assert newest.data.tags["benison.reproduces"] == f"taxi/{trained.champion}"
    assert newest.data.tags["benison.verdict"] == "identical"
    assert newest.data.metrics["predictions_differing"] == 0
    assert state(trained) == before
    assert left_over(trained) == []


def test_another_module_is_different_says_why_and_is_kept_if_asked(
    trained: Any, tmp_path: Path
) -> None:
    module = trained.product.project / "taxi.py"
    changed = tmp_path / "changed.py"
    text = module.read_text(encoding="utf-8")
    assert text.count('activation="relu"') == 1
    changed.write_text(text.replace('activation="relu"', 'activation="tanh"'), encoding="utf-8")
    before = state(trained)
    done = reproduce(trained, "--module", str(changed), "--keep")
    assert done.code == 3, done.err + done.out
    found = done.outcome
    assert found["verdict"] == "different"
    assert found["comparison"]["predictions"]["largest"] > 1e-4
    assert found["comparison"]["asked_again"] == [], "the recorded model answers as it did"
    assert any(f"the module file is {changed}" in reason for reason in found["reasons"])
    kept = Path(found["kept"])
    assert (kept / "files" / "taxi.py").read_text(encoding="utf-8") == changed.read_text(
        encoding="utf-8"
    )
    (run, *_) = scratch_runs(trained)
    assert run.data.tags["benison.verdict"] == "different"
    logged = trained.product.mlflow().download_artifacts(
        run.info.run_id, "reproduction.json", str(tmp_path)
    )
    assert json.loads(Path(logged).read_text(encoding="utf-8"))["verdict"] == "different"
    assert state(trained) == before


def test_changed_data_is_refused_before_anything_runs(trained: Any, tmp_path: Path) -> None:
    rows = (trained.product.project / "data" / "trips.csv").read_text(encoding="utf-8")
    changed = tmp_path / "trips.csv"
    changed.write_text(rows + rows.splitlines()[-1] + "\n", encoding="utf-8")
    runs = len(scratch_runs(trained))
    done = reproduce(trained, "--data", str(changed))
    assert done.code == 1
    assert "The data has changed: digest" in done.err
    assert "Traceback" not in done.err
    assert len(scratch_runs(trained)) == runs
    assert left_over(trained) == []


def test_a_terminated_reproduction_leaves_a_killed_run_and_nothing_else(trained: Any) -> None:
    with trained.product.start("reproduce", f"taxi/{trained.champion}") as running:
        running.line("✓ ingest", timeout_s=240)
        running.process.send_signal(signal.SIGTERM)
        # CPython ends by SIGINT itself where the interrupt went through code given as a text (an
        # import that makes a dataclass); for a shell that is 130 as well.
        assert running.process.wait(timeout=60) in (130, -signal.SIGINT)
    assert running.lines[-1] == "benison reproduce: interrupted; nothing is kept"
    assert scratch_runs(trained)[0].info.status == "KILLED"
    assert left_over(trained) == []
