"""What a lineage is made of, read from MLflow: versions in one search, runs in batches."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlproject.lineage.values import DatasetFacts, RunFacts
from mlproject.promotion.entries import Entry
from mlproject.registry.ledger import Ledger
from mlproject.registry.names import versions_filter
from mlproject.registry.values import VersionInfo, version_info
from mlproject.settings import Settings
from mlproject.tracking import connect, shown_uri, translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

BATCH = 200  # runs of one search
PAGE = 1_000
_RUN_ID = re.compile(r"[\w-]{1,64}")  # whatever a tag holds, it must not end the filter's string


class LineageReader:
    """Reads lineages from the tracking URI.

    Args:
        settings: The platform's settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: MlflowClient = connect(settings)

    @property
    def registry(self) -> str:
        """The registry's address, without secrets."""
        return shown_uri(self._settings.tracking_uri)

    def versions(self, name: str = "") -> list[VersionInfo]:
        """Every version of a registered model, or of all; oldest first."""
        wanted = versions_filter(name) if name else ""
        with self._translate("Reading the model versions"):
            found = list(
                _pages(
                    lambda token: self._client.search_model_versions(
                        wanted, max_results=PAGE, page_token=token
                    )
                )
            )
        return sorted(map(version_info, found), key=lambda v: (v.name, v.version))

    def aliases(self, name: str) -> Mapping[int, tuple[str, ...]]:
        """Version -> its aliases."""
        with self._translate(f"Reading the aliases of '{name}'"):
            aliases = self._client.get_registered_model(name).aliases
        found: dict[int, tuple[str, ...]] = {}
        for alias, version in sorted(aliases.items()):
            found[int(version)] = (*found.get(int(version), ()), alias)
        return found

    def runs(self, run_ids: Iterable[str]) -> Mapping[str, RunFacts]:
        """Run -> what is known of it; runs that MLflow does not have are left out.

        Deleted runs that MLflow can restore are among them.
        """
        wanted = iter([run for run in dict.fromkeys(run_ids) if _RUN_ID.fullmatch(run)])
        found: dict[str, RunFacts] = {}
        while batch := list(itertools.islice(wanted, BATCH)):
            named = ", ".join(f"'{run}'" for run in batch)
            found |= {run.run_id: run for run in self._search(f"attributes.run_id IN ({named})")}
        return found

    def children(self, run_id: str) -> list[RunFacts]:
        """The runs under a run, oldest first."""
        if not _RUN_ID.fullmatch(run_id):
            return []
        under = self._search(f"tags.`mlflow.parentRunId` = '{run_id}'")
        return sorted((run for run in under if not run.deleted), key=lambda run: run.started)

    def runs_with_digest(self, start: str) -> frozenset[str]:
        """The runs with a dataset input whose digest begins with some hex digits."""
        return frozenset(run.run_id for run in self._search(f"dataset.digest LIKE '{start}%'"))

    def entries(self, name: str) -> tuple[Entry, ...]:
        """The ledger of a registered model.

        Raises:
            RegistryError: The ledger's run is gone, or damaged.
        """
        return Ledger(self._settings, self._client).entries(name)

    @cached_property
    def _experiments(self) -> list[str]:
        """Every experiment, deleted ones too: a run id alone does not say which one it is in."""
        from mlflow.entities import ViewType

        found = _pages(
            lambda token: self._client.search_experiments(
                ViewType.ALL, max_results=PAGE, page_token=token
            )
        )
        return [experiment.experiment_id for experiment in found]

    def _search(self, filter_string: str) -> list[RunFacts]:
        from mlflow.entities import ViewType

        with self._translate("Reading the runs of a lineage"):
            found = _pages(
                lambda token: self._client.search_runs(
                    self._experiments,
                    filter_string,
                    ViewType.ALL,
                    max_results=PAGE,
                    page_token=token,
                )
            )
            return [self._facts(run) for run in found]

    def _facts(self, run: Run) -> RunFacts:
        info = run.info
        started = datetime.datetime.fromtimestamp((info.start_time or 0) / 1000, datetime.UTC)
        inputs = run.inputs.dataset_inputs if run.inputs else []
        return RunFacts(
            run_id=info.run_id,
            name=info.run_name or "",
            status=info.status,
            started=started.isoformat(timespec="seconds"),
            deleted=info.lifecycle_stage == "deleted",
            url=self._url(info.experiment_id, info.run_id),
            params=dict(run.data.params),
            metrics=dict(run.data.metrics),
            tags=dict(run.data.tags),
            datasets=tuple(_dataset(given) for given in inputs),
        )

    def _url(self, experiment_id: str, run_id: str) -> str:
        base = shown_uri(self._settings.tracking_uri)
        if not base.startswith(("http://", "https://")):
            return ""
        page = f"#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"
        return f"{base.rstrip('/')}/{page}"

    def _translate(self, doing: str) -> Any:
        return translate_mlflow_errors(doing, self._settings)


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """Everything that a search of MLflow finds, page by page."""
    token: str | None = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def _dataset(given: DatasetInput) -> DatasetFacts:
    """A dataset input, be it of this platform or logged by `mlflow.log_input`."""
    dataset = given.dataset
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), "")
    source, profile = _object(dataset.source), _object(dataset.profile)
    uri = next((source[k] for k in ("uri", "url", "path", "table_name") if source.get(k)), "")
    rows = profile.get("num_rows")
    return DatasetFacts(
        name=dataset.name,
        uri=str(uri),
        digest=dataset.digest,
        rows=rows if isinstance(rows, int) else None,
        context=context,
        spans=_spans(profile.get("spans")),
    )


def _spans(given: Any) -> dict[str, str]:
    """Span -> its rows and digest, in words."""
    if not isinstance(given, dict):
        return {}
    return {
        str(name): f"rows {span.get('num_rows')}, digest {span.get('digest')}"
        for name, span in given.items()
        if isinstance(span, dict)
    }


def _object(text: str | None) -> dict[str, Any]:
    """A JSON object; an empty one for anything else that a client may have written."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
