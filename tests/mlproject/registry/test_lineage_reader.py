"""Reading lineages from MLflow: in batches and pages, whatever clients have written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlproject.errors import TrackingError
from mlproject.lineage import came_from
from mlproject.record import Dataset, Record
from mlproject.registry import Registry, lineage_reader
from mlproject.registry.lineage_reader import LineageReader
from mlproject.settings import Settings, read_settings
from mlproject.tracking import Tracker
from mlproject.tracking.datasets import dataset_inputs


def test_runs_are_read_in_batches_and_pages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_reader, "BATCH", 4)
    monkeypatch.setattr(lineage_reader, "PAGE", 2)
    client = Tracker(settings, "taxi").client
    client.create_experiment("other")
    runs = [client.create_run("1").info.run_id for _ in range(5)]
    runs += [client.create_run("2").info.run_id]
    client.delete_run(runs[0])
    found = LineageReader(settings).runs([*runs, *runs, "0" * 32, "' OR '"])
    assert set(found) == set(runs)
    assert [run for run in runs if found[run].deleted] == runs[:1]


def test_thousands_of_versions_are_a_few_searches(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Tracker(settings, "taxi").client
    client.create_registered_model("taxi")
    for _ in range(30):
        client.create_model_version("taxi", "file:///none", client.create_run("1").info.run_id)
    reader, registry = LineageReader(settings), Registry(settings)
    asked: list[str] = []
    store: Any = reader._client

    def noted(name: str) -> Callable[..., Any]:
        plain = getattr(store, name)

        def call(*args: Any, **options: Any) -> Any:
            asked.append(name)
            return plain(*args, **options)

        return call

    for name in ("search_runs", "get_run", "search_model_versions", "get_registered_model"):
        monkeypatch.setattr(store, name, noted(name))
    came_from(reader, registry.resolve, "gs://bucket/data.csv")
    assert sorted(asked) == ["search_model_versions", "search_runs"]


@pytest.mark.parametrize("odd", ["null", "[]", "{", "7", '{"spans": 3, "num_rows": "x"}'])
def test_odd_descriptions_of_data_are_read_as_unknown(odd: str, settings: Settings) -> None:
    from mlflow.entities import Dataset, DatasetInput

    client = Tracker(settings, "taxi").client
    run = client.create_run("1").info.run_id
    client.log_inputs(run, [DatasetInput(Dataset("d", "abc", "local", odd, profile=odd), [])])
    (data,) = LineageReader(settings).runs([run])[run].datasets
    assert (data.digest, data.uri, data.rows, data.spans) == ("abc", "", None, {})


def test_names_with_quotes_are_only_names(settings: Settings) -> None:
    reader = LineageReader(settings)
    for name in ("o'brien", 'say "hi"'):
        assert reader.versions(name) == []
    assert reader.children("' OR '1'='1") == []


def test_a_server_that_is_down_is_one_clear_error(tmp_path: Any) -> None:
    down = read_settings(
        {"BENISON_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, tmp_path
    )
    with pytest.raises(TrackingError, match="The MLflow server does not answer"):
        LineageReader(down)


def test_rows_and_digest_of_each_span_come_back(settings: Settings) -> None:
    client = Tracker(settings, "taxi").client
    run = client.create_run("1").info.run_id
    spans = {"3": (10, "aa" * 32), "2026-03-01 (version 2)": (5, "bb" * 32)}
    given = Dataset("taxi-train", "gs://b/day-{SPAN}.csv", "cc" * 32, 15, "train", spans=spans)
    client.log_inputs(run, dataset_inputs(Record(datasets=(given,))))
    (data,) = LineageReader(settings).runs([run])[run].datasets
    assert (data.uri, data.rows, data.context) == ("gs://b/day-{SPAN}.csv", 15, "train")
    assert data.spans == {
        "3": f"rows 10, digest {'aa' * 32}",
        "2026-03-01 (version 2)": f"rows 5, digest {'bb' * 32}",
    }
