"""Artifacts: what a step leaves behind, published whole or not at all.

On disk, under the pipeline root:

    <step>/<fingerprint>/
        artifact.json     the manifest: step, fingerprint, value, inputs, MLflow run, seconds
        ...               the step's own files
    <step>/.aside-<pid>-<random>/     being written; removed when a later run finds it orphaned
    <step>/.state-<fingerprint>/      what a killed step goes on from (checkpoints); removed once
                                      the artifact is published, or after 14 days
    .lock                             held for the length of a run

A folder that exists under its fingerprint is complete: it was written aside and renamed. The
folder is the one truth of the cache (ADR 3).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlproject.errors import BusyError, DataError, PlatformError, StorageError

MANIFEST = "artifact.json"
STATE_DAYS = 14


@dataclass(frozen=True)
class Artifact:
    """One published artifact.

    Attributes:
        step: Name of the step that made it.
        fingerprint: Hash of everything that determines it (hex).
        uri: Folder that holds it.
        value: The step's small typed result, as JSON values.
        seconds: Wall seconds that the step took when it ran.
        cpu_seconds: CPU seconds that its process took for it (children not counted).
        mlflow_run_id: MLflow run that recorded it, if one did.
        inputs: Input step -> MLflow run that made the artifact it was made from.
        published_at: When it was published, in UTC (ISO 8601).
    """

    step: str
    fingerprint: str
    uri: str
    value: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    mlflow_run_id: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    published_at: str = ""

    @property
    def made_by(self) -> str:
        """The MLflow run that made it; tells an artifact from one made again of the same inputs."""
        return self.mlflow_run_id or ""

    @property
    def path(self) -> Path:
        """The artifact's folder."""
        return Path(self.uri)


