"""Versions as objects of Google Cloud Storage.

    gs://bucket/prefix/<model>/<version>/saved_model.pb   written last, removed first
    gs://bucket/prefix/<model>/<version>/variables/...
    gs://bucket/prefix/<model>.config                     ModelServerConfig
    gs://bucket/prefix/.staging/<model>/<version>/...     while a version is pushed

A bucket has no rename. A version is uploaded below `.staging`, which no server looks at, and copied
into place inside the bucket, `saved_model.pb` as the last object. So a server never loads a part
of a version. It can see the version's folder for the time of the copies, and fails to load it:
TensorFlow Serving then tries again after a minute (`--load_retry_interval_micros`), and serves the
version of before meanwhile. A server that reads the `.config` is told of the version afterwards,
and never sees that.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlproject.errors import ConfigError, ServingError, Transient
from mlproject.examples.google.errors import first_line, is_transient, no_credentials
from mlproject.saved_model_layout import MODEL_FILES
from serving.targets.base import BASE_PATH_VARIABLE, DeployedVersion

STAGING = ".staging"
TIMEOUT_S = (10.0, 60.0)  # connect, read
GIVE_UP_AFTER_S = 120.0
_CHUNK_BYTES = 1 << 20
_BUCKET = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*))?")


class BucketUnavailable(ServingError, Transient):  # noqa: N818 - reads as what it is
    """Cloud Storage did not answer, or broke off."""


class BucketShelf:
    """A bucket, or a part of it.

    Args:
        root: `gs://bucket/prefix`.
        say: Takes a line of progress.

    Raises:
        ConfigError: It names no bucket, or there are no credentials.
    """

    def __init__(self, root: str, say: Callable[[str], None]) -> None:
        found = _BUCKET.fullmatch(root)
        if found is None:
            raise ConfigError(
                f"Reading {BASE_PATH_VARIABLE} failed", received=root, expected="gs://BUCKET/PREFIX"
            )
        from google.cloud import storage

        self._root, self._say = root, say
        self._prefix = f"{found[2].strip('/')}/" if found[2] else ""
        with self._errors(root):
            self._client = storage.Client()
            self._bucket = self._client.bucket(found[1])

    @property
    def root(self) -> str:
        """See `Shelf.root`."""
        return self._root

    def put(self, model: str, version: DeployedVersion) -> bool:
        """See `Shelf.put`; what a killed push left is used."""
        folder = self._key(model, str(version.number))
        staging = self._key(STAGING, model, str(version.number))
        files = _checksums(version.folder)
        with self._errors(f"gs://{self._bucket.name}/{folder}"):
            there = self._list(folder)
            if self._is_whole(folder, files, there):
                return False
            staged = self._list(staging)
            missing = [name for name in _last(files) if name not in there]
            for name in missing:
                if staged.get(name) != files[name]:
                    self._upload(version.folder / name, staging + name, files[name])
            self._say(f"{model}/{version.number}: {len(missing)} files uploaded")
            for name in missing:
                self._copy(staging + name, folder + name, files[name])
            if self._list(folder) != files:
                raise _other_content(f"gs://{self._bucket.name}/{folder}", "another push beside it")
            for name in self._list(staging):
                self._delete(staging + name)
        return True

    def versions(self, model: str) -> tuple[int, ...]:
        """See `Shelf.versions`."""
        base = self._key(model)
        with self._errors(f"gs://{self._bucket.name}/{base}"):
            names = self._list(base)
        found = {
            int(number)
            for number, _, rest in (name.partition("/") for name in names)
            if number.isascii() and number.isdigit() and rest in MODEL_FILES
        }
        return tuple(sorted(found))

    def remove(self, model: str, version: int) -> None:
        """See `Shelf.remove`."""
        folder = self._key(model, str(version))
        with self._errors(f"gs://{self._bucket.name}/{folder}"):
            for name in reversed(_last(self._list(folder))):
                self._delete(folder + name)

    def write_config(self, model: str, text: str) -> str:
        """See `Shelf.write_config`; an object is always replaced as a whole."""
        key = f"{self._prefix}{model}.config"
        address = f"gs://{self._bucket.name}/{key}"
        with self._errors(address):
            blob = self._bucket.blob(key)
            blob.upload_from_string(text, content_type="text/plain", **self._patience())
        return address

    def _key(self, *parts: str) -> str:
        return self._prefix + "/".join(parts) + "/"

    def _list(self, folder: str) -> dict[str, str]:
        """Name below a folder -> CRC32C in base64."""
        blobs = self._client.list_blobs(self._bucket, prefix=folder, **self._patience())
        return {
            blob.name.removeprefix(folder): blob.crc32c
            for blob in blobs
            if not blob.name.endswith("/")  # a console's marker of an empty folder
        }

    def _is_whole(self, folder: str, files: dict[str, str], there: dict[str, str]) -> bool:
        """Whether a version lies there; a part of it is no hindrance, other content is.

        Raises:
            ServingError: Other content has its place, or it was damaged.
        """
        address = f"gs://{self._bucket.name}/{folder}"
        for name, checksum in there.items():
            if files.get(name) != checksum:
                raise _other_content(address, name)
        if any(name in there for name in MODEL_FILES) and there != files:
            lost = next(name for name in files if name not in there)
            raise _other_content(address, f"{lost}, which is gone from a version that was whole")
        return there == files

    def _upload(self, file: Path, key: str, checksum: str) -> None:
        blob = self._bucket.blob(key)
        blob.crc32c = checksum  # the service refuses what arrives damaged
        blob.upload_from_filename(str(file), checksum="crc32c", **self._patience())

    def _copy(self, source: str, target: str, checksum: str) -> None:
        """Copies inside the bucket; an object that somebody wrote meanwhile is not replaced."""
        from google.api_core.exceptions import PreconditionFailed

        blob, token = self._bucket.blob(target), None
        try:
            while True:
                token, _, _ = blob.rewrite(
                    self._bucket.blob(source),
                    token=token,
                    if_generation_match=0,
                    **self._patience(),
                )
                if token is None:
                    break
        except PreconditionFailed:
            blob.reload(**self._patience())
        if blob.crc32c != checksum:
            raise _other_content(f"gs://{self._bucket.name}/{target}", "another push beside it")

    def _delete(self, key: str) -> None:
        from google.api_core.exceptions import NotFound

        try:
            self._bucket.blob(key).delete(**self._patience())
        except NotFound:  # somebody else removed it
            return

    def _patience(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_predicate(is_transient).with_timeout(GIVE_UP_AFTER_S)
        return {"timeout": TIMEOUT_S, "retry": retry}

    @contextmanager
    def _errors(self, uri: str) -> Iterator[None]:
        import requests
        import urllib3
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth

        try:
            yield
        except (auth.GoogleAuthError, api.Unauthorized) as err:
            if is_transient(err):
                raise _unavailable(uri, err) from err
            raise no_credentials(f"'{uri}' cannot be written", err) from err
        except (api.GoogleAPIError, requests.RequestException, urllib3.exceptions.HTTPError) as err:
            if is_transient(err):
                raise _unavailable(uri, err) from err
            raise ServingError(
                f"'{uri}' cannot be written",
                received=first_line(err),
                expected="a bucket that exists, and an account with the role Storage Object Admin",
                next_step=f"correct {BASE_PATH_VARIABLE}, or have the role granted",
            ) from err


def _checksums(folder: Path) -> dict[str, str]:
    """Relative name -> CRC32C in base64 of each file of a model, as the service gives it."""
    import google_crc32c

    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        checksum = google_crc32c.Checksum()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                checksum.update(chunk)
        found[path.relative_to(folder).as_posix()] = base64.b64encode(checksum.digest()).decode()
    return found


def _last(names: Iterable[str]) -> list[str]:
    """Names in the order in which they are written: what makes a version loadable last."""
    return sorted(names, key=lambda name: (name in MODEL_FILES, name))


def _other_content(address: str, what: str) -> ServingError:
    return ServingError(
        f"{address} holds other content than the registered version",
        received=what,
        expected="nothing there, the same files, or a part of them that a push left",
        next_step="deploy to another base path, or remove it if no server uses it: a served "
        "version never changes",
    )


def _unavailable(uri: str, err: BaseException) -> BucketUnavailable:
    return BucketUnavailable(
        f"'{uri}' cannot be reached",
        received=first_line(err),
        expected="an answer from Google Cloud Storage",
        next_step="check the network (and STORAGE_EMULATOR_HOST, if it is set), then deploy again: "
        "what was uploaded is used",
    )
