"""The file of behavioural cases: good, malformed, hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlproject.cases import Cases, read_cases
from mlproject.errors import ConfigError

GOLDEN = "golden:\n- {name: a, row: {x: 1}, at_most: 0.5}\n"


def read(tmp_path: Path, text: str, task: Any = None) -> Cases:
    path = tmp_path / "cases.yaml"
    path.write_text(text, encoding="utf-8")
    return read_cases(path, task)


def test_every_form_of_a_case_is_read(tmp_path: Path) -> None:
    cases = read(
        tmp_path,
        """
seed: 7
golden:
- name: near
  row: {x: 1.5, s: text, b: {b64: aGk=}, l: [1, 2], m: null}
  expect: 2
  tolerance: 0.1
- {name: range, row: {x: 1}, at_least: 0.1, at_most: 0.9, class: 2}
- {name: class, row: {x: 1}, class: 3}
invariance:
- {name: one row, row: {x: 1}, change: {s: other}}
- name: drawn
  rows: 20
  where: {pay: Cash, company: null}
  change: {company: [A, B, null], x: {add: 0.5}}
  tolerance: 0.01
directional:
- {name: up, rows: 5, change: {x: {multiply: 2}}, must_not: lower}
- {name: list, rows: 5, change: {l: {value: [1, 2]}, b: {b64: aGk=}}, must_not: raise, class: 1}
""",
    )
    assert cases.seed == 7
    assert [case.name for case in cases.everything][:3] == ["near", "range", "class"]
    assert cases.golden[0].bounds == (1.9, 2.1)
    assert cases.invariance[1].change["company"].choices == ("A", "B", None)
    assert cases.invariance[1].change["x"].choices == ()
    assert cases.directional[1].change["l"].choices == ([1, 2],)
    assert cases.directional[1].change["b"].choices == ({"b64": "aGk="},)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("goldn:\n- {name: a}\n", "unknown key 'goldn' (did you mean 'golden')"),
        (
            "golden:\n- {name: a, row: {x: 1}, expekt: 1, class: 1}\n",
            "unknown key 'golden.0.expekt' (did you mean 'expect')",
        ),
        (
            "invariance:\n- {name: a, rows: 5, change: {x: {ad: 1}}}\n",
            "unknown key 'invariance.0.change.x.ad' (did you mean 'add')",
        ),
        ("{}", "there is no case"),
        ("golden: []\n", "there is no case"),
        (GOLDEN + "- {name: a, row: {x: 1}, class: 1}\n", "the name 'a' stands twice"),
        ("golden:\n- {row: {x: 1}, class: 1}\n", "the key 'golden.0.name' is missing"),
        ("golden:\n- {name: a, row: {}, class: 1}\n", "golden.0.row"),
        ("golden:\n- {name: a, row: {x: 1}}\n", "give 'expect', 'at_least', 'at_most' or 'class'"),
        ("golden:\n- {name: a, row: {x: 1}, expect: 1}\n", "'expect' and 'tolerance' together"),
        ("golden:\n- {name: a, row: {x: 1}, tolerance: 1, class: 1}\n", "together"),
        (
            "golden:\n- {name: a, row: {x: 1}, expect: 1, tolerance: 0.1, at_most: 2}\n",
            "give either 'expect' or a range",
        ),
        ("golden:\n- {name: a, row: {x: 1}, at_least: 2, at_most: 1}\n", "lies above 'at_most'"),
        ("golden:\n- {name: a, row: {x: 1}, at_least: .nan}\n", "finite number"),
        ("golden:\n- {name: a, row: {x: 1}, expect: 1, tolerance: -1}\n", "greater than or equal"),
        ("golden:\n- {name: a, row: {x: 1}, class: -1}\n", "golden.0.class"),
        ("invariance:\n- {name: a, change: {x: 1}}\n", "give either 'row' or 'rows'"),
        ("invariance:\n- {name: a, row: {x: 1}, rows: 2, change: {x: 1}}\n", "'row' or 'rows'"),
        (
            "invariance:\n- {name: a, row: {x: 1}, where: {x: 1}, change: {x: 1}}\n",
            "'where' is for 'rows'",
        ),
        ("invariance:\n- {name: a, rows: 0, change: {x: 1}}\n", "invariance.0.rows"),
        ("invariance:\n- {name: a, rows: 1000000, change: {x: 1}}\n", "invariance.0.rows"),
        ("invariance:\n- {name: a, rows: 5, change: {}}\n", "invariance.0.change"),
        ("invariance:\n- {name: a, rows: 5, change: {x: []}}\n", "invariance.0.change.x"),
        ("invariance:\n- {name: a, rows: 5, change: {x: {}}}\n", "give one of value, values, add"),
        ("invariance:\n- {name: a, rows: 5, change: {x: {add: null}}}\n", "give one of value"),
        ("invariance:\n- {name: a, rows: 5, change: {x: {add: 1, multiply: 2}}}\n", "give one of"),
        (
            "invariance:\n- {name: a, rows: 5, change: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "
            "y: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}\n",
            "110 combinations of values; 100 at most",
        ),
        ("directional:\n- {name: a, rows: 5, change: {x: 1}}\n", "must_not' is missing"),
        ("directional:\n- {name: a, rows: 5, change: {x: 1}, must_not: sink}\n", "must_not"),
        ("golden: [\n", "it is not valid YAML"),
        ("golden:\n- {name: a, name: b}\n", "the key 'name' stands twice"),
        ("- a\n", "list"),
        ("", "NoneType"),
        ("golden: !!python/object/apply:os.system ['true']\n", "it is not valid YAML"),
    ],
)
def test_a_malformed_file_is_refused_by_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "cases.yaml" in str(caught.value)


def test_a_file_that_is_not_there_gets_the_closest_name(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(GOLDEN)
    with pytest.raises(ConfigError, match=r"did you mean 'cases.yaml'"):
        read_cases(tmp_path / "case.yaml")


def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="Reading the behavioural cases failed"):
        read_cases(path)
    path.write_text("# " + "x" * (5 << 20))
    with pytest.raises(ConfigError, match="at most 4,194,304 bytes"):
        read_cases(path)
    with pytest.raises(ConfigError, match="Reading the behavioural cases failed"):
        read_cases(tmp_path)


@pytest.mark.parametrize(
    ("task", "text", "said"),
    [
        ("binary", "golden:\n- {name: a, row: {x: 1}, class: 2}\n", "class 0 or 1"),
        ("regression", "golden:\n- {name: a, row: {x: 1}, class: 0}\n", "one prediction a row"),
        ("multiclass", GOLDEN, "whose probability the case is about"),
        (
            "multiclass",
            "directional:\n- {name: a, rows: 5, change: {x: 1}, must_not: raise}\n",
            "whose probability the case is about",
        ),
    ],
)
def test_cases_that_do_not_fit_the_task_are_refused(
    tmp_path: Path, task: str, text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=f"does not fit a {task} task") as caught:
        read(tmp_path, text, task)
    assert said in str(caught.value)


def test_an_invariance_of_a_multiclass_model_may_be_about_all_classes(tmp_path: Path) -> None:
    text = "invariance:\n- {name: a, rows: 5, change: {x: 1}}\n"
    assert read(tmp_path, text, "multiclass").invariance[0].class_ is None
