"""One explanation as an HTML page with nothing beside it."""

from __future__ import annotations

import base64
import json
import tempfile
from html import escape
from pathlib import Path
from typing import Any

from mlproject.explanation.attribution import Attribution
from mlproject.figures.attribution import attribution_waterfall

MAX_VALUE_CHARS = 120


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
        f"<tr><td>{escape(share.feature)}</td><td>{escape(shown(share.value))}</td>"
        f'<td class="n">{share.attribution:+.6g}</td></tr>'
        for share in attribution.shares
    )
    what = "" if attribution.output is None else f" of class {attribution.output}"
    file.write_text(
        _PAGE.format(
            title=escape(title),
            image=image,
            rows=rows,
            prediction=f"{attribution.prediction:.6g}",
            baseline=f"{attribution.baseline:.6g}",
            gap=f"{attribution.gap:+.2g}",
            what=what,
            origin=escape(baseline_words(attribution)),
        ),
        encoding="utf-8",
    )


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


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 14px/1.5 system-ui, sans-serif; color: #222; max-width: 920px; margin: 2em auto; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: 3px 10px; border-bottom: 1px solid #e4e4e4; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Prediction{what} {prediction}; of the baseline {baseline}. The baseline is {origin}.
Attributions and baseline add up to the prediction but for {gap}.</p>
<img alt="What each feature adds to the prediction" src="data:image/png;base64,{image}">
<table>
<thead><tr><th>feature</th><th>value</th><th class="n">adds</th></tr></thead>
<tbody>{rows}</tbody>
</table>
</body>
</html>
"""
