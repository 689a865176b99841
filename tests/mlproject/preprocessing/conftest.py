"""Runs a `preprocessing_fn` over columns in memory: analysed by tf.Transform, then applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig
from tfx_bsl.tfxio.tensor_representation_util import InferTensorRepresentationsFromSchema

from mlproject import preprocessing as pp
from mlproject.examples.reader import to_example_batch
from mlproject.schema import parse_schema
from mlproject.transform import TransformGraph

Columns = Mapping[str, pa.Array]
_TYPES = {pa.int64(): "INT", pa.float64(): "FLOAT", pa.string(): "BYTES", pa.binary(): "BYTES"}
# What a text file of values could trip over: separators, line ends of Unicode, bytes that are no
# text, what looks like a count or a pattern, and what differs from another value in spaces alone.
HOSTILE = [
    *(b"\t", b"a\tb", b" ", b"  ", b" in front", b"behind ", b"a b", b"ab", b"\x00", b"a\x00b"),
    *(b"\v", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff\xfe", b"a\xffb", b"\xc3", b"\xef\xbb\xbf"),
    *(b"12", b"1 2", b"-1", b"0 0", b"\\1", b"#", b"a\rb", b"a\nb", b"\n", b"\xf0\x9f\x98\x80"),
]


def schema_of(columns: Columns) -> Any:
    """A schema of the columns; one without a null is dense, another sparse."""
    parts = []
    for name, column in columns.items():
        many = pa.types.is_list(column.type)
        kind = _TYPES[column.type.value_type if many else column.type]
        dense = not many and not column.null_count
        shape = "presence { min_fraction: 1.0 } shape { dim { size: 1 } }" if dense else ""
        parts.append(f'feature {{ name: "{name}" type: {kind} {shape} }}')
    return parse_schema("\n".join(parts), "here")


def to_batch(columns: Columns) -> pa.RecordBatch:
    """The layout that tf.Transform reads."""
    return to_example_batch(pa.RecordBatch.from_pydict(dict(columns)))


class Transformed:
    """The graph of a `preprocessing_fn`, analysed over some columns."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder = folder
        self.columns = columns
        self.schema = schema_of(columns)
        representations = InferTensorRepresentationsFromSchema(self.schema)
        self.config = TensorAdapterConfig(to_batch(columns).schema, representations)
        self._graph: TransformGraph | None = None

    def analyze(self, function: Callable[[Any], Any], cuts: Sequence[int]) -> None:
        batches = [to_batch(part) for part in slices(self.columns, cuts)]
        with (
            beam.Pipeline(runner=FnApiRunner()) as pipeline,
            tft_beam.Context(temp_dir=str(self.folder / "temp"), force_tf_compat_v1=False),
        ):
            read = pipeline | beam.Create(batches, reshuffle=False)
            graph = (read, self.config) | tft_beam.AnalyzeDataset(function)
            graph | tft_beam.WriteTransformFn(str(self.folder / "graph"))
        metadata_io.write_metadata(
            dataset_metadata.DatasetMetadata(self.schema), str(self.folder / "graph" / "metadata")
        )

    @property
    def graph(self) -> TransformGraph:
        self._graph = self._graph or TransformGraph(self.folder / "graph")
        return self._graph

    def apply(
        self, columns: Columns | None = None, cuts: Sequence[int] = ()
    ) -> dict[str, np.ndarray]:
        """The outputs for some columns, applied in as many batches as the cuts make."""
        adapter = TensorAdapter(self.config)
        apply = tf.function(self.graph.apply, autograph=False, reduce_retracing=True)
        parts = [
            apply(adapter.ToBatchTensors(to_batch(part)))
            for part in slices(columns or self.columns, cuts)
        ]
        return {name: np.concatenate([part[name].numpy() for part in parts]) for name in parts[0]}


def slices(columns: Columns, cuts: Sequence[int]) -> Iterator[Columns]:
    """The columns in consecutive parts, cut before some rows."""
    rows = len(next(iter(columns.values())))
    for start, end in zip([0, *cuts], [*cuts, rows], strict=True):
        yield {name: column.slice(start, end - start) for name, column in columns.items()}


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Transformed]:
    """Analyses columns with a `preprocessing_fn`, in batches cut before some rows."""

    def run(
        function: Callable[[Any], Any], columns: Columns, cuts: Sequence[int] = ()
    ) -> Transformed:
        transformed = Transformed(tmp_path_factory.mktemp("graph"), columns)
        transformed.analyze(function, cuts)
        return transformed

    return run


@pytest.fixture(scope="session")
def sparse() -> Callable[..., tf.SparseTensor]:
    """Makes a `[batch, 1]` sparse feature of values, None where there is none."""

    def make(values: Sequence[Any], dtype: tf.DType) -> tf.SparseTensor:
        rows = [i for i, value in enumerate(values) if value is not None]
        return tf.SparseTensor(
            np.array([[i, 0] for i in rows], "int64").reshape(-1, 2),
            tf.constant([values[i] for i in rows], dtype),
            [len(values), 1],
        )

    return make


