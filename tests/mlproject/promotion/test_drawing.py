"""The state machine that docs/promotion.md draws is the one in the code."""

from __future__ import annotations

import re
from pathlib import Path

from mlproject.promotion.stages import TRANSITIONS, Stage

DOCUMENT = Path(__file__).parents[3] / "docs" / "promotion.md"


def test_the_drawing_shows_the_legal_steps_and_no_others() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    drawn = re.findall(r"^  (\w+) --> (\w+)$", text, re.MULTILINE)
    legal = [(before, after) for before in TRANSITIONS for after in TRANSITIONS[before]]
    assert sorted(drawn) == sorted((before.value, after.value) for before, after in legal)


def test_every_stage_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows[: len(Stage)] == [stage.value for stage in Stage]
