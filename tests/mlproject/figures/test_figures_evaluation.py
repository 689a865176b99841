"""The figures of an Evaluation: true to the rows, readable, the same each time, quick."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score, precision_score, recall_score

from mlproject.errors import DataError
from mlproject.figures import evaluation_figures, slice_bars
from mlproject.figures.agreement import model_agreement
from mlproject.figures.calibration import calibration_curve, predicted_class
from mlproject.figures.chosen import MAX_SLICES, choose
from mlproject.figures.confusion import confusion_matrix
from mlproject.figures.density import central_range, count_cells
from mlproject.figures.differences import BETTER, UNCLEAR, WORSE, difference_forest
from mlproject.figures.regression import error_quantiles, predicted_and_true, residuals
from mlproject.figures.rows import sample
from mlproject.figures.thresholds import threshold_curves
from mlproject.metrics import Difference, MetricRow


def binary(rows: int = 4_000) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    labels = (random.random(rows) < 0.3).astype(np.int64)
    logits = random.normal(size=rows) + 2.0 * labels - 1.5
    scores = {
        "candidate": (1 / (1 + np.exp(-logits))).astype(np.float32),
        "champion": (1 / (1 + np.exp(-logits - random.normal(size=rows)))).astype(np.float32),
    }
    return labels, scores


def multiclass(classes: int, rows: int = 2_000) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    labels = random.integers(0, classes, rows)
    found = {}
    for model, noise in (("candidate", 1.0), ("champion", 1.6)):
        logits = noise * random.normal(size=(rows, classes)).astype(np.float32)
        logits[np.arange(rows), labels] += 3
        found[model] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, found


def regression(rows: int = 3_000) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    random = np.random.default_rng(7)
    labels = random.lognormal(2, 0.7, rows).astype(np.float32)
    return labels, {
        "candidate": labels * random.lognormal(0, 0.1, rows).astype(np.float32),
        "champion": labels * random.lognormal(0.1, 0.3, rows).astype(np.float32),
    }


def measured(metric: str) -> tuple[list[MetricRow], list[Difference]]:
    rows = [
        MetricRow("overall", "candidate", metric, 4_000, 0.9, 0.88, 0.92, 0.01),
        MetricRow("overall", "champion", metric, 4_000, 0.89, 0.87, 0.91, 0.01),
        MetricRow("hour=2", "candidate", metric, 500, 0.8, 0.7, 0.9, 0.05),
        MetricRow("hour=2", "champion", metric, 500, 0.85, 0.75, 0.95, 0.05),
        MetricRow("hour=11", "candidate", metric, 12, None),
        MetricRow("hour=11", "champion", metric, 12, None),
    ]
    differences = [
        Difference("overall", metric, 4_000, 0.01, 0.004, 0.016, 0.003),
        Difference("hour=2", metric, 500, -0.05, -0.09, -0.01, 0.02),
        Difference("hour=11", metric, 12, None),
    ]
    return rows, differences


# evaluation_figures

SLICED = ("by_slice", "differences")
BINARY = ("roc_and_pr", "calibration", "scores", "thresholds", "confusion", "agreement")


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        ("binary", "auc", BINARY),
        ("multiclass", "accuracy", ("calibration", "confusion", "agreement")),
        ("regression", "mae", ("predicted_and_true", "residuals", "error_quantiles", "agreement")),
    ],
)
def test_each_task_has_its_pictures(
    tmp_path: Path, task: str, metric: str, expected: tuple[str, ...]
) -> None:
    make = {"binary": binary, "multiclass": lambda: multiclass(5), "regression": regression}
    labels, predictions = make[task]()
    found = evaluation_figures(task, labels, predictions, *measured(metric), metric, tmp_path)
    assert [p.stem for p in found] == [*(f"{metric}_{part}" for part in SLICED), *expected]
    assert sorted(tmp_path.iterdir()) == sorted(found)


def test_without_a_champion_nothing_is_compared(tmp_path: Path, drawn: Any) -> None:
    labels, scores = binary()
    rows = [row for row in measured("auc")[0] if row.model == "candidate"]
    one = {"candidate": scores["candidate"]}
    found = evaluation_figures("binary", labels, one, rows, [], "auc", tmp_path)
    assert [path.stem for path in found] == ["auc_by_slice", *BINARY[:-1]]
    assert not any(drawn.says("champion", place) for place in range(len(drawn)))


def test_metrics_with_a_bound_are_drawn_by_slice_too(tmp_path: Path, drawn: Any) -> None:
    labels, scores = binary()
    rows, differences = measured("auc")
    more, gaps = measured("my/metric $x$")
    found = evaluation_figures(
        "binary",
        labels,
        scores,
        [*rows, *more],
        [*differences, *gaps],
        "auc",
        tmp_path,
        allowed={"my/metric $x$": 0.02},
        required={"auc": 0.85},
        higher_is_better={"auc": True, "my/metric $x$": True},
    )
    assert [path.stem for path in found[:4]] == [
        "auc_by_slice",
        "auc_differences",
        "my_metric_x__by_slice",
        "my_metric_x__differences",
    ]
    assert drawn.says("Dashed: 0.85, the bound.")
    assert not drawn.says("the bound", place=2)
    assert drawn.says("Shaded: a loss of more than 0.02.", place=3)


def test_the_same_evaluation_gives_the_same_bytes(tmp_path: Path) -> None:
    labels, scores = binary()
    pictures = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        found = evaluation_figures(
            "binary", labels, scores, *measured("auc"), "auc", tmp_path / name
        )
        pictures.append([path.read_bytes() for path in found])
    assert pictures[0] == pictures[1]


def test_predictions_of_another_shape_are_an_error(tmp_path: Path) -> None:
    labels, scores = binary(10)
    with pytest.raises(DataError, match="9 scores for 10 labels"):
        evaluation_figures("binary", labels, {"candidate": scores["candidate"][:9]}, [], [],
                           "auc", tmp_path)  # fmt: skip
    with pytest.raises(DataError, match=r"\(10,\) of the candidate.*one softmax output"):
        evaluation_figures("multiclass", labels, scores, [], [], "accuracy", tmp_path)


def test_more_than_a_million_rows_are_quick_and_lean(tmp_path: Path) -> None:
    code = f"""
