"""Recorded code of two versions, line by line."""

from __future__ import annotations

from typing import Any

from mlproject.version_diff.code import MAX_LINES, compare_code
from mlproject.version_diff.values import ADDED, CHANGED, REMOVED, UNCHANGED

MODULE = "def build_model(hyperparameters):\n    return None\n"


def states(before: Any, after: Any) -> dict[str, str]:
    return {file.name: file.state for file in compare_code(before, after).items}


def test_changed_lines_are_shown_as_a_unified_diff(lay: Any) -> None:
    before = lay(6, code={"taxi.py": MODULE, "project.yaml": "name: taxi\n"})
    after = lay(7, code={"taxi.py": MODULE.replace("None", "7"), "project.yaml": "name: taxi\n"})
    found = compare_code(before, after)
    (file,) = found.changes
    assert (file.name, file.state) == ("taxi.py", CHANGED)
    assert file.lines == (
        "@@ -1,2 +1,2 @@",
        " def build_model(hyperparameters):",
        "-    return None",
        "+    return 7",
    )
    assert states(before, after)["project.yaml"] == UNCHANGED
    assert found.notes == ()


def test_files_of_one_side_are_added_or_removed(lay: Any) -> None:
    before = lay(6, code={"taxi.py": MODULE, "parts/old.py": "a = 1\n"})
    after = lay(7, code={"taxi.py": MODULE, "parts/new.py": "b = 2\n"})
    assert states(before, after) == {
        "taxi.py": UNCHANGED,
        "parts/old.py": REMOVED,
        "parts/new.py": ADDED,
    }
    assert compare_code(before, after).notes == ("project.yaml: see parameters",)


def test_bytes_that_are_no_text_differ_without_lines(lay: Any) -> None:
    found = compare_code(lay(6, code={"a.bin": b"\xff\x00"}), lay(7, code={"a.bin": b"\xff\x01"}))
    assert found.changes[0].lines == ("the bytes differ; they are no UTF-8 text",)


def test_other_ends_of_lines_are_a_difference_that_is_said(lay: Any) -> None:
    found = compare_code(lay(6, code={"a.py": "a\n"}), lay(7, code={"a.py": "a\r\n"}))
    assert found.changes[0].lines == ("the ends of lines differ",)


def test_a_huge_file_is_not_compared_line_by_line(lay: Any) -> None:
    long = "x\n" * (MAX_LINES + 1)
    found = compare_code(lay(6, code={"a.py": long}), lay(7, code={"a.py": long + "y\n"}))
    assert found.changes[0].lines == ("they differ; more than 20,000 lines are not compared",)


def test_code_that_is_not_recorded_is_a_reason(lay: Any) -> None:
    found = compare_code(lay(6), lay(7, code={"taxi.py": MODULE}))
    assert (found.items, found.unjudged) == ((), ("taxi/6: code not recorded",))
