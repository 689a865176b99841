"""Which raw features each transformed feature comes from, kept beside the exported model.

`assets.extra/origins.json` holds `{"ratio_xf": ["fare", "trip_miles"], ...}`, traced in the
transform graph when the model was exported. TensorFlow Serving ignores the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlproject.errors import ServingError
from mlproject.saved_model_layout import EXTRA_FOLDER

ORIGINS_FILE = "origins.json"


def write_origins(origins: Mapping[str, Sequence[str]], saved_model_dir: Path) -> None:
    """Writes the raw features of each transformed feature into a SavedModel's folder."""
    folder = saved_model_dir / EXTRA_FOLDER
    folder.mkdir(exist_ok=True)
    text = json.dumps({name: list(raw) for name, raw in origins.items()}, indent=1, sort_keys=True)
    (folder / ORIGINS_FILE).write_text(text, encoding="utf-8")


def read_origins(saved_model_dir: Path) -> dict[str, tuple[str, ...]]:
    """The raw features of each transformed feature; none where the model does not tell.

    Raises:
        ServingError: The file is damaged.
    """
    file = saved_model_dir / EXTRA_FOLDER / ORIGINS_FILE
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): tuple(map(str, raw)) for name, raw in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise ServingError(
            f"Reading {file} failed",
            received=str(err),
            expected="an object of transformed features with lists of raw features",
            next_step="export or fetch the model again",
        ) from err
