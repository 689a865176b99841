"""Runs a registered version's pipeline again in a scratch folder, and compares the two models."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from flows.console import Display
from mlproject.artifacts import Artifact, ArtifactStore
from mlproject.engine import check_engine
from mlproject.errors import BusyError
from mlproject.examples.local_state import keep_in
from mlproject.execution import PipelineRun, Refusal
from mlproject.plan import Plan
from mlproject.progress import Event, emit, listening
from mlproject.registry import SAVED_MODEL, Registry, VersionInfo
from mlproject.reproduction.reasons import Circumstances, find_reasons
from mlproject.reproduction.recorded import STEPS, Recorded, read_recorded
from mlproject.reproduction.replan import plan_again, steps_planned_otherwise
from mlproject.reproduction.scratch_project import Asked, ScratchProject, make_scratch_project
from mlproject.reproduction.values import Comparison, Reproduction, Verdict
from mlproject.settings import Settings
from mlproject.tracking import ROOT_TAG, TAG, Tracker

COMPARE = "compare"
EXPERIMENT_SUFFIX = "-reproduce"
REPORT = "reproduction.json"
REPRODUCES_TAG, VERDICT_TAG = f"{TAG}reproduces", f"{TAG}verdict"


@dataclass(frozen=True)
class ReproduceRequest:
    """What a person asked `benison reproduce` for.

    Attributes:
        model: `MODEL/7`, `MODEL@alias` or `MODEL`.
        asked: Where project and data are now.
        tolerance: Largest absolute difference that counts as none.
        keep: Keep the scratch folder.
    """

    model: str
    asked: Asked
    tolerance: float
    keep: bool = False


@dataclass(frozen=True)
class _Opened:
    """A reproduction that can begin: nothing has run yet."""

    settings: Settings
    registry: Registry
    recorded: Recorded
    made: ScratchProject
    plan: Plan
    store: ArtifactStore

    @property
    def version(self) -> VersionInfo:
        return self.recorded.version

    @property
    def reference(self) -> str:
        return f"{self.version.name}/{self.version.version}"


def reproduce(request: ReproduceRequest, settings: Settings, stream: IO[str]) -> Reproduction:
    """Reproduces a version.

    Args:
        request: What was asked for.
        settings: The platform's settings.
        stream: Where progress is shown.

    Raises:
        PlatformError: The version cannot be reproduced, or a step failed.
    """
    # Under `mlflow run`, too, this is a run of the scratch experiment.
    settings = replace(settings, mlflow_run_id=None, mlflow_experiment_id=None)
    check_engine(settings.engine)
    keep_in(settings.home)
    registry = Registry(settings)
    version = registry.resolve(request.model)
    root = settings.home / "reproductions" / f"{version.name}-{version.version}"
    with _scratch(root, request.keep) as store:
        own = replace(settings, pipeline_root=root, serving_root=root / "serving")
        recorded = read_recorded(own, registry, version, root)
        made = make_scratch_project(recorded, request.asked, root)
        plan = plan_again(recorded, made.project, store, registry)
        opened = _Opened(own, registry, recorded, made, plan, store)
        display = Display(stream, f"reproduce {opened.reference}", (*STEPS, COMPARE))
        with display, listening(display):
            found = _run(opened, request)
    return replace(found, kept=str(root) if request.keep else "")


@contextmanager
def _scratch(root: Path, keep: bool) -> Iterator[ArtifactStore]:
    """An empty store of its own; a killed reproduction of the same version left it, if anything."""
    store = ArtifactStore(root)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(store.lock())
        except BusyError as err:
            raise BusyError(
                "Another reproduction of this version is running",
                received=err.received,
                expected="one at a time",
                next_step="wait for it to end",
            ) from err
        for entry in root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != ".lock":
                entry.unlink()
        try:
            yield store
        finally:
            if not keep:
                shutil.rmtree(root, ignore_errors=True)
                with contextlib.suppress(OSError):  # another one is kept, or runs
                    root.parent.rmdir()


def _run(opened: _Opened, request: ReproduceRequest) -> Reproduction:
    """The steps, the comparison, and the MLflow run around them."""
    from flows.steps import FUNCTIONS

    began = time.monotonic()
    tracker = Tracker(opened.settings, f"{opened.version.name}{EXPERIMENT_SUFFIX}")
    tracker.close_orphans(opened.store.root)
    run_id = tracker.start_run(f"{opened.reference} again", _tags(opened))
    try:
        tracker.log_text(run_id, opened.made.project.config_text(), "config.json")
        run = PipelineRun(
            opened.plan,
            opened.settings,
            opened.store,
            tracker,
            opened.registry,
            FUNCTIONS,
            run_id,
        )
        artifacts, refused = _run_steps(run)
        comparison = None if refused else _compare(opened, artifacts)
        verdict: Verdict = (
            comparison.verdict(request.tolerance) if comparison else "could not judge"
        )
        found = Reproduction(
            model=opened.version.name,
            version=opened.version.version,
            verdict=verdict,
            tolerance=request.tolerance,
            comparison=comparison,
            reasons=_reasons(opened, request, comparison, refused),
            seconds=time.monotonic() - began,
            run_id=run_id,
            url=tracker.run_link(run_id),
        )
        _log(tracker, found, artifacts)
    except BaseException as err:
        tracker.fail_run(run_id, err)
        raise
    return found


def _run_steps(run: PipelineRun) -> tuple[dict[str, Artifact], Refusal | None]:
    artifacts: dict[str, Artifact] = {}
    for step in STEPS:
        refused = run.refusal(step) if "validate" in artifacts else None
        if refused is not None:
            return artifacts, refused
        artifacts[step] = run.run_step(step)[0]
    return artifacts, None


def _compare(opened: _Opened, artifacts: dict[str, Artifact]) -> Comparison:
    from mlproject.evaluation import PREDICTIONS_FILE, read_metrics
    from mlproject.reproduction.compare import compare
    from mlproject.training import MODEL_FOLDER

    emit(Event("start", COMPARE))
    began = time.monotonic()
    folder = opened.store.root / "recorded"
    folder.mkdir()
    evaluation = artifacts["evaluate"].path
    found = compare(
        read_metrics(opened.recorded.evidence),
        read_metrics(evaluation),
        evaluation / PREDICTIONS_FILE,
        (
            opened.registry.download(opened.version, SAVED_MODEL, folder),
            artifacts["train"].path / MODEL_FOLDER,
        ),
    )
    emit(Event("done", COMPARE, seconds=time.monotonic() - began))
    return found


def _reasons(
    opened: _Opened,
    request: ReproduceRequest,
    comparison: Comparison | None,
    refused: Refusal | None,
) -> tuple[str, ...]:
    from mlproject.reproduction.environment import environment

    about = Circumstances(
        then=opened.recorded.environment,
        now=environment(opened.made.project.config.training.distribute),
        commit=opened.recorded.commit,
        from_folder=opened.made.from_folder,
        module=request.asked.module,
        changed_steps=steps_planned_otherwise(opened.recorded, opened.plan),
    )
    blocked = refused.reasons if refused else ()
    return (*(f"the data is blocked: {why}" for why in blocked), *find_reasons(about, comparison))


def _tags(opened: _Opened) -> dict[str, str]:
    from importlib.metadata import version

    return {
        ROOT_TAG: str(opened.store.root),
        REPRODUCES_TAG: opened.reference,
        f"{TAG}version": version("benison"),
        f"{TAG}module_digest": opened.plan.digests.module,
        f"{TAG}source_digest": opened.plan.digests.source,
        f"{TAG}git_commit": opened.recorded.commit,
    }


def _log(tracker: Tracker, found: Reproduction, artifacts: dict[str, Artifact]) -> None:
    """Logs what was found, and ends the run."""
    tracker.log_overview(found.run_id, {name: a.path for name, a in artifacts.items()})
    tracker.log_text(found.run_id, json.dumps(found.to_json(), indent=1), REPORT)
    comparison = found.comparison
    if comparison is not None:
        measured = {
            "metrics_differing": len(comparison.gaps),
            "largest_metric_difference": max((g.gap for g in comparison.gaps), default=0.0),
            "predictions_differing": comparison.predictions.differing,
            "largest_prediction_difference": comparison.predictions.largest,
            "weights_differing": comparison.weights.differing,
            "largest_weight_difference": comparison.weights.largest,
        }
        overall = dict(artifacts["evaluate"].value["overall"]) | measured
        finite = {name: value for name, value in overall.items() if math.isfinite(value)}
        tracker.log_metrics(found.run_id, finite)
    tags = {VERDICT_TAG: found.verdict, f"{TAG}reasons": "; ".join(found.reasons)}
    tracker.finish_run(found.run_id, "FINISHED", tags)
