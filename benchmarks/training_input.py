"""Does training wait for its rows? Step time of one Keras model fed in five ways.

    python benchmarks/training_input.py                    # 400,000 rows, batches of 256
    python benchmarks/training_input.py --rows 1000000 --batch-size 512

The rows are taxi-like: 17 features (7 float32, 10 int64) and a label. The model is that of
examples/taxi, without its wide part. The ways:

    one batch   the same batch again and again: what the model alone takes
    memory      from_tensor_slices(...).batch(...): the rows are tensors already
    benison     Benison's input: Parquet pieces, shuffled, sliced into batches by TensorFlow
    generator   the same pieces, one Python call a batch
    tfrecord    TFRecord of tf.Example, parsed a batch at a time with tf.io.parse_example

All run in one process, in turn, several rounds; a step's time is the least of its rounds. `feed` is
the dataset alone, without a model. A process has one order of the ways in each round, the reverse
in the next, so that what warms up first has no advantage. Seconds are this machine's; ratios hold.

Operations are deterministic, as the Trainer has them; `--any-order` lets TensorFlow take others.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from mlproject.training_data import DataAccessor
from mlproject.transformed import open_transformed

FLOATS = tuple(f"float_{number}_xf" for number in range(7))
SIZES = {
    f"id_{number}_xf": size for number, size in enumerate((10,) * 4 + (13, 8, 24, 78, 110, 110))
}
LABEL = "label"
ROW_GROUP = 65_536
FILES = 4

Times = dict[str, list[tuple[float, float]]]


def make_columns(rows: int) -> dict[str, np.ndarray]:
    """Random rows with a label that some features tell."""
    rng = np.random.default_rng(7)
    columns: dict[str, np.ndarray] = {
        name: rng.normal(size=rows).astype("float32") for name in FLOATS
    }
    columns |= {name: rng.integers(0, size, rows) for name, size in SIZES.items()}
    score = columns[FLOATS[0]] + 0.1 * columns["id_4_xf"] - 0.6
    columns[LABEL] = (score + rng.normal(size=rows) > 0).astype("int64")
    return columns


def write_parquet(columns: dict[str, np.ndarray], folder: Path) -> None:
    """Writes the rows as a transform artifact has them."""
    split = folder / "Split-train"
    split.mkdir(parents=True)
    pq.write_table(pa.table(columns), split / "transformed-00000.parquet", row_group_size=ROW_GROUP)


def write_examples(columns: dict[str, np.ndarray], folder: Path) -> list[str]:
    """Writes the rows as TFRecord of tf.Example; returns the files."""
    rows = len(columns[LABEL])
    files = []
    for shard in range(FILES):
        files.append(str(folder / f"rows-{shard}.tfrecord"))
        with tf.io.TFRecordWriter(files[-1]) as writer:
            for row in range(shard * rows // FILES, (shard + 1) * rows // FILES):
                example = tf.train.Example()
                for name, column in columns.items():
                    feature = example.features.feature[name]
                    if column.dtype == np.float32:
                        feature.float_list.value.append(column[row])
                    else:
                        feature.int64_list.value.append(column[row])
                writer.write(example.SerializeToString())
    return files


def from_memory(columns: dict[str, np.ndarray], batch_size: int) -> tf.data.Dataset:
    features = {name: column for name, column in columns.items() if name != LABEL}
    return tf.data.Dataset.from_tensor_slices((features, columns[LABEL])).batch(batch_size)


def from_generator(folder: Path, columns: dict[str, np.ndarray], batch_size: int) -> Any:
    names = [*(name for name in columns if name != LABEL), LABEL]
    transformed = open_transformed(folder, "train")

    def batches() -> Any:
        rng = np.random.default_rng(7)
        for piece in transformed.columns(rng):
            order = rng.permutation(len(piece[LABEL]))
            shuffled = {name: column[order] for name, column in piece.items()}
            for start in range(0, len(order), batch_size):
                yield tuple(shuffled[name][start : start + batch_size] for name in names)

    spec = tuple(tf.TensorSpec((None,), tf.as_dtype(columns[name].dtype)) for name in names)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    return dataset.map(lambda *c: (dict(zip(names, c[:-1], strict=False)), c[-1]))


def from_examples(files: list[str], batch_size: int) -> tf.data.Dataset:
    spec: dict[str, Any] = {name: tf.io.FixedLenFeature([], tf.float32) for name in FLOATS}
    spec |= {name: tf.io.FixedLenFeature([], tf.int64) for name in (*SIZES, LABEL)}

    def parse(serialized: Any) -> Any:
        features = tf.io.parse_example(serialized, spec)
        return features, features.pop(LABEL)

    records = tf.data.TFRecordDataset(files, num_parallel_reads=tf.data.AUTOTUNE)
    # TFX shuffles records in a buffer of 10,000 by default.
    shuffled = records.shuffle(10_000, seed=7)
    return shuffled.batch(batch_size).map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def make_model() -> keras.Model:
    inputs = {name: keras.Input((), name=name) for name in FLOATS}
    inputs |= {name: keras.Input((), name=name, dtype="int64") for name in SIZES}
    offsets = np.cumsum([0, *SIZES.values()])[:-1]
    ids = keras.ops.stack([inputs[name] for name in SIZES], axis=1) + offsets[None]
    deep = keras.layers.Flatten()(keras.layers.Embedding(sum(SIZES.values()), 4)(ids))
    numbers = keras.ops.stack([inputs[name] for name in FLOATS], axis=1)
    deep = keras.layers.Concatenate()([numbers, deep])
    for units in (64, 32):
        deep = keras.layers.Dense(units, activation="relu")(deep)
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(deep))
    model.compile("adam", "binary_crossentropy")
    return model


def measure(run: Callable[[], object], steps: int) -> tuple[float, float]:
    """Wall and CPU microseconds a step."""
    began, cpu = time.perf_counter(), time.process_time()
    run()
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    return wall / steps * 1e6, used / steps * 1e6


def consume(dataset: tf.data.Dataset) -> None:
    for _ in dataset:
        pass


def main(argv: list[str] | None = None) -> int:
    """Measures and prints a table, then JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--any-order", action="store_true", help="no deterministic operations")
    parser.add_argument("--out", type=Path, help="write the JSON to a file, too")
    args = parser.parse_args(argv)
    keras.utils.set_random_seed(7)
    if not args.any_order:
        tf.config.experimental.enable_op_determinism()
    with tempfile.TemporaryDirectory() as name:
        columns = make_columns(args.rows)
        ways = make_ways(columns, Path(name), args.batch_size)
        feed, fit = measure_ways(ways, -(-args.rows // args.batch_size), args.rounds)
    result = _result(feed, fit)
    print(
        f"{args.rows:,} rows, batches of {args.batch_size}, microseconds a step (least of rounds)"
    )
    print(f"{'way':<10} {'feed':>7} {'feed CPU':>9} {'fit':>7} {'fit CPU':>8} {'fit / memory':>13}")
    for way, row in result.items():
        print(
            f"{way:<10} {row['feed_us']:>7.0f} {row['feed_cpu_us']:>9.0f} {row['fit_us']:>7.0f} "
            f"{row['fit_cpu_us']:>8.0f} {row['fit_over_memory']:>13.2f}"
        )
    about = {"rows": args.rows, "batch_size": args.batch_size, "rounds": args.rounds}
    text = json.dumps({**about, "deterministic": not args.any_order, "ways": result}, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


def make_ways(
    columns: dict[str, np.ndarray], folder: Path, batch_size: int
) -> dict[str, Callable[[], tf.data.Dataset]]:
    """Writes the rows in each format; way -> a function that makes its dataset."""
    write_parquet(columns, folder)
    files = write_examples(columns, folder)
    accessor = DataAccessor(folder, LABEL, 7)
    steps = -(-len(columns[LABEL]) // batch_size)
    batch = {name: column[:batch_size] for name, column in columns.items()}
    return {
        "one batch": lambda: from_memory(batch, batch_size).cache().repeat(steps),
        "memory": lambda: from_memory(columns, batch_size).prefetch(tf.data.AUTOTUNE),
        "benison": lambda: accessor.tf_dataset("train", batch_size, shuffle=True),
        "generator": lambda: from_generator(folder, columns, batch_size).prefetch(tf.data.AUTOTUNE),
        "tfrecord": lambda: from_examples(files, batch_size).prefetch(tf.data.AUTOTUNE),
    }


def measure_ways(
    ways: dict[str, Callable[[], tf.data.Dataset]], steps: int, rounds: int
) -> tuple[Times, Times]:
    """Measures each way without and with a model, in turn."""
    models = {way: make_model() for way in ways}
    for way, model in models.items():
        model.fit(ways[way]().take(20), verbose=0, shuffle=False)  # traces it
    feed: Times = {way: [] for way in ways}
    fit: Times = {way: [] for way in ways}
    for number in range(rounds):
        for way in list(ways)[:: 1 if number % 2 == 0 else -1]:
            dataset, model = ways[way](), models[way]
            feed[way].append(measure(partial(consume, dataset), steps))
            run = partial(model.fit, dataset, verbose=0, shuffle=False)
            fit[way].append(measure(run, steps))
    return feed, fit


def _result(feed: Times, fit: Times) -> dict[str, dict[str, float]]:
    def least(values: list[tuple[float, float]], index: int) -> float:
        return round(min(value[index] for value in values), 1)

    rows = {
        way: {
            "feed_us": least(feed[way], 0),
            "feed_cpu_us": least(feed[way], 1),
            "fit_us": least(fit[way], 0),
            "fit_cpu_us": least(fit[way], 1),
        }
        for way in feed
    }
    for row in rows.values():
        row["fit_over_memory"] = round(row["fit_us"] / rows["memory"]["fit_us"], 3)
        row["fit_cpu_over_memory"] = round(row["fit_cpu_us"] / rows["memory"]["fit_cpu_us"], 3)
    return rows


if __name__ == "__main__":
    sys.exit(main())
