"""The picture of a lineage in a page of its own, with every fact below it."""

from __future__ import annotations

import html

from mlproject.lineage.svg import svg
from mlproject.lineage.values import Kind, Lineage, Node
from mlproject.webpage import document
from mlproject.webpage.text import safe

_LONG = 3_000
_STYLE = """
main{max-width:1720px}
.scroll svg{display:block;margin:0 auto}
section.box h2{margin:0 0 8px;font-size:15px;overflow-wrap:anywhere}
section.box h2 .soft{font-weight:400}
"""


def page(lineage: Lineage) -> str:
    """An HTML page that is complete in itself.

    Args:
        lineage: The graph.
    """
    root = lineage.node(lineage.root)
    what = "What came from" if lineage.downstream else "Lineage of"
    title = f"{what} {root.title}"
    order = list(Kind)
    nodes = sorted(lineage.nodes, key=lambda node: (node is not root, order.index(node.kind)))
    body = [
        f"<h1>{safe(title, _LONG)}</h1>",
        f'<p class="soft">{len(lineage.nodes):,} nodes, read from MLflow</p>',
        f'<div class="scroll box">{svg(lineage)}</div>',
        *(_section(node) for node in nodes),
    ]
    return document(title, "".join(body), _STYLE)


def _section(node: Node) -> str:
    link = ""
    if node.url.startswith(("http://", "https://")):
        link = f' <a href="{html.escape(node.url, quote=True)}">MLflow run</a>'
    state = f' <span class="chip block">{safe(node.state)}</span>' if node.state else ""
    facts = "".join(
        f"<dt>{safe(name)}</dt><dd>{safe(value, _LONG)}</dd>" for name, value in node.facts
    )
    return (
        f'<section class="box"><h2><span class="soft">{node.kind.value}</span> '
        f"{safe(node.title, _LONG)}{state}{link}</h2>"
        f'<dl class="facts">{facts}</dl></section>'
    )
