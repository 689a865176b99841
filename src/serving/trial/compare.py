"""Compares the answers of a server with those of a Session in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serving.trial.values import Arrays, Asker, not_blessed

TOLERANCE = 1e-5


def compare(
    requests: Sequence[Arrays],
    expected: Sequence[Mapping[str, np.ndarray]],
    asker: Asker,
) -> None:
    """Asks every request.

    Raises:
        TrialEnded: An answer is missing, not finite, or another than in this process.
    """
    for number, (inputs, wanted) in enumerate(zip(requests, expected, strict=True), start=1):
        found = asker.ask(inputs)
        if not isinstance(found, dict):  # REST names no output where there is one only
            found = dict.fromkeys(wanted, found)
        for name, value in wanted.items():
            wrong = difference(found.get(name), value)
            if wrong:
                what = f"request {number} of {len(requests)} over {asker.api}"
                raise not_blessed(f"{what}: the output '{name}' {wrong}")


def difference(found: Any, wanted: np.ndarray) -> str | None:
    """What is wrong with an output, in words; None where it is what a Session answers.

    Args:
        found: The server's: nested lists, or an array.
        wanted: The Session's.
    """
    if found is None:
        return "is missing"
    if wanted.dtype.kind not in "fiub":
        texts = [_text(item) for item in np.asarray(found, dtype=object).ravel().tolist()]
        same = texts == [_text(item) for item in wanted.ravel().tolist()]
        return None if same else f"is {texts[:3]}, and another in a Session"
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        return f"is {str(found)[:100]}, which are no numbers"
    if values.shape != wanted.shape:
        return f"has the shape {values.shape}, and {wanted.shape} in a Session"
    if not (np.isfinite(values).all() and np.isfinite(wanted).all()):
        return "is no finite number"
    off = np.abs(values - wanted) - TOLERANCE * np.maximum(np.abs(wanted), 1.0)
    if values.size and off.max() > 0:
        place = np.unravel_index(int(off.argmax()), off.shape)
        return f"is {values[place]:.7g}, and {wanted[place]:.7g} in a Session"
    return None


def _text(item: Any) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
