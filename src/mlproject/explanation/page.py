"""One explanation as an HTML page with nothing beside it."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

from mlproject.explanation.attribution import Attribution
from mlproject.figures.attribution import attribution_waterfall
from mlproject.webpage import document
from mlproject.webpage.text import safe

MAX_VALUE_CHARS = 120
STYLE = """
img{max-width:100%;background:#fff;border-radius:8px}
th,td{padding:3px 10px;border-bottom:1px solid var(--line);text-align:left;overflow-wrap:anywhere}
td:last-child,th:last-child{text-align:right}
"""


def write_page(attribution: Attribution, title: str, file: Path) -> None:
    """Writes the explanation as an HTML page: the waterfall, and a table of all features.

    Args:
        attribution: The explanation.
        title: What was explained.
        file: The page.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "waterfall.png"
        attribution_waterfall(attribution, picture, title)
        image = base64.b64encode(picture.read_bytes()).decode()
    rows = "".join(
        f"<tr><td>{safe(share.feature)}</td><td>{safe(shown(share.value))}</td>"
        f"<td>{share.attribution:+.6g}</td></tr>"
        for share in attribution.shares
    )
    what = "" if attribution.output is None else f" of class {attribution.output}"
    body = (
        f"<h1>{safe(title)}</h1>"
        f"<p>Prediction{what} {attribution.prediction:.6g}; of the baseline "
        f"{attribution.baseline:.6g}. The baseline is {safe(baseline_words(attribution))}. "
        f"Attributions and baseline add up to the prediction but for {attribution.gap:+.2g}.</p>"
        '<img alt="What each feature adds to the prediction" '
        f'src="data:image/png;base64,{image}">'
        "<table><thead><tr><th>feature</th><th>value</th><th>adds</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )
    file.write_text(document(title, body, STYLE, pictures=True), encoding="utf-8")


def baseline_words(attribution: Attribution) -> str:
    """What the baseline is."""
    if not attribution.baseline_rows:
        return "a row of which every value is missing"
    return (
        f"the middle of {attribution.baseline_rows} rows of the model's data (mean of floats, "
        "most frequent value of all else)"
    )


def shown(value: Any, limit: int = MAX_VALUE_CHARS) -> str:
    """A feature's value as short text."""
    if value is None:
        return "(missing)"
    if isinstance(value, dict):
        return ", ".join(f"{name}={shown(one, limit)}" for name, one in value.items())[:limit]
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, float):
        text = f"{value:.6g}"
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"
