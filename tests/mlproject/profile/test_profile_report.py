"""What the profile holds: distances as TFDV measures them, and a word on what was left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.errors import DataError, StorageError
from mlproject.examples.reader import to_example_batch
from mlproject.profile import Side, write_profile
from mlproject.profile.distances import measure_distances
from mlproject.profile.features import features_of
from mlproject.profile.report import make_profile
from mlproject.statistics import StatisticsOptions, statistics_of_batches

Write = Callable[..., Path]


def statistics(columns: dict[str, pa.Array], **options: Any) -> Any:
    batch = to_example_batch(pa.RecordBatch.from_pydict(columns))
    return statistics_of_batches([batch], StatisticsOptions(**options))


def side(columns: dict[str, pa.Array], name: str = "eval", folder: Path | None = None) -> Side:
    return Side(name, statistics(columns), folder)


def columns(shift: float = 0.0, card: float = 0.5, rows: int = 4_000) -> dict[str, pa.Array]:
    rng = np.random.default_rng(5 + int(10 * shift))
    return {
        "x": pa.array(rng.normal(shift, 1, rows)),
        "same": pa.array(rng.lognormal(0, 2, rows)),
        "way": pa.array(np.where(rng.random(rows) < card, "card", "cash")),
        "few": pa.array([1.0 + shift] * 5 + [None] * (rows - 5)),
    }


def test_distances_are_large_where_the_values_moved_and_small_where_not() -> None:
    found = measure_distances(side(columns(3.0, 0.8)), side(columns(), "train"))
    assert found["x"]["js"] > 0.4
    assert found["same"]["js"] < 0.1  # heavy tails: the maxima of both sides differ much
    assert found["way"]["linf"] == pytest.approx(0.3, abs=0.03)
    assert set(found["x"]) == {"js"}
    assert set(found["way"]) == {"js", "linf"}
    assert "few" not in found


def test_what_is_not_finite_is_no_difference() -> None:
    numbers, inf, nan = [1.0, 2.0, 3.0, 4.0] * 40, math.inf, math.nan
    odd = {
        "nan": pa.array([nan] * 40 + numbers),
        "both ends": pa.array([-inf] * 20 + numbers + [inf] * 20),
        "only nan": pa.array([nan] * 200),
        "only inf": pa.array([inf] * 200),
        "plain": pa.array([1.0] * 200),
    }
    found = measure_distances(side(odd), side(odd, "train"))
    assert found == {name: {"js": 0.0} for name in ("nan", "both ends", "plain")}


def test_equal_sides_are_at_no_distance() -> None:
    found = measure_distances(side(columns()), side(columns()))
    assert {value for own in found.values() for value in own.values()} == {0.0}


def test_with_slices_the_whole_is_compared() -> None:
    shown = Side("eval", statistics(columns(), slices=("way",)))
    made = make_profile("t", shown, side(columns(), "train"))
    assert made.rows_in_sides == (4_000, 4_000)
    assert made.entries[0].distances["js"] == 0.0


@pytest.fixture
def split_dir(tmp_path: Path, write_split: Write) -> Path:
    return write_split(tmp_path / "Split-eval", {**columns(), "list": pa.array([[1]] * 4_000)})


def shown_with(split_dir: Path) -> Side:
    return side({**columns(), "list": pa.array([[1]] * 4_000)}, folder=split_dir)


@pytest.mark.parametrize(
    ("label", "note"),
    [
        (None, "No label was named."),
        ("way_xf", "'way_xf' is no raw column of the data; `benison data profile --label"),
        ("list", "'list' holds lists or bytes"),
    ],
)
def test_a_label_that_cannot_be_used_is_left_out_with_a_word(
    split_dir: Path, label: str | None, note: str
) -> None:
    made = make_profile("t", shown_with(split_dir), label=label)
    assert made.relations is not None
    assert made.relations.association == ()
    assert made.relations.note.startswith(note)
    assert made.relations.pearson.names == ("x", "same")


def test_what_needs_the_rows_is_left_out_above_a_limit(split_dir: Path) -> None:
    made = make_profile("t", shown_with(split_dir), label="way", max_rows=3_999)
    assert made.rows is None
    assert made.relations is None
    assert "left out above 3,999 rows; `benison data profile` has them" in made.notes[0]
    assert make_profile("t", shown_with(split_dir), max_rows=4_000).rows is not None


def test_features_carry_what_the_rows_tell(split_dir: Path) -> None:
    made = make_profile("t", shown_with(split_dir), label="way")
    by_name = {entry.any.name: entry for entry in made.entries}
    assert by_name["x"].distinct == 4_000
    assert by_name["way"].distinct is None
    assert by_name["way"].association is None
    assert by_name["x"].association == pytest.approx(0.0, abs=0.01)
    assert made.rows is not None
    assert made.rows.copies == 0


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no examples"):
        make_profile("t", side(columns(), folder=tmp_path / "none"))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Writing the profile failed.*no-folder/p\.html"):
        write_profile(tmp_path / "no-folder" / "p.html", "t", side(columns(rows=40)))


def test_statistics_become_plain_values() -> None:
    batch = to_example_batch(
        pa.RecordBatch.from_pydict(
            {
                "n": pa.array([0, 0, None, 4]),
                "f": pa.array([1.0, float("inf"), float("nan"), 3.0]),
                "nan": pa.array([float("nan")] * 4),
                "w": pa.array(["aa", "b", "aa", None]),
                "l": pa.array([[1.0, 2.0], [3.0], None, [4.0]]),
                "i": pa.array([b"\x00" * 7, b"", None, b"\xff"]),
                "none": pa.array([None] * 4, pa.string()),
            }
        )
    )
    made = statistics_of_batches([batch], bytes_columns=["i"])
    found = features_of(made.datasets[0])
    numbers = found["n"].numbers
    assert numbers is not None
    assert (numbers.zeros, numbers.minimum, numbers.maximum) == (2, 0.0, 4.0)
    assert (found["n"].missing, found["n"].missing_share) == (1, 0.25)
    odd = found["f"].numbers
    assert odd is not None
    assert (odd.odd, odd.mean, odd.std, odd.maximum, odd.minimum) == (2, None, None, None, 1.0)
    only = found["nan"].numbers
    assert only is not None
    assert (only.odd, only.mean, only.minimum, only.buckets) == (4, None, None, ())
    assert (found["w"].distinct, found["w"].top) == (2, (("aa", 2.0), ("b", 1.0)))
    assert found["l"].lengths == (1.0, pytest.approx(4 / 3), 2.0)
    assert (found["l"].is_list, found["n"].is_list) == (True, False)
    assert (found["i"].kind, found["i"].sizes) == ("bytes", (0, pytest.approx(8 / 3), 7))
    assert (found["none"].missing, found["none"].values) == (4, 0)
