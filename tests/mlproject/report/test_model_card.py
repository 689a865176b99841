"""The model card: what was stated, what was not, and nothing that data could make of it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from mlproject.metrics import Difference, MetricRow
from mlproject.report import About, model_card
from mlproject.report.card_blocks import CardPart, Grid, Text, markdown
from mlproject.sections import ModelCardSection

EVIL = "</p><script>alert(1)</script> [x](javascript:alert(1)) ![i](http://e) `a` **b** | c _d_"
BLESSING = {"verdict": "BLESSED", "reasons": ["auc overall is 0.91"], "override": None}
PARTS = (
    *("Model details", "Intended use", "Out of scope", "Factors", "Metrics", "Metrics by slice"),
    *("Verdict", "Training and evaluation data", "Schema", "Ethical considerations", "Limits"),
    "How to reproduce",
)


@pytest.fixture
def card() -> ModelCardSection:
    return ModelCardSection(
        intended_use="Ranking offers.\n\nNot pay.",
        out_of_scope="Other cities.",
        limitations=("New companies.",),
        ethical_considerations="Tips differ by area.",
        owners=("Fares team",),
        license="Apache-2.0",
        references=("docs/x.md",),
    )


def part(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert found, title
    return found.group(1)


def test_the_card_has_all_parts_in_order(
    card: ModelCardSection,
    about: About,
    rows: tuple[MetricRow, ...],
    differences: tuple[Difference, ...],
) -> None:
    text = model_card(card, about, rows, BLESSING, differences).markdown()
    assert tuple(re.findall(r"^## (.*)$", text, re.M)) == PARTS
    assert text.startswith("# Model card: taxi\n")
    assert "Ranking offers.\n\nNot pay." in part(text, "Intended use")
    assert "- **owners**: Fares team" in part(text, "Model details")
    assert "- by hour and company" in part(text, "Factors")
    overall = "| auc | more | 0.9123 [0.9000, 0.9200] | 0.9000 [0.8800, 0.9200] | +0.0123 "
    assert overall in part(text, "Metrics")
    slices = part(text, "Metrics by slice")
    assert "| hour=2 | 500 | 0.8000 [0.7000, 0.9000] |" in slices
    assert "(worse) |" in slices
    assert "| hour=11 | 12 | could not judge | could not judge | could not judge |" in slices
    assert "digest0123" in part(text, "Training and evaluation data")
    assert "12-18" in part(text, "Training and evaluation data")
    assert "| tips | FLOAT | training only |" in part(text, "Schema")
    limits = part(text, "Limits")
    assert "- New companies." in limits
    assert "On 1 slices auc could not be judged:" in limits
    assert "- hour=11 (12 rows)" in limits
    assert "company has 3 new values" in limits
    reproduced = part(text, "How to reproduce")
    for known in ("run0123456789", "commit0123", "module0123", "tensorflow 2.16.2", "digest0123"):
        assert known in reproduced


def test_what_nobody_stated_is_said_to_be_not_stated() -> None:
    rows = [MetricRow("overall", "candidate", "auc", 9, 0.5)]
    text = model_card(ModelCardSection(), About("m", task="binary"), rows, BLESSING).markdown()
    for title, key in (
        ("Intended use", "intended_use"),
        ("Out of scope", "out_of_scope"),
        ("Ethical considerations", "ethical_considerations"),
        ("Limits", "limitations"),
    ):
        assert f"Not stated (model_card.{key} in project.yaml)." in part(text, title)
    assert "- **license**: *not stated*" in text
    assert "- **git commit**: *not stated*" in text
    assert "no champion" in part(text, "Limits")
    assert "No slices were measured." in text


def test_an_override_stands_in_the_card(about: About, rows: tuple[MetricRow, ...]) -> None:
    override = {"who": "Ada", "reason": "a test fleet", "when": "2026-01-02"}
    blessing = {**BLESSING, "override": override}
    text = model_card(ModelCardSection(), about, rows, blessing).markdown()
    assert "- **who**: Ada" in part(text, "Verdict")
    assert "a test fleet" in part(text, "Verdict")


def test_of_many_slices_the_largest_stand(about: About) -> None:
    rows = [MetricRow(f"hour={n}", "candidate", "auc", 900 - n, None) for n in range(500)]
    text = model_card(ModelCardSection(), about, rows, BLESSING).markdown()
    slices = part(text, "Metrics by slice")
    assert "The 50 largest of 500 slices." in slices
    assert slices.count("| hour=") == 50
    assert "- and 490 more" in part(text, "Limits")


def hostile(about: About) -> tuple[ModelCardSection, About, list[MetricRow], dict[str, object]]:
    card = ModelCardSection(
        intended_use=EVIL, limitations=(EVIL, "# a", "1. b", "- c"), owners=(EVIL,)
    )
    rows = [
        MetricRow(EVIL, "candidate", EVIL, 9, None),
        MetricRow("a\nb\x00|c", "candidate", EVIL, 9, 0.1),
    ]
    return card, dataclasses.replace(about, model=EVIL), rows, {"verdict": EVIL, "reasons": [EVIL]}


def test_markdown_reads_no_text_as_its_own(about: About) -> None:
    text = model_card(*hostile(about)).markdown()
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)  # no link, no picture
    assert not re.search(r"(?<!\\)`", text)
    for line in part(text, "Metrics by slice").splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 4, line
    limits = part(text, "Limits")
    for escaped in (r"- \# a", r"- 1\. b", r"- \- c"):
        assert escaped in limits


def test_names_with_underscores_stay_readable() -> None:
    text = markdown("t", [CardPart("p", (Text("payment_type is _not_ 5*3 [0.1, 0.2]"),))])
    assert r"payment_type is \_not\_ 5\*3 [0.1, 0.2]" in text


def test_a_table_has_a_cell_for_each_head() -> None:
    text = markdown("t", [CardPart("p", (Grid(("a", "b"), (("x|y", "1"),)),))])
    assert text.endswith("| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n")


def test_the_html_card_is_inert_and_complete(about: About) -> None:
    page = model_card(*hostile(about)).html()
    assert "<script" not in page
    assert "<img" not in page
    assert "script-src" not in page
    assert "default-src 'none'" in page
    for title in PARTS:
        assert f"<h2>{title}</h2>" in page
    assert "alert(1)" in page  # as text
