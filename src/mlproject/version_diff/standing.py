"""What two versions are said to be, and the data they come from: their tags, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mlproject.registry.names import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    GIT_COMMIT_TAG,
    INFRA_TAG,
    MODEL_DIGEST_TAG,
    MODULE_DIGEST_TAG,
    OVERRIDE_TAG,
    REASONS_TAG,
    ROWS_TAG,
    SCHEMA_DIGEST_TAG,
    SOURCE_DIGEST_TAG,
    SOURCE_URI_TAG,
    SPANS_TAG,
    STAGE_TAG,
)
from mlproject.version_diff.evidence import Evidence
from mlproject.version_diff.parameters import flatten
from mlproject.version_diff.result import Section
from mlproject.version_diff.values import Fact

VERSION_FACTS: Mapping[str, str] = {
    "stage": STAGE_TAG,
    "blessing": BLESSING_TAG,
    "reasons": REASONS_TAG,
    "override": OVERRIDE_TAG,
    "infra": INFRA_TAG,
    "compared with version": BASELINE_TAG,
    "trained on from version": BASE_TAG,
    "git commit": GIT_COMMIT_TAG,
    "module digest": MODULE_DIGEST_TAG,
    "model digest": MODEL_DIGEST_TAG,
}
"""What is shown of the version itself -> its tag."""

DATA_FACTS: Mapping[str, str] = {
    "source": SOURCE_URI_TAG,
    "source digest": SOURCE_DIGEST_TAG,
    "spans": SPANS_TAG,
    "rows": ROWS_TAG,
    "schema digest": SCHEMA_DIGEST_TAG,
}
"""What is shown of the data -> its tag."""


def compare_standing(before: Evidence, after: Evidence) -> Section[Fact]:
    """Compares stage, blessing, parents and digests."""
    return _compare(VERSION_FACTS, "what the version is", before, after)


def compare_data(before: Evidence, after: Evidence) -> Section[Fact]:
    """Compares where the data came from, which spans, and how many rows."""
    return _compare(DATA_FACTS, "data", before, after)


def _compare(
    shown: Mapping[str, str], what: str, before: Evidence, after: Evidence
) -> Section[Fact]:
    sides = [_read(shown, side) for side in (before, after)]
    unjudged = [
        f"{side.title}: {what} not recorded"
        for side, found in zip((before, after), sides, strict=True)
        if not found
    ]
    # In the order above, splits by name below it.
    order = {name: place for place, name in enumerate(shown)}
    names = sorted(
        {*sides[0], *sides[1]}, key=lambda name: (order[name.split(".")[0].split("[")[0]], name)
    )
    items = tuple(Fact(name, sides[0].get(name), sides[1].get(name)) for name in names)
    return Section(items, tuple(dict.fromkeys(unjudged)))


def _tag_of(name: str) -> str:
    """The fact that a part of it belongs to: `rows` of `rows.train`."""
    return re.split(r"[.\[]", name, maxsplit=1)[0]


def _read(shown: Mapping[str, str], side: Evidence) -> dict[str, str]:
    """Name -> text; a JSON object becomes a name for each key, an empty tag is none."""
    found: dict[str, str] = {}
    for name, tag in shown.items():
        text = side.tags.get(tag, "")
        value = _json(text)
        if isinstance(value, dict):
            found |= dict(flatten(value, name)) if value else {}
        elif tag == SPANS_TAG and isinstance(value, list):
            found[name] = _spans(value)
        elif text:
            found[name] = text
    return found


def _spans(spans: list[Any]) -> str:
    """Numbers of spans, with the version where they have one."""
    texts = [
        str(span[0]) + ("" if len(span) < 2 or span[1] is None else f" version {span[1]}")
        if isinstance(span, list) and span
        else json.dumps(span)
        for span in spans
    ]
    return ", ".join(texts) or "none"


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