import pathlib, resource, time
import numpy as np
import sklearn.metrics
from mlproject.figures import evaluation_figures
def draw(rows):
    labels = (np.arange(rows) % 3 == 0).astype(np.int64)
    random = np.random.default_rng(7)
    noise = [random.random(rows, dtype=np.float32) for _ in range(2)]
    scores = dict(zip(("candidate", "champion"), [0.3 * labels + 0.7 * n for n in noise]))
    before = time.process_time()
    evaluation_figures("binary", labels, scores, [], [], "auc", pathlib.Path({str(tmp_path)!r}))
    return time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
draw(1_000)
small, less = draw(1_000)
large, more = draw(1_500_000)
print(large - small, more - less)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    cpu_seconds, mebibytes = map(float, run.stdout.split())
    assert cpu_seconds < 15  # 1.1 on the machine that it was written on
    assert mebibytes < 300  # 136 there, of which labels, noise and scores are 40


def test_importing_the_figures_loads_no_library() -> None:
    code = (
        "import sys, mlproject.figures\n"
        "sys.exit(bool({'matplotlib', 'numpy', 'sklearn'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# rows and slices


def test_a_sample_takes_one_row_of_each_part() -> None:
    taken = sample(1_000_003, 1_000)
    assert isinstance(taken, np.ndarray)
    assert len(taken) == 1_000
    assert (np.diff(taken) > 0).all()
    assert taken.max() < 1_000_003
    assert (taken == sample(1_000_003, 1_000)).all()
    assert sample(1_000, 1_000) == slice(None)


def test_the_largest_and_the_worst_slices_are_chosen() -> None:
    examples = {"overall": 10**6} | {f"area={n}": 10_000 - n for n in range(5_000)}
    largest, worst = choose(examples, {f"area={n}": float(n) for n in range(4_000)})
    assert largest.slices[:3] == ("overall", "area=0", "area=1")
    assert worst.slices[:2] == ("area=3999", "area=3998")
    assert len(largest.slices) + len(worst.slices) == MAX_SLICES


def test_where_few_others_are_judged_more_of_the_largest_stand() -> None:
    examples = {f"area={n}": 1_000 - n for n in range(100)}
    (group,) = choose(examples, {f"area={n}": 0.5 for n in range(25)})
    assert group.slices == tuple(f"area={n}" for n in range(MAX_SLICES))


def test_few_slices_stand_by_name() -> None:
    (group,) = choose({"hour=11": 1, "hour=2": 9, "overall": 10}, {"hour=2": 0.5})
    assert group.slices == ("overall", "hour=2", "hour=11")
    assert choose({}, {})[0].slices == ()


# slice_bars


def test_candidate_stands_next_to_champion_with_intervals(png: Path, drawn: Any) -> None:
    slice_bars(measured("auc")[0], "auc", png, higher_is_better=True, threshold=0.82)
    axes = drawn[0].axes[0]
    assert sorted(round(bar.get_width(), 6) for bar in axes.patches) == [0.8, 0.85, 0.89, 0.9]
    assert len({bar.get_facecolor() for bar in axes.patches}) == 2
    names = [text for text in drawn.texts() if text in ("overall", "hour=2", "hour=11")]
    assert names == ["overall", "hour=2", "hour=11"]
    assert drawn.texts().count("could not judge") == 2
    assert drawn.says("0.9000 [0.8800, 0.9200]")
    assert drawn.says("4,000")
    dashed = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert 0.82 in dashed


def test_of_many_slices_the_figure_says_which(png: Path, drawn: Any) -> None:
    rows = [MetricRow("overall", "candidate", "mae", 10**6, 2.0)]
    rows += [MetricRow(f"area={n}", "candidate", "mae", 5_000 - n, n / 100) for n in range(400)]
    slice_bars(rows, "mae", png, higher_is_better=False)
    assert drawn.says("Of 400 slices: the 20 largest and the 19 worst of the others.")
    shown = [text for text in drawn.texts() if text.startswith("area=")]
    assert {"area=0", "area=19", "area=399", "area=381"} <= set(shown)
    assert "area=100" not in shown


@pytest.mark.parametrize("more", [True, False])
def test_the_worst_are_the_candidate_s_whichever_way_is_better(
    png: Path, drawn: Any, more: bool
) -> None:
    """Of 400 slices the first is the largest; the last has the highest value and difference."""
    rows, differences = [], []
    for n in range(400):
        name, examples = f"area={n}", 5_000 - n
        rows.append(MetricRow(name, "candidate", "own", examples, n / 100))
        rows.append(MetricRow(name, "champion", "own", examples, -n / 100))
        differences.append(Difference(name, "own", examples, n / 100 - 2.0))
    slice_bars(rows, "own", png, higher_is_better=more)
    difference_forest(differences, "own", png, higher_is_better=more)
    worst = {"area=20", "area=39"} if more else {"area=399", "area=380"}
    for place in (0, 1):
        names = set(drawn.texts(place))
        assert worst <= names
        assert ("area=399" in names) is not more
        assert "area=200" not in names


def test_a_metric_without_a_direction_has_no_worst_slice(png: Path, drawn: Any) -> None:
    rows = [MetricRow(f"area={n}", "candidate", "own", 5_000 - n, n / 100) for n in range(400)]
    slice_bars(rows, "own", png)
    assert drawn.says("Of 400 slices: the 40 largest.")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no slices"),
        ([MetricRow("overall", "candidate", "log_loss", 9, 0.5)], "no slices"),
        ([MetricRow("overall", "candidate", "auc", 0, None)], "could not judge"),
        ([MetricRow("overall", "candidate", "auc", 3, float("nan"))], "could not judge"),
        ([MetricRow("overall", "candidate", "auc", 9, -0.25)], "-0.2500"),
        ([MetricRow("overall", "candidate", "auc", 9, 0.0)], "0.0000"),
        ([MetricRow("a=$x$\n", "candidate", "auc", 9, 12_345.6)], "12,346"),
        ([MetricRow("a=" + "x" * 5_000, "champion", "auc", 9, 0.5, 0.4, 0.6)], "…"),
    ],
)
def test_slices_of_odd_values(png: Path, drawn: Any, rows: list[MetricRow], message: str) -> None:
    slice_bars(rows, "auc", png)
    assert drawn.says(message)


