"""The steps that serve: the trial before the blessing, the export, and the served version asked."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.blessing.verdict import INFRA_FILE
from mlproject.errors import ServingError
from mlproject.execution import StepContext, StepFunction
from mlproject.record import Record, figures_folder
from mlproject.registry import SAVED_MODEL, Registry, VersionInfo, registered_digest
from mlproject.steps.planned import read_planned_cases
from mlproject.tracking import TAG
from serving.client import predict_rest
from serving.export import check_exported, export_version
from serving.model_server.server import ModelServer

if TYPE_CHECKING:
    from serving.trial.values import Arrays

LATENCY_REQUESTS = 20
START_TIMEOUT_S = 120.0


def export_registered(registry: Registry, version: VersionInfo, serving_root: Path) -> Path:
    """Copies a registered version to `<serving_root>/<model>/<version>/`, if it is not there.

    Every deployment comes by here. What is there already is taken if it is what was registered,
    also while MLflow's artifact store is away.

    Returns:
        The version's folder, its files checked against the version's digest.

    Raises:
        RegistryError: Its artifacts are gone, are not those that were registered, or have no
            digest to check them by; or another model lies there already.
        ServingError: The copy failed.
    """
    registered_digest(version)
    base_path = serving_root / version.name
    exported = base_path / str(version.version)
    if not exported.exists():
        with tempfile.TemporaryDirectory() as folder:
            saved_model = registry.download(version, SAVED_MODEL, Path(folder))
            exported = export_version(saved_model, base_path, version.version)
    check_exported(exported, version)
    return exported


def run_export(ctx: StepContext) -> Mapping[str, Any]:
    """A registered version to the base path that servers watch."""
    registered = ctx.inputs["register"].value
    version = ctx.registry.resolve(f"{registered['name']}/{registered['version']}")
    path = export_registered(ctx.registry, version, ctx.settings.serving_root)
    Record(params={"serving_path": str(path), "model_version": version.version}).write(ctx.out_dir)
    return {"name": version.name, "version": version.version, "path": str(path)}


def run_infra_validate(ctx: StepContext) -> Mapping[str, Any]:
    """The exported model, before it can be blessed, to a verdict on it in a server of its own."""
    from mlproject.training import MODEL_FOLDER
    from serving.infra_validation import TrialRequest, validate_infra
    from serving.trial.page import infra_page

    config = ctx.project.config
    saved_model = ctx.inputs["train"].path / MODEL_FOLDER
    requests = _trial_requests(ctx, saved_model)
    blessing = validate_infra(
        TrialRequest(saved_model, config.name, requests, config.infra_validation), ctx.note
    )
    value = blessing.as_value()
    (ctx.out_dir / INFRA_FILE).write_text(json.dumps(value, indent=1), encoding="utf-8")
    page = infra_page(blessing, config.infra_validation)
    (figures_folder(ctx.out_dir) / "infra_validation.md").write_text(page, encoding="utf-8")
    Record(
        params={"server": blessing.server or "none", "requests": len(requests)},
        metrics=blessing.measurements,
        tags={f"{TAG}infra": blessing.verdict, f"{TAG}reasons": "; ".join(blessing.reasons)},
    ).write(ctx.out_dir)
    return value


def _trial_requests(ctx: StepContext, saved_model: Path) -> list[Arrays]:
    """The warm-up requests, then the golden rows.

    Raises:
        ConfigError: The file of cases is wrong.
        DataError: It changed while the run was going on.
        ServingError: The warm-up requests are damaged, or a golden row does not fit the model.
    """
    from mlproject.warmup import read_warmup_requests
    from serving.model_server.signature import DEFAULT_SIGNATURE
    from serving.row_arrays import row_arrays

    requests: list[Arrays] = [*read_warmup_requests(saved_model)]
    cases = read_planned_cases(ctx)
    if cases is not None:
        golden = [(f"The golden row '{case.name}'", case.row) for case in cases.golden]
        requests += row_arrays(saved_model, DEFAULT_SIGNATURE, golden)
    return requests


def run_serve(ctx: StepContext) -> Mapping[str, Any]:
    """Serves the exported version on a free loopback port, asks it a row, and stops it.

    The row is the sample of project.yaml; without one, the first of the model's warm-up requests.
    """
    exported = ctx.inputs["export"].value
    name, number = exported["name"], exported["version"]
    sample = dict(ctx.project.config.serving.sample)
    path = Path(exported["path"])
    check_exported(path, ctx.registry.resolve(f"{name}/{number}"))
    began = time.monotonic()
    with ModelServer(
        {name: path.parent}, rest_port=0, grpc_port=0, pinned_versions={name: number}
    ) as server:
        server.wait_until_available(START_TIMEOUT_S)
        start_s = time.monotonic() - began
        ctx.note(f"version {number} answers at {server.rest_url}")
        latencies_ms = []
        with _question(server.rest_url, name, sample, path) as ask:
            for _ in range(LATENCY_REQUESTS):
                asked = time.monotonic()
                prediction = ask()
                latencies_ms.append((time.monotonic() - asked) * 1000)
    value = {"name": name, "version": number, "sample": sample, "prediction": prediction}
    text = json.dumps(value, indent=1)
    (figures_folder(ctx.out_dir) / "prediction.json").write_text(text, encoding="utf-8")
    Record(
        metrics={"start_s": start_s, "latency_p50_ms": statistics.median(latencies_ms)},
    ).write(ctx.out_dir)
    return value


@contextmanager
def _question(
    rest_url: str, name: str, sample: Mapping[str, Any], path: Path
) -> Iterator[Callable[[], Any]]:
    """A call that asks the served model one row, and gives its prediction."""
    from mlproject.warmup import read_warmup_requests

    # A row without any value would not do for a model with a list of a fixed length.
    requests = [] if sample else read_warmup_requests(path)
    if not requests:
        yield lambda: predict_rest(rest_url, name, [sample])[0]
        return
    from serving.trial.rest import RestAsker
    from serving.trial.values import TrialEnded

    row = {column: array[:1] for column, array in requests[0].items()}
    asker = RestAsker(rest_url, name)

    def ask() -> Any:
        try:
            outputs = asker.ask(row)
        except TrialEnded as end:
            raise ServingError(
                f"The served model '{name}' refused its own first warm-up request",
                received=end.reason,
                next_step="set `serving.sample` in project.yaml to a row to ask instead",
            ) from end
        if isinstance(outputs, dict):
            return {output: values[0] for output, values in outputs.items()}
        return outputs[0]

    try:
        yield ask
    finally:
        asker.close()


FUNCTIONS: Mapping[str, StepFunction] = {
    "infra_validate": run_infra_validate,
    "export": run_export,
    "serve": run_serve,
}
