"""The name of a transformed feature."""

from __future__ import annotations


def transformed_name(name: str) -> str:
    """The name under which `preprocessing_fn` returns what it made of a raw feature.

    Args:
        name: The raw feature.

    Returns:
        The name with `_xf` at its end, so that it never hides the raw feature.
    """
    return f"{name}_xf"
