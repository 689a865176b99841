"""What a model card is made of, as Markdown and as HTML. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlproject.webpage.text import plain, safe

LIMIT = 4_000  # characters of one text
NOT_STATED = "not stated"
# What Markdown or HTML would read as its own; an underscore within a word is none.
_MARKS = re.compile(r"[\\`*<|~]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
_BULLET = re.compile(r"^([-+=#>])(?=\s|\1|$)|^>")
_NUMBER = re.compile(r"^(\d+)([.)])(?=\s|$)")


@dataclass(frozen=True)
class Text:
    """A text of several paragraphs; an empty one is said to be not stated."""

    text: str
    key: str = ""
    """Where in `project.yaml` it would be stated."""


@dataclass(frozen=True)
class Bullets:
    """A list of texts."""

    items: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and texts; an empty text is said to be not stated."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table: its heads, and its rows of texts. Columns after the first are numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Text | Bullets | Facts | Grid


@dataclass(frozen=True)
class CardPart:
    """A part of the card."""

    title: str
    blocks: tuple[Block, ...]


def markdown(title: str, parts: Iterable[CardPart]) -> str:
    """The card as Markdown, in which no text of the data is read as markup."""
    lines = [f"# {_md(title)}"]
    for part in parts:
        lines += ["", f"## {part.title}"]
        for block in part.blocks:
            lines += ["", *_markdown_block(block)]
    return "\n".join(lines) + "\n"


def html(title: str, parts: Iterable[CardPart]) -> str:
    """The card as the body of an HTML page, in which every text is escaped."""
    body = "".join(
        f'<h2>{safe(part.title)}</h2><div class="box">'
        f"{''.join(_html_block(block) for block in part.blocks)}</div>"
        for part in parts
    )
    return f"<header><h1>{safe(title)}</h1></header>{body}"


def _markdown_block(block: Block) -> list[str]:
    if isinstance(block, Text):
        texts = _paragraphs(block.text)
        return ["\n\n".join(_md(text) for text in texts)] if texts else [f"*{_missing(block.key)}*"]
    if isinstance(block, Bullets):
        return [f"- {_md(item)}" for item in block.items] or [f"*{_missing(block.key)}*"]
    if isinstance(block, Facts):
        return [
            f"- **{_md(name)}**: {_md(text) or f'*{NOT_STATED}*'}" for name, text in block.pairs
        ]
    dashes = ["---", *("---:" for _ in block.heads[1:])]
    rows = [[_md(cell) for cell in row] for row in (block.heads, *block.rows)]
    return [f"| {' | '.join(row)} |" for row in (rows[0], dashes, *rows[1:])]


def _html_block(block: Block) -> str:
    if isinstance(block, Text):
        texts = _paragraphs(block.text)
        if not texts:
            return f'<p class="none">{safe(_missing(block.key))}</p>'
        return "".join(f"<p>{safe(text, LIMIT)}</p>" for text in texts)
    if isinstance(block, Bullets):
        if not block.items:
            return f'<p class="none">{safe(_missing(block.key))}</p>'
        items = "".join(f"<li>{safe(item, LIMIT)}</li>" for item in block.items)
        return f'<ul class="reasons">{items}</ul>'
    if isinstance(block, Facts):
        none = f'<span class="none">{NOT_STATED}</span>'
        pairs = "".join(
            f"<dt>{safe(name)}</dt><dd>{safe(text, LIMIT) or none}</dd>"
            for name, text in block.pairs
        )
        return f'<dl class="facts">{pairs}</dl>'
    head = "".join(f'<th scope="col">{safe(name)}</th>' for name in block.heads)
    return (
        '<div class="scroll"><table class="slices">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(map(_html_row, block.rows))}</tbody>"
        "</table></div>"
    )


def _html_row(row: Sequence[str]) -> str:
    cells = "".join(f"<td>{safe(cell, LIMIT)}</td>" for cell in row[1:])
    return f"<tr><th>{safe(row[0], LIMIT)}</th>{cells}</tr>"


def _missing(key: str) -> str:
    return f"Not stated (model_card.{key} in project.yaml)." if key else "Not stated."


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]


def _md(text: str) -> str:
    """Text on one line, with what Markdown would read as its own escaped."""
    line = " ".join(plain(text, LIMIT).split())
    line = _MARKS.sub(r"\\\g<0>", line.replace("&", "&amp;")).replace(r"\<", "&lt;")
    return _NUMBER.sub(r"\1\\\2", _BULLET.sub(r"\\\g<0>", line))
