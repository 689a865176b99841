"""The page of a comparison: complete, and safe whatever the data holds."""

from __future__ import annotations

import html
import re
from typing import Any

from mlproject.metrics import CANDIDATE, OVERALL, MetricRow
from mlproject.registry.names import REASONS_TAG, STAGE_TAG
from mlproject.version_diff import compare_versions
from mlproject.version_diff.page import render

HOSTILE = "<script>alert('x')</script>\x1b[2J\u202e"


def metric(value: float, half: float) -> MetricRow:
    return MetricRow(OVERALL, CANDIDATE, "auc", 90, value, value - half, value + half, half / 2)


def words(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_the_page_shows_every_section(lay: Any, make_statistics: Any) -> None:
    schema = 'feature {{ name: "fare" type: FLOAT float_domain {{ max: {} }} }}'
    before, after = (
        lay(
            number,
            tags={STAGE_TAG: f"stage {number}"},
            params={},
            config={"training": {"seed": number}},
            schema=schema.format(number),
            metrics=[metric(0.1 * number, 0.01)],
            code={"taxi.py": f"seed = {number}\n"},
            statistics={"train": make_statistics(fare=[float(number)] * 40, way=["a"] * 40)},
        )
        for number in (6, 7)
    )
    page = render(compare_versions(before, after))
    told = words(page)
    assert "taxi/6 -> taxi/7: they differ" in told
    assert re.search(r"stage\s+stage 6\s+stage 7", told)
    assert re.search(r"training\.seed\s+6\s+7", told)
    assert "max 6 -> 7" in told
    assert "mean 6 -> 7" in told
    assert re.search(r"0\.6000 \[0\.5900, 0\.6100\]\s+0\.7000", told)
    assert "better" in told
    assert '<span class="cut">-seed = 6</span>' in page
    assert '<span class="add">+seed = 7</span>' in page
    assert "<details><summary>1 the same" in page  # the feature `way`


def test_a_page_without_evidence_says_what_is_not_recorded(lay: Any) -> None:
    page = words(render(compare_versions(lay(6), lay(7))))
    for what in ("config.json", "statistics", "schema.pbtxt", "metrics.parquet", "code"):
        assert f"taxi/7: {what} not recorded" in page
    assert "not everything could be compared" in page


def test_no_text_of_the_data_runs_or_hides(lay: Any, make_statistics: Any) -> None:
    def side(number: int) -> Any:
        return lay(
            number,
            tags={REASONS_TAG: f"{HOSTILE}{number}"},
            config={HOSTILE: number},
            metrics=[MetricRow(HOSTILE, CANDIDATE, HOSTILE, 9, 0.1 * number)],
            code={"taxi.py": f"{HOSTILE}{number}\n"},
            statistics={"train": make_statistics(**{HOSTILE: [f"{HOSTILE}{number}"] * 40})},
        )

    page = render(compare_versions(side(6), side(7)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(") >= 6
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
