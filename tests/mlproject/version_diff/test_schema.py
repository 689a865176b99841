"""Schemas of two versions."""

from __future__ import annotations

from typing import Any

import pytest

from mlproject.version_diff.schema import compare_schemas
from mlproject.version_diff.values import UNCHANGED, RuleChange

FARE = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 }
  float_domain { max: %d } }
feature { name: "hour" type: INT }
"""


def test_rules_that_differ_are_told_as_schema_diff_tells_them(lay: Any) -> None:
    found = compare_schemas(lay(6, schema=FARE % 100), lay(7, schema=FARE % 250))
    assert found.changes == (RuleChange("fare", "float", "max 100 -> 250", "widened"),)
    assert [item.feature for item in found.items if item.effect == UNCHANGED] == ["hour"]


def test_the_same_schema_is_no_difference(lay: Any) -> None:
    side = lay(6, schema=FARE % 100)
    found = compare_schemas(side, side)
    assert found.changes == ()
    assert len(found.items) == 2


def test_a_schema_that_is_not_recorded_is_a_reason(lay: Any) -> None:
    found = compare_schemas(lay(6, schema=FARE % 100), lay(7))
    assert (found.items, found.unjudged) == ((), ("taxi/7: schema.pbtxt not recorded",))


@pytest.mark.parametrize("content", [b"feature {", b"\xff\xfe", b"name: 7"])
def test_a_damaged_schema_is_a_reason(lay: Any, content: bytes) -> None:
    damaged = lay(7, schema="")
    (damaged.folder / "schema.pbtxt").write_bytes(content)
    found = compare_schemas(lay(6, schema=FARE % 100), damaged)
    assert found.unjudged[0].startswith("taxi/7: schema.pbtxt cannot be read: ")
