"""Copies a version to another registry: its model, blessing, evidence, signature and lineage.

The source is read whole and checked before anything is written; it stands as challenger in the
target's ledger afterwards. Whether it goes to production there is decided there.

Imports MLflow when it is called.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlproject.errors import RegistryError, TrackingError
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry.copy_run import Place, find_copy, finish_run
from mlproject.registry.copy_source import Described, Files, describe, fetch, find_run
from mlproject.registry.copy_target import write_copy
from mlproject.registry.registry import Registry
from mlproject.registry.stores import TO, ModelStore
from mlproject.registry.values import VersionInfo, parse_reference
from mlproject.tracking import translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient

FORBIDDEN = "PERMISSION_DENIED"


@dataclass(frozen=True)
class CopyRequest:
    """What is to be copied.

    Attributes:
        reference: `taxi@champion`, `taxi/7`, or `taxi` for its champion.
        name: The registered model in the target; the source's by default.
        why: The reason, for the target's ledger; empty for the copy itself.
        who: The user.
        artifacts: URI below which a new experiment's artifacts lie in the target.
    """

    reference: str
    name: str
    why: str
    who: str
    artifacts: str = ""


@dataclass(frozen=True)
class Copied:
    """A version in its target.

    Attributes:
        source: The version that was copied, with its registry's address.
        target: The target's URI, without secrets.
        name: The registered model there.
        version: Its version there.
        stage: Where it stands.
        digest: SHA-256 of the model, in hex.
        was_there: Whether an earlier copy had made the version.
        files: How many files were sent; 0 where none had to be.
        size_bytes: All of them together.
        seconds: What it took.
    """

    source: str
    target: str
    name: str
    version: int
    stage: str
    digest: str
    was_there: bool
    files: int
    size_bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "seconds": round(self.seconds, 2)}


def copy_version(
    source: ModelStore,
    target: ModelStore,
    request: CopyRequest,
    say: Callable[[str], None] = lambda line: None,
) -> Copied:
    """Copies a version; one that was copied before is found, and made whole.

    Args:
        source: Where it is.
        target: Where it goes.
        request: What is copied.
        say: Takes a line of progress.

    Returns:
        The version in the target.

    Raises:
        RegistryError: There is no such version, it is not fit to be copied, its files are gone or
            changed, or source and target are the same.
        TrackingError: MLflow does not answer, or says no.
    """
    began = time.perf_counter()
    _check_name(request.name)
    with source.in_force():
        registry = Registry(source.settings)
        described = describe(source, registry, registry.resolve(request.reference))
    name = request.name or described.version.name
    with _to(target):
        place = Place(target, Promoter(target.settings), name, request.artifacts)
        _refuse_itself(source, place, described)
        there = find_copy(place, described)
    files = None
    if there is not None:
        say(f"{name}/{there.version} of {target.shown} is its copy already")
        version = there
    else:
        version, files = _carry(source, place, described, say)
    with _to(target):
        stage = _stage(place, version, described, request)
        finish_run(place, version)
    return Copied(
        source=described.address,
        target=target.shown,
        name=name,
        version=version.version,
        stage=stage,
        digest=described.digest,
        was_there=there is not None,
        files=files.count if files else 0,
        size_bytes=files.size_bytes if files else 0,
        seconds=time.perf_counter() - began,
    )


def _carry(
    source: ModelStore, place: Place, described: Described, say: Callable[[str], None]
) -> tuple[VersionInfo, Files]:
    """Fetches the files, checks them, and writes them with all else into the target."""
    with tempfile.TemporaryDirectory(prefix="benison-copy-") as folder:
        with source.in_force():
            files = fetch(source, described, Path(folder))
        size = sized(files.size_bytes)
        say(f"{described.address}: {files.count} files, {size}, digest as it was registered")
        if described.run is None:
            say("its run is gone: no parameters, metrics and data sets go with it")
        with _to(place.store):
            return write_copy(place, described, files, say), files


def sized(size_bytes: float) -> str:
    """A size in the unit that suits it: `612 B`, `1.2 MB`."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}" if unit != "B" else f"{size_bytes:.0f} B"
        size_bytes /= 1000
    return f"{size_bytes:.3g} GB"


def _stage(place: Place, version: VersionInfo, described: Described, request: CopyRequest) -> str:
    """Puts a new version into staging; one that the target has moved on is left where it is."""
    promoter = place.promoter
    promoter.settle(place.name)
    stage = promoter.standing(place.name).stage(version.version)
    if stage is not Stage.NONE:
        return stage.value
    evidence = {"copied_from": described.address, "digest": described.digest}
    why = request.why or f"copied from {described.address}"
    promoter.move(version, Ask(Stage.STAGING, why, request.who, evidence))
    return Stage.STAGING.value


def _refuse_itself(source: ModelStore, place: Place, described: Described) -> None:
    """A version is no copy of itself. One store may have many URIs; a run's id is in one alone."""
    version, client = described.version, place.promoter.registry.client
    if place.name != version.name:
        return
    with translate_mlflow_errors("Looking at the target", place.store.settings):
        same = place.store.shown.rstrip("/") == source.shown.rstrip("/")
        if same or _has_run(client, version.run_id):
            raise RegistryError(
                f"Copying version {version.version} of '{version.name}' failed: source and target "
                "are the same registry",
                received=f"--to {place.store.shown}",
                expected="another registry, or another name in this one (--as NAME)",
            )


def _has_run(client: MlflowClient, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return find_run(client, run_id) is not None
    except MlflowException as err:
        if err.error_code == FORBIDDEN:  # also where there is no such run
            return False
        raise


def _check_name(name: str) -> None:
    """Refuses what is no name of a registered model."""
    if name and parse_reference(name) != (name, None, None):
        raise RegistryError(
            "Naming the copy failed",
            received=f"--as {name}",
            expected="a name alone, such as taxi: the target gives the version and its aliases",
        )


@contextmanager
def _to(target: ModelStore) -> Iterator[None]:
    """The target is in force; what goes wrong is said of it, not of MLFLOW_TRACKING_URI."""
    with target.in_force():
        try:
            yield
        except TrackingError as err:
            raise type(err)(
                f"At the target of the copy: {err.failed}",
                received=err.received,
                expected="a target that answers, and that takes the credentials in "
                f"{TO}USERNAME and {TO}PASSWORD",
                next_step="check --to and these, then run the same command again: it finds what is "
                "there",
            ) from err
