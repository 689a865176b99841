"""`benison bulk-infer`: a registered model over files, and its record in MLflow."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from flows.options import add_json, add_model, add_unblessed, add_verbose
from mlproject.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from mlproject.examples.formats import ReadOptions
    from mlproject.registry import Registry, VersionInfo
    from mlproject.settings import Settings
    from serving.bulk_inference import BulkRequest, BulkResult

RUN_NAME = "bulk-infer"
FORMATS = ("csv", "parquet", "jsonl", "tfrecord")
NONE_KEPT = "none"
_TOLD_EVERY_S = 2.0


def add_parser(commands: Any) -> None:
    """Adds `bulk-infer`.

    Args:
        commands: The subparsers of `benison`.
    """
    leaf = commands.add_parser(
        "bulk-infer",
        help="run a registered model over files, without a server",
        description="Reads CSV, Parquet, JSON Lines or TFRecord files in bounded memory, and "
        "writes the same rows with their predictions as Parquet, a part for each file. A run that "
        "was ended goes on where it was, if it is asked for the same again.",
    )
    add_model(leaf)
    leaf.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a file, folder or glob, also gs://"
    )
    leaf.add_argument("--out", required=True, metavar="DIR", help="the folder of the predictions")
    leaf.add_argument(
        "--signature", default="serving_default", help="of the model (default: %(default)s)"
    )
    leaf.add_argument(
        "--keep",
        metavar="COLUMNS",
        help=f"columns of the input beside the predictions: a,b, or {NONE_KEPT} (default: all)",
    )
    leaf.add_argument(
        "--batch-rows", type=int, metavar="N", help="rows that the model is given at a time"
    )
    leaf.add_argument(
        "--format", default="", choices=("", *FORMATS), help="of the files (default: by suffix)"
    )
    leaf.add_argument(
        "--delimiter", metavar="CHARACTER", help="of CSV files (default: as in training)"
    )
    leaf.add_argument(
        "--null-values",
        metavar="WORDS",
        help="spellings of a missing value in CSV files: NA,null (default: as in training)",
    )
    leaf.add_argument(
        "--allow-missing", action="store_true", help="read a feature that a file lacks as missing"
    )
    leaf.add_argument(
        "--replace", action="store_true", help="remove another request's predictions from DIR"
    )
    add_unblessed(leaf)
    add_json(leaf)
    add_verbose(leaf)
    leaf.set_defaults(run=bulk_infer)


def bulk_infer(args: argparse.Namespace) -> int:
    """Runs a registered model over files."""
    from flows.logs import quiet
    from mlproject.settings import read_settings

    settings = read_settings()
    with quiet(settings.home, RUN_NAME, args.verbose) as (stream, _):
        from flows.serve_guard import resolve_guarded
        from mlproject.examples.local_state import keep_in
        from mlproject.registry import Registry
        from serving.bulk_inference import open_job

        keep_in(settings.home)
        registry = Registry(settings)
        version = resolve_guarded(settings, registry, args.model, unblessed=args.unblessed)
        request = _request(args, settings, registry, version)
        progress = _Progress(stream)
        with (
            open_job(request, replace=args.replace) as job,
            _recorded(settings, version, request) as record,
        ):
            print(f"{request.model}: {_count(len(job.files), 'file')}", file=stream)
            done = job.run(progress)
            run_url = record(done)
    if args.json:
        print(json.dumps({**_as_json(done), "model": request.model, "mlflow_run_url": run_url}))
    else:
        print("\n".join(_lines(done, request, run_url)))
    return 0


def _request(
    args: argparse.Namespace, settings: Settings, registry: Registry, version: VersionInfo
) -> BulkRequest:
    from mlproject.registry import registered_digest
    from serving.bulk_inference import BATCH_ROWS, BulkRequest
    from serving.steps import export_registered

    if "://" in args.out:
        raise ConfigError(
            "Reading --out failed", received=args.out, expected="a folder of this machine"
        )
    trained = _trained_data(registry, version)
    return BulkRequest(
        model=f"{version.name}/{version.version}",
        saved_model=export_registered(registry, version, settings.serving_root),
        model_digest=registered_digest(version),
        sources=tuple(args.sources),
        out=Path(args.out).absolute(),
        signature=args.signature or "serving_default",
        kept=_kept(args.keep),
        options=_read_options(args, trained),
        file_format=args.format,
        default_format=_text(trained.get("format")),
        batch_rows=BATCH_ROWS if args.batch_rows is None else args.batch_rows,
        allow_missing=args.allow_missing,
    )


def _read_options(args: argparse.Namespace, trained: Mapping[str, Any]) -> ReadOptions:
    """As the command line says, else as the version's training data was read."""
    from mlproject.examples.formats import ReadOptions

    delimiter = (args.delimiter or _text(trained.get("delimiter")) or ",").replace("\\t", "\t")
    if len(delimiter) != 1:
        raise ConfigError(
            "Reading --delimiter failed", received=delimiter, expected="one character, such as ';'"
        )
    if args.null_values:
        nulls = tuple(args.null_values.split(","))
    else:
        nulls = tuple(map(str, trained.get("null_values") or ("",)))
    return ReadOptions(delimiter, nulls, dict(trained.get("column_types") or {}))


