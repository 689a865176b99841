"""A bucket of Google Cloud Storage: what lies in it, and how an object comes out of it.

`STORAGE_EMULATOR_HOST` points it at an emulator, as everywhere in Google's library.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from mlproject.errors import DataError, DataUnavailable
from mlproject.examples.google.errors import first_line, is_transient, no_credentials

GIVE_UP_AFTER_S = 30.0
"""For how long a request that fails is tried again; the library's own limit is 120 s of silence."""
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 20.0

_logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes an object's bytes as they come."""

    def write(self, data: bytes, /) -> int:
        """Takes the next bytes; returns how many."""


@dataclass(frozen=True)
class ObjectState:
    """One generation of an object.

    Attributes:
        key: Its name in the bucket.
        size: Bytes, as stored.
        generation: Another number for every content it ever had.
        crc32c: Checksum in base64, or None where the service gives none.
    """

    key: str
    size: int
    generation: int
    crc32c: str | None


class Bucket:
    """A bucket, opened with the credentials of the environment.

    Args:
        name: Of the bucket.

    Raises:
        ConfigError: There are no credentials.
    """

    def __init__(self, name: str) -> None:
        from google.cloud import storage

        self.name = name
        with self._errors(f"gs://{name}"):
            self._client = storage.Client()

    def list(self, prefix: str, *, folder: bool = False) -> list[ObjectState]:
        """The objects whose names begin with `prefix`.

        Args:
            prefix: How their names begin.
            folder: Leave out what lies in deeper folders (a "/" after the prefix).

        Raises:
            ConfigError: There are no credentials.
            DataError: The bucket does not exist, may not be listed, or does not answer.
        """
        with self._errors(f"gs://{self.name}/{prefix}"):
            blobs = self._client.list_blobs(
                self.name, prefix=prefix, delimiter="/" if folder else None, **self._patience()
            )
            return [_state(blob) for blob in blobs]

    def find(self, key: str) -> ObjectState | None:
        """An object as it is now, or None where there is none of that name.

        Raises:
            ConfigError: There are no credentials.
            DataError: It may not be read, or the service does not answer.
        """
        with self._errors(f"gs://{self.name}/{key}"):
            blob = self._client.bucket(self.name).get_blob(key, **self._patience())
            return None if blob is None else _state(blob)

    def download(self, state: ObjectState, sink: Sink) -> bool:
        """Writes an object's stored bytes to `sink`.

        Args:
            state: Which generation.
            sink: What it raises passes through.

        Returns:
            False where that generation is no longer there.

        Raises:
            ConfigError: There are no credentials.
            DataError: It may not be read, or the service does not answer.
        """
        from google.api_core.exceptions import NotFound, PreconditionFailed

        uri = f"gs://{self.name}/{state.key}"
        _logger.info("Fetching %s (%s bytes)", uri, f"{state.size:,}")
        blob = self._client.bucket(self.name).blob(state.key)
        with self._errors(uri):
            try:
                blob.download_to_file(
                    sink,
                    raw_download=True,  # else an object stored as gzip arrives unpacked
                    if_generation_match=state.generation,
                    checksum=None,  # compared by the caller, with what was listed
                    **self._patience(),
                )
            except (NotFound, PreconditionFailed):
                return False
        return True

    def _patience(self) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        def worth_another_try(err: Exception) -> bool:
            if not is_transient(err):
                return False
            _logger.warning(
                "gs://%s does not answer (%s); trying again for up to %.0f s",
                *(self.name, first_line(err), GIVE_UP_AFTER_S),
            )
            return True

        return {
            "timeout": (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
            "retry": DEFAULT_RETRY.with_predicate(worth_another_try).with_timeout(GIVE_UP_AFTER_S),
        }

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
            raise no_credentials(f"'{uri}' cannot be read", err) from err
        except api.Forbidden as err:
            raise DataError(
                f"'{uri}' may not be read",
                received=err.message,
                expected="an account with the role Storage Object Viewer on the bucket",
                next_step=f"have the role granted: gcloud storage buckets add-iam-policy-binding "
                f"gs://{self.name} --member=... --role=roles/storage.objectViewer",
            ) from err
        except api.NotFound as err:
            raise DataError(
                f"There is no bucket '{self.name}'",
                received=f"'{uri}'",
                expected="a bucket that exists",
                next_step="correct the path of the source in project.yaml",
            ) from err
        except (api.GoogleAPIError, requests.RequestException, urllib3.exceptions.HTTPError) as err:
            if isinstance(err, api.ClientError) and not is_transient(err):
                raise DataError(
                    f"'{uri}' cannot be read",
                    received=first_line(err),
                    expected="a bucket and objects that the service can name",
                    next_step="correct the path of the source in project.yaml",
                ) from err
            raise _unavailable(uri, err) from err


def _unavailable(uri: str, err: Exception) -> DataUnavailable:
    return DataUnavailable(
        f"'{uri}' cannot be reached",
        received=f"{first_line(err)} (tried for {GIVE_UP_AFTER_S:.0f} s)",
        expected="an answer from Google Cloud Storage",
        next_step="check the network (and STORAGE_EMULATOR_HOST, if it is set), then run again",
    )


def _state(blob: Any) -> ObjectState:
    return ObjectState(blob.name, blob.size, blob.generation, blob.crc32c)
