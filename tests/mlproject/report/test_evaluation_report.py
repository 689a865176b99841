"""The evaluation report: complete, inert, true to the values, and quick with many slices."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlproject.cases.values import CaseResult
from mlproject.errors import StorageError
from mlproject.explanation.importance import Importance
from mlproject.metrics import Difference, MetricRow
from mlproject.report import About, DataAbout, EvaluationReport, write_evaluation_report

EVIL = "</script></title><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Reader(HTMLParser):
    """Collects tags, and the text in each kind of tag; fails on tags that do not close."""

    VOID = frozenset({"meta", "input", "img"})

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

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def text(self) -> str:
        hidden = ("style", "script")
        return " ".join(p for tag, parts in self.texts.items() if tag not in hidden for p in parts)


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def written(report: EvaluationReport, folder: Path) -> Path:
    page = folder / "report.html"
    write_evaluation_report(report, page)
    return page


def data_of(reader: Reader) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reader.texts["script"][0])
    return found


def test_the_page_needs_nothing_but_itself(report: EvaluationReport, tmp_path: Path) -> None:
    page = written(report, tmp_path)
    reader = read(page)
    assert not re.search(r"https?://|url\(|@import|@font-face", page.read_text(encoding="utf-8"))
    assert not {"link", "iframe", "object"} & {tag for tag, _ in reader.tags}
    sources = [attrs["src"] or "" for _, attrs in reader.tags if "src" in attrs]
    assert len(sources) == 1
    picture = base64.b64decode(sources[0].removeprefix("data:image/png;base64,"))
    assert picture == report.figures[0].read_bytes()


def test_only_the_pages_own_script_may_run(report: EvaluationReport, tmp_path: Path) -> None:
    reader = read(written(report, tmp_path))
    script = reader.texts["script"][-1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for _, a in reader.tags if "http-equiv" in a)
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def test_the_page_says_what_the_verdict_stands_on(report: EvaluationReport, tmp_path: Path) -> None:
    text = read(written(report, tmp_path)).text
    for part in (
        *("NOT_BLESSED", "auc on hour=2 fell 0.05", "run0123456789", "version 7", "digest0123"),
        *("12-18", "train 9,000, eval 4,512", "hidden_units = [64, 32]", "module0123"),
        *("0.9123", "[0.9000, 0.9200]", "+0.0123", "[+0.0040, +0.0160]", "could not judge"),
        *("better", "worse", "company has 3 new values"),
        *(
            "longer trips",
            "0.41 fell to 0.22",
            "INFRA_BLESSED",
            "it answered",
            "p95 latency, ms",
            "8.91",
            "memory, MiB",
        ),
        *("payment_type", "+0.3100", "at least 0.9", "worse than the champion by 0.003 at most"),
        *("worse than the champion by 0.05 of its value at most", "proven"),
        *("95%", "1,000 resamples", "fewer than 100 rows"),
    ):
        assert part in text, part
    order = [text.index(word) for word in ("payment_type", "fare", "tract")]
    assert order == sorted(order)
    assert text.index("0.41 fell to 0.22") < text.index("0.01 is within")  # what fails comes first


def test_the_table_has_every_slice_metric_and_model(
    report: EvaluationReport, tmp_path: Path
) -> None:
    data = data_of(read(written(report, tmp_path)))
    assert data["slices"] == ["overall", "hour=2", "hour=11"]
    assert data["rows"] == [4_512, 500, 12]
    assert data["better"] == [True, False]  # auc first: it is the task's main metric
    auc, log_loss = data["values"]
    assert auc["candidate"] == [0.91234, 0.9, 0.92, 0.8, 0.7, 0.9, None, None, None]
    assert auc["difference"] == [0.01234, 0.004, 0.016, -0.05, -0.09, -0.01, None, None, None]
    assert log_loss == {"candidate": [0.3111, None, None, *[None] * 6]}


def test_without_a_champion_nothing_is_compared(report: EvaluationReport, tmp_path: Path) -> None:
    alone = dataclasses.replace(
        report,
        about=dataclasses.replace(report.about, champion_version=None),
        rows=tuple(row for row in report.rows if row.model == "candidate"),
        differences=(),
    )
    reader = read(written(alone, tmp_path))
    assert "there is none yet" in reader.text
    assert "difference" not in reader.texts.get("button", [])
    assert "not clear" not in reader.texts.get("option", [])


def test_an_override_is_never_silent(report: EvaluationReport, tmp_path: Path) -> None:
    override = {"who": "Ada", "reason": "a test fleet", "when": "2026-01-02", "effect": "applied"}
    text = read(written(dataclasses.replace(report, override=override), tmp_path)).text
    assert "An override: applied" in text
    for part in ("Ada", "a test fleet", "2026-01-02"):
        assert part in text
    assert "An override" not in read(written(report, tmp_path)).text


def test_only_the_metrics_are_needed(tmp_path: Path) -> None:
    rows = (MetricRow("overall", "candidate", "mine", 9, 0.5),)
    bare = EvaluationReport(About("m"), "NOT_VALIDATED", (), rows)
    text = read(written(bare, tmp_path)).text
    assert "not stated" in text
    assert "mine" in text
    for absent in ("Behavioural cases", "Trial in a server", "Figures", "Thresholds", "importance"):
        assert absent not in text
    empty = EvaluationReport(About("m"), "NOT_VALIDATED", (), ())
    assert data_of(read(written(empty, tmp_path)))["slices"] == []


def hostile() -> EvaluationReport:
    names = ["overall", EVIL, "a\u202eb\x00c\nd\x1b[31m", "company=" + "x" * 10_000, "שלום=عربى"]
    rows = tuple(
        MetricRow(name, model, metric, 200, 0.5, 0.4, 0.6)
        for name in names
        for metric in ("auc", EVIL)
        for model in ("candidate", "champion")
    )
    return EvaluationReport(
        about=About(
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            {EVIL: EVIL},
            DataAbout(EVIL, EVIL, (EVIL,), {EVIL: 1}),
            label=EVIL,
            hyperparameters={EVIL: EVIL},
            champion_version=EVIL,
            warnings=(EVIL,),
        ),
        verdict=EVIL,
        reasons=(EVIL,) * 20,
        rows=rows,
        differences=(Difference(EVIL, "auc", 200, 0.1, 0.05, float("inf")),),
        override={EVIL: EVIL, "effect": EVIL},
        cases=(CaseResult(EVIL, EVIL, EVIL, EVIL),),  # type: ignore[arg-type]
        infra={"verdict": EVIL, "reasons": [EVIL], "measurements": {EVIL: {EVIL: [EVIL]}}},
        importance=(Importance(EVIL, 0.1, None, None),),
        notes=(EVIL,),
    )


def test_nothing_of_the_data_becomes_markup(tmp_path: Path) -> None:
    reader = read(written(hostile(), tmp_path))
    tags = [tag for tag, _ in reader.tags]
    assert (tags.count("script"), tags.count("title"), tags.count("img")) == (2, 1, 0)
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    assert data_of(reader)["slices"][0] == "overall"
    assert EVIL in data_of(reader)["slices"]
    assert data_of(reader)["values"][0]["difference"][5] is None  # infinity is no number in JSON
    # A browser ends a script at `</script x` as well, and reads on differently after `<!--`.
    assert not any("<" in text for text in reader.texts["script"] if text.startswith("{"))


def test_every_reason_stands_in_the_report(report: EvaluationReport, tmp_path: Path) -> None:
    reasons = tuple(f"reason number {number}." for number in range(30))
    text = read(written(dataclasses.replace(report, reasons=reasons), tmp_path)).text
    assert [reason for reason in reasons if reason not in text] == []
    assert "18 more reasons" in text


def test_control_and_direction_marks_are_gone(tmp_path: Path) -> None:
    page = written(hostile(), tmp_path).read_text(encoding="utf-8")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", page)
    assert "\\u202e" not in page
    assert "\\u001b" not in page
    assert "שלום=عربى" in page
    assert "x" * 400 not in page


def many(slices: int) -> EvaluationReport:
    rows, differences = [], []
    for number in range(slices):
        name = "overall" if number == 0 else f"company=Cab {number}"
        for metric in ("auc", "accuracy", "log_loss"):
            for model in ("candidate", "champion"):
                rows.append(MetricRow(name, model, metric, slices - number, 0.9, 0.85, 0.95))
            low = 0.01 if number % 10 == 3 else -0.01
            differences.append(Difference(name, metric, slices - number, 0.02, low, 0.05))
    about = About("many", task="binary", champion_version="1")
    return EvaluationReport(about, "BLESSED", ("good",), tuple(rows), tuple(differences))


def test_ten_thousands_of_slices_are_written_quickly(tmp_path: Path) -> None:
    report = many(30_000)
    began = time.process_time()
    page = written(report, tmp_path)
    assert time.process_time() - began < 20  # 1 on the machine that it was written on
    assert page.stat().st_size < 12e6
    reader = read(page)
    assert len(data_of(reader)["slices"]) == 30_000
    rows = [tag for tag, _ in reader.tags].count("tr")
    assert rows < 200  # the script draws the rest when it is asked for
    assert "29,900 more slices" in reader.text


DRIVER = """
const seen=()=>get('seen').textContent,rows=()=>[...body.rows].map(row=>row.cells[0].textContent);
const out={};
out.first=seen()+' '+rows().length+' '+rows()[0];
get('more').click();
out.more=rows().length;
get('kind').value='better';
get('kind').dispatchEvent(new Event('change'));
out.better=seen()+' '+rows()[0];
get('search').value='cab 133';
get('search').dispatchEvent(new Event('input'));
out.search=rows().join();
get('search').value='';
get('kind').value='';
heads[0].firstChild.click();
out.sorted=rows()[0]+' '+rows()[1]+' '+heads[0].getAttribute('aria-sort');
get('metric').value='2';
get('metric').dispatchEvent(new Event('change'));
out.metric=body.rows[2].cells[5].textContent;
out.cell=body.rows[2].cells[2].textContent;
document.title=JSON.stringify(out);
"""


def dump(page: Path, folder: Path) -> str:
    """The page's markup once its script has run."""
    done = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *(f"--user-data-dir={folder / 'chromium'}", "--virtual-time-budget=4000"),
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no browser; `apt-get install chromium`")
def test_in_a_browser_the_table_is_searched_sorted_and_filtered(tmp_path: Path) -> None:
    page = written(many(1_000), tmp_path)
    text = page.read_text(encoding="utf-8")
    # The driver stands in for a person; the page's own policy would not let it run.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page.write_text(text.replace("choose();\n</script>", f"choose();\n{DRIVER}</script>"))
    found = json.loads(re.search(r"<title>(.*?)</title>", dump(page, tmp_path)).group(1))  # type: ignore[union-attr]
    assert found == {
        "first": "1,000 of 1,000 100 overall",
        "more": 200,
        "better": "100 of 1,000 company=Cab 3",
        "search": "company=Cab 133",
        "sorted": "company=Cab 1 company=Cab 2 ascending",
        "metric": "worse",  # log loss: less is better
        "cell": "0.9000 [0.8500, 0.9500]",
    }


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no browser; `apt-get install chromium`")
def test_in_a_browser_the_pages_script_runs_and_the_datas_does_not(tmp_path: Path) -> None:
    markup = dump(written(hostile(), tmp_path), tmp_path)
    assert '<span class="soft" id="seen">5 of 5</span>' in markup
    assert "<title>owned" not in markup
    assert "<img" not in markup


def test_a_folder_that_cannot_be_written_is_said(report: EvaluationReport, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Writing the evaluation report failed"):
        write_evaluation_report(report, tmp_path / "none" / "report.html")
    lost = dataclasses.replace(report, figures=(tmp_path / "lost.png",))
    with pytest.raises(StorageError, match=r"lost\.png"):
        write_evaluation_report(lost, tmp_path / "report.html")
