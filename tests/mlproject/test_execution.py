"""A pipeline run: cached or run, published before it is recorded, refused where a gate says no."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from mlproject.artifacts import ArtifactStore
from mlproject.chain import STEPS, PlannedStep
from mlproject.config import Project, parse_config
from mlproject.digests import Digests
from mlproject.errors import DataError, StorageError, TrackingError
from mlproject.execution import (
    RECORDED,
    PipelineRun,
    Refusal,
    StepContext,
    recorded_in,
    start_pipeline_run,
    why_it_fell,
)
from mlproject.plan import Plan
from mlproject.progress import Event, emit, listening
from mlproject.registry import VersionInfo
from mlproject.registry.names import STAGE_TAG
from mlproject.settings import Settings, read_settings
from mlproject.tracking import Tracker

CONFIG = "name: taxi\nmodule: taxi.py\ndata: {path: x.csv}\ntraining: {label: y}\n"
INPUTS = {
    "transform": ("ingest",),
    "train": ("transform",),
    "evaluate": ("train",),
    "infra_validate": ("train",),
    "bless": ("evaluate", "infra_validate"),
    "register": ("train", "bless"),
}
UP_TO_BLESS = (
    *("ingest", "validate", "transform", "train"),
    *("evaluate", "infra_validate", "bless"),
)


@dataclass
class Runs:
    """MLflow runs, kept in memory; `broken` names what fails as a server that is gone does."""

    broken: set[str] = field(default_factory=set)
    status: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    parents: dict[str, str | None] = field(default_factory=dict)
    records: list[tuple[str, Path]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    measured: list[str] = field(default_factory=list)

    def _answer(self, call: str) -> None:
        if call in self.broken:
            raise TrackingError(f"{call} failed", next_step="start the server")

    def start_run(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        self._answer("start_run")
        run_id = f"{name}-{len(self.status)}"
        self.status[run_id], self.tags[run_id] = "RUNNING", dict(tags)
        self.parents[run_id] = parent
        return run_id

    fail_run = Tracker.fail_run  # the real one, over what stands in here

    def finish_run(self, run_id: str, status: str, tags: Mapping[str, str] | None = None) -> None:
        self._answer("finish_run")
        self.status[run_id] = status
        self.tags.setdefault(run_id, {}).update(tags or {})

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(run_id, {}).update(tags)

    def log_record(self, run_id: str, folder: Path) -> None:
        self._answer("log_record")
        assert (folder / "artifact.json").exists(), "recorded before it was published"
        self.records.append((run_id, folder))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        self._answer("log_metrics")

    @contextlib.contextmanager
    def system_metrics(self, run_id: str) -> Iterator[None]:
        assert self.status.get(run_id, "RUNNING") == "RUNNING"
        self.measured.append(run_id)
        yield

    def log_text(self, run_id: str, text: str, file: str) -> None:
        self.texts[file] = text


@dataclass
class Versions:
    """Registered versions, by number."""

    known: set[int] = field(default_factory=set)
    champion_version: int | None = 3
    stages: dict[int, str] = field(default_factory=dict)

    def champion(self, name: str) -> VersionInfo | None:
        return self.version(name, self.champion_version) if self.champion_version else None

    def version(self, name: str, number: int) -> VersionInfo | None:
        tags = {STAGE_TAG: self.stages.get(number, "production")}
        return VersionInfo(name, number, tags, None) if number in self.known else None


class Bench:
    """Everything that a run needs: a real store, and stand-ins for MLflow and the steps."""

    def __init__(self, folder: Path) -> None:
        self.store = ArtifactStore(folder / "root")
        self.settings = read_settings({}, folder)
        self.runs = Runs()
        self.versions = Versions()
        self.calls: list[str] = []
        self.values: dict[str, Mapping[str, Any]] = {name: {"made by": name} for name in STEPS}
        self.values["validate"] = {"blocked": False, "reasons": []}
        self.values["infra_validate"] = {"verdict": "INFRA_BLESSED", "reasons": []}
        self.values["bless"] = {"verdict": "BLESSED", "reasons": []}
        self.on_call: Callable[[StepContext], None] = lambda context: None

    def plan(self, *forced: str) -> Plan:
        steps = []
        for name in STEPS:
            found = None if name in forced else self.store.find(name, f"{name}-key")
            inputs = {i: f"{i}-key" for i in INPUTS.get(name, ())}
            steps.append(PlannedStep(name, f"{name}-key", inputs, found, "because"))
        project = Project(
            folder=self.store.root.parent, config=parse_config(CONFIG, "project.yaml")
        )
        return Plan(
            project,
            tuple(steps),
            (),
            Digests("source", "module"),
            ((None, "trips.csv"),),
            (),
            None,
        )

    def run(
        self, *forced: str, parent: str | None = "pipeline", settings: Settings | None = None
    ) -> PipelineRun:
        def call(context: StepContext) -> Mapping[str, Any]:
            name = context.step.name
            self.calls.append(name)
            (context.out_dir / "data.txt").write_text(f"{name} {len(self.calls)}")
            self.on_call(context)
            return self.values[name]

        return PipelineRun(
            self.plan(*forced),
            settings or self.settings,
            self.store,
            cast("Any", self.runs),
            cast("Any", self.versions),
            dict.fromkeys(STEPS, call),
            parent,
        )

    def prepare(self) -> None:
        """Runs every step up to the blessing."""
        run = self.run()
        for step in UP_TO_BLESS:
            run.run_step(step)

    def data(self, step: str) -> str | None:
        found = self.store.find(step, f"{step}-key")
        return (found.path / "data.txt").read_text() if found else None


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def events() -> Iterator[list[Event]]:
    heard: list[Event] = []
    with listening(heard.append):
        yield heard


def kinds(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.step) for event in events]


def test_a_step_runs_is_published_and_is_recorded(bench: Bench, events: list[Event]) -> None:
    run = bench.run()
    artifact, cached = run.run_step("ingest")
    assert not cached
    assert artifact == bench.store.find("ingest", "ingest-key")
    assert artifact.value == {"made by": "ingest"}
    assert run.results == {"ingest": (artifact, False)}
    assert artifact.mlflow_run_id is not None
    assert bench.runs.records == [(artifact.mlflow_run_id, artifact.path)]
    assert bench.runs.status == {artifact.mlflow_run_id: "FINISHED"}
    assert bench.runs.parents == {artifact.mlflow_run_id: "pipeline"}
    assert recorded_in(artifact) == "pipeline"
    assert kinds(events) == [("start", "ingest"), ("done", "ingest")]


def test_the_mlflow_run_says_which_artifact_it_is_of(bench: Bench) -> None:
    bench.run().run_step("ingest")
    (tags,) = bench.runs.tags.values()
    assert tags["benison.step"] == "ingest"
    assert tags["benison.fingerprint"] == "ingest-key"
    assert tags["benison.pipeline_root"] == str(bench.store.root)
    assert tags["benison.reason"] == "because"


def test_a_step_whose_artifact_stands_is_not_run(bench: Bench, events: list[Event]) -> None:
    first, _ = bench.run().run_step("ingest")
    events.clear()
    second, cached = bench.run().run_step("ingest")
    assert (second, cached) == (first, True)
    assert bench.calls == ["ingest"]
    assert len(bench.runs.records) == 1
    assert kinds(events) == [("cached", "ingest")]
    assert events[0].seconds == first.seconds


def test_a_step_gets_its_inputs_an_empty_folder_and_its_place(
    bench: Bench, events: list[Event]
) -> None:
    seen: list[StepContext] = []
    run = bench.run()
    ingest, _ = run.run_step("ingest")
    bench.on_call = seen.append
    run.run_step("transform")
    (context,) = seen
    assert context.inputs == {"ingest": ingest}
    assert context.step.name == "transform"
    assert context.project is run.plan.project
    assert context.pipeline_run_id == "pipeline"
    assert not context.out_dir.exists()  # renamed into place
    context.rows(7)
    context.note("half")
    assert [(e.kind, e.step, e.rows, e.text) for e in events[-2:]] == [
        ("rows", "transform", 7, ""),
        ("note", "transform", 0, "half"),
    ]


def test_a_forced_step_replaces_its_artifact(bench: Bench) -> None:
    bench.run().run_step("ingest")
    _, cached = bench.run("ingest").run_step("ingest")
    assert not cached
    assert bench.data("ingest") == "ingest 2"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("a bug"), "FAILED"),
        (DataError("bad"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
)
def test_a_step_that_fails_publishes_nothing_and_marks_its_run(
    bench: Bench, events: list[Event], error: BaseException, status: str
) -> None:
    def fail(context: StepContext) -> None:
        raise error

    bench.on_call = fail
    run = bench.run()
    with pytest.raises(type(error)) as caught:
        run.run_step("ingest")
    assert caught.value is error
    assert bench.store.find("ingest", "ingest-key") is None
    assert list(bench.store.root.glob("*/*")) == []
    assert run.results == {}
    assert list(bench.runs.status.values()) == [status]
    (tags,) = bench.runs.tags.values()
    assert tags["benison.error"] == f"{type(error).__name__}: {error}"
    assert kinds(events) == [("start", "ingest"), ("failed", "ingest")]


def test_a_forced_step_that_fails_leaves_the_artifact_before_it(bench: Bench) -> None:
    bench.run().run_step("ingest")

    def fail(context: StepContext) -> None:
        raise DataError("bad")

    bench.on_call = fail
    with pytest.raises(DataError):
        bench.run("ingest").run_step("ingest")
    assert bench.data("ingest") == "ingest 1"


def test_a_disk_that_fills_up_in_a_step_is_a_storage_error(bench: Bench) -> None:
    def fail(context: StepContext) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bench.on_call = fail
    with pytest.raises(StorageError, match="The step 'ingest' failed: the disk is full"):
        bench.run().run_step("ingest")


def test_a_failure_of_mlflow_does_not_hide_the_step_s_own(
    bench: Bench, events: list[Event]
) -> None:
    bench.runs.broken = {"finish_run"}

    def fail(context: StepContext) -> None:
        raise DataError("the first error")

    bench.on_call = fail
    with pytest.raises(DataError, match="the first error"):
        bench.run().run_step("ingest")
    assert (events[-1].kind, events[-1].text) == ("failed", "the first error.")


def test_a_server_that_is_gone_at_the_start_runs_nothing(bench: Bench) -> None:
    bench.runs.broken = {"start_run"}
    with pytest.raises(TrackingError):
        bench.run().run_step("ingest")
    assert bench.calls == []


@pytest.mark.parametrize("broken", ["log_record", "log_metrics"])
def test_a_record_that_was_missed_is_logged_late_and_the_step_is_not_run_again(
    bench: Bench, broken: str
) -> None:
    bench.runs.broken = {broken}
    with pytest.raises(TrackingError):
        bench.run().run_step("ingest")
    assert list(bench.runs.status.values()) == ["FAILED"]
    kept = bench.store.find("ingest", "ingest-key")
    assert kept is not None
    assert recorded_in(kept) is None

    bench.runs.broken = set()
    artifact, cached = bench.run(parent="next pipeline").run_step("ingest")
    assert (artifact, cached) == (kept, True)
    assert bench.calls == ["ingest"]
    run_id, folder = bench.runs.records[-1]
    assert folder == kept.path
    assert bench.runs.tags[run_id]["benison.logged_late"] == "true"
    assert bench.runs.status[run_id] == "FINISHED"
    assert recorded_in(kept) == "next pipeline"

    logged = len(bench.runs.records)
    bench.run().run_step("ingest")
    assert len(bench.runs.records) == logged


@pytest.mark.parametrize("forced", [(), ("ingest",)])
def test_a_retry_within_the_run_logs_the_record_and_does_not_run_the_step_again(
    bench: Bench, events: list[Event], forced: tuple[str, ...]
) -> None:
    if forced:
        bench.run().run_step("ingest")
    bench.calls.clear()
    run = bench.run(*forced)
    bench.runs.broken = {"log_record"}
    for _ in range(2):
        with pytest.raises(TrackingError):
            run.run_step("ingest")
    bench.runs.broken = set()
    artifact, cached = run.run_step("ingest")
    assert not cached
    assert bench.calls == ["ingest"]
    assert recorded_in(artifact) == "pipeline"
    assert set(bench.runs.status.values()) <= {"FAILED", "FINISHED"}
    assert kinds(events)[-1] == ("done", "ingest")


def test_a_late_record_that_fails_leaves_no_run_open(bench: Bench) -> None:
    bench.runs.broken = {"log_record"}
    for _ in range(2):
        with pytest.raises(TrackingError):
            bench.run().run_step("ingest")
    assert list(bench.runs.status.values()) == ["FAILED", "FAILED"]


def test_an_empty_note_of_the_record_counts_as_none(bench: Bench) -> None:
    artifact, _ = bench.run().run_step("ingest")
    (artifact.path / RECORDED).write_text("")  # what a full disk leaves
    bench.run(parent="next pipeline").run_step("ingest")
    assert recorded_in(artifact) == "next pipeline"


def test_a_disk_that_is_full_when_the_record_is_noted_is_a_storage_error(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def fail(path: Path, *args: Any, **more: Any) -> int:
        if path.name == RECORDED:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(path, *args, **more)

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(StorageError, match="the disk is full"):
        bench.run().run_step("ingest")
    assert bench.data("ingest") == "ingest 1"


def test_a_missing_input_names_the_command_that_makes_it(bench: Bench) -> None:
    with pytest.raises(DataError) as caught:
        bench.run().run_step("transform")
    assert "The step 'transform' cannot run yet" in str(caught.value)
    assert "`benison step ingest PROJECT`" in str(caught.value)
    assert "`benison train PROJECT`" in str(caught.value)
    assert bench.runs.status == {}
    assert bench.calls == []


AFTER_VALIDATION = STEPS[STEPS.index("validate") + 1 :]
AFTER_BLESSING = ("register", "export", "serve")


@pytest.mark.parametrize("step", ["ingest", "statistics", "schema", "validate"])
def test_the_steps_up_to_validation_are_never_refused(bench: Bench, step: str) -> None:
    assert bench.run().refusal(step) is None


@pytest.mark.parametrize("step", AFTER_VALIDATION)
def test_data_that_is_blocked_refuses_every_later_step(bench: Bench, step: str) -> None:
    bench.values["validate"] = {"blocked": True, "reasons": ["tips is missing"]}
    bench.prepare()
    run = bench.run()
    assert run.refusal(step) == Refusal("validate", ("tips is missing",))


@pytest.mark.parametrize("step", AFTER_VALIDATION)
def test_data_that_was_not_validated_refuses_every_later_step(bench: Bench, step: str) -> None:
    with pytest.raises(DataError, match="`benison step validate PROJECT`"):
        bench.run().refusal(step)


@pytest.mark.parametrize("verdict", ["NOT_BLESSED", "NOT_VALIDATED", ""])
@pytest.mark.parametrize("step", AFTER_BLESSING)
def test_a_candidate_that_is_not_blessed_goes_no_further(
    bench: Bench, step: str, verdict: str
) -> None:
    bench.values["bless"] = {"verdict": verdict, "reasons": ["auc is low"]}
    bench.prepare()
    run = bench.run()
    assert run.refusal(step) == Refusal("bless", ("auc is low",))
    assert run.refusal("train") is None


@pytest.mark.parametrize("step", AFTER_BLESSING)
def test_a_candidate_that_was_not_judged_goes_no_further(bench: Bench, step: str) -> None:
    run = bench.run()
    run.run_step("validate")
    with pytest.raises(DataError, match="`benison step bless PROJECT`"):
        run.refusal(step)


@pytest.mark.parametrize("step", AFTER_VALIDATION)
def test_good_data_and_a_blessing_refuse_nothing(bench: Bench, step: str) -> None:
    bench.prepare()
    run = bench.run()
    assert run.refusal(step) is None


@pytest.mark.parametrize("again", ["ingest", "transform", "train", "evaluate"])
@pytest.mark.parametrize("step", AFTER_BLESSING)
def test_a_blessing_does_not_speak_for_what_was_made_again_since(
    bench: Bench, step: str, again: str
) -> None:
    bench.prepare()
    assert bench.run().refusal(step) is None
    bench.run(again).run_step(again)
    with pytest.raises(DataError) as caught:
        bench.run().refusal(step)
    assert "an artifact of 'bless' made of what was made again since" in str(caught.value)
    assert "`benison step bless PROJECT`" in str(caught.value)


def test_a_step_does_not_run_on_an_input_that_is_stale(bench: Bench) -> None:
    bench.prepare()
    bench.run("ingest").run_step("ingest")
    with pytest.raises(DataError, match="an artifact of 'transform' made of what was made again"):
        bench.run("train").run_step("train")
    bench.run("transform").run_step("transform")
    bench.run("train").run_step("train")


def test_a_registered_version_that_is_gone_is_registered_again(bench: Bench) -> None:
    bench.values["register"] = {"name": "taxi", "version": 3, "stage": "production"}
    bench.prepare()
    bench.run().run_step("register")
    assert bench.calls.count("register") == 1
    bench.run().run_step("register")
    assert bench.calls.count("register") == 2
    bench.versions.known = {3}
    assert bench.run().run_step("register")[1] is True
    assert bench.calls.count("register") == 2


def test_a_registration_without_a_champion_is_made_again(bench: Bench) -> None:
    bench.values["register"] = {"name": "taxi", "version": 3, "stage": "production"}
    bench.versions.known = {3, 4}
    bench.prepare()
    bench.run().run_step("register")
    bench.versions.champion_version = 4  # a person moved the alias
    assert bench.run().run_step("register")[1] is True
    bench.versions.champion_version = None  # a person deleted it
    assert bench.run().run_step("register")[1] is False


def test_a_version_that_left_staging_is_registered_again(bench: Bench) -> None:
    bench.values["register"] = {"name": "taxi", "version": 4, "stage": "staging"}
    bench.versions.known, bench.versions.stages = {3, 4}, {4: "staging"}
    bench.prepare()
    bench.run().run_step("register")
    assert bench.run().run_step("register")[1] is True
    bench.versions.stages[4] = "rejected"  # by a person
    assert bench.run().run_step("register")[1] is False
    bench.values["register"] = {"name": "taxi", "version": 4, "stage": "rejected"}
    assert bench.run().run_step("register")[1] is False
    assert bench.run().run_step("register")[1] is True


def test_an_exported_model_that_is_gone_is_exported_again(bench: Bench, tmp_path: Path) -> None:
    target = tmp_path / "serving" / "3"
    target.mkdir(parents=True)
    bench.values["export"] = {"path": str(target)}
    artifact, _ = bench.run().run_step("export")
    assert why_it_fell(artifact, cast("Any", bench.versions)) is None
    assert bench.run().run_step("export")[1] is True
    target.rmdir()
    assert bench.run().run_step("export")[1] is False


@pytest.mark.parametrize("verdict", ["NOT_VALIDATED", "INFRA_NOT_BLESSED"])
def test_a_trial_that_did_not_pass_is_held_again_and_judged_again(
    verdict: str, bench: Bench
) -> None:
    bench.values["infra_validate"] = {"verdict": verdict, "reasons": ["the machine was busy"]}
    bench.prepare()
    bench.values["infra_validate"] = {"verdict": "INFRA_BLESSED", "reasons": []}
    bench.prepare()
    assert bench.calls.count("evaluate") == 1
    assert (bench.calls.count("infra_validate"), bench.calls.count("bless")) == (2, 2)
    bench.prepare()
    assert (bench.calls.count("infra_validate"), bench.calls.count("bless")) == (2, 2)


def test_a_step_alone_logs_to_a_run_of_its_own(bench: Bench) -> None:
    artifact, _ = bench.run(parent=None).run_step("ingest")
    assert list(bench.runs.parents.values()) == [None]
    assert recorded_in(artifact) == artifact.mlflow_run_id


def test_a_step_under_mlflow_run_logs_to_that_run(bench: Bench) -> None:
    settings = replace(bench.settings, mlflow_run_id="from mlflow run")
    artifact, _ = bench.run(parent=None, settings=settings).run_step("ingest")
    assert artifact.mlflow_run_id == "from mlflow run"
    assert bench.runs.parents == {}
    assert bench.runs.tags["from mlflow run"]["benison.step"] == "ingest"


@pytest.mark.parametrize("given", [None, "from mlflow run"])
def test_a_pipeline_s_run_says_what_went_into_it(bench: Bench, given: str | None) -> None:
    settings = replace(bench.settings, mlflow_run_id=given)
    plan = replace(bench.plan(), baseline=VersionInfo("taxi", 4, {}, None))
    run_id = start_pipeline_run(cast("Any", bench.runs), plan, settings, bench.store.root)
    assert (run_id == given) is (given is not None)
    tags = bench.runs.tags[run_id]
    assert tags["benison.source_digest"] == "source"
    assert tags["benison.module_digest"] == "module"
    assert tags["benison.baseline"] == "4"
    assert tags["benison.pipeline_root"] == str(bench.store.root)
    assert '"label": "y"' in bench.runs.texts["config.json"]


def test_events_reach_every_listener_only_while_it_listens() -> None:
    first: list[Event] = []
    second: list[Event] = []
    with listening(first.append):
        with contextlib.suppress(ZeroDivisionError), listening(second.append):
            emit(Event("note", "train", "a"))
            raise ZeroDivisionError
        emit(Event("note", "train", "b"))
    emit(Event("note", "train", "c"))
    assert [event.text for event in first] == ["a", "b"]
    assert [event.text for event in second] == ["a"]


def test_the_machine_is_watched_while_it_trains_and_else_not(bench: Bench) -> None:
    bench.prepare()
    assert [run_id.partition("-")[0] for run_id in bench.runs.measured] == ["train"]


def test_a_killed_step_finds_its_state_again_and_a_published_one_leaves_none(bench: Bench) -> None:
    seen: list[bool] = []

    def fail_once(context: StepContext) -> None:
        seen.append(context.state_dir.exists())
        context.state_dir.mkdir(parents=True, exist_ok=True)
        if len(seen) == 1:
            raise KeyboardInterrupt

    bench.on_call = fail_once
    with pytest.raises(KeyboardInterrupt):
        bench.run().run_step("ingest")
    bench.run().run_step("ingest")
    assert seen == [False, True]
    assert not bench.store.state_dir("ingest", "ingest-key").exists()


def test_a_step_knows_its_own_run_and_the_pipeline_s(bench: Bench) -> None:
    contexts: list[StepContext] = []
    bench.on_call = contexts.append
    artifact, _ = bench.run().run_step("ingest")
    assert contexts[0].run_id == artifact.mlflow_run_id
    assert contexts[0].pipeline_run_id == "pipeline"
