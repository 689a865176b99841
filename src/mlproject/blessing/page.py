"""The Blessing as a text to read: `blessing.md`. Pure."""

from __future__ import annotations

from mlproject.blessing.values import Blessing, CheckOutcome

_HEADINGS: dict[CheckOutcome, str] = {
    "fail": "Failed",
    "unjudged": "Could not be judged",
    "pass": "Passed",
    "skipped": "Passed over",
}


def blessing_page(blessing: Blessing) -> str:
    """A verdict, any override, and every check under its outcome, in Markdown."""
    lines = [f"# {blessing.verdict}"]
    override = blessing.override
    if override is not None:
        lines += [
            "",
            f"Override: **{blessing.override_effect}**. The verdict of the checks is "
            f"{blessing.without_override}.",
            "",
            f"- who: {override.who}",
            f"- when: {override.when}",
            f"- reason: {' '.join(override.reason.split())}",
        ]
    for outcome, heading in _HEADINGS.items():
        reasons = [check.reason for check in blessing.checks if check.outcome == outcome]
        if reasons:
            lines += ["", f"## {heading}", "", *(f"- {_plain(reason)}" for reason in reasons)]
    return "\n".join(lines) + "\n"


def _plain(reason: str) -> str:
    """A reason as it stands: names of slices may hold what Markdown reads as its own."""
    text = " ".join(reason.split())
    for mark in "\\*_`<[":
        text = text.replace(mark, "\\" + mark)
    return text
