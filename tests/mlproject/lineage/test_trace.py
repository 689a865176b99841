"""From a version back to its data, and on to its deployments, out of MLflow alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlproject.errors import RegistryError
from mlproject.lineage import Kind, Lineage, Node
from mlproject.lineage.text import tree
from mlproject.lineage.trace import MOST_ANCESTORS
from mlproject.promotion.entries import Entry, Move, parse_entry
from mlproject.promotion.stages import Stage
from mlproject.registry.ledger import Ledger
from mlproject.registry.ledger_run import LEDGER_TAG
from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    COPIED_FROM_TAG,
    ROWS_TAG,
    RUN_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
)
from mlproject.tracking import STEP_TAG


def only(lineage: Lineage, kind: Kind) -> Node:
    """The one node of a kind."""
    (found,) = (node for node in lineage.nodes if node.kind is kind)
    return found


def fact(node: Node, name: str) -> str:
    return dict(node.facts)[name]


def edges(lineage: Lineage) -> set[tuple[str, str]]:
    """The edges, by kind of node."""
    kinds = {node.key: node.kind.value for node in lineage.nodes}
    return {(kinds[edge.source], kinds[edge.target]) for edge in lineage.edges}


def test_a_version_has_its_data_steps_code_and_parameters(past: Any) -> None:
    past.trained()
    found = past.traced("taxi/1")
    data = only(found, Kind.DATA)
    assert dict(data.facts) == {
        "uri": "file:///data/march.csv",
        "digest": "a1" * 18,
        "rows": "40",
        "source digest": "5e" * 32,
    }
    assert data.title == "train: march.csv"
    assert fact(only(found, Kind.MODULE), "git commit") == "ab" * 20 + "-dirty"
    assert fact(only(found, Kind.MODULE), "digest") == "c0de" * 5
    assert dict(only(found, Kind.PARAMETERS).facts) == {"learning_rate": "0.01", "epochs": "3"}
    assert fact(only(found, Kind.SCHEMA), "digest") == "5c" * 32
    assert fact(only(found, Kind.STATISTICS), "examples_train") == "40"
    assert only(found, Kind.BLESSING).title == "BLESSED"
    training = dict(only(found, Kind.TRAINING).facts)
    assert training["loss"] == "0.25"
    assert not {"system/cpu", "epochs"} & set(training)
    assert list(dict(only(found, Kind.EVALUATION).facts))[:4] == [
        "auc",
        "z",
        "auc_low",
        "champion_auc",
    ]


def test_the_steps_are_joined_as_they_were_made_of_each_other(past: Any) -> None:
    past.trained()
    found = edges(past.traced("taxi/1"))
    for joined in (
        ("data", "examples"),
        ("examples", "statistics"),
        ("statistics", "schema"),
        ("schema", "validation"),
        ("module file", "training"),
        ("parameters", "training"),
        ("transform graph", "training"),
        ("training", "evaluation"),
        ("evaluation", "blessing"),
        ("blessing", "model version"),
        ("pipeline run", "model version"),
    ):
        assert joined in found, joined
    assert ("data", "model version") not in found


def test_a_schema_that_a_person_reviewed_comes_from_no_statistics(
    past: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(past).run.__globals__["PARAMS"], "schema", {"schema": "reviewed"})
    past.trained()
    assert ("statistics", "schema") not in edges(past.traced("taxi/1"))


def test_where_the_data_lay_says_the_version(past: Any) -> None:
    """MLflow keeps one place for rows of one digest: that of the first run that logged them."""
    past.trained()
    past.trained(uri="gs://bucket/moved.csv")
    assert fact(only(past.traced("taxi/2"), Kind.DATA), "uri") == "gs://bucket/moved.csv"
    assert fact(only(past.traced("taxi/1"), Kind.DATA), "uri") == "file:///data/march.csv"


def test_spans_are_named_as_people_do(past: Any) -> None:
    past.trained(spans=([20_500, None, True], [20_501, 3, True]))
    assert fact(only(past.traced("taxi/1"), Kind.DATA), "spans") == (
        "2026-02-16, 2026-02-17 (version 3)"
    )


def test_parents_follow_each_other_with_their_data(past: Any) -> None:
    past.trained(uri="file:///data/january.csv", split="11" * 32)
    past.trained(uri="file:///data/february.csv", split="22" * 32, parent=1)
    past.trained(parent=2, baseline=1)
    found = past.traced("taxi/3")
    warm = {(e.source, e.target) for e in found.edges if e.meaning == "warm start"}
    assert warm == {("taxi/2", only(found, Kind.TRAINING).key), ("taxi/1", "taxi/2")}
    uris = {fact(node, "uri").rpartition("/")[2] for node in found.nodes if node.kind is Kind.DATA}
    assert uris == {"march.csv", "february.csv", "january.csv"}
    (compared,) = (e for e in found.edges if e.meaning == "compared with")
    assert (compared.source, compared.target) == ("taxi/1", only(found, Kind.EVALUATION).key)
    lines = [line.rstrip() for line in tree(found).lines()]
    (parent,) = (i for i, line in enumerate(lines) if line.startswith("  parent model  taxi/2"))
    assert lines[parent + 1].startswith("    data train: february.csv")
    assert lines[parent + 2].startswith("    parent model  taxi/1")
    assert lines[parent + 3].startswith("      data train: january.csv")
    assert "  compared with  taxi/1" in lines
    assert sum("march.csv" in line for line in lines) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_parents_in_a_circle_end(number: int, past: Any) -> None:
    past.trained(parent=2)
    past.trained(parent=1)
    found = past.traced(f"taxi/{number}")
    assert len({node.key for node in found.nodes}) == len(found.nodes)
    assert f"parent model  taxi/{3 - number}" in "\n".join(tree(found).lines())


def test_a_version_that_is_its_own_parent_ends(past: Any) -> None:
    past.trained(parent=1)
    assert tree(past.traced("taxi/1")).label == "taxi/1"


def test_parents_and_champions_that_are_lost_are_gone(past: Any) -> None:
    past.trained(parent=40, baseline=41)
    found = past.traced("taxi/1")
    assert {n.key for n in found.nodes if n.state == "gone"} == {"taxi/40", "taxi/41"}
    text = "\n".join(tree(found).lines())
    assert "parent model  taxi/40  state MLflow no longer has this version" in text


def test_a_long_line_of_parents_says_where_it_goes_on(past: Any) -> None:
    past.version()
    for parent in range(1, MOST_ANCESTORS + 3):
        past.version({BASE_TAG: str(parent)})
    found = past.traced(f"taxi/{MOST_ANCESTORS + 3}")
    parents = [node for node in found.nodes if node.kind is Kind.PARENT]
    assert len(parents) == MOST_ANCESTORS + 1
    assert fact(parents[-1], "more") == "benison lineage taxi/2"


def test_deleted_and_lost_runs_are_gone(past: Any) -> None:
    past.trained(**{f"{RUN_TAG}validate": "0" * 32})
    found = past.traced("taxi/1")
    past.client.delete_run(only(found, Kind.STATISTICS).run_id)
    past.client.delete_run(only(found, Kind.PIPELINE).run_id)
    found = past.traced("taxi/1")
    assert {n.kind for n in found.nodes if n.state == "gone"} == {
        Kind.STATISTICS,
        Kind.VALIDATION,
        Kind.PIPELINE,
    }
    assert "restore" in fact(only(found, Kind.STATISTICS), "state")
    assert fact(only(found, Kind.VALIDATION), "state") == "MLflow no longer has this run"
    assert only(found, Kind.TRAINING).state == ""


def test_versions_of_an_older_platform_are_told_by_their_pipeline(past: Any) -> None:
    first = past.run("pipeline")
    made = past.run("statistics", first)
    past.run("train", first)
    second = past.run("pipeline", tags={f"{STEP_TAG}.statistics": f"cached, made in {first}"})
    trained = past.run("train", second)
    past.version(run_id=second)
    found = past.traced("taxi/1")
    assert only(found, Kind.STATISTICS).run_id == made
    assert only(found, Kind.TRAINING).run_id == trained


def test_a_version_without_any_record_is_a_tree_of_one_line(past: Any) -> None:
    past.version()
    found = past.traced("taxi/1")
    assert [node.key for node in found.nodes] == ["taxi/1"]
    assert list(tree(found).lines()) == ["taxi/1", "  nothing is recorded of it"]


def test_a_version_of_somebody_else_shows_what_mlflow_knows(past: Any) -> None:
    from mlflow.entities import Dataset, DatasetInput, Param

    run = past.run("my training")
    past.client.log_batch(run, params=[Param("depth", "7")])
    data = Dataset("wine", "abcd1234", "http", '{"url": "https://host/wine.csv"}', profile="none")
    past.client.log_inputs(run, [DatasetInput(data, [])])
    past.version(run_id=run)
    found = past.traced("taxi/1")
    assert dict(only(found, Kind.DATA).facts) == {
        "uri": "https://host/wine.csv",
        "digest": "abcd1234",
    }
    assert dict(only(found, Kind.PARAMETERS).facts) == {"depth": "7"}
    assert ("data", "model version") in edges(found)


def test_nonsense_in_the_tags_breaks_nothing(past: Any) -> None:
    past.trained()
    names = (SOURCE_URI_TAG, ROWS_TAG, SPANS_TAG, BASE_TAG, BASELINE_TAG, COPIED_FROM_TAG)
    nonsense = ["", "null", "[", "x/7y", '"x"', "[[1]]", '{"train": {"a": 1}}', "[" * 9_000, "'\""]
    for text in nonsense:
        for name in (*names, f"{RUN_TAG}train"):
            past.tag(1, name, text)
        found = past.traced("taxi/1")
        assert not [node for node in found.nodes if node.kind is Kind.PARENT]
        assert fact(only(found, Kind.STATISTICS), "examples_train") == "40"
        assert tree(found).label == "taxi/1"
        json.dumps(found.as_dict())


def test_a_run_id_cannot_end_the_filter(past: Any) -> None:
    past.trained(**{f"{RUN_TAG}train": "x') OR attributes.run_id != ('y"})
    assert only(past.traced("taxi/1"), Kind.TRAINING).state == "gone"


def test_a_copy_names_what_it_was_copied_from(past: Any) -> None:
    address = "http://other:5000/taxi/7"
    past.trained(parent=1, **{COPIED_FROM_TAG: address, f"{RUN_TAG}train": "0" * 32})
    found = past.traced("taxi/1")
    source = only(found, Kind.SOURCE)
    assert source.title == "taxi/7"
    assert fact(source, "registry") == "http://other:5000"
    assert fact(source, "parent model there") == "1"
    assert not [node for node in found.nodes if node.kind is Kind.PARENT]
    training = only(found, Kind.TRAINING)
    assert training.state == ""
    assert "copied from" in fact(training, "state")
    assert ("copied from", "model version") in edges(found)


def entry(version: int, *moves: Move) -> Entry:
    when = parse_entry(
        1,
        '{"event": "transition", "version": 1, "moves": [], "who": "", "why": "",'
        ' "when": "2026-03-01T12:00:00", "evidence": {}}',
    ).when
    return Entry("transition", version, moves, "ann", "it is better", when, {"rollout_run": "r1"})


def test_the_ledger_says_where_it_went(past: Any) -> None:
    past.trained()
    past.trained()
    ledger = Ledger(past.settings, past.client)
    up = Move(1, Stage.STAGING, Stage.PRODUCTION)
    ledger.append("taxi", entry(1, up), 0)
    ledger.append("taxi", entry(2, Move(1, Stage.PRODUCTION, Stage.ARCHIVED)), 1)
    found = only(past.traced("taxi/1"), Kind.DEPLOYMENTS)
    assert found.title == "2 entries"
    assert found.facts[0] == (
        "2026-03-01T12:00:00+00:00",
        "transition: staging -> production, by ann: it is better; rollout_run r1",
    )
    assert "production -> archived" in found.facts[1][1]
    assert only(past.traced("taxi/2"), Kind.DEPLOYMENTS).title == "1 entry"


def test_a_ledger_that_is_gone_is_said_so(past: Any) -> None:
    past.trained()
    past.client.set_registered_model_tag("taxi", LEDGER_TAG, "0" * 32)
    found = only(past.traced("taxi/1"), Kind.DEPLOYMENTS)
    assert found.state == "gone"
    assert "The ledger of 'taxi' is gone" in fact(found, "state")


def test_unknown_versions_are_refused_with_the_closest(past: Any) -> None:
    past.version()
    with pytest.raises(RegistryError, match="did you mean 'taxi'"):
        past.traced("taxis/1")
