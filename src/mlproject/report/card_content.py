"""What a model card says, after Mitchell et al., Model Cards for Model Reporting (2019). Pure.

Only people can say what a model is for; what they left empty is said to be not stated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.report.about import About
from mlproject.report.card_blocks import Block, Bullets, CardPart, Facts, Grid, Text
from mlproject.report.judgement import main_metric, mark_of, value_and_interval
from mlproject.report.stated import stated_data, stated_model
from mlproject.sections.model_card import ModelCardSection

MAX_SLICES = 50
MAX_NAMED = 10
MAX_FEATURES = 200
UNJUDGED = "could not judge"


def card_parts(
    card: ModelCardSection,
    about: About,
    rows: Sequence[MetricRow],
    blessing: Mapping[str, Any],
    differences: Sequence[Difference] = (),
) -> list[CardPart]:
    """The parts of a model card.

    Args:
        card: What people say about the model.
        about: The model, its run and its data.
        rows: Metrics by slice of the candidate and, if there is one, of the champion.
        blessing: `verdict`, `reasons` and `override`.
        differences: Candidate minus champion, by slice.
    """
    return [
        CardPart("Model details", _details(card, about)),
        CardPart("Intended use", (Text(card.intended_use, "intended_use"),)),
        CardPart("Out of scope", (Text(card.out_of_scope, "out_of_scope"),)),
        CardPart("Factors", _factors(about, rows)),
        CardPart("Metrics", _metrics(about, rows, differences)),
        CardPart("Metrics by slice", _by_slice(about, rows, differences)),
        CardPart("Verdict", _verdict(blessing)),
        CardPart("Training and evaluation data", (Facts(tuple(stated_data(about).items())),)),
        CardPart("Schema", _schema(about)),
        CardPart(
            "Ethical considerations", (Text(card.ethical_considerations, "ethical_considerations"),)
        ),
        CardPart("Limits", _limits(card, about, rows)),
        CardPart("How to reproduce", _reproduce(about)),
    ]


def _details(card: ModelCardSection, about: About) -> tuple[Block, ...]:
    known = stated_model(about)
    pairs = [
        ("model", about.model),
        ("created", about.created),
        *((name, known[name]) for name in ("task", "label", "hyperparameters", "champion")),
        ("owners", ", ".join(card.owners)),
        ("license", card.license),
        ("references", ", ".join(card.references)),
    ]
    described = (Text(about.description),) if about.description else ()
    return (*described, Facts(tuple(pairs)))


def _factors(about: About, rows: Sequence[MetricRow]) -> tuple[Block, ...]:
    names = {row.slice for row in rows} - {OVERALL}
    if about.evaluation and about.evaluation.slices:
        lines = tuple(f"by {e.replace(',', ' and ')}" for e in about.evaluation.slices)
        said = f"The model is measured on all rows of the eval split, and on {len(names):,} slices:"
        return (Text(said), Bullets(lines))
    if names:
        return (Text(f"The model is measured on all rows of the eval split, and on {len(names):,} "
                     "slices of them."),)  # fmt: skip
    return (Text("The model is measured on all rows of the eval split only, not on slices."),)


def _metrics(
    about: About, rows: Sequence[MetricRow], differences: Sequence[Difference]
) -> tuple[Block, ...]:
    found = {(r.model, r.metric): r for r in rows if r.slice == OVERALL}
    gaps = {d.metric: d for d in differences if d.slice == OVERALL}
    compared = any(model == CHAMPION for model, _ in found)
    heads = ("metric", "better is", CANDIDATE, *((CHAMPION, "difference") if compared else ()))
    words = {True: "more", False: "less", None: ""}
    table = []
    for metric in dict.fromkeys(metric for _, metric in found):
        better = about.higher_is_better(metric)
        line = [metric, words[better], _value(found.get((CANDIDATE, metric)))]
        if compared:
            line.append(_value(found.get((CHAMPION, metric))))
            line.append(_gap(gaps.get(metric), better))
        table.append(tuple(line))
    return (*_interval_note(about), Grid(heads, tuple(table)))


def _interval_note(about: About) -> tuple[Block, ...]:
    if about.evaluation is None:
        return ()
    share = 100 * about.evaluation.confidence
    return (
        Text(
            f"In brackets: {share:g}% confidence intervals (bootstrap, "
            f"{about.evaluation.resamples:,} resamples; of differences paired)."
        ),
    )


def _by_slice(
    about: About, rows: Sequence[MetricRow], differences: Sequence[Difference]
) -> tuple[Block, ...]:
    metric = main_metric(about.task, rows)
    found = {(r.slice, r.model): r for r in rows if r.metric == metric and r.slice != OVERALL}
    gaps = {d.slice: d for d in differences if d.metric == metric}
    sizes = _sizes(r for r in rows if r.slice != OVERALL)
    if not sizes:
        return (Text("No slices were measured."),)
    compared = any(model == CHAMPION for _, model in found)
    better = about.higher_is_better(metric)
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:MAX_SLICES]
    heads = ("slice", "rows", CANDIDATE, *((CHAMPION, "difference") if compared else ()))
    table = []
    for name in largest:
        line = [name, f"{sizes[name]:,}", _value(found.get((name, CANDIDATE)))]
        if compared:
            line.append(_value(found.get((name, CHAMPION))))
            line.append(_gap(gaps.get(name), better))
        table.append(tuple(line))
    left = len(sizes) - len(largest)
    note = f"The {len(largest):,} largest of {len(sizes):,} slices. " if left else ""
    more = "All metrics and slices are in the evaluation report."
    return (Text(f"{metric}. {note}{more}"), Grid(heads, tuple(table)))


def _verdict(blessing: Mapping[str, Any]) -> tuple[Block, ...]:
    blocks: list[Block] = [Text(str(blessing.get("verdict", "NOT_VALIDATED")))]
    override = blessing.get("override")
    if override:
        blocks += [Text("An override by a person:"), Facts(_texts(override))]
    reasons = tuple(str(reason) for reason in blessing.get("reasons", ()))
    return (*blocks, *((Bullets(reasons),) if reasons else ()))


def _texts(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in values.items())


def _schema(about: About) -> tuple[Block, ...]:
    if not about.features:
        return (Facts((("features", ""),)),)
    shown = about.features[:MAX_FEATURES]
    table = tuple((f.name, f.type, f.presence) for f in shown)
    left = len(about.features) - len(shown)
    more = (Text(f"and {left:,} more features, in the schema"),) if left else ()
    return (Grid(("feature", "type", "presence"), table), *more)


def _limits(card: ModelCardSection, about: About, rows: Sequence[MetricRow]) -> tuple[Block, ...]:
    metric = main_metric(about.task, rows)
    unjudged = _sizes(r for r in rows if r.model == CANDIDATE and r.metric == metric
                      and r.value is None)  # fmt: skip
    blocks: list[Block] = [Bullets(card.limitations, "limitations")]
    if unjudged:
        largest = sorted(unjudged, key=lambda name: (-unjudged[name], name))
        named = [f"{name} ({unjudged[name]:,} rows)" for name in largest[:MAX_NAMED]]
        more = len(largest) - len(named)
        said = f"On {len(largest):,} slices {metric} could not be judged:"
        blocks += [Text(said), Bullets((*named, *((f"and {more:,} more",) if more else ())))]
    if about.warnings:
        blocks += [Text("Anomalies of the data that were warned of:"), Bullets(about.warnings)]
    if not any(row.model == CHAMPION for row in rows):
        blocks.append(Text("It was compared with no other model: there was no champion."))
    return tuple(blocks)


def _reproduce(about: About) -> tuple[Block, ...]:
    known = stated_model(about)
    names = ("MLflow run", "git commit", "digest of the module", "versions")
    seed = (("seed of the bootstrap", str(about.evaluation.seed)),) if about.evaluation else ()
    data = ("digest of the data", about.data.digest)
    return (Facts((*((name, known[name]) for name in names), data, *seed)),)


def _sizes(rows: Iterable[MetricRow]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row.slice] = max(sizes.get(row.slice, 0), row.examples)
    return sizes


def _value(row: MetricRow | None) -> str:
    text, ends = value_and_interval(row.value, row.low, row.high) if row else ("", "")
    return f"{text} {ends}".rstrip() if text else UNJUDGED


def _gap(difference: Difference | None, better: bool | None) -> str:
    if difference is None:
        return UNJUDGED
    numbers = difference.value, difference.low, difference.high
    text, ends = value_and_interval(*numbers, signed=True)
    return f"{text} {ends}".rstrip() + f" ({mark_of(difference, better)})" if text else UNJUDGED
