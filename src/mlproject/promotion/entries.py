"""The entries of a model's ledger: what was done to its versions, by whom, when and why. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from mlproject.errors import RegistryError
from mlproject.promotion.stages import Stage

Event = Literal[
    "transition", "rollback", "requested", "out_of_band", "put_back", "rollout", "adopted"
]
MOST_CHARACTERS = 6_000  # of an entry: a parameter of an MLflow run
WORDS = (1_600, 400, 100)  # characters of a reason; a quarter of it for a piece of evidence, and
LEAST_EVIDENCE = 40  # at least these, so that no verdict and no run's id is ever cut


@dataclass(frozen=True)
class Move:
    """One version's change of stage.

    Attributes:
        version: The version.
        before: Its stage before.
        after: Its stage after.
    """

    version: int
    before: Stage
    after: Stage


@dataclass(frozen=True)
class Entry:
    """One entry of a ledger.

    Attributes:
        event: `transition`: a change of stage that Benison made; `rollback`: one out of production
            and back; `requested`: a person is asked to approve; `out_of_band`: an alias that was
            moved by hand, and was found to be in order; `put_back`: one that was not, and stands
            where it stood; `rollout`: how a rollout ended; `adopted`: the champion that was there
            before the ledger.
        version: The version that it is about.
        moves: The changes of stage; they hold together or not at all.
        who: The user.
        why: The reason.
        when: UTC.
        evidence: Name -> what the decision stood on: `evaluation_run`, `pipeline_run`,
            `rollout_run`, `override`, `approval`, ...
        deadline: Until when a request waits; None for other events.
        number: Its number in the ledger, from 1; 0 while it is not written.
    """

    event: Event
    version: int
    moves: tuple[Move, ...]
    who: str
    why: str
    when: datetime
    evidence: Mapping[str, str] = field(default_factory=dict)
    deadline: datetime | None = None
    number: int = 0

    @property
    def versions(self) -> frozenset[int]:
        """The versions that it is about."""
        return frozenset({self.version, *(move.version for move in self.moves)})

    def to_json(self) -> str:
        """The entry as MLflow keeps it, without its number; long words are cut, so that it fits.

        Raises:
            RegistryError: It does not fit all the same: MLflow would cut it, and nobody could read
                the ledger again.
        """
        for most in WORDS:
            text = json.dumps(self._value(most), ensure_ascii=False)
            if len(text) <= MOST_CHARACTERS:
                return text
        raise RegistryError(
            "Writing to the ledger failed",
            received=f"an entry of {len(text)} characters, with {len(self.evidence)} pieces of "
            "evidence",
            expected=f"at most {MOST_CHARACTERS} characters",
            next_step="give less evidence",
        )

    def _value(self, most: int) -> dict[str, Any]:
        value: dict[str, Any] = {
            "event": self.event,
            "version": self.version,
            "moves": [[m.version, m.before.value, m.after.value] for m in self.moves],
            "who": _words(self.who, 100),
            "why": _words(self.why, most),
            "when": self.when.isoformat(timespec="milliseconds"),
            "evidence": {
                name: _words(text, max(most // 4, LEAST_EVIDENCE))
                for name, text in self.evidence.items()
            },
        }
        if self.deadline is not None:
            value["deadline"] = self.deadline.isoformat(timespec="milliseconds")
        return value


def parse_entry(number: int, text: str) -> Entry:
    """Reads an entry.

    Args:
        number: Its number.
        text: As `Entry.to_json` gives it.

    Raises:
        RegistryError: It is no entry.
    """
    try:
        value = json.loads(text)
        deadline = value.get("deadline")
        if value["event"] not in get_args(Event):
            raise ValueError(value["event"])
        return Entry(
            event=value["event"],
            version=int(value["version"]),
            moves=tuple(Move(int(v), Stage(b), Stage(a)) for v, b, a in value["moves"]),
            who=str(value["who"]),
            why=str(value["why"]),
            when=_utc(value["when"]),
            evidence={name: str(text) for name, text in value["evidence"].items()},
            deadline=_utc(deadline) if deadline else None,
            number=number,
        )
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as err:
        raise RegistryError(
            f"Reading entry {number} of the ledger failed",
            received=text[:200],
            expected="an entry that Benison wrote",
            next_step="a newer Benison may have written it; nothing was changed",
        ) from err


def _words(text: str, most: int) -> str:
    """A text that every database takes: a byte of the shell that is no UTF-8 becomes `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")[:most]


def _utc(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
