"""The schemas of two versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlproject.schema import SCHEMA_FILE, read_schema
from mlproject.version_diff.evidence import Evidence, read_both
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import UNCHANGED, RuleChange

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema


def compare_schemas(before: Evidence, after: Evidence) -> Section[RuleChange]:
    """Compares the rules that each version's data had to obey."""
    from mlproject.schema.diff import diff_schemas
    from mlproject.schema.rules import read_rules

    found, unjudged = read_both(SCHEMA_FILE, _read, before, after)
    if found is None:
        return Section(unjudged=unjudged)
    changes = [RuleChange(c.feature, c.type, c.text, c.effect) for c in diff_schemas(*found)]
    changed = {change.feature for change in changes}
    same = [
        RuleChange(name, rules.type.lower(), "as it was", UNCHANGED)
        for name, rules in read_rules(found[1]).items()
        if name not in changed
    ]
    return Section((*changes, *same))


def _read(side: Evidence) -> Schema | None:
    file = side.path(SCHEMA_FILE)
    return read_schema(file) if file else None
