"""`infra_validation` and `serving`: how the model is tried, before and once it is served."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, Literal

from pydantic import Field, field_validator

from mlproject.sections.section import Section

MAX_SAMPLE_CHARACTERS = 100_000


class InfraSection(Section):
    """The trial of the exported model in a server process of its own, before it can be blessed."""

    server: Literal["auto", "local", "docker"] = Field(
        "auto",
        description="`local`: the local model server; `docker`: a TensorFlow Serving container; "
        "`auto`: the container where a Docker engine with its image is there.",
    )
    requests: int = Field(50, gt=0, description="Requests of one row each that are timed.")
    max_latency_ms: float = Field(
        250.0, gt=0, description="Most that the 95th percentile of these may take, in ms."
    )
    max_memory_mb: float = Field(
        4_096.0, gt=0, description="Most resident memory of the server process, in MiB."
    )
    max_start_s: float = Field(
        120.0, gt=0, description="Most seconds from the server's start to its first answer."
    )


class ServingSection(Section):
    """How the model is tried once it is served."""

    sample: dict[str, Any] = Field(
        default_factory=dict,
        description="A raw row (column -> value, or list of values; bytes as `{b64: aGVsbG8=}`) "
        "that the serve step asks the served model; columns left out are missing values.",
    )

    @field_validator("sample")
    @classmethod
    def _cells(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, cell in value.items():
            for item in cell if isinstance(cell, list) else [cell]:
                if item is None and item is not cell:
                    raise ValueError(f"the list '{name}' has a missing value")
                if item is not None and not _is_cell(item):
                    raise ValueError(
                        f"'{name}' is neither text, a finite number, true, false, null, bytes as "
                        "{b64: aGVsbG8=}, nor a list of these"
                    )
        size = len(json.dumps(value))
        if size > MAX_SAMPLE_CHARACTERS:
            raise ValueError(
                f"the row has {size:,} characters as JSON; MLflow keeps it in a tag of "
                f"{MAX_SAMPLE_CHARACTERS:,} at most"
            )
        return value


def _is_cell(value: Any) -> bool:
    if isinstance(value, dict):
        try:
            return set(value) == {"b64"} and bool(base64.b64decode(value["b64"], validate=True))
        except (TypeError, ValueError):
            return False
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
