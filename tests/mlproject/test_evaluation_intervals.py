"""Intervals by paired bootstrap: against scipy's, in coverage, in width, and the same each time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mlproject.evaluation import row_weights
from mlproject.evaluation.intervals import (
    MAX_ROWS,
    Spread,
    agreement_spread,
    f1_spread,
    most_rows,
    resample,
    share_spread,
    spread_of,
)
from mlproject.evaluation.row_weights import RowWeights
from mlproject.metrics.by_task import point_metrics, weighted_metrics

RESAMPLES = 2_000


def binary(rows: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.3).astype(np.int8)
    scores = 1 / (1 + np.exp(-(2 * labels - 1 + noise * rng.normal(size=rows))))
    return labels, scores.astype(np.float32)


def multiclass(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    raw = np.exp(rng.normal(size=(rows, 3)) + 1.5 * np.eye(3)[labels])
    return labels, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def regression(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = 50 + 10 * rng.normal(size=rows)
    return labels, (labels + 3 * rng.standard_t(5, rows)).astype(np.float32)


ROWS = {"binary": binary, "multiclass": multiclass, "regression": regression}


def intervals(
    task: str, labels: np.ndarray, predictions: np.ndarray, seed: int = 1
) -> dict[str, Spread]:
    rows = np.arange(len(labels))
    weighted = {"candidate": weighted_metrics(task, labels, predictions, 2)}
    drawn = resample(weighted, rows, RowWeights(seed), RESAMPLES)["candidate"]
    points = point_metrics(task, labels, predictions, 2)
    return {name: spread_of(points[name], values, 0.95) for name, values in drawn.items()}


def skipping(function: Any) -> Any:
    """Runs scikit-learn without its checks of parameters, thrice as fast."""
    import sklearn

    def run(*args: Any) -> Any:
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return function(*args)

    return run


@pytest.mark.parametrize("task", ROWS)
def test_intervals_are_those_of_scipy_within_monte_carlo_error(task: str) -> None:
    labels, predictions = ROWS[task](300, seed=3)
    found = intervals(task, labels, predictions)

    def statistic(rows: np.ndarray) -> np.ndarray:
        values = point_metrics(task, labels[rows], predictions[rows], 2)
        return np.array([values[name] for name in found])

    wanted = stats.bootstrap(
        (np.arange(300),),
        skipping(statistic),
        n_resamples=300,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    for place, (name, spread) in enumerate(found.items()):
        error = wanted.standard_error[place]
        assert spread.standard_error == pytest.approx(error, rel=0.2), name
        if name != "calibration_error":  # resampling shifts it: see the next test
            ends = wanted.confidence_interval
            assert spread.low == pytest.approx(ends.low[place], abs=0.5 * error), name
            assert spread.high == pytest.approx(ends.high[place], abs=0.5 * error), name


def test_an_interval_holds_its_value_even_where_resampling_shifts_it() -> None:
    labels, scores = binary(300, seed=4)
    found = intervals("binary", labels, scores)["calibration_error"]
    value = point_metrics("binary", labels, scores, 2)["calibration_error"]
    assert value is not None
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < value < found.high


def test_a_paired_difference_is_far_narrower_than_an_unpaired_one() -> None:
    labels, scores = binary(2_000, seed=5)
    other = np.clip(scores + np.random.default_rng(6).normal(0, 0.02, 2_000), 0, 1)
    rows, weights = np.arange(2_000), RowWeights(1)
    models = {
        "candidate": weighted_metrics("binary", labels, scores, 2),
        "champion": weighted_metrics("binary", labels, other.astype(np.float32), 2),
    }
    drawn = resample(models, rows, weights, RESAMPLES)
    apart = resample(models, rows, RowWeights(2), RESAMPLES)["champion"]
    for name in ("auc", "log_loss", "pr_auc", "brier"):
        paired = (drawn["candidate"][name] - drawn["champion"][name]).std()
        unpaired = (drawn["candidate"][name] - apart[name]).std()
        assert paired < 0.25 * unpaired, name

    def difference(picked: np.ndarray) -> float:
        return float(
            roc_auc_score(labels[picked], scores[picked])
            - roc_auc_score(labels[picked], other[picked])
        )

    wanted = stats.bootstrap(
        (rows,), skipping(difference), n_resamples=500, vectorized=False, method="percentile",
        rng=np.random.default_rng(5),
    )  # fmt: skip
    found = (drawn["candidate"]["auc"] - drawn["champion"]["auc"]).std(ddof=1)
    assert found == pytest.approx(wanted.standard_error, rel=0.15)


def coverage(total: int, most: int, times: int) -> float:
    """How often the 95 % interval of AUC, from `most` rows of `total`, holds the true one."""
    truth = stats.norm.cdf(2 / math.sqrt(2))  # P(score of a positive > that of a negative)
    held = 0
    for seed in range(times):
        labels, scores = binary(total, seed)
        weights = RowWeights(seed)
        rows = weights.subsample(np.arange(total), most)
        weighted = {"candidate": weighted_metrics("binary", labels[rows], scores[rows], 2)}
        drawn = resample(weighted, rows, weights, 400)["candidate"]["auc"]
        value = float(roc_auc_score(labels, scores))
        found = spread_of(value, drawn, 0.95, scale=math.sqrt(len(rows) / total))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    return held / times


def test_the_interval_of_auc_holds_the_true_value_as_often_as_it_says() -> None:
    assert 0.91 <= coverage(400, 400, 300) <= 0.985


def test_the_interval_from_a_subsample_does_so_too() -> None:
    assert 0.91 <= coverage(4_000, 500, 300) <= 0.985


def test_weights_are_poisson_of_mean_one_and_independent() -> None:
    (weights,) = RowWeights(3).chunks(np.arange(1_000), 500)
    assert weights.shape == (500, 1_000)
    shares = np.bincount(weights.ravel(), minlength=9) / weights.size
    wanted = stats.poisson.pmf(np.arange(9), 1)
    np.testing.assert_allclose(shares, wanted, atol=4 * np.sqrt(0.25 / weights.size))
    assert weights.mean() == pytest.approx(1, abs=0.006)
    assert weights.var() == pytest.approx(1, abs=0.012)
    between_rows = np.corrcoef(weights[:, :100].T)[np.triu_indices(100, 1)]
    between_resamples = np.corrcoef(weights[:100])[np.triu_indices(100, 1)]
    assert np.abs(between_rows).max() < 5.5 / math.sqrt(500)
    assert np.abs(between_resamples).max() < 5.5 / math.sqrt(1_000)


def test_a_weight_depends_on_seed_row_and_resample_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array([3, 17, 4_000_000_000])
    (every,) = RowWeights(5).chunks(rows, 40)
    (some,) = RowWeights(5).chunks(rows[1:], 13)
    np.testing.assert_array_equal(some, every[:13, 1:])
    (other,) = RowWeights(6).chunks(rows, 40)
    assert (other != every).mean() > 0.3
    monkeypatch.setattr(row_weights, "CHUNK_WEIGHTS", 30)
    parts = list(RowWeights(5).chunks(rows, 40))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate(parts), every)


def test_a_subsample_has_its_size_and_is_shared_by_slices() -> None:
    rows = np.arange(10_000)
    weights = RowWeights(5)
    picked = weights.subsample(rows, 1_000)
    assert len(picked) == len(set(picked.tolist())) == 1_000
    assert (np.diff(picked) > 0).all()
    assert abs(picked.mean() - 5_000) < 5 * 10_000 / math.sqrt(12 * 1_000)
    half = weights.subsample(rows[::2], 500)
    assert len(set(half.tolist()) & set(picked.tolist())) > 450
    np.testing.assert_array_equal(weights.subsample(rows[:7], 7), rows[:7])


@pytest.mark.parametrize(
    ("value", "resampled", "wanted"),
    [
        (None, [1.0] * 20, Spread()),
        (1.0, [math.nan] * 3 + [1.0] * 17, Spread()),
        (1.0, [], Spread()),
        (1.0, [1.0], Spread()),
        (1.0, [math.nan] + [1.0] * 19, Spread(1.0, 1.0, 0.0)),
    ],
    ids=["no value", "few judged", "none", "one", "one in twenty unjudged"],
)
def test_what_cannot_be_judged_has_no_interval(
    value: float | None, resampled: list[float], wanted: Spread
) -> None:
    assert spread_of(value, np.array(resampled), 0.95) == wanted


def test_an_interval_is_scaled_and_cut_at_its_bounds() -> None:
    resampled = np.random.default_rng(1).normal(5, 0.1, 20_000)
    found = spread_of(0.9, resampled, 0.95, scale=0.5, bounds=(0.0, 0.95))
    assert found.low == pytest.approx(0.9 - 0.098, abs=0.003)
    assert found.high == 0.95
    assert found.standard_error == pytest.approx(0.05, rel=0.03)
    few = spread_of(0.9, resampled[:100], 0.95, few=True)
    assert few.standard_error is not None
    assert few.high == pytest.approx(0.9 + 1.96 * few.standard_error, rel=1e-3)


def test_a_multiclass_subsample_shrinks_with_the_classes() -> None:
    assert [most_rows(classes) for classes in (1, 10, 50, 1_000)] == [
        MAX_ROWS,
        20_000,
        4_000,
        2_000,
    ]


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("rows", [20, 54, 1_000])
def test_a_slice_without_an_error_is_not_sure_to_have_none(rows: int, value: float) -> None:
    spread = share_spread(value, rows, 0.95)
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low <= value <= spread.high
    exact = stats.binomtest(int(value * rows), rows).proportion_ci(0.95, "exact")
    missing = max(abs(spread.low - exact.low), abs(spread.high - exact.high))
    assert missing < 2 / rows, "as Clopper and Pearson have it, but for two rows"
    assert spread.high - spread.low > 2 / rows


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_the_standard_error_of_a_share_reaches_as_far_as_its_interval(value: float) -> None:
    spread = share_spread(value, 3, 0.95)
    assert spread.low is not None
    assert spread.high is not None
    reach = stats.norm.ppf(0.975) * (spread.standard_error or 0)
    assert reach == pytest.approx(spread.high - spread.low)


@pytest.mark.parametrize("rows", [3, 20, 400])
def test_an_f1_score_is_bounded_by_the_share_that_it_is_made_of(rows: int) -> None:
    share = share_spread(0.0, rows, 0.95)
    found = f1_spread(0.0, rows, 0.95)
    assert share.high is not None
    assert found.high == pytest.approx(2 * share.high / (1 + share.high))
    assert found.standard_error == pytest.approx((found.high or 0) / stats.norm.ppf(0.975))
    assert f1_spread(1.0, rows, 0.95) == share_spread(1.0, rows, 0.95)


@pytest.mark.parametrize(("positives", "negatives"), [(3, 197), (8, 992), (20, 20), (30, 12)])
def test_a_perfect_ranking_is_rare_where_the_truth_lies_below_its_interval(
    positives: int, negatives: int
) -> None:
    low = share_spread(1.0, min(positives, negatives), 0.95).low
    assert low is not None
    rng, below = np.random.default_rng(0), 0
    for gap in np.linspace(0.5, 6, 23):
        scores = np.linspace(gap - 8, gap + 8, 2_001)
        true, false = stats.norm.sf(scores, gap), stats.norm.sf(scores)
        precision = positives * true / np.maximum(positives * true + negatives * false, 1e-300)
        auc, average_precision = stats.norm.cdf(gap / math.sqrt(2)), -np.trapz(precision, true)
        if min(auc, average_precision) < low:
            below += 1
            hits = rng.normal(gap, 1, (1_000, positives)).min(axis=1)
            perfect = hits > rng.normal(size=(1_000, negatives)).max(axis=1)
            assert perfect.mean() <= 0.05
    assert below >= 2


def test_rounding_is_no_spread() -> None:
    resampled = 2.2e-16 + 1e-23 * np.arange(20)
    assert spread_of(2.2e-16, resampled, 0.95) == Spread(2.2e-16, 2.2e-16, 0.0)


def test_models_that_agree_on_every_row_may_still_differ_on_others() -> None:
    spread = agreement_spread(0.0, 1_000, 0.95)
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low == -spread.high
    assert 0.001 < spread.high < 0.01
    assert spread.high < (agreement_spread(0.0, 100, 0.95).high or 0)
