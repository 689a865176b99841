"""Spans and versions: which files of a source that grows belong to which stretch of it.

A source's path may hold placeholders:

    {SPAN}              a whole number of any length, in numeric order (9 before 10)
    {SPAN:4}            the same, zero-padded to four digits
    {YYYY} {MM} {DD}    a date; the span is its number of days since 1970-01-01
    {VERSION}           a whole number; of each span only the newest version counts
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlproject.errors import ConfigError, DataError

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NUMBERED = re.compile(r"(SPAN|VERSION)(?::([1-9][0-9]?))?")
_DATE_DIGITS = {"YYYY": 4, "MM": 2, "DD": 2}
_MAX_DIGITS = 18
_EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True, order=True)
class Span:
    """A stretch of a source.

    Attributes:
        number: Its number; of a dated one the days since 1970-01-01.
        version: The version of its data, where the path names one.
        dated: True where the path names a date.
    """

    number: int
    version: int | None = None
    dated: bool = False

    def __str__(self) -> str:
        name = str(_EPOCH + datetime.timedelta(self.number)) if self.dated else str(self.number)
        return name if self.version is None else f"{name} (version {self.version})"


@dataclass(frozen=True)
class Window:
    """Which spans are ingested together.

    Attributes:
        length: Number of spans, the newest last.
        newest: The newest span to take: a number, a date as YYYY-MM-DD, or None for the newest
            there is.
    """

    length: int = 1
    newest: int | str | None = None


class SpanPattern:
    """A path with placeholders.

    Args:
        source: The path or URI.

    Raises:
        ConfigError: A placeholder is unknown, half a date, or given twice.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._fields: list[str] = []
        regex, glob, at = "", "", 0
        for match in _PLACEHOLDER.finditer(source):
            name, digits = self._field(match.group(1))
            literal = source[at : match.start()]
            regex += _glob_to_regex(literal) + f"(?P<{name}>{digits})"
            glob += literal + "*"
            at = match.end()
            self._fields.append(name)
        self._check_fields()
        self._regex = re.compile(regex + _glob_to_regex(source[at:]))
        self.glob = glob + source[at:]

    @property
    def dated(self) -> bool:
        """True where the spans are dates."""
        return "YYYY" in self._fields

    def span_of(self, path: str) -> Span | None:
        """The span of a path, or None where the path does not follow the pattern."""
        match = self._regex.fullmatch(path)
        if match is None:
            return None
        found = {name: int(value) for name, value in match.groupdict().items()}
        version = found.get("VERSION")
        if not self.dated:
            return Span(found["SPAN"], version)
        try:
            day = datetime.date(found["YYYY"], found["MM"], found["DD"])
        except ValueError:  # 2026-02-30 is no span
            return None
        return Span((day - _EPOCH).days, version, dated=True)

    def _field(self, text: str) -> tuple[str, str]:
        if text in _DATE_DIGITS:
            return text, f"[0-9]{{{_DATE_DIGITS[text]}}}"
        match = _NUMBERED.fullmatch(text)
        if match is None:
            raise self._error(f"{{{text}}}")
        width = match.group(2)
        digits = f"[0-9]{{{int(width)}}}" if width else f"[0-9]{{1,{_MAX_DIGITS}}}"
        return match.group(1), digits

    def _check_fields(self) -> None:
        fields = self._fields
        dates = sorted(set(fields) & set(_DATE_DIGITS))
        wrong = len(set(fields)) != len(fields) or (dates and len(dates) < 3)
        if wrong or (bool(dates) == ("SPAN" in fields)):
            raise self._error(" ".join(f"{{{name}}}" for name in fields))

    def _error(self, received: str) -> ConfigError:
        return ConfigError(
            f"The placeholders of the source '{self._source}' cannot be used",
            received=received,
            expected="{SPAN} (or {SPAN:4}, padded to 4 digits), or {YYYY}, {MM} and {DD}, each "
            "once; and {VERSION} if there are versions",
            next_step="correct the path in project.yaml",
        )


def has_placeholders(source: str) -> bool:
    """Whether a path names spans."""
    return _PLACEHOLDER.search(source) is not None


def choose_spans(there: Iterable[Span], window: Window, source: str) -> tuple[Span, ...]:
    """The spans of a window, in rising order, each in its newest version.

    Args:
        there: The spans that a source has, in all versions.
        window: Which of them are wanted.
        source: The source, for messages.

    Raises:
        ConfigError: The window names a span that cannot be.
        DataError: The newest span asked for is not there, or the source has too few.
    """
    newest_version: dict[int, Span] = {}
    for span in there:
        known = newest_version.get(span.number)
        if known is None or (span.version or 0) > (known.version or 0):
            newest_version[span.number] = span
    ordered = [newest_version[number] for number in sorted(newest_version)]
    if not ordered:
        raise DataError(
            f"The source '{source}' has no span yet",
            received="no file that follows the path's placeholders",
            expected="at least one span",
            next_step="correct the path in project.yaml, or wait for the data",
        )
    if window.newest is not None:
        wanted = span_number(window.newest, ordered[0].dated)
        numbers = [span.number for span in ordered]
        if wanted not in numbers:
            raise DataError(
                f"The source '{source}' has no span {window.newest}",
                received=_listed(ordered),
                expected=f"span {window.newest} among them",
                next_step="name another span, or wait for the data",
            )
        ordered = ordered[: numbers.index(wanted) + 1]
    if len(ordered) < window.length:
        raise DataError(
            f"The source '{source}' has fewer spans than the window is long",
            received=_listed(ordered),
            expected=f"{window.length} spans",
            next_step="make data.window shorter, or wait for the data",
        )
    return tuple(ordered[-window.length :])


def span_number(name: int | str, dated: bool) -> int:
    """The number of a span by its name: a number, or a date as YYYY-MM-DD.

    Raises:
        ConfigError: It is neither.
    """
    try:
        if dated and isinstance(name, str) and not name.isdecimal():
            return (datetime.date.fromisoformat(name) - _EPOCH).days
        return int(name)
    except ValueError as err:
        raise ConfigError(
            "The name of a span cannot be read",
            received=str(name),
            expected="a date as YYYY-MM-DD" if dated else "a whole number",
            next_step="correct the span",
        ) from err


def _listed(spans: Sequence[Span]) -> str:
    shown = [str(span) for span in spans[-5:]]
    return ("... " if len(spans) > 5 else "") + ", ".join(shown)


def _glob_to_regex(literal: str) -> str:
    """The pieces of a glob outside the placeholders: `*` and `?` stay within a folder."""
    regex = ""
    for part in re.split(r"(\*\*/|\*|\?|\[[^\]]+\])", literal):
        if part.startswith("[") and part.endswith("]"):
            regex += part.replace("[!", "[^", 1)
        else:
            regex += {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
    return regex
