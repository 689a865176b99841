"""How two schemas differ, feature by feature, in words; and whether data is let in or kept out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.schema.rules import (
    BOOL,
    STRINGS,
    Domain,
    Rules,
    counted,
    listed,
    number,
    read_rules,
    share,
)

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.schema_pb2 import Schema

WIDENED, NARROWED, CHANGED = "widened", "narrowed", "changed"
SCHEMA_LEVEL = "(schema)"


@dataclass(frozen=True)
class Change:
    """One difference between two schemas.

    Attributes:
        feature: The feature, or `(schema)`.
        type: The feature's type, in lower case; "" for the schema.
        text: What differs: `max 100 -> 250`.
        effect: `widened` (lets in data that was refused before), `narrowed` (refuses data that was
            let in), or `changed` (neither, or both).
    """

    feature: str
    type: str
    text: str
    effect: str

    @property
    def needs_consent(self) -> bool:
        """Whether a person has to say yes: everything but a narrower rule."""
        return self.effect != NARROWED

    def __str__(self) -> str:
        return f"{self.feature}  {self.type}  {self.text} ({self.effect})"


def diff_schemas(before: Schema, after: Schema) -> tuple[Change, ...]:
    """What changes from one schema to another.

    The order of features and of values is no difference.

    Args:
        before: The schema as it is.
        after: The schema as it would be.

    Returns:
        In the order of `after`'s features, removed ones next, the schema's own last.
    """
    old, new = read_rules(before), read_rules(after)
    changes: list[Change] = []
    for name, rules in new.items():
        if name in old:
            changes += _feature_changes(old[name], rules)
        else:
            changes.append(_change(rules, f"new feature: {_summary(rules)}", WIDENED))
    for name, rules in old.items():
        if name not in new:
            changes.append(_change(rules, "feature removed", CHANGED))
    return (*changes, *_schema_changes(before, after, {**old, **new}))


def _feature_changes(old: Rules, new: Rules) -> Iterator[Change]:
    for text, effect in _differences(old, new):
        yield _change(new, text, effect)


def _differences(old: Rules, new: Rules) -> Iterator[tuple[str, str]]:
    if old.type != new.type:
        yield f"type {old.type} -> {new.type}", CHANGED
    if old.stage != new.stage:
        yield (
            f"stage {old.stage or 'none'} -> {new.stage or 'none'}",
            NARROWED if old.stage and not new.stage else WIDENED,
        )
    if old.min_fraction != new.min_fraction:
        texts = f"presence {share(old.min_fraction)} -> {share(new.min_fraction)}"
        yield texts, _effect(new.min_fraction < old.min_fraction)
    if old.min_count != new.min_count:
        texts = f"present in at least {old.min_count} -> {new.min_count} rows"
        yield texts, _effect(new.min_count < old.min_count)
    if (old.shape, old.value_count) != (new.shape, new.value_count):
        yield f"values a row {old.values_text} -> {new.values_text}", _values_effect(old, new)
    yield from _domain_differences(old.domain, new.domain)
    if old.min_domain_mass != new.min_domain_mass:
        before, after = (1 if m is None else m for m in (old.min_domain_mass, new.min_domain_mass))
        yield f"share in the domain {share(before)} -> {share(after)}", _effect(after < before)
    for word, before_in, after_in in (
        ("not in", old.not_in, new.not_in),
        ("in", old.only_in, new.only_in),
    ):
        if set(before_in) != set(after_in):
            yield f"{word} {_environments(before_in)} -> {_environments(after_in)}", CHANGED
    yield from _threshold_differences("drift", old.drift, new.drift)
    yield from _threshold_differences("skew", old.skew, new.skew)
    if old.rest != new.rest:
        yield f"{old.rest or 'nothing'} -> {new.rest or 'nothing'}", CHANGED


def _values_effect(old: Rules, new: Rules) -> str:
    """A shape says more than bounds (a row always has it), bounds say more than nothing."""
    if old.shape is not None and new.shape is not None:
        return CHANGED
    if old.shape is not None or new.value_count is None:
        return WIDENED if new.shape is None else NARROWED
    if new.shape is not None or old.value_count is None:
        return NARROWED
    lows = [count[0] or 0 for count in (old.value_count, new.value_count)]
    highs = [
        float("inf") if count[1] is None else count[1]
        for count in (old.value_count, new.value_count)
    ]
    return _both(lows[1] < lows[0] or highs[1] > highs[0], lows[1] > lows[0] or highs[1] < highs[0])


def _domain_differences(old: Domain, new: Domain) -> Iterator[tuple[str, str]]:
    if old.kind != new.kind:
        before, after = (_kind_and_values(d) for d in (old, new))
        effect = WIDENED if not new.kind else NARROWED if not old.kind else CHANGED
        yield f"domain {before} -> {after}", effect
        return
    if old.kind == STRINGS:
        added = tuple(value for value in new.values if value not in set(old.values))
        removed = tuple(value for value in old.values if value not in set(new.values))
        if added:
            yield f"domain +{counted(added)}: {listed(added)}", WIDENED
        if removed:
            yield f"domain -{counted(removed)}: {listed(removed)}", NARROWED
        if old.name != new.name:
            yield f"domain named '{old.name}' -> '{new.name}'", CHANGED
        return
    if old.values != new.values:
        yield f"words {listed(old.values) or 'none'} -> {listed(new.values) or 'none'}", CHANGED
    if old.low != new.low:
        lows = [-float("inf") if low is None else low for low in (old.low, new.low)]
        yield f"min {number(old.low)} -> {number(new.low)}", _effect(lows[1] < lows[0])
    if old.high != new.high:
        highs = [float("inf") if high is None else high for high in (old.high, new.high)]
        yield f"max {number(old.high)} -> {number(new.high)}", _effect(highs[1] > highs[0])
    for word, before_not, after_not in (
        ("NaN", old.no_nan, new.no_nan),
        ("infinities", old.no_inf, new.no_inf),
    ):
        if before_not != after_not:
            yield f"{word} {'allowed' if before_not else 'refused'}", _effect(before_not)
    if old.rest != new.rest:
        yield f"{old.rest or 'nothing'} -> {new.rest or 'nothing'}", CHANGED


def _threshold_differences(
    comparison: str, old: Mapping[str, float], new: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    for measure in sorted({*old, *new}):
        before, after = old.get(measure), new.get(measure)
        if before != after:
            wider = after is None or (before is not None and after > before)
            texts = ("none" if value is None else f"{value:g}" for value in (before, after))
            yield f"{comparison}.{measure} {' -> '.join(texts)}", _effect(wider)


def _schema_changes(
    before: Schema, after: Schema, features: Mapping[str, Rules]
) -> Iterator[Change]:
    """Differences of what no feature refers to."""
    referred = {rules.domain.name for rules in features.values()}
    fields = set(before.DESCRIPTOR.fields_by_name) - {"feature", "string_domain"}
    for field in sorted(fields):
        if getattr(before, field) != getattr(after, field):
            yield Change(SCHEMA_LEVEL, "", f"{field} differs", CHANGED)
    unused = [
        {d.name: sorted(d.value) for d in schema.string_domain if d.name not in referred}
        for schema in (before, after)
    ]
    for name in sorted({*unused[0], *unused[1]}):
        if unused[0].get(name) != unused[1].get(name):
            yield Change(SCHEMA_LEVEL, "", f"the unused domain '{name}' differs", CHANGED)


def _change(rules: Rules, text: str, effect: str) -> Change:
    return Change(rules.name, rules.type.lower(), text, effect)


def _summary(rules: Rules) -> str:
    parts = [f"presence {rules.presence_text}", f"values a row {rules.values_text}"]
    parts += [f"domain {rules.domain}"] if str(rules.domain) else []
    return ", ".join(parts)


def _effect(wider: bool) -> str:
    return WIDENED if wider else NARROWED


def _both(wider: bool, narrower: bool) -> str:
    return CHANGED if wider and narrower else _effect(wider)


def _kind_and_values(domain: Domain) -> str:
    if domain.kind == BOOL or not str(domain):
        return str(domain) or domain.kind or "none"
    return f"{domain.kind} ({domain})"


def _environments(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
