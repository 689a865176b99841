"""A lineage as a picture: one SVG that needs nothing else. Every text of the data is escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence
from typing import Final

from mlproject.lineage.layout import Box, Layout, Point, lay_out
from mlproject.lineage.text import fact_line
from mlproject.lineage.values import GONE, Edge, Kind, Lineage, Node
from mlproject.webpage.text import plain, safe

MOST_DRAWN = 60
WIDTH = 264.0  # of a box
_PAD, _MARGIN = 11.0, 20.0
_FACTS = 4
_LINE, _KIND_LINE, _TITLE_LINE = 15.0, 16.0, 18.0
_CELL = 0.61  # width of a character of a monospaced font, of its size; no common one is wider
_KIND_PX, _TITLE_PX, _FACT_PX = 10.5, 13.0, 11.0
_LONG = 3_000

_COLOUR: Final = {
    **dict.fromkeys((Kind.DATA, Kind.EXAMPLES, Kind.STATISTICS), "data"),
    **dict.fromkeys((Kind.MODULE, Kind.PARAMETERS), "code"),
    **dict.fromkeys((Kind.VERSION, Kind.PARENT, Kind.BASELINE, Kind.SOURCE), "model"),
    **dict.fromkeys((Kind.DEPLOYMENTS, Kind.EXPORT, Kind.SERVING), "live"),
}
_KEYS = ("warm start", "compared with", "copied from")

STYLE = """
.lineage{--ground:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5c6675;--line:#8a94a3;--data:#0072b2;
--code:#8a4d9e;--model:#12663f;--live:#b45309;--step:#5c6675;--gone:#a31621;
font-family:ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media screen and (prefers-color-scheme:dark){.lineage{--ground:#12161c;--card:#1b212a;
--ink:#e6eaf0;--soft:#9aa5b4;--line:#6f7b8b;--data:#4fb0e8;--code:#c79ad8;--model:#7bd6a5;--live:#f2b04a;
--step:#9aa5b4;--gone:#ff9a9a}}
.lineage .ground{fill:var(--ground)}
.lineage .card{fill:var(--card);stroke:var(--c);stroke-width:1.2}
.lineage .root .card{stroke-width:3}
.lineage .gone .card{stroke:var(--gone);stroke-dasharray:5 4}
.lineage .kind{fill:var(--c);font-size:10.5px;letter-spacing:0}
.lineage .title{fill:var(--ink);font-size:13px;font-weight:600}
.lineage .fact{fill:var(--soft);font-size:11px}
.lineage .edge{fill:none;stroke:var(--line);stroke-width:1.3}
.lineage .tip{fill:var(--line)}
.lineage .warm-start{stroke:var(--model);stroke-width:2.2}
.lineage .compared-with{stroke-dasharray:6 4}
.lineage .copied-from{stroke:var(--live);stroke-dasharray:2 3;stroke-width:2}
.lineage .data{--c:var(--data)}.lineage .code{--c:var(--code)}.lineage .model{--c:var(--model)}
.lineage .live{--c:var(--live)}.lineage .step{--c:var(--step)}
.lineage a:hover .card,.lineage a:focus .card{stroke-width:3}
"""


def svg(lineage: Lineage) -> str:
    """The picture of a lineage.

    From top to bottom, what a version came from and where it went; from left to right, what came
    from something. Of a large graph the nearest nodes are drawn, and the picture says so.

    Args:
        lineage: The graph.

    Returns:
        One `<svg>` element; its links lead to MLflow's pages, and it loads nothing.
    """
    nodes = _nearest(lineage)
    drawn = {node.key for node in nodes}
    edges = {
        (e.source, e.target): e for e in lineage.edges if e.source in drawn and e.target in drawn
    }
    sizes = {node.key: (WIDTH, _height(node)) for node in nodes}
    flat = lineage.downstream
    given = {key: (h, w) if flat else (w, h) for key, (w, h) in sizes.items()}
    places = lay_out(given, edges)
    left_out = len(lineage.nodes) - len(nodes)
    return _Picture(lineage, places, flat).draw(nodes, list(edges.values()), left_out)


class _Picture:
    """Draws a layout."""

    def __init__(self, lineage: Lineage, places: Layout, flat: bool) -> None:
        self._lineage = lineage
        self._places = places
        self._flat = flat

    def draw(self, nodes: Sequence[Node], edges: Sequence[Edge], left_out: int) -> str:
        """The SVG.

        Args:
            nodes: What to draw.
            edges: Between these.
            left_out: How many nodes are not drawn.
        """
        width, height = self._turn((self._places.across, self._places.along))
        meanings = [key for key in _KEYS if any(e.meaning == key for e in edges)]
        top = _MARGIN + (24.0 if meanings else 0.0)
        bottom = 24.0 if left_out else 0.0
        width, height = max(width, 460.0) + 2 * _MARGIN, height + top + _MARGIN + bottom
        title = f"Lineage of {plain(self._lineage.node(self._lineage.root).title)}"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="lineage" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" role="img">',
            f"<title>{html.escape(title)}</title><style>{STYLE}</style>{_MARKER}",
            f'<rect class="ground" width="{width:.0f}" height="{height:.0f}"/>',
            _legend(meanings),
            f'<g transform="translate({_MARGIN:.0f} {top:.0f})">',
            *(self._edge(edge) for edge in edges),
            *(self._node(node) for node in nodes),
            "</g>",
        ]
        if left_out:
            text = f"{left_out:,} more are not drawn; --json has them all"
            at = f'x="{_MARGIN:.0f}" y="{height - _MARGIN:.0f}"'
            parts.append(f'<text class="fact" {at}>{text}</text>')
        return "".join([*parts, "</svg>\n"])

    def _turn(self, point: Point) -> Point:
        return (point[1], point[0]) if self._flat else point

    def _edge(self, edge: Edge) -> str:
        points = [self._turn(p) for p in self._places.routes[edge.source, edge.target]]
        path = f"M{_xy(points[0])}"
        for start, end in zip(points[::2], points[1::2], strict=True):
            path += f"L{_xy(start)}{self._curve(start, end)}"
        name = edge.meaning.replace(" ", "-") if edge.meaning in _KEYS else ""
        hint = f"<title>{safe(edge.meaning)}</title>" if edge.meaning else ""
        kind = f"edge {name}".strip()
        return f'<path class="{kind}" d="{path}" marker-end="url(#tip)">{hint}</path>'

    def _curve(self, start: Point, end: Point) -> str:
        (x, y), (to_x, to_y) = start, end
        if self._flat:
            middle = (x + to_x) / 2
            return f"C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {_xy(end)}"
        middle = (y + to_y) / 2
        return f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {_xy(end)}"

    def _node(self, node: Node) -> str:
        x, y, height = self._corner(self._places.boxes[node.key])
        kind = _COLOUR.get(node.kind, "step")
        root = "root" if node.key == self._lineage.root else ""
        classes = " ".join(filter(None, [kind, root, GONE if node.state else ""]))
        hint = "\n".join([node.title, *(f"{name}: {value}" for name, value in node.facts)])
        parts = [
            f'<g class="{classes}" transform="translate({x:.1f} {y:.1f})">',
            f"<title>{_escaped(hint)}</title>",
            f'<rect class="card" width="{WIDTH:.0f}" height="{height:.0f}" rx="6"/>',
            *_texts(node),
            "</g>",
        ]
        drawn = "".join(parts)
        if node.url.startswith(("http://", "https://")):
            return f'<a href="{html.escape(node.url, quote=True)}" target="_blank">{drawn}</a>'
        return drawn

    def _corner(self, box: Box) -> tuple[float, float, float]:
        if self._flat:
            return box.along, box.across - box.extent_across / 2, box.extent_across
        return box.across - box.extent_across / 2, box.along, box.extent_along


def fit(text: str, most: int) -> str:
    """A text of at most so many cells.

    Of a longer one the beginning; and the end too, where the text ends in one long word, as a URI.

    Args:
        text: Any text.
        most: Cells; wide characters (as Chinese ones) take two.
    """
    line = plain(text, _LONG)
    if _cells(line) <= most:
        return line
    head, tail = "", ""
    is_uri = _cells(line.rpartition(" ")[2]) > most // 2
    room = (most - 1) // 2 if is_uri else most - 1
    while _cells(head + line[len(head)]) <= room:
        head += line[len(head)]
    if not is_uri:
        return f"{head.rstrip()}\u2026"
    while _cells(line[len(line) - len(tail) - 1 :]) <= most - 1 - _cells(head):
        tail = line[len(line) - len(tail) - 1 :]
    return f"{head}\u2026{tail}"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _room(pixels: float) -> int:
    """The cells of a line of a box in a font of some size."""
    return int((WIDTH - 2 * _PAD) / (pixels * _CELL))


def _shown(node: Node) -> list[str]:
    """The facts that a box has room for: what the thing is before where it was recorded.

    Of deployments the newest: the day, and what was done.
    """
    if node.kind is Kind.DEPLOYMENTS and not node.state:
        last_ones = reversed(node.facts[-_FACTS:])
        return [f"{when[:10]} {_what_was_done(text)}" for when, text in last_ones]
    last = ("fingerprint", "run", "at")
    first = [fact for fact in node.facts if fact[0] not in last]
    shown = (first + [fact for fact in node.facts if fact[0] in last])[:_FACTS]
    return [fact_line(*fact) for fact in shown]


def _what_was_done(text: str) -> str:
    return text.partition(", by ")[0].removeprefix("transition: ")


def _height(node: Node) -> float:
    return 2 * _PAD + _KIND_LINE + _TITLE_LINE + _LINE * len(_shown(node)) - 4


def _texts(node: Node) -> list[str]:
    at = _PAD + _KIND_PX - 2
    kind = f"{node.kind.value}, {node.state}" if node.state else node.kind.value
    lines = [_text("kind", at, fit(kind, _room(_KIND_PX)))]
    at += _TITLE_LINE
    lines.append(_text("title", at, fit(node.title, _room(_TITLE_PX))))
    for line in _shown(node):
        at += _LINE
        lines.append(_text("fact", at + 1, fit(line, _room(_FACT_PX))))
    return lines


def _text(kind: str, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{_PAD:.0f}" y="{y:.1f}">{_escaped(text)}</text>'


def _escaped(text: str) -> str:
    """A text that may stand in XML, which has no place for control characters."""
    lines = [plain(line, _LONG) for line in text.split("\n")]
    return html.escape("\n".join(lines), quote=True)


def _legend(meanings: Sequence[str]) -> str:
    parts, x = [], _MARGIN
    for meaning in meanings:
        name = meaning.replace(" ", "-")
        parts.append(f'<path class="edge {name}" d="M{x:.0f} 22h30"/>')
        parts.append(f'<text class="fact" x="{x + 38:.0f}" y="26">{meaning}</text>')
        x += 38 + len(meaning) * _FACT_PX * _CELL + 26
    return "".join(parts)


def _nearest(lineage: Lineage) -> list[Node]:
    """The nodes to draw: those with the fewest edges between them and the root."""
    if len(lineage.nodes) <= MOST_DRAWN:
        return list(lineage.nodes)
    near: dict[str, list[str]] = {}
    for edge in lineage.edges:
        near.setdefault(edge.source, []).append(edge.target)
        near.setdefault(edge.target, []).append(edge.source)
    found = {lineage.root: None}
    waiting = [lineage.root]
    while waiting and len(found) < MOST_DRAWN:
        for key in near.get(waiting.pop(0), ()):
            if key not in found and len(found) < MOST_DRAWN:
                found[key] = None
                waiting.append(key)
    return [node for node in lineage.nodes if node.key in found]


def _xy(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


_MARKER = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse" markerUnits="userSpaceOnUse">'
    '<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
)
