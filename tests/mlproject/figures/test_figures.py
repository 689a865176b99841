"""The figures: what they show, what they say when there is nothing to show, and the table."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tensorflow_metadata.proto.v0.statistics_pb2 import (
    DatasetFeatureStatistics,
    FeatureNameStatistics,
    Histogram,
)

from mlproject import figures
from mlproject.errors import DataError
from mlproject.figures import canvas
from mlproject.metrics import MetricRow


def numeric(
    name: str,
    counts: list[float],
    low: float = 0.0,
    high: float = 10.0,
    missing: int = 0,
    num_nan: int = 0,
) -> FeatureNameStatistics:
    feature = FeatureNameStatistics(type=FeatureNameStatistics.FLOAT)
    feature.path.step.append(name)
    stats = feature.num_stats
    stats.common_stats.num_non_missing = int(sum(counts)) + num_nan
    stats.common_stats.num_missing = missing
    stats.mean, stats.std_dev, stats.median = 4.5, 1.25, 4.0
    stats.min, stats.max, stats.num_zeros = low, high, 3
    edges = np.linspace(low, high, len(counts) + 1)
    # TFDV writes the quantiles beside the standard histogram; these must not be drawn.
    stats.histograms.add(type=Histogram.QUANTILES).buckets.add(
        low_value=-1e6, high_value=1e6, sample_count=1
    )
    histogram = stats.histograms.add(type=Histogram.STANDARD, num_nan=num_nan)
    for index, count in enumerate(counts):
        histogram.buckets.add(
            low_value=edges[index], high_value=edges[index + 1], sample_count=count
        )
    return feature


def text_feature(name: str, counts: dict[str, int], missing: int = 0) -> FeatureNameStatistics:
    feature = FeatureNameStatistics(type=FeatureNameStatistics.STRING)
    feature.path.step.append(name)
    stats = feature.string_stats
    stats.common_stats.num_non_missing = sum(counts.values())
    stats.common_stats.num_missing = missing
    stats.unique = len(counts)
    for rank, (value, count) in enumerate(counts.items()):
        stats.rank_histogram.buckets.add(
            low_rank=rank, high_rank=rank, label=value, sample_count=count
        )
    return feature


def empty_feature(name: str, rows: int) -> FeatureNameStatistics:
    feature = FeatureNameStatistics(type=FeatureNameStatistics.FLOAT)
    feature.path.step.append(name)
    feature.num_stats.common_stats.num_missing = rows
    return feature


def dataset(*features: FeatureNameStatistics, rows: int = 100) -> DatasetFeatureStatistics:
    return DatasetFeatureStatistics(num_examples=rows, features=features)


def test_import_loads_no_heavy_library() -> None:
    code = (
        "import sys, mlproject.figures\n"
        "heavy = {'matplotlib', 'numpy', 'sklearn', 'tensorflow', 'tensorflow_metadata'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_figures_do_without_pyplot(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys\n"
        "from mlproject.figures import learning_curves\n"
        f"learning_curves({{'loss': [1.0, 0.5]}}, pathlib.Path({str(tmp_path / 'x.png')!r}))\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_draw_the_same_bytes(tmp_path: Path) -> None:
    history = {"loss": [0.9, 0.5, 0.4], "val_loss": [0.8, 0.6, 0.5]}
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda path: figures.learning_curves(history, path), paths))
    assert len({path.read_bytes() for path in paths}) == 1


# feature_histograms


def test_features_are_drawn_split_beside_split(png: Path, drawn: Any) -> None:
    figures.feature_histograms(
        {
            "train": dataset(
                numeric("fare", [10, 50, 30, 10]),
                text_feature("payment_type", {"Cash": 60, "Card": 30}, missing=10),
            ),
            "eval": dataset(
                numeric("fare", [20, 40, 30, 10]),
                text_feature("payment_type", {"Card": 30, "Pcard": 40}, missing=30),
            ),
        },
        png,
    )
    fare, payment = drawn[0].axes
    shares = [patch.get_data().values.tolist() for patch in fare.patches]
    assert shares == [[0.1, 0.5, 0.3, 0.1]] * 2 + [[0.2, 0.4, 0.3, 0.1]]  # fill and lines
    assert [label.get_text() for label in payment.get_yticklabels()] == ["Cash", "Card", "Pcard"]
    widths = [bar.get_width() for bar in payment.patches]
    assert widths == pytest.approx([60 / 90, 30 / 90, 0, 0, 30 / 70, 40 / 70])
    assert drawn.says("missing 10% / 30%")
    assert drawn.says("train (100 rows)")


def test_splits_with_other_ranges_share_their_buckets(png: Path, drawn: Any) -> None:
    figures.feature_histograms(
        {
            "train": dataset(numeric("x", [40, 30, 20, 10], high=8)),
            "eval": dataset(numeric("x", [10, 10, 20, 0], high=4)),
            "test": dataset(numeric("x", [5], low=8, high=8)),
        },
        png,
    )
    _, train, evaluation, test = (
        patch.get_data().values.tolist() for patch in drawn[0].axes[0].patches
    )
    assert train == pytest.approx([0.4, 0.3, 0.2, 0.1])
    assert evaluation == pytest.approx([0.5, 0.5, 0, 0])
    assert test == [0, 0, 0, 1]


def test_few_whole_numbers_get_a_bucket_each(png: Path, drawn: Any) -> None:
    """TFDV cuts 0 to 2 into ten buckets, of which seven stay empty."""
    feature = numeric("day", [5, 0, 0, 0, 0, 3, 0, 0, 0, 2], high=2)
    feature.type = FeatureNameStatistics.INT
    figures.feature_histograms({"train": dataset(feature)}, png)
    shares = drawn[0].axes[0].patches[0].get_data()
    assert shares.values.tolist() == pytest.approx([0.5, 0.3, 0.2])
    assert shares.edges.tolist() == [-0.5, 0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("counts", "scale"), [([9_000, 900, 90, 10], "log"), ([30, 40, 20, 10], "linear")]
)
def test_a_heavy_tail_gets_a_log_scale(
    png: Path, drawn: Any, counts: list[float], scale: str
) -> None:
    figures.feature_histograms({"train": dataset(numeric("x", counts))}, png)
    assert drawn[0].axes[0].get_yscale() == scale
    assert drawn.says("log scale") == (scale == "log")


def test_features_that_cannot_be_drawn_say_so(png: Path, drawn: Any) -> None:
    bare = FeatureNameStatistics(name="bare", type=FeatureNameStatistics.INT)
    bare.num_stats.common_stats.num_non_missing = 5
    image = FeatureNameStatistics(name="image", type=FeatureNameStatistics.BYTES)
    image.bytes_stats.common_stats.num_non_missing = 5
    silent = FeatureNameStatistics(name="silent", type=FeatureNameStatistics.STRING)
    silent.string_stats.common_stats.num_non_missing = 5
    figures.feature_histograms(
        {
            "train": dataset(empty_feature("tract", 100), bare, image, silent),
            "eval": dataset(empty_feature("tract", 50)),
        },
        png,
    )
    for text in ("all missing", "missing 100%", "no histogram", "bytes: no histogram"):
        assert drawn.says(text)
    assert drawn.says("no values listed")
    assert drawn.says("not in eval")


def test_a_split_without_values_does_not_hide_the_other(png: Path, drawn: Any) -> None:
    figures.feature_histograms(
        {
            "train": dataset(empty_feature("company", 100)),
            "eval": dataset(text_feature("company", {"A": 5})),
        },
        png,
    )
    assert [bar.get_width() for bar in drawn[0].axes[0].patches] == [1.0]
    assert drawn.says("train: FLOAT")


@pytest.mark.parametrize("value", [0.0, 5.0, 1.4e18])
def test_a_constant_is_one_bar(png: Path, drawn: Any, value: float) -> None:
    figures.feature_histograms({"train": dataset(numeric("x", [10], value, value))}, png)
    assert drawn[0].axes[0].patches[0].get_data().values.tolist() == [1.0]


@pytest.mark.parametrize("end", [float("inf"), float("nan")])
def test_nan_and_infinity_are_left_out_and_counted(png: Path, drawn: Any, end: float) -> None:
    feature = numeric("x", [40, 30, 20], num_nan=10)
    feature.num_stats.histograms[1].buckets[2].high_value = end
    figures.feature_histograms({"train": dataset(feature)}, png)
    assert drawn.says("NaN or inf 30%")


def test_panels_are_capped_with_a_note(png: Path, drawn: Any) -> None:
    features = [numeric(f"f{number}", [1, 2, 3]) for number in range(45)]
    figures.feature_histograms({"train": dataset(*features)}, png)
    assert len(drawn[0].axes) == 40
    assert drawn.says("First 40 of 45 features.")


@pytest.mark.parametrize("statistics", [{}, {"train": DatasetFeatureStatistics()}])
def test_no_features_still_make_a_picture(
    png: Path, drawn: Any, statistics: dict[str, DatasetFeatureStatistics]
) -> None:
    figures.feature_histograms(statistics, png)
    assert drawn.says("no features")


def test_hostile_text_is_drawn_as_it_is_written(png: Path, drawn: Any) -> None:
    figures.feature_histograms(
        {
            "_train": dataset(
                text_feature("$\\frac{", {"$a_b$": 3, "two\nlines\x00": 2, "東京": 1, "": 1}),
            )
        },
        png,
    )
    labels = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert labels == [r"\$a_b\$", "two lines", "□□", "(empty)"]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == [" _train (100 rows)"]


# statistics_table


def test_table_rows_are_exact_and_plain() -> None:
    rows = figures.statistics_table(
        {
            "train": dataset(
                numeric("fare", [30, 60], missing=10),
                text_feature("company", {"A": 1, "B": 2}, missing=1),
            ),
            "eval": dataset(empty_feature("fare", 50)),
        }
    )
    nothing = dict.fromkeys(("mean", "std", "min", "median", "max", "zeros", "unique", "top"))
    fare = {"mean": 4.5, "std": 1.25, "min": 0.0, "median": 4.0, "max": 10.0, "zeros": 3}
    assert rows == [
        {
            **nothing,
            **fare,
            "split": "train",
            "feature": "fare",
            "type": "FLOAT",
            "rows": 100,
            "missing": 10,
            "missing_share": 0.1,
        },
        {
            **nothing,
            "split": "train",
            "feature": "company",
            "type": "STRING",
            "rows": 4,
            "missing": 1,
            "missing_share": 0.25,
            "unique": 2,
            "top": "B",
        },
        {
            **nothing,
            "split": "eval",
            "feature": "fare",
            "type": "FLOAT",
            "rows": 50,
            "missing": 50,
            "missing_share": 1.0,
        },
    ]
    assert list(rows[0]) == [
        "split", "feature", "type", "rows", "missing", "missing_share", "mean", "std", "min",
        "median", "max", "zeros", "unique", "top",
    ]  # fmt: skip
    assert {type(value) for row in rows for value in row.values()} <= {str, int, float, type(None)}


def test_table_is_strict_json_without_nan() -> None:
    feature = numeric("x", [1, 2])
    feature.num_stats.mean, feature.num_stats.max = float("nan"), float("inf")
    (row,) = figures.statistics_table({"train": dataset(feature)})
    json.dumps(row, allow_nan=False)
    assert row["mean"] is None
    assert row["max"] is None
    assert row["median"] == 4.0


def test_table_reads_top_values_without_a_rank_histogram() -> None:
    feature = FeatureNameStatistics(name="company", type=FeatureNameStatistics.STRING)
    feature.string_stats.common_stats.num_non_missing = 3
    feature.string_stats.top_values.add(value="A", frequency=3)
    (row,) = figures.statistics_table({"train": dataset(feature)})
    assert (row["feature"], row["top"]) == ("company", "A")


def test_table_of_a_feature_without_rows() -> None:
    (row,) = figures.statistics_table({"train": dataset(FeatureNameStatistics(name="x"))})
    assert row["rows"] == 0
    assert row["missing_share"] is None
    assert figures.statistics_table({}) == []


# learning_curves


def test_training_and_validation_share_a_panel(png: Path, drawn: Any) -> None:
    figures.learning_curves(
        {"loss": [0.9, 0.5], "auc": [0.6, 0.7], "val_loss": [0.8, 0.6], "learning_rate": [1, 0.5]},
        png,
    )
    loss, auc, rate = drawn[0].axes
    assert [list(line.get_ydata()) for line in loss.lines] == [[0.9, 0.5], [0.8, 0.6]]
    assert [list(line.get_ydata()) for line in auc.lines] == [[0.6, 0.7], []]
    assert [axes.get_title(loc="left") for axes in (loss, auc, rate)] == [
        "loss",
        "auc",
        "learning_rate",
    ]
    assert [tick.get_text() for tick in loss.get_xticklabels()] == ["0", "1"]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({}, "no finite values"),
        ({"loss": []}, "no finite values"),
        ({"loss": [float("nan")], "val_loss": [float("inf")]}, "no finite values"),
        ({"loss": [0.5]}, "epoch"),
        ({"loss": [0.5, float("nan"), 0.4]}, "epoch"),
        ({"loss": [0.0] * 200}, "epoch"),
        ({f"m{number}": [1.0, 2.0] for number in range(30)}, "First 24 of 30 metrics."),
    ],
)
def test_histories_of_any_length(
    png: Path, drawn: Any, history: dict[str, list[float]], message: str
) -> None:
    figures.learning_curves(history, png)
    assert drawn.says(message)


# roc_and_pr


def labels_and_scores(examples: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    labels = (random.random(examples) < 0.2).astype(np.int64)
    logits = random.normal(size=examples) + 1.5 * labels - 2
    return labels, (1 / (1 + np.exp(-logits))).astype(np.float32)


def test_curves_carry_the_areas_of_sklearn(png: Path, drawn: Any) -> None:
    labels, scores = labels_and_scores(20_000)
    figures.roc_and_pr(labels[:, None], {"candidate": scores[:, None], "champion": scores**2}, png)
    area, average = roc_auc_score(labels, scores), average_precision_score(labels, scores)
    for model in ("candidate", "champion"):
        assert drawn.says(f"{model}: AUC {area:.4f}")
        assert drawn.says(f"{model}: average precision {average:.4f}")
    for axes in drawn[0].axes:
        assert all(len(line.get_xdata()) <= 1000 for line in axes.lines)


def test_the_key_has_the_measured_areas_and_their_intervals(png: Path, drawn: Any) -> None:
    labels, scores = labels_and_scores(500)
    rows = [
        MetricRow("overall", "candidate", "auc", 500, 0.91, 0.88, 0.94),
        MetricRow("overall", "champion", "auc", 500, None),
        MetricRow("hour=2", "champion", "auc", 500, 0.11, 0.1, 0.2),
    ]
    figures.roc_and_pr(labels, {"candidate": scores, "champion": scores}, png, rows)
    roc = drawn[0].axes[0]
    named = [text.get_text() for text in roc.get_legend().get_texts()]
    own = f"{roc_auc_score(labels, scores):.4f}"
    assert named == ["candidate: AUC 0.9100 [0.8800, 0.9400]", f"champion: AUC {own}"]
    assert {line.get_linestyle() for line in roc.lines} >= {"-", "--"}


def test_thinned_curves_keep_their_shape(png: Path, drawn: Any) -> None:
    labels, scores = labels_and_scores(20_000)
    figures.roc_and_pr(labels, {"candidate": scores}, png)
    roc = drawn[0].axes[0].lines[0]  # the only model's
    area = np.trapezoid if hasattr(np, "trapezoid") else np.trapz
    thinned = area(roc.get_ydata(), roc.get_xdata())
    assert thinned == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)
    assert (roc.get_xdata()[0], roc.get_ydata()[0]) == (0, 0)
    assert (roc.get_xdata()[-1], roc.get_ydata()[-1]) == (1, 1)


@pytest.mark.parametrize(
    ("labels", "models", "message"),
    [
        ([0, 0, 0], {"candidate": [0.1, 0.2, 0.3]}, "not judged: all 3 labels are 0"),
        ([1, 1], {"candidate": [0.1, 0.2]}, "not judged: all 2 labels are 1"),
        ([], {"candidate": []}, "not judged: no examples"),
        ([0, 1], {}, "no models"),
    ],
)
def test_curves_that_cannot_be_judged_say_so(
    png: Path,
    drawn: Any,
    labels: list[int],
    models: dict[str, list[float]],
    message: str,
) -> None:
    figures.roc_and_pr(labels, models, png)
    assert drawn.texts().count(message) == 2


def test_a_model_without_scores_is_named_beside_the_other(png: Path, drawn: Any) -> None:
    labels, scores = labels_and_scores(500)
    lost = np.full(500, np.nan)
    figures.roc_and_pr(labels, {"candidate": scores, "champion": lost}, png)
    assert drawn.says("champion: not judged: no examples")
    assert drawn.says("500 scores without a finite value and label are left out.")


def test_another_number_of_scores_is_an_error(png: Path) -> None:
    with pytest.raises(DataError, match="3 scores for 2 labels"):
        figures.roc_and_pr([0, 1], {"candidate": [0.1, 0.2, 0.3]}, png)
    assert not png.exists()


# score_distribution


def test_scores_by_class_of_each_model(png: Path, drawn: Any) -> None:
    labels = np.array([0] * 8 + [1] * 2)
    scores = {"candidate": np.array([0.1] * 8 + [0.9] * 2), "champion": np.full(10, 0.5)}
    figures.score_distribution(labels, scores, png)
    for axes, name in zip(drawn[0].axes, scores, strict=True):
        assert axes.get_title(loc="left") == name
        assert [p.get_data().values.sum() for p in axes.patches] == pytest.approx([1.0] * 4)
    low, high = (p.get_data().values.argmax() for p in drawn[0].axes[0].patches[::2])
    assert low < 10 < 30 < high
    assert drawn.says("class 0: 8 examples")


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], "no examples"),
        ([0, 1, 1], [-2.0, 0.5, 3.0], "class 1: 2 examples"),
        ([0, 1], [1e18, 1e18], "class 1: 1 examples"),
        ([0, 0], [0.5, 0.5], "class 1: 0 examples"),
        ([0, 1, 1], [0.2, 0.8, float("nan")], "class 1: 1 examples"),
        ([0, 1, float("nan")], [0.2, 0.8, 0.9], "1 scores without a finite value and label"),
    ],
)
def test_distributions_of_odd_scores(
    png: Path, drawn: Any, labels: list[float], scores: list[float], message: str
) -> None:
    figures.score_distribution(labels, {"candidate": scores}, png)
    assert drawn.says(message)


def test_distribution_needs_a_score_for_each_label(png: Path) -> None:
    with pytest.raises(DataError, match="1 scores for 2 labels"):
        figures.score_distribution([0, 1], {"candidate": [0.5]}, png)


# canvas


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (0.00001, "<0.01%"), (0.0312, "3.12%"), (0.99999, ">99.9%"), (1, "100%")],
)
def test_percentages_never_round_to_none_or_all(share: float, text: str) -> None:
    assert canvas.percent(share) == text


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 1, ["0.0", "0.5", "1.0"]),
        (0, 86_400, ["0", "50k"]),
        (-2, 2, ["-2", "-1", "0", "1", "2"]),
        (41.60, 41.62, ["41.600", "41.605", "41.610", "41.615", "41.620"]),
        (1.38e9, 1.40e9, ["1.380G", "1.385G", "1.390G", "1.395G", "1.400G"]),
    ],
)
def test_tick_labels_are_short_and_differ(low: float, high: float, labels: list[str]) -> None:
    assert canvas.ticks(low, high)[1] == labels
