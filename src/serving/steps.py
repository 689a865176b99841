"""The last two steps of a pipeline: a registered version to its base path, and served once."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlproject.execution import StepContext, StepFunction
from mlproject.record import Record, figures_folder
from mlproject.registry import SAVED_MODEL, Registry, VersionInfo
from serving.client import predict_rest
from serving.export import export_version
from serving.model_server.server import ModelServer

LATENCY_REQUESTS = 20
START_TIMEOUT_S = 120.0


def export_registered(registry: Registry, version: VersionInfo, serving_root: Path) -> Path:
    """Copies a registered version to `<serving_root>/<model>/<version>/`, if it is not there.

    Returns:
        The version's folder.

    Raises:
        RegistryError: Its artifacts are gone.
        ServingError: Another model lies there already.
    """
    base_path = serving_root / version.name
    with tempfile.TemporaryDirectory() as folder:
        saved_model = registry.download(version, SAVED_MODEL, Path(folder))
        return export_version(saved_model, base_path, version.version)


def run_export(ctx: StepContext) -> Mapping[str, Any]:
    """A registered version to the base path that servers watch."""
    registered = ctx.inputs["register"].value
    version = ctx.registry.resolve(f"{registered['name']}/{registered['version']}")
    path = export_registered(ctx.registry, version, ctx.settings.serving_root)
    Record(params={"serving_path": str(path), "model_version": version.version}).write(ctx.out_dir)
    return {"name": version.name, "version": version.version, "path": str(path)}


def run_serve(ctx: StepContext) -> Mapping[str, Any]:
    """Serves the exported version on a free loopback port, asks it the sample, and stops it."""
    exported = ctx.inputs["export"].value
    name, number = exported["name"], exported["version"]
    sample = dict(ctx.project.config.serving.sample)
    base_path = Path(exported["path"]).parent
    began = time.monotonic()
    with ModelServer(
        {name: base_path}, rest_port=0, grpc_port=0, pinned_versions={name: number}
    ) as server:
        server.wait_until_available(START_TIMEOUT_S)
        start_s = time.monotonic() - began
        ctx.note(f"version {number} answers at {server.rest_url}")
        latencies_ms = []
        for _ in range(LATENCY_REQUESTS):
            asked = time.monotonic()
            prediction = predict_rest(server.rest_url, name, [sample])[0]
            latencies_ms.append((time.monotonic() - asked) * 1000)
    value = {"name": name, "version": number, "sample": sample, "prediction": prediction}
    text = json.dumps(value, indent=1)
    (figures_folder(ctx.out_dir) / "prediction.json").write_text(text, encoding="utf-8")
    Record(
        metrics={"start_s": start_s, "latency_p50_ms": statistics.median(latencies_ms)},
    ).write(ctx.out_dir)
    return value


FUNCTIONS: Mapping[str, StepFunction] = {"export": run_export, "serve": run_serve}
