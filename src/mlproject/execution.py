"""Runs planned steps: cached or run, published, and recorded in MLflow. Knows no step by itself.

Order of things for one step: its nested MLflow run starts; the step writes aside; the folder is
published; its record is logged; the MLflow run ends. What is published is never made again: where
a process dies before the record is logged, the next run logs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproject.artifacts import Artifact, ArtifactStore, read_value, translate_os_errors
from mlproject.blessing.verdict import INFRA_BLESSED
from mlproject.chain import STEPS, PlannedStep
from mlproject.config import Project
from mlproject.errors import DataError
from mlproject.memory import release_memory
from mlproject.plan import ONLY_IF_BLESSED, Plan
from mlproject.progress import Event, emit
from mlproject.promotion.stages import Stage
from mlproject.registry import CONFIG_FILE, Registry
from mlproject.registry.names import STAGE_TAG
from mlproject.settings import Settings
from mlproject.tracking import FINGERPRINT_TAG, ROOT_TAG, STEP_TAG, TAG, Tracker, code_tags

RECORDED = "recorded"  # holds the pipeline's MLflow run, once the artifact's record is logged
MEASURED = ("tune", "train")  # the steps whose system metrics are logged
NEEDS_VALID_DATA = STEPS[STEPS.index("validate") + 1 :]


@dataclass(frozen=True)
class StepContext:
    """What a step's function gets.

    Attributes:
        plan: The plan.
        step: The step's place in it.
        settings: The platform's settings.
        registry: The model registry.
        store: The published artifacts.
        inputs: Input step -> its artifact.
        out_dir: Empty folder to write the artifact in.
        pipeline_run_id: The pipeline's MLflow run, or the step's own if it runs alone.
        run_id: The step's own MLflow run.
        tracker: MLflow tracking, for what is logged while the step runs.
    """

    plan: Plan
    step: PlannedStep
    settings: Settings
    registry: Registry
    store: ArtifactStore
    inputs: Mapping[str, Artifact]
    out_dir: Path
    pipeline_run_id: str
    run_id: str
    tracker: Tracker

    @property
    def project(self) -> Project:
        """The project."""
        return self.plan.project

    @property
    def state_dir(self) -> Path:
        """Folder, perhaps not there yet, that outlives a killed run of the same fingerprint.

        It is removed once the artifact is published.
        """
        return self.store.state_dir(self.step.name, self.step.fingerprint)

    def published(self, name: str) -> Artifact:
        """What an earlier step of the plan has published, be it an input of this one or not.

        Raises:
            DataError: It is gone.
        """
        found = self.store.find(name, self.plan.step(name).fingerprint)
        if found is None:
            raise DataError(
                f"The step '{self.step.name}' failed",
                received=f"no artifact of '{name}'",
                expected="the artifacts of all steps before it",
                next_step="run again: what is there is kept",
            )
        return found

    def rows(self, count: int) -> None:
        """Tells how many rows are done."""
        emit(Event("rows", self.step.name, rows=count))

    def note(self, text: str) -> None:
        """Tells a line of progress."""
        emit(Event("note", self.step.name, text=text))


StepFunction = Callable[[StepContext], Mapping[str, Any]]


@dataclass(frozen=True)
class Refusal:
    """Why a step may not run: an expected no.

    Attributes:
        gate: `validate` or `bless`.
        reasons: In plain words.
    """

    gate: str
    reasons: tuple[str, ...]


class PipelineRun:
    """One run of a pipeline, or of one of its steps, under the pipeline root's lock.

    Args:
        plan: What is to run.
        settings: The platform's settings.
        store: The artifacts.
        tracker: MLflow tracking.
        registry: The model registry.
        functions: Step name -> the step's function.
        parent_run_id: The pipeline's MLflow run; None where a step runs alone.

    Attributes:
        results: Step -> its artifact, and True where it was cached; the steps done so far.
    """

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        store: ArtifactStore,
        tracker: Tracker,
        registry: Registry,
        functions: Mapping[str, StepFunction],
        parent_run_id: str | None,
    ) -> None:
        self.plan = plan
        self.settings = settings
        self.store = store
        self.tracker = tracker
        self.registry = registry
        self._functions = functions
        self.parent_run_id = parent_run_id
        self.results: dict[str, tuple[Artifact, bool]] = {}
        self._made: dict[str, Artifact] = {}

    def refusal(self, name: str) -> Refusal | None:
        """Why a step may not run now, or None: data that is blocked, a candidate not blessed.

        Raises:
            DataError: The step that decides has not run yet.
        """
        if name in NEEDS_VALID_DATA:
            verdict = self._published("validate", name)
            if verdict.value["blocked"]:
                return Refusal("validate", tuple(verdict.value["reasons"]))
        if name in ONLY_IF_BLESSED:
            verdict = self._published("bless", name)
            if verdict.value["verdict"] != "BLESSED":
                return Refusal("bless", tuple(verdict.value["reasons"]))
        return None

    def run_step(self, name: str) -> tuple[Artifact, bool]:
        """Runs a step, or takes its published artifact.

        Args:
            name: The step.

        Returns:
            The artifact, and True where it was cached.

        Raises:
            PlatformError: The step failed; nothing of it was published.
        """
        self.results[name] = self._run_or_take(name)
        return self.results[name]

    def _run_or_take(self, name: str) -> tuple[Artifact, bool]:
        planned = self.plan.step(name)
        unusable = planned.cached and self._unusable(planned.cached)
        if planned.cached is not None and not unusable:
            self._log_if_missed(planned.cached)
            emit(Event("cached", name, planned.reason, seconds=planned.cached.seconds))
            return planned.cached, True
        if name in self._made:  # a retry, after MLflow failed to take the record
            self._log_if_missed(self._made[name])
            emit(Event("done", name, seconds=self._made[name].seconds))
            return self._made[name], False
        if unusable:
            planned = replace(planned, cached=None, reason=unusable)
        inputs = {i: self._published(i, name) for i in planned.inputs}
        emit(Event("start", name, planned.reason))
        run_id = self._start_run(planned)
        began = time.monotonic()
        try:
            artifact = self._make(planned, inputs, run_id, began)
            self._made[name] = artifact
            self._log_record(artifact, run_id)
        except BaseException as err:
            emit(Event("failed", name, str(err), seconds=time.monotonic() - began))
            self.tracker.fail_run(run_id, err)
            raise
        self.tracker.finish_run(run_id, "FINISHED")
        release_memory()
        emit(Event("done", name, seconds=artifact.seconds))
        return artifact, False

    def _make(
        self, planned: PlannedStep, inputs: Mapping[str, Artifact], run_id: str, began: float
    ) -> Artifact:
        began_cpu = time.process_time()
        with self.store.write_aside(planned.name) as aside:
            context = StepContext(
                plan=self.plan,
                step=planned,
                settings=self.settings,
                registry=self.registry,
                store=self.store,
                inputs=inputs,
                out_dir=aside,
                pipeline_run_id=self.parent_run_id or run_id,
                run_id=run_id,
                tracker=self.tracker,
            )
            measured = planned.name in MEASURED
            system = self.tracker.system_metrics(run_id) if measured else nullcontext()
            with system, translate_os_errors(f"The step '{planned.name}'", self.store.root):
                value = self._functions[planned.name](context)
            return self.store.publish(
                aside,
                planned.name,
                planned.fingerprint,
                value,
                inputs={name: artifact.made_by for name, artifact in inputs.items()},
                seconds=time.monotonic() - began,
                mlflow_run_id=run_id,
                cpu_seconds=time.process_time() - began_cpu,
            )

    def _published(self, name: str, wanted_by: str) -> Artifact:
        found = self.store.find(name, self.plan.step(name).fingerprint)
        if found is None or self._is_stale(found):
            received = f"no artifact of '{name}' for this project, data and configuration"
            if found:
                received = f"an artifact of '{name}' made of what was made again since"
            raise DataError(
                f"The step '{wanted_by}' cannot run yet",
                received=received,
                expected=f"'{name}' has run before it",
                next_step=f"run it first (`benison step {name} PROJECT` or `mlflow run . -e {name}`"
                "), or the whole pipeline: `benison train PROJECT`",
            )
        return found

    def _unusable(self, artifact: Artifact) -> str | None:
        """Why it cannot be taken: its effect is gone, or what it was made of was made again."""
        gone = why_it_fell(artifact, self.registry)
        if gone is None and self._is_stale(artifact):
            return "what it was made of has changed"
        return gone

    def _is_stale(self, artifact: Artifact) -> bool:
        """True where what it was made of is gone, or was made again: a verdict on other weights."""
        seen = {artifact.step: artifact}
        queue = [artifact]
        while queue:
            for name, made_by in queue.pop().inputs.items():
                if name not in seen:
                    now = self.store.find(name, self.plan.step(name).fingerprint)
                    if now is None:
                        return True
                    seen[name] = now
                    queue.append(now)
                if seen[name].made_by != made_by:
                    return True
        return False

    def _start_run(self, planned: PlannedStep) -> str:
        tags = {
            STEP_TAG: planned.name,
            FINGERPRINT_TAG: planned.fingerprint,
            ROOT_TAG: str(self.store.root),
            f"{TAG}reason": planned.reason,
        }
        alone = self.settings.mlflow_run_id
        if self.parent_run_id is None and alone:
            self.tracker.set_tags(alone, tags)
            return alone
        return self.tracker.start_run(planned.name, tags, self.parent_run_id)

    def _log_record(self, artifact: Artifact, run_id: str) -> None:
        self.tracker.log_record(run_id, artifact.path)
        self.tracker.log_metrics(run_id, {"seconds": artifact.seconds})
        with translate_os_errors(f"Noting the record of step '{artifact.step}'", self.store.root):
            (artifact.path / RECORDED).write_text(self.parent_run_id or run_id, encoding="utf-8")

    def _log_if_missed(self, artifact: Artifact) -> None:
        """Logs the record of an artifact whose process died before it could."""
        if recorded_in(artifact):
            return
        planned = self.plan.step(artifact.step)
        run_id = self._start_run(planned)
        try:
            self._log_record(artifact, run_id)
        except BaseException as err:
            self.tracker.fail_run(run_id, err)
            raise
        self.tracker.finish_run(run_id, "FINISHED", {f"{TAG}logged_late": "true"})


def why_it_fell(artifact: Artifact, registry: Registry) -> str | None:
    """Why what a step did outside its folder no longer stands; None where it does.

    A champion alias that was moved to another version stands: a person did that. One that is gone
    does not: nothing would be served. Nor does a trial in a server that did not end well: a busy
    machine, or one whose Docker engine was away, says nothing of the next trial.
    """
    if artifact.step == "infra_validate" and artifact.value.get("verdict") != INFRA_BLESSED:
        return "the model did not pass its last trial"
    if artifact.step == "register":
        name, number = read_value(artifact, "name"), read_value(artifact, "version")
        stage = read_value(artifact, "stage")
        version = registry.version(name, number)
        if version is None:
            return f"version {number} is gone from the registry"
        if stage == Stage.PRODUCTION and registry.champion(name) is None:
            return f"no version of {name} is champion"
        now = version.tags.get(STAGE_TAG, stage)
        if stage not in (Stage.PRODUCTION, now):
            return f"version {number} went from {stage} to {now} since"
    if artifact.step == "export" and not Path(artifact.value["path"]).is_dir():
        return "the exported model is gone"
    return None


def recorded_in(artifact: Artifact) -> str | None:
    """The pipeline's MLflow run that an artifact is recorded in; None if that is still to do."""
    file = artifact.path / RECORDED
    return file.read_text(encoding="utf-8") if file.exists() else None


def start_pipeline_run(tracker: Tracker, plan: Plan, settings: Settings, root: Path) -> str:
    """Starts the pipeline's MLflow run (or takes the one of `mlflow run`), tagged with its plan.

    Returns:
        The MLflow run's id.
    """
    project = plan.project
    tags = {
        **code_tags(project.folder),
        ROOT_TAG: str(root),
        f"{TAG}project": project.config.name,
        f"{TAG}module_digest": plan.digests.module,
        f"{TAG}source_digest": plan.digests.source,
        f"{TAG}baseline": str(plan.baseline.version) if plan.baseline else "none",
        "mlflow.note.content": project.config.description,
    }
    if settings.mlflow_run_id:
        run_id = settings.mlflow_run_id
        tracker.set_tags(run_id, tags)
    else:
        run_id = tracker.start_run(f"{project.config.name} pipeline", tags)
    tracker.log_text(run_id, project.config_text(), CONFIG_FILE)
    return run_id
