"""A person's word against a verdict: never silent, always with a name and a reason."""

from __future__ import annotations

from dataclasses import dataclass

from mlproject.errors import ConfigError


@dataclass(frozen=True)
class Override:
    """A person's word against a verdict.

    Attributes:
        who: The person, as this machine knows them.
        reason: Why, in their words.
        when: In UTC (ISO 8601).

    Raises:
        ConfigError: One of them is empty: an override without a trace is none.
    """

    who: str
    reason: str
    when: str

    def __post_init__(self) -> None:
        for name, expected in (
            ("reason", "why the candidate may be blessed all the same, in a sentence"),
            ("who", "the name of the person who answers for it"),
            ("when", "the time, as ISO 8601"),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ConfigError(
                    f"The override has no '{name}'",
                    received=repr(value),
                    expected=expected,
                    next_step="give --override with --reason 'WHY', or leave both out",
                )

    def __str__(self) -> str:
        return f"by {self.who} at {self.when}: '{' '.join(self.reason.split())}'"
