"""Behavioural cases asked of a model: each kind passes, fails, cannot judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.cases import CaseResult, Cases, check_cases, read_results, write_results
from mlproject.cases.columns import check_cases_fit
from mlproject.errors import ConfigError, DataError, ServingError

MISSING_INT = -(2**63)
ROWS = pa.record_batch(
    [
        pa.array([1.0, 2.0, 3.0, 4.0, None], pa.float64()),
        pa.array([1, 2, 3, 4, None], pa.int64()),
        pa.array(["Cash", "Card", "Cash", None, "Cash"], pa.string()),
        pa.array([b"a", b"b", b"c", b"d", None], pa.binary()),
        pa.array([[1, 2], [3], None, [], [4, 5, 6]], pa.list_(pa.int64())),
        pa.array(["p", "q", "r", "s", "t"], pa.string()),
    ],
    names=["x", "n", "pay", "raw", "many", "label"],
)


def model(
    score: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    names: tuple[str, ...] = ("x", "n", "pay", "raw", "many"),
) -> Any:
    """A model of some inputs: `score` gives `[rows]` or `[rows, classes]`."""

    def predict(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert set(arrays) == set(names)
        values = np.asarray(score(arrays), dtype=np.float32)
        return {"predictions": values.reshape(len(arrays["x"]), -1)}

    predict.input_names = names  # type: ignore[attr-defined]
    return predict


by_x = model(lambda a: np.nan_to_num(a["x"], nan=0.0) / 10)


def ask(case: dict[str, Any], kind: str, predict: Any = by_x, task: Any = "binary") -> CaseResult:
    cases = Cases.model_validate({kind: [{"name": "it", **case}]})
    (result,) = check_cases(cases, predict, ROWS, task)
    assert (result.name, result.kind) == ("it", kind)
    assert result.reason
    return result


@pytest.mark.parametrize(
    ("case", "outcome", "said"),
    [
        ({"expect": 0.3, "tolerance": 0.05}, "pass", "predicted 0.3 for {x: 3}, 0.3 +- 0.05"),
        ({"expect": 0.2, "tolerance": 0.1}, "pass", "predicted 0.3"),
        ({"expect": 0.2, "tolerance": 0.05}, "fail", "0.2 +- 0.05 expected; off by 0.05"),
        ({"at_least": 0.25}, "pass", "at least 0.25 expected"),
        ({"at_most": 0.25}, "fail", "at most 0.25 expected; off by 0.05"),
        ({"at_least": 0.4, "at_most": 0.5}, "fail", "at least 0.4 and at most 0.5 expected; off"),
        ({"class": 0}, "pass", "predicted class 0 for {x: 3}, class 0"),
        ({"class": 1}, "fail", "predicted class 0 for {x: 3}, class 1"),
        ({"class": 0, "at_least": 0.65}, "pass", "predicted 0.7"),
        ({"class": 1, "at_least": 0.65}, "fail", "of class 1 expected"),
    ],
)
def test_golden_rows_of_a_binary_model(case: dict[str, Any], outcome: str, said: str) -> None:
    result = ask({"row": {"x": 3.0}, **case}, "golden")
    assert result.outcome == outcome
    assert said in result.reason


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        ({"class": 2}, "pass"),
        ({"class": 1}, "fail"),
        ({"class": 1, "at_most": 0.3}, "pass"),
        ({"class": 1, "expect": 0.5, "tolerance": 0.1}, "fail"),
    ],
)
def test_golden_rows_of_a_multiclass_model(case: dict[str, Any], outcome: str) -> None:
    classes = model(lambda a: np.tile([0.2, 0.2, 0.6], (len(a["x"]), 1)))
    assert ask({"row": {"x": 3.0}, **case}, "golden", classes, "multiclass").outcome == outcome


def test_a_class_that_the_model_does_not_have_is_refused() -> None:
    classes = model(lambda a: np.tile([0.2, 0.8], (len(a["x"]), 1)))
    for case in ({"class": 2}, {"class": 2, "at_least": 0.1}):
        with pytest.raises(ConfigError, match="a class from 0 to 1"):
            ask({"row": {"x": 3.0}, **case}, "golden", classes, "multiclass")


def test_golden_rows_of_a_regression() -> None:
    fares = model(lambda a: a["x"] * 100)
    case = {"row": {"x": 3.0}, "expect": 300, "tolerance": 1}
    assert ask(case, "golden", fares, "regression").outcome == "pass"
    assert ask({**case, "expect": 302}, "golden", fares, "regression").outcome == "fail"


def test_what_a_row_leaves_out_is_a_missing_value_of_its_type() -> None:
    seen: list[Mapping[str, np.ndarray]] = []

    def score(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        seen.append(arrays)
        return np.zeros(len(arrays["x"]))

    row = {"raw": {"b64": "aGk="}, "many": [7, 8]}
    ask({"row": row, "class": 0}, "golden", model(score))
    assert np.isnan(seen[0]["x"]).all()
    assert seen[0]["n"].tolist() == [MISSING_INT]
    assert seen[0]["pay"].tolist() == [b""]
    assert seen[0]["raw"].tolist() == [b"hi"]
    assert seen[0]["many"].tolist() == [[7, 8]]
    ask({"row": {"pay": "Cash", "n": 3, "x": 2, "many": None}, "class": 0}, "golden", model(score))
    assert seen[1]["x"].dtype == np.float32
    assert seen[1]["many"].tolist() == [[MISSING_INT]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_no_finite_number_fails_every_kind(value: float) -> None:
    broken = model(lambda a: np.full(len(a["x"]), value))
    assert ask({"row": {"x": 1}, "at_least": -1e9}, "golden", broken).outcome == "fail"
    change = {"rows": 3, "change": {"pay": "Other"}, "tolerance": 1e9}
    assert ask(change, "invariance", broken).outcome == "fail"
    assert ask({**change, "must_not": "lower"}, "directional", broken).outcome == "fail"


def test_an_invariance_that_holds_says_how_far_it_moved() -> None:
    result = ask({"rows": 4, "change": {"pay": ["A", "B"]}}, "invariance")
    assert result.outcome == "pass"
    assert result.reason == "4 rows, 2 changes: moved by 0 at most (1e-05 allowed)"


def test_a_direction_that_does_not_move_at_all_fell_by_0() -> None:
    change = {"rows": 4, "change": {"pay": ["A", "B"]}, "must_not": "lower"}
    result = ask(change, "directional")
    assert result.reason == "4 rows, 2 changes: fell by 0 at most (1e-05 allowed)"


def test_an_invariance_that_fails_says_which_row_by_how_much_and_how_many() -> None:
    result = ask({"rows": 5, "change": {"x": {"multiply": 2}}, "tolerance": 0.25}, "invariance")
    assert result.outcome == "fail"
    assert result.reason == (
        "2 of 5 rows moved by more than 0.25; most by 0.4 (0.4 -> 0.8) with x x 2 in "
        "{x: 4, n: 4, raw: b'd'}"
    )


def test_an_invariance_counts_a_move_in_either_direction_of_any_class() -> None:
    def score(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        odd = (arrays["pay"] == b"Odd")[:, None]
        return np.where(odd, [0.1, 0.5, 0.4], [0.3, 0.5, 0.2])

    case = {"rows": 5, "change": {"pay": "Odd"}, "tolerance": 0.1}
    assert ask(case, "invariance", model(score), "multiclass").outcome == "fail"
    assert ask({**case, "class": 1}, "invariance", model(score), "multiclass").outcome == "pass"
    assert ask({**case, "class": 0}, "invariance", model(score), "multiclass").outcome == "fail"


@pytest.mark.parametrize(
    ("change", "must_not", "outcome"),
    [
        ({"add": 1}, "lower", "pass"),
        ({"add": 1}, "raise", "fail"),
        ({"add": -1}, "lower", "fail"),
        ({"add": -1}, "raise", "pass"),
        ([9.0, 8.0], "lower", "pass"),
        ([9.0, 0.0], "lower", "fail"),
        (None, "raise", "pass"),
        (None, "lower", "fail"),
    ],
)
def test_directions(change: Any, must_not: str, outcome: str) -> None:
    case = {"rows": 5, "change": {"x": change}, "must_not": must_not}
    assert ask(case, "directional").outcome == outcome


def test_a_direction_allows_its_tolerance_and_says_how_it_was_broken() -> None:
    case = {"row": {"x": 5.0}, "change": {"x": {"add": -1}}, "must_not": "lower"}
    assert ask({**case, "tolerance": 0.1}, "directional").outcome == "pass"
    result = ask({**case, "tolerance": 0.05}, "directional")
    assert result.outcome == "fail"
    assert result.reason == (
        "1 of 1 row fell by more than 0.05; most by 0.1 (0.5 -> 0.4) with x + -1 in {x: 5}"
    )


def test_the_direction_of_class_0_is_the_other_way_round() -> None:
    case = {"rows": 5, "change": {"x": {"add": 1}}, "must_not": "lower"}
    assert ask({**case, "class": 1}, "directional").outcome == "pass"
    assert ask({**case, "class": 0}, "directional").outcome == "fail"


def test_changes_go_into_numbers_lists_texts_and_bytes() -> None:
    seen: list[Mapping[str, np.ndarray]] = []

    def score(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        seen.append(arrays)
        return np.zeros(len(arrays["x"]))

    change = {
        "n": {"multiply": 1.5},
        "many": {"add": 10},
        "raw": {"b64": "aGk="},
        "x": {"add": 0.5},
    }
    ask({"rows": 5, "change": change}, "invariance", model(score))
    after = seen[1]
    assert after["n"].tolist() == [2, 3, 4, 6, MISSING_INT]  # 1.5 -> 2, 4.5 -> 4: half to even
    assert after["x"][:4].tolist() == [1.5, 2.5, 3.5, 4.5]
    assert np.isnan(after["x"][4])
    assert after["raw"].tolist() == [b"hi"] * 5
    assert after["many"][0].tolist() == [11, 12, MISSING_INT]
    assert after["many"][4].tolist() == [14, 15, 16]
    assert after["many"][2].tolist() == [MISSING_INT] * 3
    ask({"rows": 5, "change": {"many": {"value": [9]}}}, "invariance", model(score))
    assert seen[3]["many"].tolist() == [[9]] * 5


def test_of_several_lists_every_combination_is_tried() -> None:
    result = ask({"rows": 5, "change": {"pay": ["A", "B"], "n": [1, 2, 3]}}, "invariance")
    assert "6 changes" in result.reason


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"pay": "Cash"}, 3),
        ({"pay": None}, 1),
        ({"pay": "Cash", "n": 3}, 1),
        ({"x": 2}, 1),
        ({"label": "q"}, 1),
    ],
)
def test_rows_are_drawn_among_those_with_the_values_asked_for(
    where: dict[str, Any], rows: int
) -> None:
    result = ask({"rows": 5, "where": where, "change": {"raw": "z"}}, "invariance")
    assert result.reason.startswith(f"{rows} row")


def test_no_row_to_ask_is_not_judged() -> None:
    result = ask({"rows": 5, "where": {"pay": "Gold"}, "change": {"x": 1}}, "invariance")
    assert result.outcome == "unjudged"
    assert result.reason == "no row of the eval split has pay = Gold"


def test_a_change_that_changes_nothing_is_not_judged() -> None:
    case = {"rows": 5, "where": {"pay": "Cash"}, "change": {"pay": "Cash"}}
    result = ask(case, "invariance")
    assert result.outcome == "unjudged"
    assert "the change leaves all 3 rows as they are" in result.reason


def test_a_model_that_refuses_the_rows_is_not_judged() -> None:
    def refuse(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        raise ServingError("The data does not fit the model's input 'x'")

    change = {"rows": 5, "change": {"pay": "Z"}}
    for kind, case in (
        ("golden", {"row": {"x": 1}, "class": 1}),
        ("invariance", change),
        ("directional", {**change, "must_not": "raise"}),
    ):
        result = ask(case, kind, model(refuse))
        assert result.outcome == "unjudged"
        assert "does not fit the model's input 'x'" in result.reason


def test_the_same_seed_draws_the_same_rows_and_another_seed_others() -> None:
    rows = pa.record_batch([pa.array(np.arange(1000.0))], names=["x"])
    seen: list[list[float]] = []

    def score(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        seen.append(arrays["x"].tolist())
        return np.zeros(len(arrays["x"]))

    for seed in (1, 1, 2):
        case = {"name": "it", "rows": 20, "change": {"x": -1}}
        cases = Cases.model_validate({"seed": seed, "invariance": [case]})
        check_cases(cases, model(score, ("x",)), rows, "binary")
    assert seen[0] == seen[2] == sorted(set(seen[0]))
    assert len(seen[0]) == 20
    assert seen[0] != seen[4]


@pytest.mark.parametrize(
    ("kind", "case", "said"),
    [
        ("golden", {"row": {"pai": "Cash"}, "class": 1}, "did you mean 'pay'?"),
        ("golden", {"row": {"label": "p"}, "class": 1}, "an input of the model"),
        ("golden", {"row": {"x": "much"}, "class": 1}, "does not fit the column 'x'"),
        ("golden", {"row": {"n": 1.5}, "class": 1}, "does not fit the column 'n'"),
        ("golden", {"row": {"n": 2**70}, "class": 1}, "does not fit the column 'n'"),
        ("golden", {"row": {"pay": 12}, "class": 1}, "that fits the column's type string"),
        ("golden", {"row": {"raw": {"b64": "%"}}, "class": 1}, "does not fit the column 'raw'"),
        ("golden", {"row": {"raw": {"c64": "aGk="}}, "class": 1}, "does not fit the column 'raw'"),
        ("golden", {"row": {"many": 3}, "class": 1}, "does not fit the column 'many'"),
        ("golden", {"row": {"many": ["a"]}, "class": 1}, "does not fit the column 'many'"),
        ("golden", {"row": {"x": [1.0]}, "class": 1}, "does not fit the column 'x'"),
        ("invariance", {"rows": 3, "change": {"xx": 1}}, "'xx'"),
        ("invariance", {"rows": 3, "change": {"label": "z"}}, "an input of the model"),
        ("invariance", {"rows": 3, "change": {"pay": {"add": 1}}}, "it is a column of string"),
        ("invariance", {"rows": 3, "change": {"n": {"multiply": 1e300}}}, "a whole number"),
        ("invariance", {"rows": 3, "where": {"pai": 1}, "change": {"x": 1}}, "mean 'pay'?"),
        ("invariance", {"rows": 3, "where": {"n": "a"}, "change": {"x": 1}}, "column 'n'"),
        ("invariance", {"rows": 3, "where": {"many": [1]}, "change": {"x": 1}}, "single values"),
    ],
)
def test_a_case_that_does_not_fit_the_model_or_the_data_is_refused(
    kind: str, case: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match="The behavioural case 'it'") as caught:
        ask(case, kind)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("golden", {"row": {"pai": "Cash"}, "class": 1}),
        ("golden", {"row": {"label": "p"}, "class": 1}),
        ("golden", {"row": {"n": 1.5}, "class": 1}),
        ("golden", {"row": {"many": ["a"]}, "class": 1}),
        ("invariance", {"row": {"pai": 1}, "change": {"x": 1}}),
        ("invariance", {"rows": 3, "change": {"xx": 1}}),
        ("invariance", {"rows": 3, "change": {"label": "z"}}),
        ("invariance", {"rows": 3, "change": {"pay": {"add": 1}}}),
        ("invariance", {"rows": 3, "change": {"x": ["a"]}}),
        ("invariance", {"rows": 3, "where": {"pai": 1}, "change": {"x": 1}}),
        ("invariance", {"rows": 3, "where": {"n": "a"}, "change": {"x": 1}}),
        ("directional", {"rows": 3, "change": {"x": 1, "xx": 1}, "must_not": "raise"}),
    ],
)
def test_a_case_that_does_not_fit_the_data_is_refused_without_a_model_in_the_same_words(
    kind: str, case: dict[str, Any]
) -> None:
    cases = Cases.model_validate({kind: [{"name": "it", **case}]})
    with pytest.raises(ConfigError) as asked:
        check_cases(cases, by_x, ROWS, "binary")
    with pytest.raises(ConfigError) as early:
        check_cases_fit(cases, ROWS.schema, ("label",))
    assert early.value.received == asked.value.received
    assert str(early.value).partition(" (")[0] == str(asked.value).partition(" (")[0]


def test_cases_that_fit_the_data_pass_without_a_model() -> None:
    changes = {"many": {"add": 1}, "raw": {"b64": "aGk="}, "pay": ["A", None], "x": {"add": 1}}
    drawn = {"name": "b", "rows": 3, "where": {"label": "p", "pay": None}, "change": changes}
    written = {"name": "a", "row": {"x": 1, "many": [2], "pay": None}, "class": 1}
    cases = Cases.model_validate({"golden": [written], "invariance": [drawn]})
    check_cases_fit(cases, ROWS.schema, ("label",))


def test_an_eval_split_without_an_input_of_the_model_is_refused() -> None:
    cases = Cases.model_validate({"golden": [{"name": "a", "row": {"x": 1}, "class": 1}]})
    with pytest.raises(DataError, match="no column z in the eval split"):
        check_cases(cases, model(lambda a: a["x"], ("x", "z")), ROWS, "binary")


def test_results_are_kept_with_the_evaluation(tmp_path: Path) -> None:
    results = [
        CaseResult("a", "golden", "pass", "yes"),
        CaseResult("b", "directional", "unjudged", "no row has pay = 'Gold'"),
    ]
    write_results(results, tmp_path)
    assert read_results(tmp_path) == results
    assert read_results(tmp_path / "none") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '[{"name": "a"}]',
        "null",
        '[{"name":"a","kind":"golden","outcome":"ok","reason":""}]',
    ],
)
def test_results_that_were_tampered_with_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cases.json").write_text(text)
    with pytest.raises(DataError, match=r"cases\.json' failed.*--from evaluate"):
        read_results(tmp_path)


def test_results_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"cases\.json"):
        read_results(tmp_path)
