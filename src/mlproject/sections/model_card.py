"""`model_card`: what only people can say about a model."""

from __future__ import annotations

from pydantic import Field

from mlproject.sections.section import Section


class ModelCardSection(Section):
    """What only people can say about the model; the card's figures come from the run."""

    intended_use: str = Field("", description="What the model is for, and who uses it.")
    out_of_scope: str = Field("", description="What it is not for.")
    limitations: tuple[str, ...] = Field((), description="What is known not to work well.")
    ethical_considerations: str = Field("", description="Harm that its use could do.")
    owners: tuple[str, ...] = Field((), description="Who answers for it.")
    license: str = Field("", description="Under which it may be used.")
    references: tuple[str, ...] = Field((), description="Documents and links.")