def _trained_data(registry: Registry, version: VersionInfo) -> Mapping[str, Any]:
    """The section `data` of the configuration that a version was trained with; empty for none."""
    from mlproject.registry import CONFIG_FILE, EVIDENCE

    with tempfile.TemporaryDirectory(prefix="benison-bulk-infer-") as folder:
        try:
            file = registry.download(version, f"{EVIDENCE}/{CONFIG_FILE}", Path(folder))
            found = json.loads(file.read_text(encoding="utf-8"))
        except (RegistryError, OSError, ValueError, RecursionError):
            return {}  # registered by something else than the platform
    data = found.get("data") if isinstance(found, dict) else None
    return data if isinstance(data, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kept(given: str | None) -> tuple[str, ...] | None:
    if not given:
        return None
    if given == NONE_KEPT:
        return ()
    return tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))


@contextmanager
def _recorded(
    settings: Settings, version: VersionInfo, request: BulkRequest
) -> Iterator[Callable[[BulkResult], str]]:
    """An MLflow run around the work; it takes the result, and gives the run's link."""
    from mlproject.tracking import ROOT_TAG, Tracker

    tracker = Tracker(settings, version.name)
    tracker.close_orphans(request.out)  # the folder is held: they were killed
    tags = {ROOT_TAG: str(request.out)}
    run_id = settings.mlflow_run_id or tracker.start_run(RUN_NAME, tags)

    def record(done: BulkResult) -> str:
        measured = {"rows": done.written, "seconds": done.seconds, "rows_per_s": done.rows_per_s}
        tracker.log_metrics(run_id, {**measured, "parts_resumed": done.resumed})
        tracker.log_text(run_id, json.dumps(done.manifest, indent=1), "manifest.json")
        return tracker.run_link(run_id)

    try:
        asked = {  # not by the names of the entry point's parameters, which `mlflow run` logs
            "registered_model": version.name,
            "model_version": version.version,
            "signature_name": request.signature,
            "sources": " ".join(request.sources),
            "predictions": request.out,
        }
        tracker.log_params(run_id, asked)
        yield record
    except BaseException as err:
        tracker.fail_run(run_id, err)
        raise
    if run_id != settings.mlflow_run_id:  # which `mlflow run` ends itself
        tracker.finish_run(run_id, "FINISHED")


class _Progress:
    """Tells how far it is, every two seconds; on a terminal in one line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._first: tuple[float, int] | None = None  # what loading the model took does not count
        self._told = 0.0

    def __call__(self, done: int, files: int, rows: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._told = (now, rows), now
        if now - self._told < _TOLD_EVERY_S:
            return
        self._told = now
        began, before = self._first
        speed = (rows - before) / (now - began)
        line = f"  {done}/{_count(files, 'file')}  {_count(rows, 'row')}  {speed:,.0f} rows/s"
        ends = ("\r\x1b[K", "") if self._stream.isatty() else ("", "\n")
        print(f"{ends[0]}{line}", end=ends[1], file=self._stream, flush=True)


def _lines(done: BulkResult, request: BulkRequest, run_url: str) -> list[str]:
    speed = f"{done.seconds:.1f} s, {done.rows_per_s:,.0f} rows/s"
    lines = [f"{request.out}: {_count(done.rows, 'row')} in {_count(len(done.parts), 'part')}"]
    if done.resumed:
        lines.append(f"Kept     {_count(done.resumed, 'part')} that an earlier run wrote")
    lines.append(f"Written  {_count(done.written, 'row')} in {speed}")
    return [*lines, f"MLflow   {run_url}"]


def _as_json(done: BulkResult) -> dict[str, Any]:
    figures = {"rows": done.rows, "written": done.written, "resumed": done.resumed}
    speed = {"seconds": round(done.seconds, 3), "rows_per_s": round(done.rows_per_s, 1)}
    return {**figures, **speed, "parts": dict(done.parts)}


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
