"""The lineage of what a pipeline left, on a machine that has nothing but MLflow's address."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.e2e.conftest import Product, Trained

pytestmark = pytest.mark.e2e


@pytest.fixture
def elsewhere(trained: Trained, tmp_path: Path) -> Product:
    """Another machine: an empty home, no project, no pipeline root; and MLflow's database."""
    shutil.copy(trained.product.home / "mlflow.db", tmp_path / "server.db")
    variables = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'server.db'}"}
    return Product(tmp_path / "home", tmp_path / "none", variables)


def test_the_whole_tree_is_read_from_mlflow_alone(trained: Trained, elsewhere: Product) -> None:
    done = elsewhere.run("lineage", "taxi@champion", "--json")
    assert done.code == 0, done.err
    graph = done.outcome
    nodes = {node["kind"]: node for node in graph["nodes"]}
    assert set(nodes) >= {
        "data",
        "examples",
        "statistics",
        "schema",
        "validation",
        "transform graph",
        "module file",
        "parameters",
        "training",
        "evaluation",
        "trial in a server",
        "blessing",
        "deployments",
        "pipeline run",
    }
    assert not [node for node in graph["nodes"] if node["state"]]
    data = [dict(node["facts"]) for node in graph["nodes"] if node["kind"] == "data"]
    assert {fact["uri"] for fact in data} == {
        (trained.product.project / "data" / "trips.csv").as_uri()
    }
    assert sum(int(fact["rows"].replace(",", "")) for fact in data) == 1_500
    assert dict(nodes["parameters"]["facts"])["learning_rate"] == "0.01"
    assert float(dict(nodes["evaluation"]["facts"])["auc"]) > 0.75
    assert nodes["deployments"]["facts"][-1][1].startswith("transition: staging -> production")
    assert not elsewhere.pipeline_root.exists()


def test_the_data_leads_to_the_version(trained: Trained, elsewhere: Product) -> None:
    version = trained.product.mlflow().get_model_version("taxi", "1")
    source = str(trained.product.project / "data" / "trips.csv")
    for given in (source, Path(source).as_uri(), version.tags["benison.source_digest"][:12]):
        done = elsewhere.run("lineage", "--downstream", given, "--json")
        edges = json.loads(done.out)["edges"]
        assert ("taxi/1", "trained on") in {(edge["target"], edge["meaning"]) for edge in edges}
