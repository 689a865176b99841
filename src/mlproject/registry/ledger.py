"""The ledger of a model in MLflow: one run, each entry a parameter that MLflow lets nobody change.

    registered model "taxi"    tag benison.ledger = <run id>
    run "ledger: taxi"         000001 = {"event": "transition", "version": 1, ...}
                               000002 = ...

MLflow refuses a second value for a parameter, and has no call that deletes one. So who writes a
number first has it, on SQLite, on PostgreSQL and through a server: an append is a compare-and-swap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlproject.errors import RegistryError
from mlproject.promotion.entries import Entry, parse_entry
from mlproject.registry.ledger_run import LEDGER_TAG, make_ledger
from mlproject.settings import Settings
from mlproject.tracking import connect, first_line, translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ENTRY = re.compile(r"[0-9]{6,}")  # the key of an entry; parameters of others are left alone


class LedgerConflictError(RegistryError):
    """Somebody else wrote the entry that was to be written."""


class Ledger:
    """The ledgers of the models behind the tracking URI.

    Args:
        settings: The platform's settings.
        client: MLflow's client, where there is one already.
    """

    def __init__(self, settings: Settings, client: MlflowClient | None = None) -> None:
        self._settings = settings
        self._client: MlflowClient = client or connect(settings)

    def entries(self, name: str) -> tuple[Entry, ...]:
        """The entries of a model, in their order; none where there is no ledger yet.

        Raises:
            RegistryError: The ledger's run is gone, or an entry is damaged or missing.
        """
        run_id = self.run_id(name)
        return _entries(self._run(name, run_id)) if run_id else ()

    def models(self) -> tuple[str, ...]:
        """The registered models that have a ledger, by name."""
        found: list[str] = []
        token: str | None = None
        with translate_mlflow_errors("Looking for models with a ledger", self._settings):
            while True:
                page = self._client.search_registered_models(page_token=token)
                found += [model.name for model in page if LEDGER_TAG in model.tags]
                token = page.token
                if not token:
                    return tuple(sorted(found))

    def run_id(self, name: str) -> str | None:
        """The ledger's MLflow run, or None."""
        from mlflow.exceptions import MlflowException

        with translate_mlflow_errors(f"Looking for the ledger of '{name}'", self._settings):
            try:
                model = self._client.get_registered_model(name)
            except MlflowException as err:
                if err.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            found = model.tags.get(LEDGER_TAG)
            return str(found) if found else None

    def open(self, name: str) -> str:
        """The ledger's run; the registered model and its ledger are made where they are not there.

        Of several that make them at once, one wins, and all get the same run.
        """
        known = self.run_id(name)
        if known is not None:
            return known
        with translate_mlflow_errors(f"Opening the ledger of '{name}'", self._settings):
            return make_ledger(self._client, self._settings, name)

    def append(self, name: str, entry: Entry, after: int) -> Entry:
        """Writes the entry that follows a known one.

        Args:
            name: The registered model.
            entry: The entry.
            after: The number of entries that it was decided on.

        Returns:
            The entry with its number.

        Raises:
            LedgerConflictError: There is another entry of that number by now.
        """
        from mlflow.exceptions import MlflowException

        run_id = self.open(name)
        number, text = after + 1, entry.to_json()
        with translate_mlflow_errors(f"Writing to the ledger of '{name}'", self._settings):
            try:
                self._client.log_param(run_id, key(number), text)
            except MlflowException as err:
                there = self._client.get_run(run_id).data.params.get(key(number))
                if there is None:
                    raise
                if there != text:
                    raise _conflict(name, parse_entry(number, there)) from err
        return parse_entry(number, text)

    def log_metrics(self, name: str, metrics: Mapping[str, float], number: int) -> None:
        """Logs what an entry measured, with the entry's number as the step."""
        run_id = self.open(name)
        with translate_mlflow_errors(f"Logging to the ledger of '{name}'", self._settings):
            for metric, value in metrics.items():
                self._client.log_metric(run_id, metric, value, step=number)

    def _run(self, name: str, run_id: str) -> Run:
        from mlflow.exceptions import MlflowException

        with translate_mlflow_errors(f"Reading the ledger of '{name}'", self._settings):
            try:
                run = self._client.get_run(run_id)
            except MlflowException as err:
                if err.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                raise _lost(name, first_line(err, self._settings)) from err
        if run.info.lifecycle_stage != "active":
            raise _lost(name, f"run {run_id} was deleted")
        return run


def key(number: int) -> str:
    """The parameter of an entry."""
    return f"{number:06d}"


def _entries(run: Run) -> tuple[Entry, ...]:
    params: dict[str, Any] = run.data.params
    numbers = sorted(int(name) for name in params if ENTRY.fullmatch(name))
    if numbers != list(range(1, len(numbers) + 1)):
        missing = next(n for n, found in enumerate([*numbers, 0], 1) if n != found)
        raise RegistryError(
            "Reading the ledger failed",
            received=f"no entry {missing}, and a later one",
            expected="entries without a gap: MLflow deletes none by itself",
            next_step="restore MLflow's database",
        )
    return tuple(parse_entry(number, params[key(number)]) for number in numbers)


def _conflict(name: str, there: Entry) -> LedgerConflictError:
    return LedgerConflictError(
        f"Another change of '{name}' came first",
        received=f"entry {there.number}, by {there.who}: {there.event} of version {there.version}",
        expected="nothing new since this change was decided",
        next_step=f"look at `benison history {name}`, and decide again",
    )


def _lost(name: str, received: str) -> RegistryError:
    return RegistryError(
        f"The ledger of '{name}' is gone",
        received=received,
        expected=f"the MLflow run that the tag {LEDGER_TAG} of the registered model names",
        next_step="restore that run in MLflow; to begin a new ledger, delete the tag",
    )
