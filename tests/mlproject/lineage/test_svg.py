"""The picture and its page: whole, readable, and shut to what the data says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from mlproject.lineage import Edge, Kind, Lineage, Node
from mlproject.lineage.page import page
from mlproject.lineage.svg import MOST_DRAWN, fit, svg
from mlproject.lineage.text import tree

MARKUP = '</title><script>alert(1)</script><img src=x onerror="a">[red]&amp;\x1b[31m\u202e'
URI = "gs://bucket/" + "a-long-folder/" * 40 + "rows.csv"
SVG = "{http://www.w3.org/2000/svg}"


def made(*nodes: Node, edges: tuple[Edge, ...] = (), downstream: bool = False) -> Lineage:
    return Lineage(nodes[0].key, nodes, edges, downstream)


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]


def test_markup_in_any_text_stays_text() -> None:
    hostile = Node(MARKUP, Kind.DATA, MARKUP, ((MARKUP, MARKUP),), MARKUP, "", MARKUP)
    other = Node("b", Kind.VERSION, "b", url='https://host/"><script>x</script>')
    found = made(hostile, other, edges=(Edge(MARKUP, "b", MARKUP),))
    picture = svg(found)
    allowed = {"svg", "title", "style", "defs", "marker", "path", "rect", "g", "text", "a"}
    root = ET.fromstring(picture)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == allowed
    assert not [a for e in root.iter() for a in e.attrib if a.startswith("on")]
    whole = page(found)
    assert "<script>" not in whole
    assert "<img" not in whole
    assert "\x1b" not in whole + "".join(tree(found).lines())
    assert "\u202e" not in whole + "".join(tree(found).lines())


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "file:///etc/passwd"])
def test_only_pages_of_a_server_are_linked(url: str) -> None:
    found = made(Node("a", Kind.VERSION, "taxi/1", url=url))
    assert "<a " not in svg(found)
    assert "href" not in page(found)


def test_nodes_lead_to_mlflows_pages() -> None:
    url = "http://127.0.0.1:5000/#/experiments/1/runs/abc?workflowType=machine_learning"
    found = made(Node("a", Kind.VERSION, "taxi/1", url=url))
    (link,) = ET.fromstring(svg(found)).iter(f"{SVG}a")
    assert link.get("href") == url
    assert f'href="{url}"' in page(found)


def test_a_long_uri_is_cut_in_the_box_and_whole_in_the_hint_and_the_page() -> None:
    found = made(Node("a", Kind.DATA, "train: rows.csv", (("uri", URI),)))
    picture = svg(found)
    (shown,) = [text for text in texts(picture) if text.startswith("uri")]
    assert shown.endswith("rows.csv")
    assert "\u2026" in shown
    assert len(shown) < 40
    assert URI in picture
    assert URI in page(found)


def test_texts_are_cut_to_cells_of_a_monospaced_font() -> None:
    assert fit("abc", 3) == "abc"
    assert fit("abcdefghij", 7) == "abc\u2026hij"
    assert fit("some words that are many", 12) == "some words\u2026"
    assert fit("\u6570\u636e" * 9, 7) == "\u6570\u2026\u6570\u636e"  # wide ones take two
    for most in range(4, 30):
        assert len(fit(URI, most)) <= most


def test_a_gone_run_is_marked() -> None:
    found = made(Node("a", Kind.TRAINING, "training", state="gone"))
    assert "training, gone" in texts(svg(found))
    assert 'class="step root gone"' in svg(found)
    assert ">gone</span>" in page(found)


def test_of_a_large_graph_the_nearest_are_drawn_and_it_says_so() -> None:
    nodes = [Node(f"taxi/{i}", Kind.VERSION, f"taxi/{i}") for i in range(500)]
    edges = tuple(Edge("taxi/0", node.key, "warm start") for node in nodes[1:])
    found = made(*nodes, edges=edges, downstream=True)
    picture = svg(found)
    assert len(re.findall('class="card"', picture)) == MOST_DRAWN
    assert "440 more are not drawn; --json has them all" in texts(picture)
    assert len(found.as_dict()["nodes"]) == 500
    lines = list(tree(found).lines())
    assert lines[1] == "  warm start: began with such a version's weights (499)"
    assert lines[-1] == "    and 299 more  --json has them all"


def test_the_page_is_complete_in_itself() -> None:
    whole = page(made(Node("a", Kind.VERSION, "taxi/1", (("stage", "production"),))))
    assert "default-src 'none'" in whole
    assert "<dt>stage</dt><dd>production</dd>" in whole
    assert not re.search(r'(src|href)="(?!#)', whole)