def test_long_names_keep_the_end_in_which_they_differ(png: Path, drawn: Any) -> None:
    names = [f"company=One And The Same Very Long Name Of A Company {n}" for n in (1, 2)]
    slice_bars([MetricRow(n, "candidate", "auc", 9, 0.5) for n in names], "auc", png)
    shown = [text for text in drawn.texts() if text.startswith("company=")]
    assert len(set(shown)) == 2
    assert all(text.endswith((" 1", " 2")) and len(text) <= 44 for text in shown)


# difference_forest


def test_differences_are_marked_by_their_intervals(png: Path, drawn: Any) -> None:
    _, differences = measured("auc")
    unclear = Difference("hour=3", "auc", 200, 0.001, -0.02, 0.022)
    difference_forest([*differences, unclear], "auc", png, higher_is_better=True, allowed=0.02)
    axes = drawn[0].axes[0]
    points = {
        line.get_xdata()[0]: line.get_color() for line in axes.lines if line.get_marker() == "o"
    }
    assert points == {0.01: BETTER, -0.05: WORSE, 0.001: UNCLEAR}
    assert drawn.says("could not judge")
    assert drawn.says("-0.0500 [-0.0900, -0.0100]")
    bounds = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert -0.02 in bounds
    low, high = axes.get_xlim()
    assert low == -high  # 0 in the middle


