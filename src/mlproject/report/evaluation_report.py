"""The evaluation report: one HTML file with all that the verdict on a candidate stands on."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from mlproject.errors import StorageError
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL
from mlproject.report.captions import by_slice, caption_of
from mlproject.report.content import EvaluationReport
from mlproject.report.evidence import cases_part, importance_part, infra_part, thresholds_part
from mlproject.report.judgement import main_metric, metric_text, value_and_interval
from mlproject.report.slice_table import difference_cells, slice_table, value_cell
from mlproject.report.stated import stated_data, stated_model
from mlproject.report.style import SCRIPT, STYLE
from mlproject.webpage import document
from mlproject.webpage.text import count, safe

VERDICTS = {"BLESSED": "good", "NOT_BLESSED": "block"}
REASONS_OPEN = 12
REASON_LIMIT = 2_000


def write_evaluation_report(report: EvaluationReport, path: Path) -> None:
    """Writes the report as one HTML file that needs nothing else.

    Args:
        report: What it shows.
        path: The file.

    Raises:
        StorageError: A figure cannot be read, or the file not be written.
    """
    try:
        path.write_text(render(report), encoding="utf-8")
    except OSError as err:
        raise StorageError(
            "Writing the evaluation report failed",
            received=f"{path}: {err}",
            expected="figures that can be read, and a folder with room that this user may write",
            next_step="see to the disk, then run the step again",
        ) from err


def render(report: EvaluationReport) -> str:
    """The page.

    Args:
        report: What it shows.
    """
    metric = main_metric(report.about.task, report.rows)
    parts = [
        _header(report),
        _tiles(report, metric),
        _compared(report),
        _overall(report),
        f"<h2>By slice</h2>{slice_table(report, metric)}",
        cases_part(report.cases),
        infra_part(report.infra),
        importance_part(report.importance),
        _figures(report.figures),
        thresholds_part(report.about.evaluation),
        _method(report),
    ]
    title = f"{report.about.model}: evaluation"
    return document(title, "".join(parts), STYLE, SCRIPT, pictures=True)


def _header(report: EvaluationReport) -> str:
    look = VERDICTS.get(report.verdict, "warn")
    title = f"<h1>{safe(report.about.model)}: evaluation</h1>"
    about = f'<p class="soft">{safe(report.about.description, 1_000)}</p>'
    lines = [f"<li>{safe(reason, REASON_LIMIT)}</li>" for reason in report.reasons]
    listed = f'<ul class="reasons">{"".join(lines[:REASONS_OPEN])}</ul>'
    if lines[REASONS_OPEN:]:
        more = f"{len(lines) - REASONS_OPEN:,} more reasons"
        listed += (
            f"<details><summary>{more}</summary>"
            f'<ul class="reasons">{"".join(lines[REASONS_OPEN:])}</ul></details>'
        )
    chip = f'<span class="chip verdict {look}">{safe(report.verdict)}</span>'
    notes = "".join(f'<p class="soft">{safe(note, 400)}</p>' for note in report.notes)
    return (
        f'<header>{title}{about}</header>{_override(report)}<div class="box">{chip}{listed}</div>'
        f"{notes}"
    )


def _override(report: EvaluationReport) -> str:
    if not report.override:
        return ""
    facts = "".join(
        f"<dt>{safe(name)}</dt><dd>{safe(text, REASON_LIMIT)}</dd>"
        for name, text in report.override.items()
    )
    effect = report.override.get("effect")
    head = f"An override: {safe(effect)}" if effect else "An override"
    return f'<div class="box override"><b>{head}</b><dl class="facts">{facts}</dl></div>'


def _tiles(report: EvaluationReport, metric: str) -> str:
    candidate = report.value_of(OVERALL, CANDIDATE, metric)
    champion = report.value_of(OVERALL, CHAMPION, metric)
    found = report.difference_of(OVERALL, metric)
    unjudged = {row.slice for row in report.rows if row.metric == metric and row.value is None}
    slices = {row.slice for row in report.rows} - {OVERALL}
    tiles = [(metric, metric_text(candidate.value if candidate else None) or "could not judge")]
    if champion:
        tiles.append(
            (f"{metric} of the champion", metric_text(champion.value) or "could not judge")
        )
        said, _ = value_and_interval(found.value if found else None, None, None, signed=True)
        tiles.append(("difference", said or "could not judge"))
    tiles += [
        ("eval rows", count(max((row.examples for row in report.rows), default=0))),
        ("slices", count(len(slices))),
        ("slices not judged", count(len(unjudged & slices))),
    ]
    if report.cases:
        failed = sum(case.outcome != "pass" for case in report.cases)
        tiles.append(("behavioural cases that do not hold", count(failed)))
    shown = "".join(
        f'<div class="tile"><b>{safe(text)}</b><span class="soft">{safe(name, 60)}</span></div>'
        for name, text in tiles
    )
    return f'<section class="tiles">{shown}</section>'


def _compared(report: EvaluationReport) -> str:
    facts = stated_model(report.about) | stated_data(report.about)
    listed = "".join(
        f"<dt>{safe(name)}</dt><dd>{safe(text, 4_000) or _NOT_STATED}</dd>"
        for name, text in facts.items()
    )
    warned = "".join(f"<li>{safe(text, 400)}</li>" for text in report.about.warnings)
    anomalies = (
        f'<p class="soft">Anomalies of the data that were warned of:</p>'
        f'<ul class="found">{warned}</ul>'
        if warned
        else ""
    )
    return (
        '<h2>What was compared</h2><div class="box">'
        f'<dl class="facts">{listed}</dl>{anomalies}</div>'
    )


_NOT_STATED = '<span class="none">not stated</span>'


def _overall(report: EvaluationReport) -> str:
    rows = {(r.model, r.metric): r for r in report.rows if r.slice == OVERALL}
    metrics = list(dict.fromkeys(metric for _, metric in rows))
    compared = any(model == CHAMPION for model, _ in rows)
    heads = ["metric", CANDIDATE, *((CHAMPION, "difference", "change") if compared else ())]
    lines = []
    for metric in metrics:
        better = report.about.higher_is_better(metric)
        arrow = {True: " ↑", False: " ↓", None: ""}[better]
        line = f"<th>{safe(metric, 60)}<span class='soft'>{arrow}</span></th>"
        line += value_cell(rows.get((CANDIDATE, metric)))
        if compared:
            line += value_cell(rows.get((CHAMPION, metric)))
            line += difference_cells(report.difference_of(OVERALL, metric), better)
        lines.append(f"<tr>{line}</tr>")
    head = "".join(f'<th scope="col" class="soft">{name}</th>' for name in heads)
    return (
        '<h2>Overall</h2><div class="scroll box"><table class="slices overall">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="soft">↑ more is better, ↓ less is better</p>'
    )


def _figures(figures: Iterable[Path]) -> str:
    parts = []
    for path in figures:
        picture = base64.b64encode(path.read_bytes()).decode()
        caption = safe(caption_of(path.stem), 300)
        parts.append(
            f'<figure class="{"wide" if by_slice(path.stem) else ""}">'
            f'<img loading="lazy" alt="{safe(path.stem)}: {caption}" '
            f'src="data:image/png;base64,{picture}"><figcaption>{caption}</figcaption></figure>'
        )
    if not parts:
        return ""
    return f'<h2>Figures</h2><section class="figures">{"".join(parts)}</section>'


def _method(report: EvaluationReport) -> str:
    section = report.about.evaluation
    lines = [
        "Candidate and champion were asked the same rows of the eval split, through the signature "
        "that is served.",
        "An interval stands in brackets. A difference is <b>better</b> or <b>worse</b> where the "
        "whole interval lies on that side of 0, else <b>not clear</b>.",
        "<b>Could not judge</b>: the slice is too small or has one class only, or so few rows of a "
        "class that too many resamples had none, so that there is no interval.",
    ]
    if section:
        share = 100 * section.confidence
        lines.append(
            f"Intervals hold {share:g}% (bootstrap, {section.resamples:,} resamples, seed "
            f"{section.seed}; of differences paired, on the same rows)."
        )
        slices = len({row.slice for row in report.rows} - {OVERALL})
        if slices and report.differences:
            chance = (1 - section.confidence) * slices
            lines.append(
                f"Of {slices:,} slices without any true difference, about {chance:,.3g} would look "
                "better or worse by chance alone."
            )
        lines.append(
            f"A slice of fewer than {section.min_slice_examples:,} rows is not judged: it neither "
            "passes nor fails."
        )
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<h2>How to read it</h2><div class="box soft"><ul class="found">{items}</ul></div>'