ROWS = 3_000
CUTS = (1, 40, 1_000, 2_900)  # the second batch has no number and no text at all


@pytest.fixture(scope="session")
def columns() -> Columns:
    """3,000 rows: numbers with gaps and infinities, skewed categories, texts, empty columns."""
    random = np.random.default_rng(7)
    gap = random.random(ROWS) < 0.1
    gap[1:40] = True
    amount = np.exp(random.normal(size=ROWS) * 2) * random.choice([-1, 1], ROWS)
    amount[50:56] = [np.nan, np.inf, -np.inf, np.nan, 1e300, 0.0]  # 1e300 is no float32
    rate = random.normal(5.0, 3.0, ROWS)
    rate[60:64] = [np.nan, np.inf, -np.inf, np.nan]
    names = ["New York", "Oslo", "a b  c", "Ürümqi", "x\ny", "", "É", "Rare one", "Rare two"]
    shares = [0.4, 0.2, 0.15, 0.1, 0.04, 0.04, 0.05, 0.01, 0.01]
    city = random.choice(np.array(names, object), ROWS, p=shares)
    area = random.geometric(0.2, ROWS) - 3
    words = ["the", "The", "trip", "was", "good", "bad", "Straße", "naïve", "x_1", "42", "taxi"]
    texts = [
        "; ".join(random.choice(words, random.integers(0, 9), p=_word_shares(len(words))))
        for _ in range(ROWS)
    ]
    tags = [
        list(random.choice(["red", "dark red", "blue"], k)) for k in random.integers(0, 4, ROWS)
    ]
    return {
        "amount": pa.array(amount, mask=gap),
        "rate": pa.array(rate, from_pandas=False),
        "area": pa.array(area, mask=np.roll(gap, 5)),
        "constant": pa.array([2.5] * ROWS),
        "city": pa.array(city, mask=gap),
        "dense_city": pa.array(city),
        "review": pa.array(texts, mask=gap),
        "tags": pa.array([row or None for row in tags], pa.list_(pa.string())),
        "raw": pa.array([HOSTILE[i] for i in random.integers(0, len(HOSTILE), ROWS)]),
        "no_number": pa.nulls(ROWS, pa.float64()),
        "no_text": pa.nulls(ROWS, pa.string()),
        "no_whole": pa.nulls(ROWS, pa.int64()),
    }


def _word_shares(count: int) -> np.ndarray:
    shares = 1 / np.arange(1, count + 1)
    return shares / shares.sum()


def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Every helper that looks at the data; each vocabulary costs half a second of analysis."""
    outputs: dict[str, Any] = {}
    for name in ("amount", "area", "no_number"):
        x = inputs[name]
        outputs[f"{name}_median"], outputs[f"{name}_gap"] = pp.impute(x, "median")
        outputs[f"{name}_mean"] = pp.fill_missing(x, "mean")
        outputs[f"{name}_clip"] = pp.clip_outliers(x, 0.05, 0.975)
    for name in ("amount", "constant", "no_number"):
        outputs[f"{name}_robust"] = pp.robust_scale(inputs[name])
        outputs[f"{name}_bucket"] = pp.bucketize(inputs[name], 7)
    for name in ("amount", "rate", "no_number"):
        outputs[f"{name}_z"] = pp.z_score(inputs[name])
    for name in ("city", "area", "no_whole"):
        outputs[f"{name}_mode"] = pp.fill_missing(inputs[name], "most_frequent")
    outputs["city_id"] = pp.ordinal_encode(inputs["dense_city"], top_k=4, vocab_filename="city")
    outputs["raw_id"] = pp.ordinal_encode(inputs["raw"])
    outputs["raw_share"] = pp.frequency_encode(inputs["raw"])
    outputs["area_count"] = pp.count_encode(inputs["area"], top_k=2)
    outputs["city_common"] = pp.group_rare(inputs["city"], 0.03)
    outputs["amount_high"] = pp.clip_outliers(inputs["amount"], 0, 0.9)
    outputs["amount_low"] = pp.clip_outliers(inputs["amount"], 0.1, 1)
    outputs["pair"] = pp.cross([pp.bucketize(inputs["rate"], 3), inputs["city"]], 50)
    words = pp.split_words(inputs["review"])
    outputs["review_ids"] = pp.token_ids(words, top_k=5, length=4, vocab_filename="review")
    outputs["review_bag"] = pp.bag_of_words(words, top_k=20)
    outputs["review_weights"] = pp.tf_idf(words, top_k=6)
    outputs["tags_bag"] = pp.bag_of_words(inputs["tags"], top_k=4)
    outputs["no_text_weights"] = pp.tf_idf(pp.split_words(inputs["no_text"]), top_k=2)
    return outputs


@pytest.fixture(scope="session")
def transformed(analyzed: Callable[..., Transformed], columns: Columns) -> Transformed:
    """`preprocessing_fn`, analysed over the columns in uneven batches."""
    return analyzed(preprocessing_fn, columns, CUTS)


@pytest.fixture(scope="session")
def outputs(transformed: Transformed) -> dict[str, np.ndarray]:
    """What the analysed columns themselves become."""
    return transformed.apply()
