"""A small taxi project, ingested, transformed and trained once a session, and settings.

TensorFlow, tf.Transform and MLflow are imported inside the fixtures: the tests of this folder that
need none of them start at once.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlproject.settings import Settings, read_settings

TAXI = Path(__file__).parents[2] / "examples" / "taxi"
ROWS = 2_000
LABEL = "big_tipper"
HYPERPARAMETERS = {
    "epochs": 1,
    "batch_size": 256,
    "learning_rate": 0.01,
    "embedding_size": 2,
    "hidden_units": [8],
}


@dataclass(frozen=True)
class Trained:
    """What one training left: its artifact, the Keras model itself, and what it told."""

    folder: Path
    model: Any
    history: Mapping[str, list[float]]
    notes: list[str]


@pytest.fixture(scope="session")
def taxi_schema() -> Any:
    """The reviewed schema of the taxi example, `tips` in training only."""
    from mlproject.schema import read_schema, set_environments

    return set_environments(read_schema(TAXI / "schema.pbtxt"), ["tips"])


@pytest.fixture(scope="session")
def taxi_module() -> types.ModuleType:
    """The module file of the taxi example."""
    from mlproject.user_module import load_module, read_module

    return load_module(read_module(TAXI / "taxi.py"))


@pytest.fixture(scope="session")
def taxi_examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2,000 generated trips as Examples: train and eval."""
    from mlproject.examples.ingest import ingest
    from mlproject.examples.request import IngestRequest

    spec = importlib.util.spec_from_file_location("taxi_trips", TAXI / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = generator
    spec.loader.exec_module(generator)
    folder = tmp_path_factory.mktemp("examples")
    trips = generator.write(generator.TaxiSpec(rows=ROWS, seed=3), folder / "trips.csv")
    # The one column that is all but always empty, so that its type does not hang on a rare row.
    tracts = (("pickup_census_tract", "int"),)
    ingest(IngestRequest(source=str(trips), column_types=tracts), folder)
    return folder


@pytest.fixture(scope="session")
def taxi_transformed(
    taxi_examples: Path,
    taxi_schema: Any,
    taxi_module: types.ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The transform artifact of the taxi Examples."""
    from mlproject.transform import (
        GRAPH_FOLDER,
        TransformGraph,
        analyze_examples,
        transform_examples,
    )

    out, temp = tmp_path_factory.mktemp("transform"), tmp_path_factory.mktemp("beam")
    code = TAXI / "taxi.py"
    function = taxi_module.preprocessing_fn
    analyze_examples(taxi_examples / "Split-train", taxi_schema, function, code, out, temp)
    graph = TransformGraph(out / GRAPH_FOLDER)
    for split in ("Split-train", "Split-eval"):
        transform_examples(taxi_examples / split, graph, out / split, code)
    return out


@pytest.fixture(scope="session")
def train_request(
    taxi_transformed: Path, taxi_schema: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """A request to train on the taxi Examples, for one epoch."""
    from mlproject.schema import SCHEMA_FILE, write_schema
    from mlproject.training import TrainRequest

    folder = tmp_path_factory.mktemp("schema")
    write_schema(taxi_schema, folder)
    return TrainRequest(
        transformed_dir=taxi_transformed,
        schema_file=folder / SCHEMA_FILE,
        label=LABEL,
        hyperparameters=HYPERPARAMETERS,
        seed=42,
        train_steps=None,
        eval_steps=None,
    )


@pytest.fixture(scope="session")
def taxi_trained(
    train_request: Any,
    taxi_module: types.ModuleType,
    taxi_schema: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """The taxi model, trained by the example's own `run_fn`."""
    from mlproject.training import train_model

    kept: list[Any] = []

    def run_fn(fn_args: Any) -> Any:
        kept.append(taxi_module.run_fn(fn_args))
        return kept[0]

    module = types.ModuleType("taxi_kept")
    module.__file__ = taxi_module.__file__
    module.run_fn = run_fn  # type: ignore[attr-defined]
    folder = tmp_path_factory.mktemp("train")
    notes: list[str] = []
    history = train_model(train_request, module, taxi_schema, folder, notes.append)
    return Trained(folder, kept[0], history, notes)


@pytest.fixture(scope="session")
def write_split() -> Callable[[Path, Mapping[str, pa.Array]], Path]:
    """Writes columns as a split of Examples, and gives its folder."""

    def write(folder: Path, columns: Mapping[str, pa.Array]) -> Path:
        folder.mkdir(parents=True)
        pq.write_table(pa.table(dict(columns)), folder / "examples-00000.parquet")
        return folder

    return write


@pytest.fixture
def load_code(tmp_path: Path) -> Callable[[str], types.ModuleType]:
    """Loads a text as a project's module file, `project.py`."""
    from mlproject.user_module import load_module, read_module

    def load(text: str) -> types.ModuleType:
        (tmp_path / "project.py").write_text(text, encoding="utf-8")
        return load_module(read_module(tmp_path / "project.py"))

    return load


@pytest.fixture
def settings(empty_store: Path, tmp_path: Path) -> Settings:
    """Settings with an MLflow store on SQLite of the test's own."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(empty_store, home / "mlflow.db")
    return read_settings({"BENISON_HOME": str(home)}, tmp_path)
