"""What the step `register` says of a verdict in the version's tags."""

from __future__ import annotations

import pytest

from mlproject.blessing import Blessing, Override
from mlproject.steps.register import _override

OVERRIDE = Override("ann", "the data was late", "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        ("applied", "ann, 2026-01-01T00:00:00Z: the data was late"),
        ("not needed", ""),
        ("refused", ""),
    ],
)
def test_only_an_override_that_was_applied_is_one(effect: str, said: str) -> None:
    blessing = Blessing("BLESSED", (), (), "NOT_BLESSED", OVERRIDE, effect)  # type: ignore[arg-type]
    assert _override(blessing.as_value()) == said


def test_without_an_override_the_tag_is_empty() -> None:
    assert _override(Blessing("BLESSED", (), (), "BLESSED").as_value()) == ""
