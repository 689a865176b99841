"""The step `tune`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlproject.artifacts import fingerprint
from mlproject.errors import ConfigError
from mlproject.execution import StepContext
from mlproject.progress import Event, emit
from mlproject.record import Record, figures_folder
from mlproject.schema import SCHEMA_FILE
from mlproject.sections import TuningSection
from mlproject.tracking import ROOT_TAG, TAG
from mlproject.tuning.digest import NOT_OF_TRIALS, TUNED_CODE, space_digest

AGAIN = ("--force", "--from")


def run_tune(ctx: StepContext) -> Mapping[str, Any]:
    """Transformed rows to the best hyperparameters that a study of trainings finds."""
    from mlproject.tuning.figures import draw_figures
    from mlproject.tuning.job import Listener, TuneJob
    from mlproject.tuning.results import trial_rows, write_results
    from mlproject.tuning.tuner import tune

    config, codes = ctx.project.config, ctx.plan.digests.code
    section = config.tuning or TuningSection()
    job = TuneJob(
        study=study_name(ctx),
        new=ctx.step.reason.startswith(AGAIN),
        section=section,
        request=_request(ctx),
        module_path=ctx.project.module_path,
        code={name: codes[name] for name in TUNED_CODE if name in codes},
        settings=ctx.settings,
        experiment=config.name,
        run_id=ctx.run_id,
        tags={ROOT_TAG: str(ctx.settings.pipeline_root)},
        work_dir=ctx.state_dir / "trials",
    )
    study = tune(
        job, Listener(ctx.note, lambda text: emit(Event("live", ctx.step.name, text=text)))
    )
    found = write_results(study, section.objective, ctx.out_dir)
    for note in draw_figures(study, section.objective, figures_folder(ctx.out_dir)):
        ctx.note(note)
    _record(section, found, trial_rows(study), ctx.plan.digests.module).write(ctx.out_dir)
    return {**found, "project": config.name, "space": space_digest(config, codes)}


def study_name(ctx: StepContext) -> str:
    """The study of this data, code, space and training.

    How many trials there are, and how they are run, does not count: with more trials the study
    goes on.
    """
    config = ctx.project.config
    parts = {
        "inputs": dict(ctx.step.inputs),
        "space": space_digest(config, ctx.plan.digests.code),
        "training": config.training.model_dump(mode="json", exclude=NOT_OF_TRIALS),
    }
    return f"{config.name}-{fingerprint(parts)}"


def _request(ctx: StepContext) -> Any:
    """What a trial trains from: as the step `train` does."""
    from mlproject.training import TrainRequest

    section = ctx.project.config.training
    if section.distribute == "multi_worker":
        raise ConfigError(
            "Tuning failed",
            received="training.distribute multi_worker",
            expected="`none` or `mirrored`: a trial trains on one machine, and several machines "
            "share a study's trials",
        )
    return TrainRequest.from_section(
        section, ctx.inputs["transform"].path, ctx.inputs["schema"].path / SCHEMA_FILE
    )


def _record(
    section: TuningSection,
    found: Mapping[str, Any],
    rows: list[dict[str, Any]],
    module_digest: str,
) -> Record:
    states = [row["state"] for row in rows]
    best = {f"best.{name}": value for name, value in found["hyperparameters"].items()}
    table = []
    for row in rows:
        params = json.loads(row["params"])
        plain = {n: json.dumps(v) if isinstance(v, list) else v for n, v in params.items()}
        table.append({n: v for n, v in row.items() if n != "params"} | plain)
    return Record(
        params={
            "study": found["study"],
            **section.model_dump(mode="json", include={"objective", "direction", "trials"}),
            **section.model_dump(mode="json", include={"sampler", "pruner", "seed"}),
            **best,
        },
        metrics={
            f"best_{section.objective}": found["value"],
            **{f"trials_{state}": states.count(state) for state in ("complete", "pruned", "fail")},
        },
        tags={f"{TAG}module_digest": module_digest},
        tables={"trials.json": _even(table)},
    )


def _even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the same columns: a `tuner_fn` need not suggest the same names each time."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in columns} for row in rows]
