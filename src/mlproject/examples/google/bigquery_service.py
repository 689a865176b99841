"""BigQuery, as the sources need it: what a query touches, what a table is, its rows as Arrow.

Credentials and the billing project come from the environment, as everywhere in Google's library.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlproject.errors import ConfigError, DataError, DataUnavailable, PlatformError
from mlproject.examples.google.errors import (
    first_line,
    is_transient,
    no_credentials,
    reason_of,
)

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, SchemaField, Table
    from google.cloud.bigquery_storage import BigQueryReadClient

GIVE_UP_AFTER_S = 60.0
"""For how long a request that fails is tried again (a query may run as long as it takes)."""
REQUEST_TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 600.0
"""For how long one stream of rows is read before it is asked for anew, at the next row."""
_LISTED_TABLES = 50
"""BigQuery names at most so many of the tables that a query reads."""


@dataclass(frozen=True)
class Planned:
    """What BigQuery says of a query before it runs.

    Attributes:
        fields: The columns.
        tables: The tables it reads.
    """

    fields: Sequence[SchemaField]
    tables: Sequence[Any]


class BigQueryService:
    """Speaks to BigQuery.

    Args:
        location: Where jobs run, or "" to leave it to BigQuery.
        client: For tables and jobs; made from the environment by default.
        storage: For rows; likewise.

    Raises:
        ConfigError: The packages, the credentials or the project are missing.
    """

    def __init__(
        self,
        location: str = "",
        client: Client | None = None,
        storage: BigQueryReadClient | None = None,
    ) -> None:
        try:
            from google.cloud import bigquery, bigquery_storage
        except ImportError as err:
            raise ConfigError(
                "The packages that read BigQuery are not installed",
                received=str(err),
                expected="google-cloud-bigquery and google-cloud-bigquery-storage",
                next_step="install them: pip install 'benison[bigquery]'",
            ) from err
        self._location = location or None
        with self.errors("BigQuery cannot be opened"):
            self._client = client or _default_client(bigquery.Client)
            self._storage = storage or bigquery_storage.BigQueryReadClient()

    def table(self, reference: Any) -> Table:
        """A table's state: schema, size, etag.

        Args:
            reference: `project.dataset.table`, or what `plan` has named.

        Raises:
            DataError: There is none, it may not be read, or BigQuery does not answer.
        """
        with self.errors(f"Table '{reference}' cannot be read"):
            return self._client.get_table(reference, **self._patience())

    def plan(self, query: str, parameters: Sequence[Any]) -> Planned:
        """Has a query checked, without running it (which costs nothing).

        Raises:
            ConfigError: It is no SELECT, or reads more tables than BigQuery will name.
            DataError: BigQuery refuses it.
        """
        job = self._query(query, parameters, dry_run=True)
        if job.statement_type != "SELECT":
            raise ConfigError(
                "data.bigquery.query is not one SELECT",
                received=f"a statement of type {job.statement_type}",
                expected="one SELECT, which changes nothing",
                next_step="correct data.bigquery.query in project.yaml",
            )
        if len(job.referenced_tables) >= _LISTED_TABLES:
            raise ConfigError(
                "The query reads too many tables to tell whether one of them has changed",
                received=f"{len(job.referenced_tables)} tables or more",
                expected=f"fewer than {_LISTED_TABLES}: BigQuery names no more",
                next_step="write the query's result to a table, and name that",
            )
        return Planned(job.schema or (), job.referenced_tables)

    def run(self, query: str, parameters: Sequence[Any]) -> Table:
        """Runs a query and waits for its result.

        Returns:
            The table that holds the result for the next hours.

        Raises:
            DataError: BigQuery refuses it, or does not answer.
        """
        job = self._query(query, parameters, dry_run=False)
        with self.errors("The query failed"):
            patience = self._patience()
            job.result(retry=patience["retry"], job_retry=None, max_results=0)
            return self._client.get_table(job.destination, **patience)

    def batches(self, table: Table) -> Generator[pa.RecordBatch, None, None]:
        """Streams the rows of a table, all as of one moment, in one stream to keep their order.

        Raises:
            DataError: They may not be read, fewer came than there are, or BigQuery does not answer.
        """
        from google.cloud.bigquery_storage import types

        rows = 0
        with self.errors(f"The rows of '{table.full_table_id}' cannot be read"):
            session = self._storage.create_read_session(
                parent=f"projects/{self._client.project}",
                read_session=types.ReadSession(
                    table=table.reference.to_bqstorage(), data_format=types.DataFormat.ARROW
                ),
                max_stream_count=1,
                **self._patience(),
            )
            for stream in session.streams:
                for batch in self._stream(session, stream.name):
                    rows += batch.num_rows
                    yield batch
        # Rows that are still in the streaming buffer come too, and are counted nowhere exactly.
        if rows < table.num_rows or (rows > table.num_rows and not table.streaming_buffer):
            raise DataUnavailable(
                f"The rows of '{table.full_table_id}' did not come as they were announced",
                received=f"{rows:,} rows",
                expected=f"{table.num_rows:,} rows",
                next_step="run again when nobody writes to the table",
            )

    def _stream(self, session: Any, name: str) -> Iterator[pa.RecordBatch]:
        """One stream; the library goes on from the last row when the connection breaks off."""
        from google.api_core.exceptions import DeadlineExceeded

        patience = {**self._patience(), "timeout": STREAM_TIMEOUT_S}
        rows = 0
        while True:
            before = rows
            try:
                pages = self._storage.read_rows(name, rows, **patience).rows(session).pages
                for page in pages:
                    batch = page.to_arrow()
                    rows += batch.num_rows
                    yield batch
                return
            except DeadlineExceeded:
                if before == rows:
                    raise

    def _query(self, query: str, parameters: Sequence[Any], *, dry_run: bool) -> Any:
        from google.cloud.bigquery import QueryJobConfig

        config = QueryJobConfig(
            dry_run=dry_run, use_query_cache=not dry_run, query_parameters=list(parameters)
        )
        with self.errors("BigQuery refuses the query"):
            return self._client.query(
                query,
                job_config=config,
                location=self._location,
                job_retry=None,
                **self._patience(),
            )

    def _patience(self) -> dict[str, Any]:
        from google.api_core.retry import Retry

        retry = Retry(predicate=is_transient, timeout=GIVE_UP_AFTER_S)
        return {"retry": retry, "timeout": REQUEST_TIMEOUT_S}

    @contextmanager
    def errors(self, failed: str) -> Iterator[None]:
        """Turns what Google's libraries raise into the platform's errors."""
        import requests
        from google.api_core import exceptions as api
        from google.auth import exceptions as auth

        try:
            yield
        except (auth.GoogleAuthError, api.Unauthorized) as err:
            if is_transient(err):
                raise _unavailable(failed, err) from err
            raise no_credentials(failed, err) from err
        except (api.GoogleAPIError, requests.RequestException) as err:
            raise _refusal(failed, err) from err


def _default_client(make: Callable[[], Client]) -> Client:
    try:
        return make()
    except OSError as err:  # how the library says that it knows no project
        raise ConfigError(
            "The project that pays for reading BigQuery is not known",
            received=first_line(err),
            expected="a project in the environment",
            next_step="set GOOGLE_CLOUD_PROJECT",
        ) from err


def _refusal(failed: str, err: Exception) -> PlatformError:
    from google.api_core import exceptions as api

    if isinstance(err, api.NotFound):
        return DataError(
            failed,
            received=first_line(err),
            expected="a project, dataset and table that exist, in the location of the job",
            next_step="correct data.bigquery in project.yaml",
        )
    if reason_of(err) == "quotaExceeded" or isinstance(err, api.ResourceExhausted):
        return DataUnavailable(
            f"{failed}: the quota is used up",
            received=first_line(err),
            expected="a quota that covers the read",
            next_step="wait until it is renewed, or have it raised",
        )
    if is_transient(err):
        return _unavailable(failed, err)
    if isinstance(err, api.Forbidden):
        return DataError(
            f"{failed}: access denied",
            received=first_line(err),
            expected="an account with the roles BigQuery Data Viewer, Job User and Read Session "
            "User",
            next_step="have the missing role granted",
        )
    return DataError(
        failed,
        received=first_line(err),
        expected="a table or query that BigQuery accepts",
        next_step="correct data.bigquery in project.yaml",
    )


def _unavailable(failed: str, err: BaseException) -> DataUnavailable:
    return DataUnavailable(
        f"{failed}: BigQuery does not answer",
        received=f"{first_line(err)} (tried for {GIVE_UP_AFTER_S:.0f} s)",
        expected="an answer",
        next_step="check the network, then run again",
    )
