"""How features go together: equal to the libraries' own measures where they have one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from mlproject.profile import relations as relations_module
from mlproject.profile.contingency import (
    contingency,
    cramers_v,
    mutual_information,
    uncertainty_coefficient,
)
from mlproject.profile.correlation import pearson, ranks
from mlproject.profile.relations import relate

RNG = np.random.default_rng(4)


def holes(values: np.ndarray, share: float) -> np.ndarray:
    return np.where(RNG.random(values.shape) < share, np.nan, values)


def columns() -> np.ndarray:
    base = RNG.normal(size=(500, 1))
    made = np.hstack([base + RNG.normal(scale=s, size=(500, 1)) for s in (0.1, 1, 10)])
    made = np.hstack([made, 1e9 + base, -(made[:, :1] ** 3), np.round(base)])
    return holes(made, 0.2)


def test_pearsons_correlation_is_that_of_pandas() -> None:
    data = columns()
    expected = pd.DataFrame(data).corr(min_periods=30).to_numpy()
    np.testing.assert_allclose(pearson(data), expected, atol=1e-9)


def test_spearmans_correlation_of_whole_columns_is_scipys() -> None:
    data = np.nan_to_num(columns())
    expected = stats.spearmanr(data).statistic
    np.testing.assert_allclose(pearson(ranks(data)), expected, atol=1e-9)


def test_a_pair_without_variance_or_with_few_rows_has_no_correlation() -> None:
    values = RNG.normal(size=(100, 3))
    values[:, 1] = 7.0
    values[29:, 2] = np.nan
    found = pearson(values)
    assert np.isnan(found[0, 1])
    assert np.isnan(found[0, 2])
    assert found[0, 0] == pytest.approx(1.0)


def test_no_columns_have_no_correlations() -> None:
    assert pearson(np.zeros((0, 0))).shape == (0, 0)


def test_mutual_information_is_sklearns() -> None:
    one, two = RNG.integers(0, 5, 400), RNG.integers(0, 3, 400)
    two[:200] = one[:200] % 3
    assert mutual_information(contingency(one, two)) == pytest.approx(mutual_info_score(one, two))


def test_cramers_v_tells_equal_from_independent() -> None:
    one = RNG.integers(0, 4, 2_000)
    assert cramers_v(one, (one + 1) % 4) == pytest.approx(1.0)
    assert cramers_v(one, RNG.integers(0, 4, 2_000)) < 0.06
    assert np.isnan(cramers_v(one, np.zeros_like(one)))
    plain = np.sqrt(
        stats.chi2_contingency(contingency(one, one // 2), correction=False).statistic / 2_000
    )
    assert cramers_v(one, one // 2) == pytest.approx(plain, abs=0.01)


def test_rows_with_a_missing_value_do_not_count() -> None:
    one, two = np.array([0, 1, -1, 1, 0]), np.array([0, 1, 1, -1, 0])
    np.testing.assert_array_equal(contingency(one, two), [[2, 0], [0, 1]])


def test_the_association_is_a_share_of_the_labels_entropy() -> None:
    label = RNG.integers(0, 2, 5_000)
    assert uncertainty_coefficient(label, label) == pytest.approx(1.0, abs=1e-3)
    assert uncertainty_coefficient(RNG.integers(0, 50, 5_000), label) < 0.003
    assert uncertainty_coefficient(np.zeros(5_000, int), label) == 0.0


def sample(rows: int = 3_000) -> pa.Table:
    label = RNG.integers(0, 2, rows)
    near = np.where(RNG.random(rows) < 0.9, label, 1 - label)
    return pa.table(
        {
            "noise": pa.array(RNG.normal(size=rows)),
            "tells": pa.array(RNG.normal(size=rows) + 3 * label),
            "word": pa.array([f"w{n}" for n in near]),
            "many": pa.array([f"row {n}" for n in range(rows)]),
            "gone when 1": pa.array([None if one else 1.0 for one in label], pa.float64()),
            "odd": pa.array(np.where(RNG.random(rows) < 0.1, np.inf, 1.0)),
            "empty": pa.array([None] * rows, pa.string()),
            "label": pa.array(label),
        }
    )


def test_features_are_ordered_by_what_they_tell_of_the_label() -> None:
    found = relate(sample(), "label")
    order = [name for name, _ in found.association]
    shares = dict(found.association)
    assert order[:3] == ["gone when 1", "tells", "word"]
    assert shares["gone when 1"] == pytest.approx(1.0, abs=0.01)
    assert shares["noise"] < 0.01
    assert shares["many"] < 0.05
    assert "label" not in shares


def test_matrices_hold_the_columns_that_they_can_be_taken_of() -> None:
    found = relate(sample(), None, "no label")
    assert found.pearson.names == ("noise", "tells", "label")
    assert found.spearman.names == found.pearson.names
    assert found.cramers_v.names == ("word", "many", "label")
    assert found.pearson.values[1, 2] > 0.7
    assert found.cramers_v.values[0, 2] == pytest.approx(0.8, abs=0.05)
    assert (found.association, found.note) == ((), "no label")


def test_the_number_of_pairs_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations_module, "MAX_NUMERIC", 2)
    monkeypatch.setattr(relations_module, "MAX_CATEGORICAL", 1)
    found = relate(sample(), "label")
    assert (len(found.pearson.names), found.pearson.left_out) == (2, 1)
    assert (len(found.cramers_v.names), found.cramers_v.left_out) == (1, 2)


def test_a_label_of_one_value_has_no_association() -> None:
    found = relate(pa.table({"x": pa.array([1.0, 2.0]), "y": pa.array([1, 1])}), "y")
    assert (found.association, found.note) == ((), "'y' has fewer than two values")


def test_an_empty_sample_has_no_relations() -> None:
    found = relate(pa.table({"x": pa.array([], pa.float64())}), None)
    assert found.pearson.names == found.cramers_v.names == ()
