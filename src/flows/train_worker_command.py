"""`benison train-worker`: trains along with the chief, on a worker of TF_CONFIG."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from flows.options import add_data, add_project, add_span, add_verbose, data_of
from mlproject.errors import ConfigError, DataError


def add_parser(commands: Any) -> None:
    """Adds `train-worker`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "train-worker",
        help="train along as a worker of TF_CONFIG (training.distribute: multi_worker)",
        description="Start it on every worker but the chief, with the project, data and pipeline "
        "root of the chief, which runs `benison step train PROJECT`. It writes no artifact.",
    )
    add_project(leaf)
    add_data(leaf)
    add_span(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run="flows.train_worker_command:train_worker")


def train_worker(args: argparse.Namespace) -> int:
    """Trains along until the chief's training is done."""
    from flows.logs import quiet
    from flows.pipeline import Request, open_request
    from mlproject.execution import StepContext
    from mlproject.settings import read_settings
    from mlproject.steps.train import train_along
    from mlproject.tracking import Tracker
    from mlproject.training import is_chief

    with (
        quiet(read_settings().home, "train-worker", args.verbose) as (stream, _),
        tempfile.TemporaryDirectory(prefix="benison-worker-") as folder,
    ):
        opened = open_request(Request(args.project, data_of(args), span=args.span))
        config = opened.plan.project.config
        if is_chief(config.training.distribute):
            raise ConfigError(
                "This process cannot train along",
                received="training.distribute "
                f"{config.training.distribute}, and a TF_CONFIG that names no other chief",
                expected="multi_worker, and a TF_CONFIG whose task is a further worker",
                next_step="run `benison step train PROJECT` on the chief",
            )
        planned = opened.plan.step("train")
        inputs = {name: opened.store.find(name, key) for name, key in planned.inputs.items()}
        found = {name: artifact for name, artifact in inputs.items() if artifact is not None}
        if len(found) < len(inputs):
            raise DataError(
                "This worker cannot train along",
                received=f"no artifact of {', '.join(sorted(set(inputs) - set(found)))}",
                expected="the pipeline root of the chief, where the steps before it have run",
                next_step="set BENISON_HOME or BENISON_PIPELINE_ROOT as on the chief",
            )
        print(f"{config.name}: waiting for the chief, then training along", file=stream)
        train_along(
            StepContext(
                plan=opened.plan,
                step=planned,
                settings=opened.settings,
                registry=opened.registry,
                store=opened.store,
                inputs=found,
                out_dir=Path(folder),
                pipeline_run_id="",
                run_id="",
                tracker=Tracker(opened.settings, config.name),
            )
        )
        print(f"{config.name}: trained along; the chief has the model", file=stream)
    return 0
