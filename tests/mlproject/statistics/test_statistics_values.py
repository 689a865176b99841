"""Counts of values: exact in any order, by sketches where exact would not stay bounded."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2

from mlproject.examples.reader import to_example_batch
from mlproject.statistics import value_counts
from mlproject.statistics.value_counts import ValueCounts, ValueCountsGenerator


def counted(parts: list[list[bytes]], top: int = 1_000) -> ValueCounts:
    counts = ValueCounts(top)
    for part in parts:
        counts.add(pa.array(part, pa.binary()), None)
    return counts


def ordered(values: Counter[bytes]) -> list[tuple[bytes, float]]:
    return sorted(values.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


words = st.lists(st.binary(max_size=3), max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(words, min_size=1, max_size=5), st.integers(1, 8), st.integers(0, 5))
def test_values_are_counted_exactly_in_whatever_parts(
    parts: list[list[bytes]], top: int, cut: int
) -> None:
    expected = Counter(value for part in parts for value in part)
    one = counted(parts, top)
    left, right = counted(parts[:cut], top), counted(parts[cut:], top)
    left.merge(right)
    for counts in (one, left, pickle.loads(pickle.dumps(one))):
        distinct, plain, weighted = counts.estimate()
        assert distinct == len(expected)
        assert plain == ordered(expected)[:top]
        assert weighted == []


def test_weights_are_summed_by_value() -> None:
    counts = ValueCounts(10)
    counts.add(pa.array([b"a", b"b", b"a"]), np.array([0.5, 3.0, 1.0]))
    counts.add(pa.array([b"c", b"a"]), np.array([0.0, 0.25]))
    distinct, plain, weighted = counts.estimate()
    assert distinct == 3
    assert plain == [(b"a", 3), (b"c", 1), (b"b", 1)]
    assert weighted == [(b"b", 3.0), (b"a", 1.75), (b"c", 0.0)]


def sketched(seed: int) -> tuple[list[list[bytes]], Counter[bytes]]:
    rng = np.random.default_rng(seed)
    often = [f"often {n}".encode() for n in range(5) for _ in range(4_000)]
    every = often + [f"once {n}".encode() for n in range(30_000)]
    values = [every[n] for n in rng.permutation(50_000)]
    return [values[at : at + 10_000] for at in range(0, 50_000, 10_000)], Counter(values)


@pytest.mark.parametrize("merged", [False, True])
def test_beyond_the_limit_sketches_take_over(monkeypatch: pytest.MonkeyPatch, merged: bool) -> None:
    monkeypatch.setattr(value_counts, "MAX_VALUES", 2_000)
    parts, expected = sketched(3)
    if merged:  # some exact, some sketched, in both roles
        counts = counted([[b"often 1"] * 7])
        counts.merge(counted(parts[:2]))
        counts.merge(counted(parts[2:]))
        counts.merge(counted([[b"often 0"] * 7]))
    else:
        counts = counted(parts)
    distinct, plain, _ = counts.estimate()
    assert distinct == pytest.approx(len(expected), rel=0.05)
    top = dict(plain[:5])
    assert set(top) == {f"often {n}".encode() for n in range(5)}
    for value, times in top.items():
        assert times == pytest.approx(expected[value], abs=50_000 / 1_024)


def test_a_value_too_long_to_keep_is_not_kept() -> None:
    counts = counted([[b"x" * 2_000] * 3, [b"short"], [b"y" * 5_000_000]])
    distinct, plain, _ = counts.estimate()
    assert distinct == 3
    assert max(len(value) for value, _ in plain) < 1_024
    assert len(pickle.dumps(counts)) < 300_000


def test_bytes_in_all_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_counts, "MAX_BYTES", 10_000)
    counts = counted([[bytes([n]) * 1_000 for n in range(100)]])
    assert counts.estimate()[0] == 100
    assert counts._values == pa.array([], pa.binary())


def test_numbers_that_the_schema_calls_categorical_are_counted() -> None:
    schema = schema_pb2.Schema()
    schema.feature.add(name="n", type=schema_pb2.INT).int_domain.is_categorical = True
    schema.feature.add(
        name="s", type=schema_pb2.BYTES
    ).string_domain.is_categorical = schema_pb2.StringDomain.CATEGORICAL_NO
    generator = ValueCountsGenerator(tfdv.StatsOptions(schema=schema))
    batch = pa.RecordBatch.from_pydict(
        {"n": pa.array([3, 3, None, -1]), "m": pa.array([1, 2, 3, 4]), "s": pa.array(list("abcd"))}
    )
    done = generator.add_input(generator.create_accumulator(), to_example_batch(batch))
    made = generator.extract_output(generator.compact(done))
    assert [feature.path.step[0] for feature in made.features] == ["n"]
    strings = made.features[0].string_stats
    assert strings.unique == 2
    assert [(top.value, top.frequency) for top in strings.top_values] == [("3", 2.0), ("-1", 1.0)]


def test_values_that_are_no_text_are_shown_by_a_placeholder() -> None:
    generator = ValueCountsGenerator(tfdv.StatsOptions())
    batch = pa.RecordBatch.from_pydict({"s": pa.array([b"\xff", b"ok", b"\xff"], pa.binary())})
    done = generator.add_input(generator.create_accumulator(), to_example_batch(batch))
    top = generator.extract_output(done).features[0].string_stats.top_values
    assert [(value.value, value.frequency) for value in top] == [
        ("__BYTES_VALUE__", 2.0),
        ("ok", 1.0),
    ]
