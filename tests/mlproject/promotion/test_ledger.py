"""The ledger in MLflow: an append is a compare-and-swap, and nothing written is ever changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelTag
from tests.mlproject.promotion.conftest import Model
from tests.mlproject.promotion.processes import at_once

from mlproject.errors import RegistryError
from mlproject.promotion.entries import Entry
from mlproject.promotion.stages import Stage
from mlproject.registry.ledger import Ledger, LedgerConflictError, key
from mlproject.registry.ledger_run import LEDGER_TAG
from mlproject.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(why: str, version: int = 1) -> Entry:
    return Entry("transition", version, (), "ann", why, NOON)


def test_what_is_appended_is_read_in_order(any_model: Model) -> None:
    ledger = any_model.promoter.ledger
    assert ledger.entries(any_model.name) == ()
    written = [ledger.append(any_model.name, entry(f"{n}"), after=n) for n in range(3)]
    assert [e.number for e in written] == [1, 2, 3]
    assert ledger.entries(any_model.name) == tuple(written)
    run = any_model.client.get_run(ledger.open(any_model.name))
    assert sorted(run.data.params) == ["000001", "000002", "000003"]
    assert run.info.run_name == f"ledger: {any_model.name}"
    assert run.info.status == "FINISHED"


def test_a_number_that_is_taken_is_a_conflict(any_model: Model) -> None:
    ledger = any_model.promoter.ledger
    first = ledger.append(any_model.name, entry("first"), after=0)
    with pytest.raises(LedgerConflictError) as raised:
        ledger.append(any_model.name, entry("second"), after=0)
    assert raised.value.received == "entry 1, by ann: transition of version 1"
    assert ledger.entries(any_model.name) == (first,)
    # The same once more: an answer of the server was lost on its way, and asked for again.
    assert ledger.append(any_model.name, entry("first"), after=0) == first


@pytest.mark.parametrize("letter", ["a", "é", "漢", "🚕", '"', "\\", "\0", "\udcff"])
def test_long_reasons_come_back_whole_enough_to_read(any_model: Model, letter: str) -> None:
    ledger = any_model.promoter.ledger
    written = ledger.append(any_model.name, entry(letter * 20_000), after=0)
    assert ledger.entries(any_model.name) == (written,)
    assert len(written.why) >= 400


def test_a_gap_is_damage(model: Model) -> None:
    ledger = model.promoter.ledger
    ledger.append(model.name, entry("first"), after=0)
    ledger.append(model.name, entry("third"), after=2)
    with pytest.raises(RegistryError, match="no entry 2") as raised:
        ledger.entries(model.name)
    assert raised.value.next_step


def test_parameters_of_others_are_left_alone(any_model: Model) -> None:
    ledger = any_model.promoter.ledger
    first = ledger.append(any_model.name, entry("first"), after=0)
    for name in ("1", "2", "00002", "٠٠٠٠٠٢", "note", "000002 ", "1e6"):
        any_model.client.log_param(ledger.open(any_model.name), name, "theirs")
    assert ledger.entries(any_model.name) == (first,)
    assert ledger.append(any_model.name, entry("second"), after=1).number == 2


def test_an_entry_that_benison_did_not_write_stops_all(model: Model) -> None:
    champion, version = model.champion(), model.version()
    run_id = model.promoter.ledger.open(model.name)
    model.client.log_param(run_id, key(3), "hello")
    with pytest.raises(RegistryError, match="entry 3 of the ledger"):
        model.promoter.settle(model.name)
    assert model.aliases() == {"champion": champion.version}
    with pytest.raises(RegistryError, match="entry 3 of the ledger"):
        model.move(version, Stage.STAGING)


def test_a_million_entries_keep_their_order() -> None:
    assert key(999_999) == "999999"
    assert key(1_000_000) == "1000000"


def test_a_deleted_ledger_is_an_error_and_comes_back_with_its_run(any_model: Model) -> None:
    ledger = any_model.promoter.ledger
    written = ledger.append(any_model.name, entry("first"), after=0)
    run_id = ledger.open(any_model.name)
    any_model.client.delete_run(run_id)
    with pytest.raises(RegistryError, match="is gone") as raised:
        ledger.entries(any_model.name)
    assert "restore that run" in (raised.value.next_step or "")
    any_model.client.restore_run(run_id)
    assert ledger.entries(any_model.name) == (written,)


@pytest.mark.parametrize("with_run", [True, False])
def test_a_new_ledger_is_begun_where_the_tag_of_a_deleted_one_is_deleted(
    model: Model, with_run: bool
) -> None:
    """As the error's text says; the claims of the old one still stand."""
    made = model.client.create_run("0") if with_run else None
    model.version(run_id=made.info.run_id if made else None)
    ledger = model.promoter.ledger
    for number in range(3):
        run_id = ledger.open(model.name)
        ledger.append(model.name, entry(f"ledger {number}"), after=0)
        model.client.delete_run(run_id)
        model.client.delete_registered_model_tag(model.name, LEDGER_TAG)
        assert ledger.entries(model.name) == ()


