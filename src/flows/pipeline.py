"""Opens a pipeline run: settings, plan, lock, MLflow; and walks its steps."""

from __future__ import annotations

import datetime
import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlproject.artifacts import Artifact, ArtifactStore, translate_os_errors
from mlproject.blessing import Override
from mlproject.config import Project, load_project
from mlproject.engine import check_engine
from mlproject.examples.local_state import keep_in
from mlproject.execution import PipelineRun, recorded_in, start_pipeline_run, why_it_fell
from mlproject.outcome import Outcome, StepOutcome, ends_with, make_outcome
from mlproject.plan import Plan, make_plan
from mlproject.promotion.promoter import Promoter
from mlproject.registry import Registry
from mlproject.settings import Settings, read_settings, store_id
from mlproject.tracking import TAG, Tracker
from mlproject.user import user_name

RunStep = Callable[[PipelineRun, str], tuple[Artifact, bool]]


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        project: The project's folder.
        data: Overrides of where the rows are (`PATH`, or `SPLIT=PATH` for each split).
        force: Run every step.
        from_step: Run this step and all after it; empty for none.
        span: The newest span to take, instead of what project.yaml says; empty for that.
        override: Why the candidate is blessed whatever the thresholds and cases say; empty for
            no override.
    """

    project: str
    data: tuple[str, ...] = ()
    force: bool = False
    from_step: str = ""
    span: str = ""
    override: str = ""

    def load(self) -> Project:
        """The project it names."""
        return load_project(Path(self.project), self.data, self.span)


@dataclass(frozen=True)
class Opened:
    """A request with its plan and the services it needs.

    Attributes:
        plan: The plan.
        settings: The platform's settings.
        store: The artifacts.
        registry: The model registry.
    """

    plan: Plan
    settings: Settings
    store: ArtifactStore
    registry: Registry


def open_request(request: Request) -> Opened:
    """Reads the project and makes its plan; runs nothing.

    In MLflow it writes an empty store where there is none, and settles aliases of the model that
    were moved by hand: the plan compares with the champion.
    """
    project = request.load()
    settings = read_settings()
    keep_in(settings.home)
    store = ArtifactStore(settings.pipeline_root)
    with _first_come(settings):
        registry = Registry(settings)
    Promoter(settings, registry).settle(project.config.name)
    plan = make_plan(
        project,
        store,
        registry,
        settings.serving_root,
        store_id=store_id(settings.tracking_uri),
        force=request.force,
        from_step=request.from_step or None,
        override=_override(request.override),
    )
    return Opened(plan, settings, store, registry)


def _override(reason: str) -> Override | None:
    """A person's word, with their name and the time; None for an empty reason."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Override(user_name(), reason, now) if reason else None


@contextmanager
def _first_come(settings: Settings) -> Iterator[None]:
    """Lets one process at a time open the local MLflow store: opening a new one makes its tables.

    Two that make them at once fail with "duplicate column name". The lock of the pipeline root
    would not do: a cached run has to be told its outcome while another run holds it.
    """
    if not settings.tracking_is_local:
        yield
        return
    with translate_os_errors("Opening the platform's home", settings.home):
        settings.home.mkdir(parents=True, exist_ok=True)
        file = open(settings.home / ".mlflow.lock", "ab")  # noqa: SIM115 - closed below
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def open_run(request: Request, *, alone: bool = False) -> Iterator[PipelineRun]:
    """A pipeline run under the pipeline root's lock, with its MLflow run.

    Args:
        request: What to run.
        alone: For one step by itself: no pipeline run around it.

    Raises:
        BusyError: Another run holds the pipeline root.
        ConfigError: The engine's runner or an option of it is wrong.
        PlatformError: The project, data or MLflow is not usable.
    """
    from flows.steps import FUNCTIONS

    store = ArtifactStore(read_settings().pipeline_root)
    with store.lock():
        opened = open_request(request)
        check_engine(opened.settings.engine)
        tracker = Tracker(opened.settings, opened.plan.project.config.name)
        tracker.close_orphans(store.root)
        parent = None
        if not alone:
            parent = start_pipeline_run(tracker, opened.plan, opened.settings, store.root)
        run = PipelineRun(
            opened.plan,
            opened.settings,
            store,
            tracker,
            opened.registry,
            FUNCTIONS,
            parent,
        )
        try:
            yield run
        except BaseException as err:
            if parent:
                tracker.fail_run(parent, err)
            raise


def walk(run: PipelineRun, run_step: RunStep) -> Outcome:
    """Runs the steps in order until one ends the pipeline, and closes its MLflow run.

    Args:
        run: The opened run.
        run_step: Runs one step: `PipelineRun.run_step`, or a Prefect task around it.
    """
    artifacts: dict[str, Artifact] = {}
    steps: list[StepOutcome] = []
    for planned in run.plan.steps:
        artifact, cached = run_step(run, planned.name)
        artifacts[planned.name] = artifact
        steps.append(_step_outcome(artifact, cached, planned.reason))
        if ends_with(artifact):
            break
    run_id = run.parent_run_id
    url = run.tracker.run_link(run_id) if run_id else None
    name = run.plan.project.config.name
    champion = _champion(run.registry, name)
    outcome = make_outcome(name, artifacts, tuple(steps), run_id, url, champion)
    if run_id:
        run.tracker.log_overview(run_id, {name: a.path for name, a in artifacts.items()})
        run.tracker.log_metrics(run_id, dict(outcome.metrics))
        tags = {
            f"{TAG}step.{step}": f"cached, made in {recorded_in(a)}" if cached else "run"
            for step, (a, cached) in run.results.items()
        }
        tags |= {f"{TAG}status": outcome.status, f"{TAG}reasons": "; ".join(outcome.reasons)}
        if outcome.version is not None:
            tags[f"{TAG}model"] = f"{outcome.model}/{outcome.version}"
        run.tracker.finish_run(run_id, "FINISHED", tags)
    return outcome


def cached_outcome(opened: Opened) -> Outcome | None:
    """The outcome where nothing has to run, or None.

    Everything is cached, still stands, and is recorded in MLflow; then no flow run is started.
    """
    artifacts: dict[str, Artifact] = {}
    steps: list[StepOutcome] = []
    for planned in opened.plan.steps:
        artifact = planned.cached
        if artifact is None or not recorded_in(artifact) or why_it_fell(artifact, opened.registry):
            return None
        artifacts[planned.name] = artifact
        steps.append(_step_outcome(artifact, True, planned.reason))
        if ends_with(artifact):
            break
    last = list(artifacts.values())[-1]
    run_id = recorded_in(last)
    name = opened.plan.project.config.name
    tracker = Tracker(opened.settings, name)
    url = tracker.run_link(run_id) if run_id else None
    champion = _champion(opened.registry, name)
    return make_outcome(name, artifacts, tuple(steps), run_id, url, champion)


def _champion(registry: Registry, name: str) -> int | None:
    champion = registry.champion(name)
    return champion.version if champion else None


def _step_outcome(artifact: Artifact, cached: bool, reason: str) -> StepOutcome:
    return StepOutcome(
        name=artifact.step,
        cached=cached,
        seconds=artifact.seconds,
        cpu_seconds=artifact.cpu_seconds,
        reason=reason,
        fingerprint=artifact.fingerprint,
        uri=artifact.uri,
    )
