"""What came from some data, or from a version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import ConfigError, RegistryError
from mlproject.lineage import Lineage, came_from
from mlproject.lineage.text import tree
from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    COPIED_FROM_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
)


def found_in(past: Any, given: str) -> Lineage:
    return came_from(past.reader, past.registry.resolve, given)


def below(past: Any, given: str) -> list[tuple[str, str]]:
    """How and which versions came from it."""
    return sorted((edge.meaning, edge.target) for edge in found_in(past, given).edges)


def at(past: Any, uri: str, **tags: str) -> int:
    """A version whose data lay there."""
    return int(past.version({SOURCE_URI_TAG: f'{{"train": "{uri}"}}', **tags}))


def test_data_is_found_by_uri_path_folder_and_what_began_with_it(past: Any) -> None:
    at(past, "file:///data/march.csv")
    at(past, "gs://bucket/april.csv", **{BASE_TAG: "1"})
    at(past, "file:///data/march.csv2", **{BASELINE_TAG: "1"})
    at(past, "file:///data/my%20rides.csv", **{COPIED_FROM_TAG: f"{past.reader.registry}/taxi/2"})
    march = [("copied from", "taxi/4"), ("trained on", "taxi/1"), ("warm start", "taxi/2")]
    assert below(past, "file:///data/march.csv") == march
    assert below(past, "/data/march.csv") == march
    april = [("copied from", "taxi/4"), ("trained on", "taxi/2")]
    assert below(past, "gs://bucket/april.csv") == april
    assert below(past, "gs://bucket") == april
    assert below(past, "/data/my rides.csv") == [("trained on", "taxi/4")]
    assert ("trained on", "taxi/3") in below(past, "/data/")
    assert below(past, "/dat") == []


def test_a_path_is_read_from_where_one_stands(
    past: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(past, (tmp_path / "rides.csv").as_uri())
    monkeypatch.chdir(tmp_path)
    assert below(past, "rides.csv") == [("trained on", "taxi/1")]


def test_a_span_is_found_by_its_file_where_it_was_taken(past: Any) -> None:
    at(past, "file:///data/day-%7BSPAN%7D.csv", **{SPANS_TAG: "[[3, null, false], [4, 1, false]]"})
    assert below(past, "/data/day-3.csv") == [("trained on", "taxi/1")]
    assert below(past, "/data/day-2.csv") == []
    assert below(past, "/data/day-3.csv.gz") == []
    at(past, "file:///data/%7Bodd%7D.csv")
    assert below(past, "/data/{odd}.csv") == [("trained on", "taxi/2")]


def test_data_is_found_by_the_digest_of_its_source_or_of_a_split(past: Any) -> None:
    past.trained(source="5e" * 32, split="a1" * 32)
    past.trained(source="5f" * 32, split="a1" * 32)
    past.version({SOURCE_DIGEST_TAG: "5f" * 32})
    assert below(past, "5e" * 32) == [("trained on", "taxi/1")]
    assert below(past, "5f5f5f5f") == [("trained on", "taxi/2"), ("trained on", "taxi/3")]
    both = [("trained on", "taxi/1"), ("trained on", "taxi/2")]
    assert below(past, "a1" * 32) == both  # MLflow keeps 36 digits of it
    assert below(past, "a1a1a1a1") == both
    assert below(past, "00" * 32) == []


def test_versions_without_tags_are_found_by_the_inputs_of_their_runs(past: Any) -> None:
    from mlflow.entities import Dataset, DatasetInput

    run = past.run("my training")
    data = Dataset("wine", "abcd1234", "http", '{"url": "https://host/wine.csv"}')
    past.client.log_inputs(run, [DatasetInput(data, [])])
    past.version(run_id=run, name="wine")
    past.version(name="empty")
    assert below(past, "https://host/wine.csv") == [("trained on", "wine/1")]
    assert below(past, "abcd1234") == [("trained on", "wine/1")]


def test_a_version_has_what_began_with_it_was_compared_with_it_or_copied(past: Any) -> None:
    past.version()
    past.version({BASE_TAG: "1", BASELINE_TAG: "1"})
    past.version({BASE_TAG: "2", BASELINE_TAG: "2"})
    past.version({BASE_TAG: "1"}, name="other")  # of its own version 1
    past.version({COPIED_FROM_TAG: f"{past.reader.registry}/taxi/1"}, name="taxi-prod")
    expected = [
        ("compared with", "taxi/2"),
        ("copied from", "taxi-prod/1"),
        ("warm start", "taxi/2"),
        ("warm start", "taxi/3"),
    ]
    assert below(past, "taxi/1") == expected
    past.client.set_registered_model_alias("taxi", "champion", "1")
    assert below(past, "taxi@champion") == expected
    assert below(past, "taxi") == expected
    text = list(tree(found_in(past, "taxi/1")).lines())
    assert text[0].startswith("taxi/1")
    assert "    taxi/3  from taxi/2" in text
    assert "  compared with it (1)" in text


def test_copies_of_another_registry_are_found_by_its_address(past: Any) -> None:
    address = "http://dev:5000/taxi/1"
    past.version({COPIED_FROM_TAG: address, BASE_TAG: "1"})  # both numbers are of that registry
    past.version({BASE_TAG: "1"})
    assert below(past, address) == [("copied from", "taxi/1"), ("warm start", "taxi/2")]
    assert below(past, "taxi/1") == [("warm start", "taxi/2")]


def test_circles_end(past: Any) -> None:
    at(past, "file:///a.csv", **{BASE_TAG: "2"})
    at(past, "file:///a.csv", **{BASE_TAG: "1"})
    assert ("warm start", "taxi/2") in below(past, "/a.csv")
    assert ("warm start", "taxi/2") in below(past, "taxi/1")


def test_nothing_is_an_answer(past: Any) -> None:
    past.version()
    found = found_in(past, "/no/such.csv")
    assert [node.title for node in found.nodes] == ["/no/such.csv"]
    assert "nothing came from it" in "\n".join(tree(found).lines())


@pytest.mark.parametrize("given", ["", "  "])
def test_an_empty_word_is_refused(given: str, past: Any) -> None:
    with pytest.raises(ConfigError, match="MODEL/VERSION"):
        found_in(past, given)


@pytest.mark.parametrize(
    ("given", "words"),
    [("taxis/1", "did you mean 'taxi'"), ("taxi/9", "one of 1"), ("taxi@prod", "that alias")],
)
def test_a_version_that_is_not_there_is_refused(given: str, words: str, past: Any) -> None:
    past.version()
    with pytest.raises(RegistryError, match=words):
        found_in(past, given)
