"""Numbers and texts of a page: short, and safe to stand in HTML."""

from __future__ import annotations

import html
import math
import unicodedata

UNKNOWN = "–"


def plain(text: object, limit: int = 200) -> str:
    """Any text of the data on one line.

    Control characters and marks that turn the direction of text become spaces; what is longer
    than the limit ends in an ellipsis.
    """
    whole = str(text)
    seen = "".join(" " if unicodedata.category(c) in _UNSEEN else c for c in whole[: 2 * limit])
    if len(seen) > limit or len(whole) > 2 * limit:
        seen = seen[: limit - 1].rstrip() + "…"
    return seen


def safe(text: object, limit: int = 200) -> str:
    """As `plain`, to stand in HTML or in a quoted attribute."""
    return html.escape(plain(text, limit), quote=True)


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def count(value: float | None) -> str:
    """A count with thousands separators."""
    return UNKNOWN if value is None else f"{round(value):,}"


def number(value: float | None) -> str:
    """A number: whole ones in full, others to four digits, beyond a million without a fraction."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}"
    if 1e-3 <= size < 1e6:
        digits = max(0, 3 - math.floor(math.log10(size)))
        return f"{value:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:,.0f}"
    return f"{value:,.0f}" if 1e6 <= size < 1e12 else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share (0 to 1) as a percentage; rounding never makes it 0% or 100%."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.0005:
        return "<0.1%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{100 * share:.1f}%".replace(".0%", "%")


def size(value: float | None) -> str:
    """A number of bytes."""
    if value is None:
        return UNKNOWN
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.3g} GiB"
