"""The page: complete without a network, inert whatever the data holds, small when it is long."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlproject.anomalies import Anomaly
from mlproject.examples.reader import to_example_batch
from mlproject.profile import Side, write_profile
from mlproject.statistics import statistics_of_batches

Write = Callable[..., Path]
EVIL = "</script></title><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Reader(HTMLParser):
    """Collects tags, and the text of each kind of tag; fails on tags that do not close."""

    VOID = frozenset({"meta", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    def cards(self) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == "article"]


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def side(name: str, columns: dict[str, pa.Array], split_dir: Path | None = None) -> Side:
    batch = to_example_batch(pa.RecordBatch.from_pydict(columns))
    kinds = [n for n, c in columns.items() if pa.types.is_binary(c.type)]
    return Side(name, statistics_of_batches([batch], bytes_columns=kinds), split_dir)


def mixed(rows: int = 400, shift: float = 0.0) -> dict[str, pa.Array]:
    rng = np.random.default_rng(7)
    return {
        "fare": pa.array(rng.lognormal(2 + shift, 1, rows)),
        "hour": pa.array([None if n == 3 else n for n in rng.integers(0, 24, rows).tolist()]),
        "company": pa.array(rng.choice(["Flash", "Blue"], rows)),
        "photo": pa.array([b"\xff" * (n % 9 + 1) for n in range(rows)]),
        "tags": pa.array([["a", "b"][: n % 3] or None for n in range(rows)]),
        "empty": pa.array([None] * rows, pa.string()),
        "odd": pa.array([float("nan"), float("inf")] * (rows // 2)),
    }


@pytest.fixture
def page(tmp_path: Path, write_split: Write) -> Path:
    shown, other = mixed(), mixed(shift=1.0)
    del other["tags"]
    other["only there"] = pa.array([1] * 400)
    split_dir = write_split(tmp_path / "Split-eval", shown)
    found = [
        Anomaly("eval", "fare", "BIG", "block", "Too big", "Fares are too big."),
        Anomaly("eval", "(dataset)", "FEW", "warn", "Few", "There are few rows."),
    ]
    write_profile(
        tmp_path / "page.html",
        "taxi: eval against train",
        side("eval", shown, split_dir),
        side("train", other),
        label="hour",
        anomalies=found,
        facts={"source digest": "abc123"},
    )
    return tmp_path / "page.html"


def test_the_page_needs_nothing_but_itself(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    reader = read(page)
    assert not re.search(r"https?://|//[a-z]|url\(|@import|@font-face", text)
    assert {"script", "style", "svg", "title"} <= {tag for tag, _ in reader.tags}
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert not any("src" in attrs for _, attrs in reader.tags)


def test_only_the_pages_own_script_may_run(page: Path) -> None:
    reader = read(page)
    (script,) = reader.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (
        attrs["content"]
        for _, attrs in reader.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


def test_every_feature_has_a_card_with_its_numbers(page: Path) -> None:
    cards = read(page).cards()
    assert cards[0]["data-name"] == "fare"  # the most different first
    assert {card["data-name"]: card["data-kind"] for card in cards} == {
        **{"fare": "float", "hour": "int", "company": "text", "photo": "bytes"},
        **{"tags": "text", "empty": "text", "odd": "float", "only there": "int"},
    }
    marked = {card["data-name"]: card["data-anomalies"] for card in cards}
    assert {name for name, count in marked.items() if count != "0"} == {"fare"}


def text_of(page: Path) -> str:
    reader = read(page)
    return " ".join(
        part
        for tag, parts in reader.texts.items()
        if tag not in ("style", "script")
        for part in parts
    )


def test_the_page_says_what_it_shows(page: Path) -> None:
    text = text_of(page)
    for word in (
        *("taxi: eval against train", "abc123", "missing cells", "duplicate rows", "Fares are too"),
        *("There are few rows.", "Most different from train", "not in eval", "not in train"),
        *("text list", "not finite", "values in a row", "no values"),
        *("1 B – 9 B", "Association with the label", "tells of hour", "Pearson's correlation"),
    ):
        assert word in text, word


def test_a_page_of_one_side_compares_nothing(tmp_path: Path) -> None:
    write_profile(tmp_path / "page.html", "t", side("train", mixed()))
    text = text_of(tmp_path / "page.html")
    assert "Most different" not in text
    assert "JS" not in text
    assert "anomalies" not in text
    assert "need the rows" in text


def hostile(tmp_path: Path, write_split: Write) -> Path:
    columns: dict[str, Any] = {
        EVIL: pa.array([EVIL] * 40 + ["x"] * 40),
        "__proto__": pa.array([1.0, 2.0] * 40),
        "a\u202eb\x00c\nd": pa.array([f"{n}\x1b[31m" for n in range(80)]),
        "-->": pa.array(["]]>", "${1}"] * 40),
    }
    split_dir = write_split(tmp_path / EVIL[10:20].replace("/", "_"), columns)
    write_profile(
        tmp_path / "page.html",
        EVIL,
        side(EVIL, columns, split_dir),
        side(EVIL, columns),
        label=EVIL,
        anomalies=[Anomaly(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)],
        facts={EVIL: EVIL},
    )
    return tmp_path / "page.html"


def test_nothing_of_the_data_becomes_markup(tmp_path: Path, write_split: Write) -> None:
    reader = read(hostile(tmp_path, write_split))
    tags = [tag for tag, _ in reader.tags]
    assert (tags.count("script"), tags.count("title"), tags.count("img")) == (
        1,
        1 + tags.count("rect"),
        0,
    )
    assert len(reader.cards()) == 4
    assert reader.texts["h1"] == [EVIL]
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no browser; `apt-get install chromium`")
def test_in_a_browser_the_script_runs_and_the_datas_does_not(
    tmp_path: Path, write_split: Write
) -> None:
    page = hostile(tmp_path, write_split)
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={tmp_path / 'chromium'}", "--virtual-time-budget=2000"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert '<span class="soft" id="seen">4 of 4</span>' in done.stdout
    assert "<title>owned</title>" not in done.stdout
    assert done.stdout.count("<script") == 1


def test_hundreds_of_features_stay_a_small_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {f"number {n}": pa.array(rng.normal(size=60)) for n in range(150)}
    columns |= {f"word {n}": pa.array(rng.choice(list("abcdef"), 60)) for n in range(100)}
    both = side("eval", columns), side("train", columns)
    made = write_profile(tmp_path / "page.html", "wide", *both)
    assert len(made.entries) == len(read(tmp_path / "page.html").cards()) == 250
    assert (tmp_path / "page.html").stat().st_size < 2_000_000


def test_the_same_data_gives_the_same_page(tmp_path: Path, write_split: Write) -> None:
    split_dir = write_split(tmp_path / "Split-eval", mixed())
    for name in ("one", "two"):
        write_profile(tmp_path / name, "t", side("eval", mixed(), split_dir), label="fare")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
