"""Lists of any length and bytes, some missing: from Parquet to one prediction everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.e2e.conftest import Pipeline, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROWS = 1_500
PROJECT = {
    "name": "lists",
    "module": "lists.py",
    "data": {"path": "rows.parquet"},
    "schema": {"training_only": ["bought"]},
    "training": {"label": "bought"},
    "evaluation": {"value_thresholds": {"auc": {"min": 0.8}}},
    "serving": {
        "sample": {"tags": ["red", "blue"], "vector": [1, 0, 0, 0.5], "blob": {"b64": "/wD/"}}
    },
}
MODULE = """
import keras
import tensorflow as tf
import tensorflow_transform as tft

ONE = ("red_xf", "sum_xf", "size_xf")


def total(sparse, values):
    sparse = tf.SparseTensor(sparse.indices, tf.cast(values, tf.float32), sparse.dense_shape)
    return tf.reshape(tf.sparse.reduce_sum(sparse, 1), [-1])


def preprocessing_fn(inputs):
    tags, sums, blob = inputs["tags"], inputs["history"], inputs["blob"]
    return {
        "red_xf": total(tags, tf.equal(tags.values, "red")),
        "sum_xf": tft.scale_to_z_score(total(sums, sums.values)),
        "size_xf": total(blob, tf.strings.length(blob.values)) / 8,
        "vector_xf": tft.scale_to_z_score(inputs["vector"], elementwise=True),
        "bought": inputs["bought"][:, 0],
    }


def run_fn(fn_args):
    inputs = {name: keras.Input((), name=name) for name in ONE}
    inputs["vector_xf"] = keras.Input((4,), name="vector_xf")
    columns = [keras.layers.Reshape((1,))(inputs[name]) for name in ONE]
    joined = keras.layers.Concatenate()([*columns, inputs["vector_xf"]])
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(joined))
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy")
    train = fn_args.data_accessor.tf_dataset("train", 64, shuffle=True)
    model.fit(train, epochs=4, verbose=0, callbacks=fn_args.callbacks)
    return model
"""


def write_rows(file: Path) -> None:
    """Rows whose label hangs on every list; bytes that are no text."""
    rng = np.random.default_rng(7)

    def some(share: float, make: Callable[[], Any]) -> list[Any]:
        return [None if rng.random() < share else make() for _ in range(ROWS)]

    words = np.array(["red", "green", "caf\u00e9"])
    tags = some(0.2, lambda: words[rng.integers(0, 3, rng.integers(1, 5))].tolist())
    history = some(0.3, lambda: rng.normal(size=rng.integers(1, 7)).tolist())
    blob = some(0.1, lambda: b"\x00\xff" + rng.bytes(rng.integers(1, 9)))
    vector = rng.normal(size=(ROWS, 4))
    score = vector[:, 0] + [
        (t or []).count("red") + sum(h or []) / 3 + len(b or b"") / 8
        for t, h, b in zip(tags, history, blob, strict=True)
    ]
    bought = (score + rng.normal(scale=0.3, size=ROWS) > np.median(score)).astype(int)
    columns = {"tags": tags, "history": history, "vector": vector.tolist(), "bought": bought}
    pq.write_table(pa.table({**columns, "blob": pa.array(blob, pa.binary())}), file)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "project.yaml").write_text(yaml.safe_dump(PROJECT), encoding="utf-8")
    (folder / "lists.py").write_text(MODULE, encoding="utf-8")
    write_rows(folder / "rows.parquet")
    return Product(tmp_path / "home", folder)


def test_lists_and_bytes_are_trained_on_judged_registered_and_served(
    product: Product,
    in_process: Callable[[Product], Pipeline],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow

    outcome = in_process(product).run()
    assert outcome.status == "blessed", outcome.reasons
    steps = {step.name: Path(step.uri) for step in outcome.steps}
    examples = pq.read_table(steps["ingest"] / "Split-eval")
    assert examples.schema.field("tags").type == pa.list_(pa.string())
    assert examples.schema.field("blob").type == pa.binary()
    assert all(examples[name].null_count for name in ("tags", "history", "blob"))
    judged = pq.read_table(steps["evaluate"] / "predictions.parquet")["candidate"].to_numpy()
    assert judged.std() > 0.2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", product.tracking_uri)
    mlflow.set_tracking_uri(product.tracking_uri)
    mlflow.set_registry_uri(product.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/lists/1")
    frame = examples.drop(["bought"]).to_pandas()
    np.testing.assert_allclose(model.predict(frame)["predictions"], judged, atol=1e-5)
    sample = outcome.sample
    assert sample["sample"]["blob"] == {"b64": "/wD/"}
    by_example = model.predict(model.input_example)["predictions"][0]
    assert sample["prediction"][0] == pytest.approx(by_example, abs=1e-5)
