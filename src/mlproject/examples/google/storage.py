"""Raw files in buckets of Google Cloud Storage: found by name, known by generation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from mlproject.errors import ConfigError, DataError
from mlproject.examples.digests import content_digest, recall, remember
from mlproject.examples.google.bucket import Bucket, ObjectState
from mlproject.examples.google.fetched import fetch
from mlproject.examples.local_state import fetched_folder

_WILDCARD = re.compile(r"[*?\[]")
_LISTING_HOLDS_S = 60.0


@dataclass(frozen=True)
class CloudObject:
    """One generation of an object, as it was found.

    Attributes:
        state: Its name, size, generation and checksum.
        bucket: Where it lies.
        listing: The listing it was found in, which can be asked anew.
    """

    state: ObjectState
    bucket: Bucket = field(compare=False, repr=False)
    listing: _Listing = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.state.key.rpartition("/")[2]

    @property
    def path(self) -> str:
        return f"gs://{self.bucket.name}/{self.state.key}"

    def stamp(self) -> tuple[object, ...]:
        """See `locations.Location.stamp`: its size and generation."""
        now = self.listing.ask(self.state.key)
        if now is None:
            raise DataError(
                f"'{self.path}' is gone",
                received="no object of that name",
                expected="the object that was found when the run began",
                next_step="run again when the data is whole",
            )
        return now.size, now.generation

    def digest(self) -> str:
        """See `locations.Location.digest`; an object is fetched for it once a generation."""
        name, state = self.path.encode(), f"{self.state.size} {self.state.generation}"
        known = recall(name, state)
        if known:
            return known
        digest = content_digest(self.local())
        remember(name, state, digest)
        return digest

    def local(self) -> Path:
        """See `locations.Location.local`."""
        return fetch(self.bucket, self.state, fetched_folder())


class _Listing:
    """Answers for many objects with one request: each listing answers once for each object."""

    def __init__(self, ask: Callable[[], Sequence[ObjectState]]) -> None:
        self._ask = ask
        self.found = self._refresh()

    def ask(self, key: str) -> ObjectState | None:
        """The object as it is now; what was found answers the first time."""
        if key not in self._unasked or time.monotonic() - self._asked_at > _LISTING_HOLDS_S:
            self._refresh()
        return self._unasked.pop(key, None)

    def _refresh(self) -> tuple[ObjectState, ...]:
        found = tuple(self._ask())
        self._asked_at = time.monotonic()
        self._unasked = {state.key: state for state in found}
        return found


def find_objects(source: str) -> tuple[CloudObject, ...]:
    """The objects of a source, sorted by name; hidden ones (`.name`) are left out.

    Args:
        source: `gs://BUCKET/NAME` of an object, of a folder (its objects, not those of its
            subfolders), or a glob: `*` and `?` within a folder, `**` for folders of any depth.

    Raises:
        ConfigError: The URI names no bucket, or there are no credentials.
        DataError: The bucket cannot be listed.
    """
    bucket, path = _open(source)
    listing = _find(bucket, path)
    objects = [
        CloudObject(state, bucket, listing)
        for state in listing.found
        if not state.key.endswith("/") and not state.key.rpartition("/")[2].startswith(".")
    ]
    return tuple(sorted(objects, key=lambda found: found.path))


def _open(source: str) -> tuple[Bucket, str]:
    name, _, path = source.removeprefix("gs://").partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name):
        raise ConfigError(
            "The source of the data names no bucket",
            received=f"'{source}'",
            expected="gs://BUCKET/PATH, the bucket in lower-case letters, digits, '-', '_' and '.'",
            next_step="correct the path of the source in project.yaml",
        )
    return Bucket(name), path


def _find(bucket: Bucket, path: str) -> _Listing:
    def one() -> list[ObjectState]:
        found = bucket.find(path)
        return [found] if found else []

    def folder() -> list[ObjectState]:
        return bucket.list(f"{path.rstrip('/')}/" if path.strip("/") else "", folder=True)

    def glob() -> list[ObjectState]:
        under = bucket.list(_WILDCARD.split(path)[0])
        return [s for s in under if _matches(s.key.split("/"), path.split("/"))]

    if path and not path.endswith("/"):
        listing = _Listing(one)
        if listing.found:
            return listing
    return _Listing(glob if _WILDCARD.search(path) else folder)


def _matches(parts: Sequence[str], steps: Sequence[str]) -> bool:
    """As `glob.glob(recursive=True)` matches a path: no wildcard stands for a hidden name."""
    if not steps or not parts:
        return not parts and all(step == "**" for step in steps)
    hidden = parts[0].startswith(".")
    if steps[0] == "**":
        return _matches(parts, steps[1:]) or (not hidden and _matches(parts[1:], steps))
    shown = not hidden or steps[0].startswith(".")
    return shown and fnmatchcase(parts[0], steps[0]) and _matches(parts[1:], steps[1:])
