"""The console script `benison`: parses, calls one function, maps errors to exit codes.

Exit codes: 0 blessed or done, 1 error, 2 usage or configuration, 3 not blessed, 4 data blocked, 5
`diff` or `schema diff` found differences.
Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence

from flows import (
    approval_command,
    bulk_infer_command,
    copy_command,
    data_command,
    deploy_command,
    diff_command,
    examples_command,
    explain_command,
    export_command,
    image_command,
    lineage_command,
    model_server_command,
    promotion_command,
    reconcile_command,
    reproduce_command,
    schema_command,
    tensorboard_command,
    train_worker_command,
    tune_command,
)
from flows.options import (
    add_data,
    add_flag,
    add_model,
    add_project,
    add_span,
    add_unblessed,
    add_verbose,
    spell_out_flags,
)
from mlproject.errors import PlatformError

BROKEN_PIPE, INTERRUPTED = 1, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: Arguments; the process's by default.

    Returns:
        The exit code.
    """
    args = build_parser().parse_args(spell_out_flags(sys.argv[1:] if argv is None else argv))
    bypass_proxies_for_loopback()
    try:
        code = int(_run(args))
        sys.stdout.flush()
        return code
    except PlatformError as err:
        if getattr(args, "json", False):
            print(json.dumps({"error": str(err), "exit_code": err.exit_code}))
        lines = [f"benison {args.command}: {err}", *getattr(err, "__notes__", ())]
        print("\n".join(lines), file=sys.stderr)
        if getattr(args, "verbose", False):
            traceback.print_exception(err)
        return err.exit_code
    except KeyboardInterrupt:
        print(f"benison {args.command}: interrupted; finished steps are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def bypass_proxies_for_loopback() -> None:
    """Keeps a proxy of the environment out of the way of servers on this machine.

    httpx and requests, in Prefect and MLflow, ask a proxy for 127.0.0.1 too unless NO_PROXY tells
    them not to. What the user has set there is kept.
    """
    proxies = {name for name in os.environ if name.lower().endswith("_proxy")}
    if not proxies - {"NO_PROXY", "no_proxy"}:
        return  # on macOS a lone NO_PROXY would switch the system's proxy off
    from flows.prefect_server import LOOPBACK

    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get(name) or os.environ.get(name.swapcase(), "")
        hosts = [host.strip() for host in given.split(",") if host.strip()]
        if "*" not in hosts:
            hosts += [host for host in LOOPBACK if host not in hosts]
            os.environ[name] = ",".join(hosts)


def _run(args: argparse.Namespace) -> int:
    """Imports the command's module and calls it."""
    if callable(args.run):
        return int(args.run(args))
    module, _, function = args.run.partition(":")
    return int(getattr(importlib.import_module(module), function)(args))


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = argparse.ArgumentParser(
        prog="benison",
        description="From raw data to a blessed, registered, served model, recorded in MLflow.",
        epilog="State lives in the nearest .benison folder (BENISON_HOME). MLFLOW_TRACKING_URI and "
        "PREFECT_API_URL name servers; without them everything runs embedded.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    check = commands.add_parser("check", help="validate a project without running it")
    check.set_defaults(run="flows.train_command:check")
    add_project(check)

    train = commands.add_parser(
        "train", help="run the whole pipeline of a project", description=_TRAIN_HELP
    )
    train.set_defaults(run="flows.train_command:train")
    _add_run_options(train)
    train.add_argument(
        "--from", dest="from_step", default="", metavar="STEP", help="run STEP and all after it"
    )
    train.add_argument("--json", action="store_true", help="print the outcome as JSON")

    step = commands.add_parser("step", help="run one step on the artifacts of those before it")
    step.set_defaults(run="flows.train_command:step")
    step.add_argument("step", metavar="STEP", help="ingest, statistics, schema, validate, ...")
    _add_run_options(step)

    train_worker_command.add_parser(commands)
    tune_command.add_parser(commands)
    tensorboard_command.add_parser(commands)

    serve = commands.add_parser(
        "serve", help="serve a registered model over TensorFlow Serving's REST and gRPC APIs"
    )
    serve.set_defaults(run="flows.serve_command:serve")
    add_model(serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to bind (default 127.0.0.1)")
    serve.add_argument("--port", type=int, help="REST port (default 8501, with --once 0: any)")
    serve.add_argument("--grpc-port", type=int, help="gRPC port (default 8500, with --once 0: any)")
    serve.add_argument(
        "--poll-s", type=float, default=2.0, help="seconds between looks at the alias (default 2)"
    )
    serve.add_argument(
        "--once", action="store_true", help="answer the model's sample row over HTTP, then stop"
    )
    add_unblessed(serve)
    model_server_command.add_listening(serve)
    add_verbose(serve)

    predict = commands.add_parser("predict", help="ask a served model")
    predict.set_defaults(run="flows.serve_command:predict")
    predict.add_argument("model", help="MODEL or MODEL/version")
    predict.add_argument("row", nargs="?", help="a row as JSON: '{\"trip_miles\": 2.5}'")
    predict.add_argument("--file", metavar="ROWS.csv", help="a CSV file of rows instead")
    predict.add_argument(
        "--url", default="http://127.0.0.1:8501", help="the model server (default port 8501)"
    )

    bulk_infer_command.add_parser(commands)
    data_command.add_parser(commands)
    deploy_command.add_parser(commands)
    image_command.add_parser(commands)
    diff_command.add_parser(commands)
    examples_command.add_parser(commands)
    explain_command.add_parser(commands)
    export_command.add_parser(commands)
    lineage_command.add_parser(commands)
    model_server_command.add_parser(commands)
    reproduce_command.add_parser(commands)
    schema_command.add_parser(commands)
    promotion_command.add_parser(commands)
    approval_command.add_parser(commands)
    reconcile_command.add_parser(commands)
    copy_command.add_parser(commands)

    ui = commands.add_parser("ui", help="run the MLflow and Prefect servers and their pages")
    ui.set_defaults(run="flows.ui_command:ui")
    ui.add_argument("--mlflow-port", type=int, default=5000)
    ui.add_argument("--prefect-port", type=int, default=4200)
    ui.add_argument(
        "--reconcile-s",
        type=float,
        default=30.0,
        metavar="S",
        help="seconds between looks at the registry (default 30; 0: no reconciler)",
    )

    schedule = commands.add_parser(
        "schedule", help="keep a project on a schedule in Prefect, and run what is due"
    )
    schedule.set_defaults(run="flows.ui_command:schedule")
    add_project(schedule)
    schedule.add_argument("--cron", required=True, help="cron expression, such as '0 3 * * *'")
    schedule.add_argument("--timezone", default="UTC", help="IANA name (default UTC)")
    add_data(schedule)
    return parser


_TRAIN_HELP = (
    "Ingest, validate, transform, train, evaluate, bless, register, export, and a trial of the "
    "served model. Steps whose inputs have not changed are cached. Exit codes: 0 blessed, 3 not "
    "blessed, 4 data blocked, 2 usage or configuration, 1 error."
)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    add_data(parser)
    add_span(parser)
    add_flag(parser, "--force", "run although nothing has changed")
    add_flag(
        parser,
        "--override",
        "bless the candidate whatever its thresholds and cases say; needs --reason",
    )
    parser.add_argument("--reason", default="", help="why; kept with who said it and when")
    add_verbose(parser)


if __name__ == "__main__":
    sys.exit(main())
