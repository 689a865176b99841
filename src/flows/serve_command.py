"""`benison serve` and `benison predict`."""

from __future__ import annotations

import argparse
import csv
import json
import math
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.logs import quiet
from flows.model_server_command import listening_of
from flows.serve_guard import check_blessed, resolve_guarded, settle_and_resolve
from mlproject.errors import ConfigError, PlatformError, ServingError
from mlproject.registry import Registry, VersionInfo, parse_reference
from mlproject.settings import Settings, read_settings
from serving.model_server.listening import LOOPBACK

START_TIMEOUT_S = 120.0
REST_PORT, GRPC_PORT = 8501, 8500  # TensorFlow Serving's own


def serve(args: argparse.Namespace) -> int:
    """Serves a registered model until interrupted, and follows its alias."""
    from serving.model_server.server import ModelServer
    from serving.steps import export_registered

    settings = read_settings()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    rest_port, grpc_port = ports(args)
    options = listening_of(args)
    with quiet(settings.home, "serve", args.verbose) as (stream, _):
        registry = Registry(settings)
        version = resolve_guarded(settings, registry, args.model, unblessed=args.unblessed)
        print(f"{version.name}/{version.version}: loading", file=stream)
        export_registered(registry, version, settings.serving_root)
        with ModelServer(
            {version.name: settings.serving_root / version.name},
            host=args.host,
            rest_port=rest_port,
            grpc_port=grpc_port,
            pinned_versions={version.name: version.version},
            keep_previous=True,  # a rollback loads nothing
            options=options,
        ) as server:
            server.wait_until_available(START_TIMEOUT_S)
            print(f"{version.name}/{version.version}: {_describe(version)}", file=stream)
            if args.unblessed:
                print("warning: it may be unblessed: for a trial, not for traffic", file=stream)
            if args.host not in LOOPBACK and not options.token:
                print("warning: every machine may use it: give it --token-file", file=stream)
            print(f"REST {server.rest_url}/v1/models/{version.name}:predict", file=stream)
            print(f"gRPC {server.grpc_address}", file=stream)
            if args.once:
                answer = _ask_sample(registry, version, server.rest_url)
            else:
                answer = None
                _follow(args.model, registry, settings, server, version, stop, args.poll_s, stream)
    if answer is not None:
        print(json.dumps(answer))
    return 0


def predict(args: argparse.Namespace) -> int:
    """Asks a served model about one row or a file of rows."""
    from serving.client import predict_rest

    name, alias, version = parse_reference(args.model)
    if alias:
        version = Registry(read_settings()).resolve(args.model).version
    rows = _read_rows(args)
    # A file may hold columns that only training has; a feature of a typed row is meant.
    predictions = predict_rest(
        args.url, name, rows, version=version, ignore_unknown=args.file is not None
    )
    for number, (row, prediction) in enumerate(zip(rows, predictions, strict=True)):
        if not _is_finite(prediction):
            raise ServingError(
                f"The model gave no number for row {number}",
                received=f"{prediction} for the features {', '.join(row) or '(none)'}",
                expected="a value for every feature that the schema requires",
                next_step="give the features that were left out",
            )
        print(json.dumps(prediction))
    return 0


def ports(args: argparse.Namespace) -> tuple[int, int]:
    """The REST and the gRPC port; any free one for a trial, which nobody else has to find."""
    rest, grpc = (0, 0) if args.once else (REST_PORT, GRPC_PORT)
    return (
        rest if args.port is None else args.port,
        grpc if args.grpc_port is None else args.grpc_port,
    )


def _is_finite(prediction: Any) -> bool:
    if isinstance(prediction, dict):
        return all(_is_finite(value) for value in prediction.values())
    if isinstance(prediction, list):
        return all(_is_finite(value) for value in prediction)
    return not isinstance(prediction, float) or math.isfinite(prediction)


def _describe(version: VersionInfo) -> str:
    return f"{version.tags.get('blessing', 'no blessing')}, ready"


def _ask_sample(registry: Registry, version: VersionInfo, url: str) -> dict[str, Any]:
    from serving.client import predict_rest

    sample = registry.sample(version)
    prediction = predict_rest(url, version.name, [sample])[0]
    return {
        "model": version.name,
        "version": version.version,
        "row": sample,
        "prediction": prediction,
    }


def _follow(
    reference: str,
    registry: Registry,
    settings: Settings,
    server: Any,
    version: VersionInfo,
    stop: threading.Event,
    poll_s: float,
    stream: Any,
) -> None:
    """Serves until stopped; swaps to the version that the alias moves to.

    A registry that does not answer, or a version that does not load, changes nothing.
    """
    from serving.steps import export_registered

    failed = ""
    while not stop.wait(poll_s):
        try:
            wanted = settle_and_resolve(settings, registry, reference)
            if wanted.version != version.version:
                check_blessed(wanted)
                export_registered(registry, wanted, settings.serving_root)
                server.set_version(wanted.name, wanted.version)
                print(f"{wanted.name}: {version.version} -> {wanted.version}", file=stream)
                version = wanted
            failed = ""
        except PlatformError as err:
            if str(err) != failed:
                failed = str(err)
                print(f"{version.name}/{version.version} stays: {failed}", file=stream)
    print("stopping", file=stream)


def _read_rows(args: argparse.Namespace) -> list[Mapping[str, Any]]:
    if (args.row is None) == (args.file is None):
        raise ConfigError(
            "Reading the rows failed",
            received="both a row and --file" if args.row else "neither a row nor --file",
            expected="one of them",
        )
    if args.file:
        return _read_csv(Path(args.file))
    try:
        value = json.loads(args.row)
    except ValueError as err:
        raise ConfigError(
            "Reading the row failed", received=args.row, expected=f"JSON; {err}"
        ) from err
    rows = value if isinstance(value, list) else [value]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(
            "Reading the row failed",
            received=args.row,
            expected='an object, such as {"trip_miles": 2.5}, or a list of objects',
        )
    return rows


def _read_csv(path: Path) -> list[Mapping[str, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [
                {name: value for name, value in row.items() if name and value != ""}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise ConfigError(
            "Reading the file of rows failed", received=f"{path}: {err}", expected="a CSV file"
        ) from err
