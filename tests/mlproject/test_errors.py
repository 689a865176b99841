"""The platform's errors: four parts in a message, exit codes, hints for typos."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from mlproject import errors
from mlproject.errors import ConfigError, PlatformError, Transient, closest


def every_error() -> Iterator[type[PlatformError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return (kind for kind in kinds if issubclass(kind, PlatformError))


def test_a_message_says_what_failed_what_was_met_what_was_expected_and_what_is_next() -> None:
    error = PlatformError("It broke.", received="7", expected="8.", next_step="count again")
    assert str(error) == "It broke. Received: 7. Expected: 8. Next: count again."


def test_a_message_leaves_out_the_parts_it_does_not_have() -> None:
    assert str(PlatformError("It broke")) == "It broke."
    assert str(PlatformError("It broke", expected="8")) == "It broke. Expected: 8."
    assert str(PlatformError("It broke", received="")) == "It broke."


@pytest.mark.parametrize("kind", every_error())
def test_every_error_survives_pickling(kind: type[PlatformError]) -> None:
    error = kind("It broke", received="7", expected="8", next_step="count again")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert (copy.failed, copy.received, copy.expected, copy.next_step) == (
        *("It broke", "7"),
        *("8", "count again"),
    )


def test_only_a_configuration_error_has_exit_code_2() -> None:
    assert {kind.__name__ for kind in every_error() if kind.exit_code == 2} == {"ConfigError"}
    assert {kind.exit_code for kind in every_error() if kind is not ConfigError} == {1}


def test_the_errors_that_a_retry_can_heal() -> None:
    healed = {kind.__name__ for kind in every_error() if issubclass(kind, Transient)}
    assert healed == {"DataUnavailable", "EngineUnavailable", "TrackingUnavailable"}


def test_the_tree_at_the_top_of_the_module_names_every_error() -> None:
    tree = str(errors.__doc__)
    assert [kind.__name__ for kind in every_error() if kind.__name__ not in tree] == []


@pytest.mark.parametrize(
    ("typed", "valid", "hint"),
    [
        ("trian", ("train", "eval"), "did you mean 'train'?"),
        ("xyz", ("train", "eval"), "one of eval, train"),
        ("", ("train",), "one of train"),
        ("train", (), "there are none yet"),
        ("train", iter(["train", "eval"]), "did you mean 'train'?"),
    ],
)
def test_a_typo_gets_the_closest_name_or_all_of_them(
    typed: str, valid: tuple[str, ...], hint: str
) -> None:
    assert closest(typed, valid) == hint
