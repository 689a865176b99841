"""The model card: what a model is, what it is for, how well it does, and where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlproject.metrics import Difference, MetricRow
from mlproject.report.about import About
from mlproject.report.card_blocks import CardPart, html, markdown
from mlproject.report.card_content import card_parts
from mlproject.report.style import STYLE
from mlproject.sections.model_card import ModelCardSection
from mlproject.webpage import document


@dataclass(frozen=True)
class ModelCard:
    """A model card, to be written in either form."""

    title: str
    parts: tuple[CardPart, ...]

    def markdown(self) -> str:
        """The card in Markdown."""
        return markdown(self.title, self.parts)

    def html(self) -> str:
        """The card as an HTML page that needs nothing else and holds no script."""
        return document(self.title, html(self.title, self.parts), STYLE)


def model_card(
    card: ModelCardSection,
    about: About,
    rows: Sequence[MetricRow],
    blessing: Mapping[str, Any],
    differences: Sequence[Difference] = (),
) -> ModelCard:
    """The card of a model.

    Args:
        card: What people say about the model, from `project.yaml`.
        about: The model, its run and its data.
        rows: Metrics by slice of the candidate and, if there is one, of the champion.
        blessing: The blessing as JSON values: `verdict`, `reasons`, and `override` or None.
        differences: Candidate minus champion, by slice.
    """
    parts = card_parts(card, about, rows, blessing, differences)
    return ModelCard(f"Model card: {about.model}", tuple(parts))
