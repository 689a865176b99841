"""`benison data`: a look at a project's data. Here `data profile`, which writes an HTML report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.options import add_data, add_project, add_verbose, data_of
from mlproject.errors import ConfigError, closest

if TYPE_CHECKING:
    from mlproject.anomalies import Anomaly
    from mlproject.artifacts import Artifact
    from mlproject.execution import PipelineRun
    from mlproject.profile import Side

STEPS = ("ingest", "statistics")
SPAN = "span:"


def add_parser(commands: Any) -> None:
    """Adds `data` and its leaves.

    Args:
        commands: The subparsers of `benison`.
    """
    from flows import bad_rows_command

    group = commands.add_parser("data", help="look at a project's data")
    leaves = group.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    _add_profile(leaves)
    bad_rows_command.add_leaf(leaves)


def _add_profile(leaves: Any) -> None:
    leaf = leaves.add_parser(
        "profile",
        help="write an HTML report: distributions, drift, anomalies, correlations",
        description="One HTML file without anything beside it, also logged to MLflow. Ingest and "
        "statistics are taken as they were published, or run if they are not there.",
    )
    add_project(leaf)
    leaf.add_argument("--split", metavar="SPLIT", help="the split to show (default eval)")
    leaf.add_argument(
        "--against",
        metavar="SPLIT|span:N",
        help="another split (`serving` for the rows of validation.serving_path), or a span of "
        "this one: a number, or a date as YYYY-MM-DD",
    )
    leaf.add_argument(
        "--label",
        metavar="COLUMN",
        help="the column whose association with the others is shown (default: the project's label)",
    )
    leaf.add_argument(
        "--out", metavar="FILE", default="profile.html", help="file to write (default profile.html)"
    )
    leaf.add_argument("--open", action="store_true", help="open it in the browser")
    add_data(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=profile)


def profile(args: argparse.Namespace) -> int:
    """Writes the profile of a split, and logs it to MLflow."""
    from flows.console import Display
    from flows.logs import quiet
    from flows.pipeline import Request, open_run
    from mlproject.progress import listening
    from mlproject.settings import read_settings

    out = Path(args.out).absolute()
    request = Request(args.project, data_of(args))
    settings = read_settings()
    with quiet(settings.home, "profile", args.verbose) as (stream, _):
        display = Display(stream, f"{args.project}: profile", STEPS)
        with display, listening(display), open_run(request, alone=True) as run:
            url = _write(run, args.split, args.against, args.label, out)
    print(out)
    print(f"MLflow   {url}")
    if args.open:
        import webbrowser

        webbrowser.open(out.as_uri())
    return 0


def _write(
    run: PipelineRun, split: str | None, against: str | None, label: str | None, out: Path
) -> str:
    """Makes the profile from the newest artifacts; returns the MLflow run's link."""
    from mlproject.profile import PROFILE_FILE, write_profile
    from mlproject.tracking import ROOT_TAG, TAG

    examples, statistics = (run.run_step(step)[0] for step in STEPS)
    project = run.plan.project
    splits: Sequence[str] = statistics.value["splits"]
    name = _default(splits) if split is None else _known(split, splits)
    shown = _side(examples, statistics, name)
    other = _against(against, name, splits, examples, statistics) if against else None
    if label is not None:
        _known(label, [column for column, _ in examples.value["columns"]], "column")
    title = f"{project.config.name}: {shown.name}"
    if other is not None:
        title += f" against {other.name}"
    tags = {f"{TAG}profile": title, ROOT_TAG: str(run.store.root)}
    run_id = run.tracker.start_run("profile", tags)
    try:
        write_profile(
            out,
            title,
            shown,
            other,
            label=label or project.config.training.label,
            anomalies=_anomalies(run, shown, splits, statistics),
            facts=_facts(run, examples, splits),
        )
        run.tracker.log_text(run_id, out.read_text(encoding="utf-8"), PROFILE_FILE)
    except BaseException as err:
        run.tracker.fail_run(run_id, err)
        raise
    run.tracker.finish_run(run_id, "FINISHED")
    return run.tracker.run_link(run_id)


def _against(
    text: str, split: str, splits: Sequence[str], examples: Artifact, statistics: Artifact
) -> Side:
    from mlproject.anomalies import SERVING_SPLIT
    from mlproject.examples.spans import span_number

    if text == split:
        raise ConfigError(
            "There is nothing to compare",
            received=f"--against {text}, which is the split that is shown",
            expected="another split, or span:N",
        )
    if not text.startswith(SPAN):
        serving = (SERVING_SPLIT,) if statistics.value.get("serving") else ()
        return _side(examples, statistics, _known(text, (*splits, *serving)))
    dated = any(is_dated for _, _, is_dated in examples.value.get("spans", ()))
    number = span_number(text.removeprefix(SPAN), dated)
    return _side(examples, statistics, split, number, text.removeprefix(SPAN))


def _side(
    examples: Artifact,
    statistics: Artifact,
    split: str,
    span: int | None = None,
    span_name: str = "",
) -> Side:
    from mlproject.profile import Side
    from mlproject.statistics import read_statistics

    return Side(
        name=split if span is None else f"{split}, span {span_name}",
        statistics=read_statistics(statistics.path, split, span),
        split_dir=examples.path / f"Split-{split}",
    )


def _anomalies(
    run: PipelineRun, shown: Side, splits: Sequence[str], statistics: Artifact
) -> Sequence[Anomaly]:
    """What of the shown side breaks the schema: the newest one, the reviewed, or an inferred."""
    from mlproject.anomalies import validate_statistics
    from mlproject.schema import SCHEMA_FILE, infer_schema, read_schema, set_environments
    from mlproject.statistics import read_statistics

    config = run.plan.project.config
    published = run.plan.step("schema").cached
    if published is not None:
        schema = read_schema(published.path / SCHEMA_FILE)
    else:
        reviewed = run.plan.project.schema_path
        schema = set_environments(
            read_schema(reviewed)
            if reviewed
            else infer_schema(read_statistics(statistics.path, name) for name in splits),
            config.schema_.training_only,
        )
    return validate_statistics(
        statistics=[(shown.name, shown.statistics)],
        schema=schema,
        policy=config.validation.policy,
        default=config.validation.default,
        features=config.validation.features,
    ).found


def _facts(run: PipelineRun, examples: Artifact, splits: Sequence[str]) -> dict[str, str]:
    from mlproject.examples.spans import Span

    project = run.plan.project
    rows = examples.value["splits"]
    facts = {
        "source digest": examples.value["source_digest"],
        "splits": ", ".join(f"{name} ({rows[name]:,} rows)" for name in splits),
    }
    spans = [str(Span(*found)) for found in examples.value.get("spans", ())]
    if spans:
        facts["spans"] = ", ".join(spans)
    reviewed = project.schema_path
    facts["schema"] = f"reviewed, {reviewed.name}" if reviewed else "inferred from the statistics"
    return facts


def _default(splits: Sequence[str]) -> str:
    """`eval`, or else the first that is not for training, or the only one."""
    if "eval" in splits:
        return "eval"
    return next((name for name in splits if name != "train"), splits[0])


def _known(name: str, names: Sequence[str], what: str = "split") -> str:
    if name not in names:
        raise ConfigError(
            f"Looking for the {what} failed",
            received=f"'{name}'",
            expected=closest(name, names),
        )
    return name
