"""Looks for a project's hyperparameters by hand, and shows what was found: `benison tune`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from flows.console import Display
from flows.options import data_of
from flows.pipeline import Request, open_run
from mlproject.artifacts import Artifact, ArtifactStore
from mlproject.chain import STEPS
from mlproject.config import Project
from mlproject.errors import ConfigError
from mlproject.outcome import EXIT_CODES
from mlproject.plan_inputs import tuned_by_hand
from mlproject.progress import Event, listening
from mlproject.sections import TuningSection
from mlproject.settings import read_settings

if TYPE_CHECKING:
    from mlproject.execution import PipelineRun, Refusal

STEP = "tune"
BEFORE = STEPS[: STEPS.index(STEP)]
SHOWN = 5  # of the best trials


@dataclass(frozen=True)
class TuneRequest(Request):
    """What a person asked `benison tune` for.

    Attributes:
        trials: Instead of `tuning.trials`; None for that.
        parallel: Instead of `tuning.parallel`.
        timeout_s: Instead of `tuning.timeout_s`.
    """

    trials: int | None = None
    parallel: int | None = None
    timeout_s: float | None = None

    def load(self) -> Project:
        """The project, its section `tuning` as asked for.

        Raises:
            ConfigError: The project is wrong, or says nothing about tuning.
        """
        project = super().load()
        section = project.config.tuning
        if section is None:
            raise ConfigError(
                "Tuning failed: the project does not say what to tune",
                received="project.yaml without the section `tuning`",
                expected="`tuning: {space: {learning_rate: {low: 1e-4, high: 1e-2, log: true}}}`, "
                "or `tuning: {}` and a function `tuner_fn(trial)` in the module file",
                next_step="see docs/tuning.md",
            )
        asked = {n: getattr(self, n) for n in ("trials", "parallel", "timeout_s")}
        given = {name: value for name, value in asked.items() if value is not None}
        tuning = TuningSection.model_validate(section.model_dump() | given)
        config = project.config.model_copy(update={"tuning": tuning})
        return project.model_copy(update={"config": config})


class TuneDisplay(Display):
    """The steps, and a line for each trial above them."""

    def __call__(self, event: Event) -> None:
        """Takes one event."""
        if event.kind == "note" and event.step == STEP and self.console.is_terminal:
            self.console.print(f"  {event.text}", soft_wrap=True)
        super().__call__(event)


def tune(args: argparse.Namespace) -> int:
    """Runs the steps before it as far as they are needed, tunes, and prints the result."""
    from flows.logs import quiet

    request = TuneRequest(
        args.project,
        data_of(args),
        from_step=STEP if args.force else "",
        span=args.span,
        trials=args.trials,
        parallel=args.parallel,
        timeout_s=args.timeout_s,
    )
    settings = read_settings()
    with quiet(settings.home, STEP, args.verbose) as (stream, log):
        refused, artifact, url = _tune(request, stream)
    if refused is not None or artifact is None:
        reasons = refused.reasons if refused else ()
        print("Nothing was tuned: the data is blocked", file=sys.stderr)
        print("\n".join(f"- {reason}" for reason in reasons), file=sys.stderr)
        return EXIT_CODES["blocked"]
    _show(artifact)
    taken = _taken(artifact, request.load(), ArtifactStore(settings.pipeline_root))
    print(f"Next     benison train {args.project}   {taken}")
    print(f"MLflow   {url}")
    if log:
        print(f"Log      {log}")
    return 0


def _tune(
    request: TuneRequest, stream: IO[str]
) -> tuple[Refusal | None, Artifact | None, str | None]:
    """Tunes; why it may not, the artifact, and where its run is to be seen."""
    display = TuneDisplay(stream, f"{request.project}: tune", (*BEFORE, STEP))
    with display, listening(display), open_run(request, alone=True) as pipeline:
        for name in (*BEFORE, STEP):
            refused = pipeline.refusal(name)
            if refused is not None:
                return refused, None, None
            artifact = pipeline.run_step(name)[0]
        return None, artifact, _link(pipeline, artifact)


def _link(pipeline: PipelineRun, artifact: Artifact) -> str | None:
    run_id = artifact.mlflow_run_id
    return pipeline.tracker.run_link(run_id) if run_id else None


def _show(artifact: Artifact) -> None:
    """Prints the best trials and the best hyperparameters."""
    from rich.console import Console

    from mlproject.tuning.results import read_trials

    console, value = Console(highlight=False, markup=False, emoji=False), artifact.value
    rows = read_trials(artifact.path)
    console.print(_table(rows, value))
    states = [row["state"] for row in rows]
    print(
        f"Trials   {len(rows)}: {states.count('complete')} complete, {states.count('pruned')} "
        f"pruned, {states.count('fail')} failed; study {value['study']}"
    )
    print(f"Best     {value['objective']} {value['value']:.6g} in trial {value['trial']}")
    for name, best in value["hyperparameters"].items():
        print(f"           {name}: {json.dumps(best)}")
    print(f"Figures  {artifact.path / 'figures'}")


def _taken(artifact: Artifact, project: Project, store: ArtifactStore) -> str:
    """Which hyperparameters the next training takes, in words."""
    tuning = project.config.tuning
    if tuning is not None and tuning.when == "every_run":
        return "tunes in every run, and takes what it finds (tuning.when: every_run)"
    newest = tuned_by_hand(store, project.config.name, artifact.value["space"])
    if newest is not None and newest.uri != artifact.uri:  # this one was cached
        return f"takes a newer result: {newest.path / 'best.json'} (--force tunes anew)"
    return "takes them"


def _table(rows: Sequence[Mapping[str, Any]], value: Mapping[str, Any]) -> Any:
    """The best complete trials: value, epochs, seconds and hyperparameters."""
    from rich.table import Table
    from rich.text import Text

    sign = -1.0 if value["direction"] == "maximize" else 1.0
    complete = [row for row in rows if row["state"] == "complete"]
    best = sorted(complete, key=lambda row: (sign * row["value"], row["number"]))[:SHOWN]
    names = list(dict.fromkeys(name for row in best for name in row["params"]))
    table = Table(box=None, pad_edge=False)
    for head in ("trial", value["objective"], "epochs", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for name in names:
        table.add_column(Text(name))
    for row in best:
        table.add_row(
            str(row["number"]),
            f"{row['value']:.6g}",
            str(row["epochs"]),
            f"{row['seconds']:.1f}",
            *(Text(_cell(row["params"].get(name))) for name in names),
        )
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
