"""The model card: what a model is, what it is for, how well it does, and where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlproject.metrics import Difference, MetricRow
from mlproject.report.about import About
from mlproject.report.card_blocks import html, markdown
from mlproject.report.card_content import card_parts
from mlproject.report.style import STYLE
from mlproject.sections.model_card import ModelCardSection
from mlproject.webpage import document


def model_card(
    card: ModelCardSection,
    about: About,
    rows: Sequence[MetricRow],
    blessing: Mapping[str, Any],
    differences: Sequence[Difference] = (),
) -> str:
    """The model card in Markdown.

    Args:
        card: What people say about the model, from `project.yaml`.
        about: The model, its run and its data.
        rows: Metrics by slice of the candidate and, if there is one, of the champion.
        blessing: The blessing as JSON values: `verdict`, `reasons`, and `override` or None.
        differences: Candidate minus champion, by slice.
    """
    parts = card_parts(card, about, rows, blessing, differences)
    return markdown(_title(about), parts)


def model_card_html(
    card: ModelCardSection,
    about: About,
    rows: Sequence[MetricRow],
    blessing: Mapping[str, Any],
    differences: Sequence[Difference] = (),
) -> str:
    """The same card as an HTML page that needs nothing else and holds no script.

    Args:
        card: What people say about the model, from `project.yaml`.
        about: The model, its run and its data.
        rows: Metrics by slice of the candidate and, if there is one, of the champion.
        blessing: The blessing as JSON values: `verdict`, `reasons`, and `override` or None.
        differences: Candidate minus champion, by slice.
    """
    parts = card_parts(card, about, rows, blessing, differences)
    return document(_title(about), html(_title(about), parts), STYLE)


def _title(about: About) -> str:
    return f"Model card: {about.model}"
