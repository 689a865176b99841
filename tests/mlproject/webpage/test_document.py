"""The page around its content: what it may run and load."""

from __future__ import annotations

import re

from mlproject.webpage import document


def policy(page: str) -> str:
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert found
    return found.group(1)


def test_without_a_script_none_may_run() -> None:
    page = document("t", "<p>x</p>")
    assert policy(page) == "default-src 'none'; style-src 'unsafe-inline'"
    assert "<script" not in page
    assert "<main><p>x</p></main>" in page


def test_pictures_may_only_stand_in_the_page() -> None:
    assert "img-src data:;" in policy(document("t", "", pictures=True))


def test_a_script_is_allowed_by_its_digest() -> None:
    page = document("t", "", script="a()")
    assert "script-src 'sha256-" in policy(page)
    assert page.endswith("<script>a()</script></body></html>\n")
    assert policy(page) != policy(document("t", "", script="b()"))


def test_the_title_is_a_text() -> None:
    assert "<title>&lt;/title&gt;&lt;b&gt;</title>" in document("</title><b>", "")
