"""`benison train`, `benison step` and `benison check`."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any

from flows.console import Display, show_summary
from flows.logs import quiet
from flows.options import data_of
from flows.pipeline import Opened, Request, cached_outcome, open_request, open_run
from flows.prefect_server import prefect_api
from mlproject.anomalies import check_policy
from mlproject.engine import check_engine
from mlproject.errors import ConfigError
from mlproject.memory import keep_imported
from mlproject.outcome import EXIT_CODES
from mlproject.plan import check_step_name
from mlproject.progress import Event, emit, listening
from mlproject.project_checks import check_project
from mlproject.project_data import ingest_request
from mlproject.schema import read_schema, set_environments
from mlproject.settings import read_settings
from mlproject.user_module import read_module

NEED_TENSORFLOW = (
    "statistics",
    "schema",
    "validate",
    "transform",
    "tune",
    "train",
    "evaluate",
    "infra_validate",
    "serve",
)


def train(args: argparse.Namespace) -> int:
    """Runs the pipeline, with a live display, and prints its summary."""
    request = _request(args, args.from_step)
    if request.from_step:
        check_step_name(request.from_step)
    settings = read_settings()
    with quiet(settings.home, "train", args.verbose) as (stream, log):
        opened = open_request(request)
        project = opened.plan.project
        title = f"{project.config.name}: {opened.plan.source_uris[0][1]}"
        steps = tuple(step.name for step in opened.plan.steps)
        with Display(stream, title, steps) as display, listening(display):
            done = cached_outcome(opened)
            if done is None:
                outcome = _run_flow(request, opened)
            else:
                outcome = done.to_json()
                for step in done.steps:
                    emit(Event("cached", step.name, step.reason, seconds=step.seconds))
    if args.json:
        print(json.dumps(outcome))
    else:
        from rich.console import Console

        local = not settings.tracking_uri.startswith("http")
        show_summary(Console(highlight=False), outcome, "(`benison ui` opens it)" if local else "")
        if log:
            print(f"Log      {log}")
    return int(outcome["exit_code"])


def step(args: argparse.Namespace) -> int:
    """Runs one step by itself, without Prefect."""
    check_step_name(args.step)
    request = _request(args, "")
    settings = read_settings()
    with quiet(settings.home, args.step, args.verbose) as (stream, _):
        display = Display(stream, f"{args.project}: {args.step}", (args.step,))
        with display, listening(display), open_run(request, alone=True) as run:
            refused = run.refusal(args.step)
            artifact = None if refused else run.run_step(args.step)[0]
    if refused:
        print(f"'{args.step}' was not run: {refused.gate} says no", file=sys.stderr)
        print("\n".join(f"- {reason}" for reason in refused.reasons), file=sys.stderr)
        return EXIT_CODES["blocked" if refused.gate == "validate" else "not_blessed"]
    if artifact is not None:
        print(artifact.uri)
        if args.step == "validate" and artifact.value["blocked"]:
            print("\n".join(artifact.value["reasons"]), file=sys.stderr)
            return EXIT_CODES["blocked"]
        if args.step == "bless":
            print("\n".join([artifact.value["verdict"], *artifact.value["reasons"]]))
            if artifact.value["verdict"] != "BLESSED":
                return EXIT_CODES["not_blessed"]
    return 0


def check(args: argparse.Namespace) -> int:
    """Validates configuration, paths and function signatures, without TensorFlow."""
    from mlproject.examples.request import check_request
    from mlproject.examples.sources import find_source

    request = Request(args.project)
    project = request.load()
    check_project(project, read_module(project.module_path))
    validation = project.config.validation
    features = None
    if project.schema_path:
        schema = read_schema(project.schema_path)
        set_environments(schema, project.config.schema_.training_only)
        features = [feature.name for feature in schema.feature]
    check_policy(validation.policy, validation.features, features)
    asked = ingest_request(project)
    check_request(asked)
    source = find_source(asked)
    check_engine(read_settings().engine)
    spans = source.spans
    print(f"{project.config.name}: project.yaml, {project.config.module} and the data are in order")
    print(f"  data    {source.describe()}")
    if spans:
        print(f"  spans   {', '.join(map(str, spans))}")
    print(f"  schema  {project.schema_path or 'inferred from the data'}")
    print(f"  label   {project.config.training.label}")
    return 0


def _request(args: argparse.Namespace, from_step: str) -> Request:
    data = data_of(args)
    return Request(
        args.project, data, args.force, from_step, args.span, _reason(args.override, args.reason)
    )


def _reason(override: bool, reason: str) -> str:
    """Why the verdict is overridden; empty where it is not.

    Raises:
        ConfigError: An override without a reason, or a reason without an override.
    """
    if override != bool(reason.strip()):
        raise ConfigError(
            "Reading --override failed",
            received="--override without a reason" if override else f"--reason {reason!r} alone",
            expected="both or neither: who overrides a verdict says why",
            next_step="--override --reason 'why this candidate may be served all the same'",
        )
    return reason.strip()


def _run_flow(request: Request, opened: Opened) -> dict[str, Any]:
    """Starts what a run needs (a Prefect server and the heavy imports overlap), runs the flow."""
    # Busy, or not to be written: said now, not after seconds of imports.
    held = contextlib.ExitStack()
    held.enter_context(opened.store.lock())
    with held, prefect_api(opened.settings) as server:
        waiting = [s.name for s in opened.plan.steps if s.cached is None]
        if set(waiting) & set(NEED_TENSORFLOW):
            emit(
                Event(
                    "note", waiting[0], "loading TensorFlow" + (", starting Prefect" * bool(server))
                )
            )
            _import_tensorflow()
        if server:
            server.wait()
        from flows.training import run_training

        keep_imported()
        held.close()  # the flow takes it
        return run_training(request)


def _import_tensorflow() -> None:
    import keras
    import tensorflow_data_validation
    import tensorflow_transform.beam

    del keras, tensorflow_data_validation, tensorflow_transform
