"""`registry`: what a version must pass on its way to production."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlproject.sections.section import Section


class RegistrySection(Section):
    """Promotion. It is kept with the registered model, for all who promote a version of it."""

    rollout: Literal["skip", "required"] = Field(
        "skip",
        description="`required`: production asks for a passed rollout (shadow, canary); `skip`: a "
        "blessed version may go there at once. The first version of a model needs none.",
    )
    approval: Literal["none", "required"] = Field(
        "none",
        description="`required`: a person approves each version before production, in Prefect's "
        "pages or by `benison approve`.",
    )
    approval_timeout_s: float = Field(
        86_400.0, gt=0, description="Seconds after which a version nobody approved is rejected."
    )
    mirror_stages: bool = Field(
        False,
        description="Set MLflow's deprecated stages (Staging, Production, Archived) as well, for "
        "tools that read them.",
    )