def test_a_tag_that_was_deleted_alone_finds_the_same_ledger(model: Model) -> None:
    model.version(run_id=model.client.create_run("0").info.run_id)
    written = model.promoter.ledger.append(model.name, entry("first"), after=0)
    model.client.delete_registered_model_tag(model.name, LEDGER_TAG)
    model.promoter.ledger.open(model.name)
    assert model.promoter.ledger.entries(model.name) == (written,)


def test_a_model_of_others_is_read_without_a_trace(model: Model) -> None:
    model.version("")
    assert model.promoter.history(model.name) == ()
    assert model.promoter.settle(model.name) == ()
    assert model.tags() == {}
    assert model.client.get_experiment_by_name(model.name) is None
    assert model.name not in model.promoter.ledger.models()


@pytest.mark.parametrize("registered", ["not", "without a run", "with a run", "run deleted"])
def test_threads_that_open_a_ledger_at_once_get_one_run(model: Model, registered: str) -> None:
    if registered != "not":
        run_id = model.client.create_run("0").info.run_id
        model.version(run_id=None if registered == "without a run" else run_id)
        if registered == "run deleted":
            model.client.delete_run(run_id)
    threads = 4
    start = threading.Barrier(threads)
    ledgers = [Ledger(model.settings) for _ in range(threads)]

    def open_it(ledger: Ledger) -> str:
        start.wait()
        return ledger.open(model.name)

    with ThreadPoolExecutor(threads) as pool:
        runs = set(pool.map(open_it, ledgers))
    assert runs == {model.tags()[LEDGER_TAG]}
    experiment = model.client.get_experiment_by_name(model.name)
    assert experiment is not None
    (active,) = model.client.search_runs([experiment.experiment_id])
    assert active.info.run_id in runs


def test_threads_that_tag_a_model_at_once_are_all_heard(
    model: Model, two_inserts: Callable[[type], None]
) -> None:
    """Both find no tag and insert one: the database takes one row, MLflow refuses the other."""
    model.version()
    two_inserts(SqlRegisteredModelTag)
    ledgers = [Ledger(model.settings) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        runs = set(pool.map(lambda ledger: ledger.open(model.name), ledgers))
    assert runs == {model.tags()[LEDGER_TAG]}


@pytest.mark.parametrize("with_run", [True, False])
def test_a_version_that_is_registered_between_two_claims_makes_no_second_ledger(
    model: Model, with_run: bool
) -> None:
    model.version()
    slow, quick = Ledger(model.settings), Ledger(model.settings)
    tag, found = slow._client.set_registered_model_tag, []

    def overtaken(*args: str) -> None:
        model.version(run_id=model.client.create_run("0").info.run_id if with_run else None)
        found.append(quick.open(model.name))
        tag(*args)

    slow._client.set_registered_model_tag = overtaken  # type: ignore[method-assign]
    assert [slow.open(model.name)] == found
    assert found == [model.tags()[LEDGER_TAG]]


def test_models_whose_versions_are_of_one_run_have_a_ledger_each(
    model: Model, named_model: Callable[[str], Model]
) -> None:
    other = named_model(f"{model.name}-copy")
    run_id = model.client.create_run("0").info.run_id
    for each in (model, other):
        each.version(run_id=run_id)
    ledger = model.promoter.ledger
    written = ledger.append(model.name, entry("first"), after=0)
    assert ledger.open(other.name) != ledger.open(model.name)
    assert ledger.entries(other.name) == ()
    assert ledger.entries(model.name) == (written,)


def test_processes_that_write_a_first_entry_at_once(any_model: Model) -> None:
    any_model.version()
    results = at_once(
        any_model.settings,
        [("append", any_model.name, "one"), ("append", any_model.name, "two")],
    )
    assert sorted(results) == ["LedgerConflictError", "done"]
    (written,) = any_model.promoter.history(any_model.name)
    assert written.why == ("one", "two")[results.index("done")]


def test_metrics_of_an_entry(model: Model, sqlite_settings: Settings) -> None:
    ledger = model.promoter.ledger
    written = ledger.append(model.name, entry("first"), after=0)
    ledger.log_metrics(model.name, {"rollback_s": 1.5}, written.number)
    run = Ledger(sqlite_settings).open(model.name)
    (metric,) = model.client.get_metric_history(run, "rollback_s")
    assert (metric.value, metric.step) == (1.5, 1)