def fingerprint(parts: Mapping[str, Any]) -> str:
    """A hash of JSON values, the same on any machine.

    Args:
        parts: Everything that determines an artifact: input fingerprints, parameters, code hash.

    Returns:
        The first 20 hex digits of a SHA-256 (80 bits).
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class ArtifactStore:
    """The artifacts under one pipeline root on a local file system.

    Args:
        root: The pipeline root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, step: str, key: str) -> Artifact | None:
        """The published artifact of a step under a fingerprint, or None."""
        folder = self.root / step / key
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            return Artifact(
                step=step,
                fingerprint=key,
                uri=str(folder),
                value=dict(manifest["value"]),
                seconds=float(manifest["seconds"]),
                cpu_seconds=float(manifest["cpu_seconds"]),
                mlflow_run_id=manifest["mlflow_run_id"],
                inputs=dict(manifest["inputs"]),
                published_at=manifest["published_at"],
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
            raise StorageError(
                f"Reading the artifact of step '{step}' failed",
                received=f"{folder / MANIFEST}: {type(err).__name__}: {err}",
                expected="a manifest written by this platform",
                next_step=f"remove the folder {folder} and run again",
            ) from err

    def published(self, step: str) -> Iterator[Artifact]:
        """Every published artifact of a step, in no order."""
        for manifest in self.root.glob(f"{step}/*/{MANIFEST}"):
            if not manifest.parent.name.startswith("."):
                found = self.find(step, manifest.parent.name)
                if found is not None:
                    yield found

    @contextmanager
    def write_aside(self, step: str) -> Iterator[Path]:
        """A folder to write an artifact in; removed unless `publish` renames it.

        Raises:
            StorageError: The root cannot be written, or the disk is full.
        """
        aside = self.root / step / f".aside-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with translate_os_errors(f"Writing the artifact of step '{step}'", self.root):
            aside.mkdir(parents=True)
        try:
            with translate_os_errors(f"Writing the artifact of step '{step}'", self.root):
                yield aside
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def publish(
        self,
        aside: Path,
        step: str,
        key: str,
        value: Mapping[str, Any],
        *,
        inputs: Mapping[str, str],
        seconds: float,
        mlflow_run_id: str | None,
        cpu_seconds: float = 0.0,
    ) -> Artifact:
        """Writes the manifest and renames the folder into place, replacing an older one.

        Args:
            aside: Folder from `write_aside`, with the step's files in it.
            step: The step's name.
            key: The fingerprint it is published under.
            value: The step's small result, as JSON values.
            inputs: Input step -> what made its artifact (`Artifact.made_by`).
            seconds: Wall seconds of the step.
            mlflow_run_id: The MLflow run that recorded the step.
            cpu_seconds: CPU seconds of the step.
        """
        manifest = {
            "step": step,
            "fingerprint": key,
            "inputs": dict(inputs),
            "value": dict(value),
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu_seconds, 3),
            "mlflow_run_id": mlflow_run_id,
            "published_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        target = self.root / step / key
        with translate_os_errors(f"Publishing the artifact of step '{step}'", self.root):
            text = json.dumps(manifest, indent=1, sort_keys=True)
            with open(aside / MANIFEST, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                replaced = aside.with_name(aside.name + "-replaced")
                os.rename(target, replaced)
                os.rename(aside, target)
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                os.rename(aside, target)
            shutil.rmtree(self.state_dir(step, key), ignore_errors=True)
        found = self.find(step, key)
        if found is None:
            raise StorageError(
                f"Publishing the artifact of step '{step}' failed",
                received=f"{target} is not there after its rename",
                next_step="check what else writes to or cleans the pipeline root",
            )
        return found

    def state_dir(self, step: str, key: str) -> Path:
        """Where a step keeps what it goes on from after it was killed; not made here."""
        return self.root / step / f".state-{key}"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the pipeline root for one run; the kernel frees it if the process dies.

        Raises:
            BusyError: Another run holds it.
            StorageError: The root cannot be written.
        """
        path = self.root / ".lock"
        with translate_os_errors("Opening the pipeline root", self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            # Unbuffered: nothing is left that closing it on a full disk could fail to write.
            file = open(path, "ab+", buffering=0)  # noqa: SIM115 - closed in the finally below
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                file.seek(0)
                raise BusyError(
                    f"Another run is using the pipeline root {self.root}",
                    received=file.read().decode(errors="replace") or "a run that gave no name",
                    expected="one run at a time on one pipeline root",
                    next_step="wait for it to end, or set BENISON_PIPELINE_ROOT to another folder",
                ) from err
            self._sweep()
            with translate_os_errors("Locking the pipeline root", self.root):
                file.truncate(0)
                file.write(f"pid {os.getpid()} since {time.strftime('%F %T')}".encode())
            yield
        finally:
            file.close()

    def _sweep(self) -> None:
        """Removes what killed runs left aside; safe because this run holds the lock."""
        for orphan in self.root.glob("*/.aside-*"):
            shutil.rmtree(orphan, ignore_errors=True)
        for state in self.root.glob("*/.state-*"):
            if time.time() - state.stat().st_mtime > STATE_DAYS * 86_400:
                shutil.rmtree(state, ignore_errors=True)


@contextmanager
def translate_os_errors(doing: str, root: Path) -> Iterator[None]:
    """Turns what a disk refuses into a StorageError; lets every other error pass."""
    try:
        yield
    except PlatformError:
        raise
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"{doing} failed: the disk is full",
                received=f"{shutil.disk_usage(_existing(root)).free:,} bytes free at {root}",
                expected="room for the step's files; nothing was published",
                next_step="free space, or set BENISON_PIPELINE_ROOT to a larger disk, then run "
                "again: finished steps are kept",
            ) from err
        if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(
                f"{doing} failed: the folder cannot be written",
                received=f"{err.filename or root}: {err.strerror}",
                expected=f"a pipeline root that this user may write (now {root})",
                next_step="set BENISON_PIPELINE_ROOT to a folder that you own",
            ) from err
        raise


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def read_value(artifact: Artifact, name: str) -> Any:
    """One field of an artifact's value.

    Raises:
        DataError: The artifact has no such field: another version of the platform wrote it.
    """
    try:
        return artifact.value[name]
    except KeyError as err:
        raise DataError(
            f"Reading '{name}' of the artifact of step '{artifact.step}' failed",
            received=", ".join(sorted(artifact.value)) or "an empty value",
            next_step=f"run again with --from {artifact.step}",
        ) from err