def test_less_may_be_better(png: Path, drawn: Any) -> None:
    row = Difference("overall", "mae", 100, -2.0, -3.0, -1.0)
    difference_forest([row], "mae", png, higher_is_better=False, allowed=0.5)
    axes = drawn[0].axes[0]
    (point,) = (line for line in axes.lines if line.get_marker() == "o")
    assert point.get_color() == BETTER
    assert drawn.says("better to the left")
    assert 0.5 in [line.get_xdata()[0] for line in axes.lines]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no champion to compare with"),
        ([Difference("overall", "auc", 9, None)], "could not judge"),
        ([Difference("overall", "auc", 9, float("inf"))], "could not judge"),
        ([Difference("overall", "auc", 9, 0.0, 0.0, 0.0)], "+0.000"),
        ([Difference("overall", "auc", 9, 0.1)], "+0.1"),
    ],
)
def test_differences_of_odd_values(
    png: Path, drawn: Any, rows: list[Difference], message: str
) -> None:
    difference_forest(rows, "auc", png, higher_is_better=True)
    assert drawn.says(message)


# calibration_curve


def test_each_bin_has_its_mean_share_and_rows(png: Path, drawn: Any) -> None:
    came = np.array([0] * 8 + [1] * 2 + [0] * 2 + [1] * 8)
    given = np.array([0.15] * 10 + [1.0] * 10)
    row = MetricRow("overall", "candidate", "calibration_error", 20, 0.125, 0.1, 0.15)
    calibration_curve({"candidate": came}, {"candidate": given}, png, [row])
    curve, below = drawn[0].axes
    line = curve.lines[-1]
    assert list(zip(*line.get_data(), strict=True)) == [
        pytest.approx((0.15, 0.2)),
        pytest.approx((1.0, 0.8)),
    ]
    # Wilson's 95% interval of 2 in 10.
    low, high = curve.collections[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((0.0567, 0.5098), abs=2e-4)
    assert below.patches[0].get_data().values.tolist() == [0, 10, 0, 0, 0, 0, 0, 0, 0, 10]
    assert drawn.says("candidate: error 0.1250 [0.1000, 0.1500]")


def test_calibration_of_the_predicted_class() -> None:
    labels, found = multiclass(4)
    right, sure = predicted_class(labels, found["candidate"])
    assert right.mean() == (found["candidate"].argmax(axis=1) == labels).mean()
    assert sure == pytest.approx(found["candidate"].max(axis=1))


@pytest.mark.parametrize(
    ("came", "given", "message"),
    [
        ([], [], "no examples"),
        ([0, 1], [float("nan"), float("inf")], "no examples"),
        ([0, 1, 1], [-2.0, 0.5, 3.0], "not judged: scores outside 0 to 1\nare not probabilities"),
        ([0, 1, 1], [0.2, 0.8, float("nan")], "1 scores without a finite value"),
        ([0, 0], [0.5, 0.5], "candidate"),
    ],
)
def test_calibration_of_odd_scores(
    png: Path, drawn: Any, came: list[float], given: list[float], message: str
) -> None:
    calibration_curve({"candidate": came}, {"candidate": given}, png)
    assert drawn.says(message)


# threshold_curves


def test_curves_by_threshold_are_those_of_sklearn(png: Path, drawn: Any) -> None:
    labels, scores = binary()
    threshold_curves(labels, scores, png)
    predicted = scores["candidate"] >= 0.3
    expected = [m(labels, predicted) for m in (precision_score, recall_score, f1_score)]
    for axes, value in zip(drawn[0].axes, expected, strict=True):
        (line,) = (
            line
            for line in axes.lines
            if str(line.get_label()).startswith("candidate") and len(line.get_xdata()) > 1
        )
        assert np.interp(0.3, *line.get_data()) == pytest.approx(value, abs=5e-3)


@pytest.mark.parametrize(
    ("labels", "models", "message"),
    [
        ([0, 0], {"candidate": [0.1, 0.2]}, "not judged: no rows of class 1"),
        ([], {"candidate": []}, "not judged: no rows of class 1"),
        ([0, 1], {}, "not judged: no models"),
        ([1, 1], {"candidate": [0.4, 0.4]}, "candidate: 1.000"),
        ([0, 1], {"candidate": [-5.0, 7.0]}, "candidate: 1.000"),
    ],
)
def test_thresholds_that_cannot_be_judged_say_so(
    png: Path, drawn: Any, labels: list[int], models: dict[str, list[float]], message: str
) -> None:
    threshold_curves(labels, models, png)
    assert drawn.says(message)


# confusion_matrix


@pytest.mark.parametrize("classes", [2, 10, 26])
def test_rows_of_the_matrix_add_to_all(png: Path, drawn: Any, classes: int) -> None:
    labels, found = multiclass(classes)
    predicted = {model: values.argmax(axis=1) for model, values in found.items()}
    confusion_matrix(labels, predicted, classes, png)
    for axes, model in zip(drawn[0].axes, found, strict=True):
        shares = axes.images[0].get_array()
        expected = sklearn_confusion(labels, predicted[model], normalize="true")
        assert np.asarray(shares) == pytest.approx(expected)
    number = int(((labels == 0) & (predicted["candidate"] == 1)).sum())
    assert not number or any(text.endswith(str(number)) for text in drawn.texts())


def test_beyond_thirty_classes_the_most_confused_pairs_stand(png: Path, drawn: Any) -> None:
    labels = np.repeat(np.arange(200), 10)
    predicted = labels.copy()
    predicted[:6] = 7
    predicted[10:13] = 9
    confusion_matrix(labels, {"candidate": predicted, "champion": labels}, 200, png)
    axes = drawn[0].axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["0 taken for 7", "1 taken for 9"]
    assert drawn.says("60% (6)")
    assert drawn.says("these are 100% of the candidate's 9 errors")


@pytest.mark.parametrize(
    ("classes", "labels", "predicted", "message"),
    [
        (3, [], [], "no examples"),
        (40, [], [], "no examples"),
        (40, [1, 2], [1, 2], "no class is taken for another"),
        (3, [0, 0], [0, 0], "100.0%"),
    ],
)
def test_confusion_of_few_rows(
    png: Path,
    drawn: Any,
    classes: int,
    labels: list[int],
    predicted: list[int],
    message: str,
) -> None:
    confusion_matrix(labels, {"candidate": predicted}, classes, png)
    assert drawn.says(message)


def test_a_class_that_is_none_is_an_error(png: Path) -> None:
    with pytest.raises(DataError, match=r"the labels are not all classes.*0 to 5.*0 to 2"):
        confusion_matrix([0, 5], {"candidate": [0, 1]}, 3, png)


# model_agreement


def test_who_is_right_where_they_disagree(png: Path, drawn: Any) -> None:
    labels = [1, 1, 0, 0, 1]
    scores = {"candidate": [0.9, 0.8, 0.1, 0.6, 0.2], "champion": [0.9, 0.3, 0.7, 0.1, 0.1]}
    model_agreement("binary", labels, scores, png)
    found = drawn.texts()
    pairs = {name: found[found.index(name) + 1] for name in found if " right" in name}
    assert pairs["only the candidate is right"] == "2 (40%)"
    assert pairs["only the champion is right"] == "1 (20%)"
    assert drawn.says("3 (60%)")  # another class


@pytest.mark.parametrize(("task", "make"), [("multiclass", multiclass), ("regression", regression)])
def test_agreement_of_other_tasks(png: Path, drawn: Any, task: str, make: object) -> None:
    labels, found = multiclass(5) if task == "multiclass" else regression()
    model_agreement(task, labels, found, png)
    if task == "multiclass":
        new, old = (found[m].argmax(axis=1) == labels for m in ("candidate", "champion"))
        assert drawn.says(f"{int((new & ~old).sum()):,} (")
    else:
        nearer = np.abs(found["candidate"] - labels) < np.abs(found["champion"] - labels)
        assert drawn.says(f"{int(nearer.sum()):,} (")


def test_agreement_without_a_finite_row(png: Path, drawn: Any) -> None:
    lost = {"candidate": [float("nan")], "champion": [0.5]}
    for task in ("binary", "regression"):
        model_agreement(task, [1], lost, png)
        assert drawn.says("no rows with two finite predictions", place=-1)


# regression


def test_cells_count_every_row_inside() -> None:
    x, y = np.array([0.0, 0.5, 1.0, 9.0]), np.array([0.0, 0.5, 1.0, 0.5])
    cells = count_cells(x, y, (0, 1), (0, 1))
    assert cells.sum() == 3
    assert cells[0, 0] == cells[-1, -1] == 1


def test_a_row_far_away_does_not_press_the_others_together(png: Path, drawn: Any) -> None:
    labels, found = regression()
    labels[0] = 1e9
    assert central_range(labels)[1] < 1e3
    predicted_and_true(labels, found, png)
    assert drawn.says("rows lie outside of the picture.")


def test_residuals_of_a_model_that_says_too_much_lie_above_0(png: Path, drawn: Any) -> None:
    labels, _ = regression()
    residuals(labels, {"candidate": labels + 5}, png)
    solid = [
        line for line in drawn[0].axes[0].lines
        if line.get_linestyle() == "-" and len(line.get_ydata()) > 2
    ]  # fmt: skip
    assert np.asarray(solid[0].get_ydata()) == pytest.approx(5.0, abs=1e-4)


def test_error_quantiles_are_those_of_the_rows(png: Path, drawn: Any) -> None:
    labels, found = regression()
    error_quantiles(labels, found, png)
    marks = np.quantile(np.abs(found["candidate"] - labels), (0.5, 0.9, 0.99))
    assert drawn.says("candidate: " + ", ".join(f"{mark:,.4g}" for mark in marks))


@pytest.mark.parametrize("figure", [predicted_and_true, residuals, error_quantiles])
@pytest.mark.parametrize(
    ("labels", "models", "message"),
    [
        ([], {"candidate": []}, "no examples"),
        ([1.0, 2.0], {}, "no models"),
        ([1.0, 2.0], {"candidate": [float("nan")] * 2}, "no examples"),
        ([1.0, 1.0], {"candidate": [1.0, 1.0]}, ""),
        ([0.0] * 50, {"candidate": [3.0] * 50}, ""),
    ],
)
def test_regression_of_odd_rows(
    png: Path,
    drawn: Any,
    figure: object,
    labels: list[float],
    models: dict[str, list[float]],
    message: str,
) -> None:
    figure(labels, models, png)  # type: ignore[operator]
    assert drawn.says(message)
