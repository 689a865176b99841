"""The folder of a bulk inference: one part for each input file, whole or not there.

    <out>/part-00000.parquet    the rows of the first input file, in its order
    <out>/part-00001.parquet    ...
    <out>/_request.json         what was asked: another request in the same folder is refused
    <out>/_manifest.json        the same with the rows of each part; there once all parts are
    <out>/.lock                 held while a run writes

A part says in its metadata which request and which state of which file it was made of, so a run
that goes on writes what is missing, and anew what was made of a file that has changed since.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlproject.artifacts import translate_os_errors
from mlproject.errors import BusyError, ConfigError
from mlproject.whole_file import flush_to_disk

MANIFEST, REQUEST, _LOCK = "_manifest.json", "_request.json", ".lock"
_OURS = re.compile(r"_manifest\.json|_request\.json|\.?part-\d{5,}\.parquet(\.aside)?|\..+\.aside")


class BulkFolder:
    """An opened folder.

    Args:
        out: The folder.
        asked: What makes a request another one, as JSON values.
    """

    def __init__(self, out: Path, asked: Mapping[str, Any]) -> None:
        self.out = out
        self._asked = dict(asked)
        self._digest = hashlib.sha256(json.dumps(self._asked).encode()).hexdigest()

    def made_of(self, source: str, stamp: str) -> dict[str, str]:
        """The metadata of a part.

        Args:
            source: The input file.
            stamp: Its state: another one makes the part void.
        """
        return {
            "benison.request": self._digest,
            "benison.source": source,
            "benison.stamp": stamp,
        }

    def finished(self, part: str, made_of: Mapping[str, str]) -> int | None:
        """The rows of a part that an earlier run wrote; None where it has to be written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            footer = pq.read_metadata(self.out / part)
        except (pa.ArrowException, OSError):
            return None
        found = footer.metadata or {}
        same = all(found.get(key.encode()) == value.encode() for key, value in made_of.items())
        return int(footer.num_rows) if same else None

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """A path beside a file's own; it takes the file's name when the block ends well.

        Raises:
            StorageError: The disk is full, or refuses.
        """
        aside = self.out / f".{name.removeprefix('.')}.aside"
        with translate_os_errors("Writing predictions", self.out):
            try:
                yield aside
                flush_to_disk(aside)
                aside.replace(self.out / name)
                flush_to_disk(self.out)
            finally:
                aside.unlink(missing_ok=True)

    def write_request(self) -> None:
        """Says what the folder is of; predictions that are not complete have no manifest."""
        self._write(REQUEST, self._asked)

    def forget_manifest(self) -> None:
        """Takes the manifest away: a part is about to be written anew."""
        (self.out / MANIFEST).unlink(missing_ok=True)

    def write_manifest(self, parts: Mapping[str, Any], rows: int) -> dict[str, Any]:
        """Says that the predictions are complete; what it says."""
        manifest = {**self._asked, "parts": dict(parts), "rows": rows}
        self._write(MANIFEST, manifest)
        return manifest

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        with self.writing(name) as aside:
            aside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


@contextmanager
def open_folder(out: Path, asked: Mapping[str, Any], *, replace: bool) -> Iterator[BulkFolder]:
    """Makes or finds a folder, and holds it.

    Args:
        out: The folder.
        asked: What makes a request another one, as JSON values.
        replace: Remove the predictions of another request.

    Raises:
        BusyError: Another run writes there.
        ConfigError: The folder holds another request's predictions, or something else.
        StorageError: It cannot be written.
    """
    with translate_os_errors("Opening the folder of predictions", out):
        if out.exists() and not out.is_dir():
            raise _taken(out, "a file")
        strangers = _strangers(out)
        if strangers:
            raise _taken(out, f"a folder with {strangers[0]}")
        out.mkdir(parents=True, exist_ok=True)
        lock = open(out / _LOCK, "ab")  # noqa: SIM115 - closed in the finally below
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise BusyError(
                "Another run writes to the folder of predictions",
                received=str(out),
                expected="one run at a time in one folder",
                next_step="wait for it to end, or choose another folder with --out",
            ) from err
        folder = BulkFolder(out, asked)
        with translate_os_errors("Opening the folder of predictions", out):
            _make_ready(out, asked, replace)
        folder.write_request()
        yield folder
    finally:
        lock.close()


def _make_ready(out: Path, asked: Mapping[str, Any], replace: bool) -> None:
    """Sweeps what killed runs left aside; refuses or removes another request's predictions."""
    for path in out.glob(".*.aside"):
        path.unlink()
    left = [path for path in out.iterdir() if path.name != _LOCK]
    if not left:
        return
    before = _read_request(out / REQUEST)
    if before == asked:
        return
    if not replace:
        raise _taken(out, _difference(before, asked))
    for path in sorted(left, key=lambda path: path.name, reverse=True):  # the parts before _request
        path.unlink()


def _read_request(marker: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _difference(before: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> str:
    if before is None:
        return f"parts without a {REQUEST} that can be read"
    other = [key for key in asked if before.get(key) != asked[key]]
    return "predictions of a request with other " + ", ".join(other or ["fields"])


def _strangers(out: Path) -> list[str]:
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    return [name for name in names if name != _LOCK and not _OURS.fullmatch(name)]


def _taken(out: Path, what: str) -> ConfigError:
    return ConfigError(
        "The folder of predictions is taken",
        received=f"{out}: {what}",
        expected="a folder that does not exist, is empty, or is of the same request",
        next_step="choose another one with --out; --replace removes predictions, and nothing else",
    )
