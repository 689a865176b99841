"""What a helper was called with, checked while `preprocessing_fn` is traced."""

from __future__ import annotations

from collections.abc import Iterable

from mlproject.errors import UserModuleError, closest


def refuse(helper: str, *, received: str, expected: str, next_step: str) -> UserModuleError:
    """The error of a helper that cannot work with an argument.

    Args:
        helper: The helper, as the user calls it.
        received: The value.
        expected: What the helper takes.
        next_step: What to do about it.
    """
    return UserModuleError(
        f"preprocessing.{helper} cannot be applied",
        received=received,
        expected=expected,
        next_step=next_step,
    )


def check_whole(helper: str, name: str, value: int, least: int) -> None:
    """Checks an argument that counts something.

    Args:
        helper: The helper, as the user calls it.
        name: The argument.
        value: Its value.
        least: The smallest value that makes sense.

    Raises:
        UserModuleError: It is no whole number, or a smaller one.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refuse(
            helper,
            received=f"{name}={value!r}",
            expected=f"a whole number from {least}",
            next_step=f"correct `{name}`",
        )


def check_choice(helper: str, name: str, value: str, valid: Iterable[str]) -> None:
    """Checks an argument that is one of some words.

    Args:
        helper: The helper, as the user calls it.
        name: The argument.
        value: Its value.
        valid: The words.

    Raises:
        UserModuleError: It is another word.
    """
    words = list(valid)
    if value not in words:
        raise refuse(
            helper,
            received=f"{name}={value!r}",
            expected=closest(str(value), words),
            next_step=f"correct `{name}`",
        )
