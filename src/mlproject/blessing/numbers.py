"""Numbers in the reasons of a verdict. Pure."""

from __future__ import annotations

import math

DIGITS = 4
_MOST_DIGITS = 17  # what tells any two floats apart


def number(value: float, digits: int = DIGITS) -> str:
    """A number with some significant digits; none is cut before the decimal point."""
    if 10**digits <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def apart(value: float, other: float) -> str:
    """A number with as many digits as tell it from another, 4 at least: 0.89996, not 0.9."""
    digits = DIGITS
    while value != other and number(value, digits) == number(other, digits):
        if digits == _MOST_DIGITS:
            break
        digits += 1
    return number(value, digits)


def finite(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and math.isfinite(value)
