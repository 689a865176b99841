"""Processes that promote: several that start at once, and one that dies at one of its writes.

They are forked from a server that has imported MLflow once and opened no store yet.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from mlproject.errors import PlatformError
from mlproject.promotion import settling as settling_module
from mlproject.promotion.asks import Ask
from mlproject.promotion.entries import Entry
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import parse_stage
from mlproject.registry import VersionInfo
from mlproject.settings import Settings

Call = tuple[Any, ...]
WRITES = (
    "create_experiment",
    "create_registered_model",
    "create_run",
    "delete_registered_model_alias",
    "delete_run",
    "log_param",
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_registered_model_tag",
    "set_terminated",
    "transition_model_version_stage",
)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__, "mlflow", "mlflow.store.tracking.sqlalchemy_store"])
LIMIT_S = 120


def do(promoter: Promoter, call: Call) -> None:
    """One call: its name, the model, and what it takes."""
    what, name, *rest = call
    if what == "move":
        version, stage = rest
        ask = Ask(parse_stage(stage), f"to {stage}", "ann")
        promoter.move(VersionInfo(name, version, {}, None), ask)
    elif what == "rollback":
        promoter.rollback(name, "bad", who="bob")
    elif what == "approve":
        promoter.approve(VersionInfo(name, rest[0], {}, None), "fine", "bob")
    elif what == "append":
        entry = Entry("transition", 1, (), "ann", rest[0], datetime(2026, 3, 1, tzinfo=UTC))
        promoter.ledger.append(name, entry, after=0)
    else:
        promoter.settle(name)


def at_once(settings: Settings, calls: Sequence[Call]) -> list[str]:
    """Starts one process a call, all at once.

    Returns:
        Of each call `done`, or the class of its error.
    """
    barrier, answers = CONTEXT.Barrier(len(calls)), CONTEXT.SimpleQueue()
    started = [
        CONTEXT.Process(target=_run, args=(settings, call, number, barrier, answers))
        for number, call in enumerate(calls)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(LIMIT_S)
        assert process.exitcode == 0, f"exit {process.exitcode}"
    found = dict(answers.get() for _ in calls)
    return [found[number] for number in range(len(calls))]


def _run(settings: Settings, call: Call, number: int, barrier: Any, answers: Any) -> None:
    settling_module.LOOK_AGAIN_S = 0.2
    promoter = Promoter(settings)
    promoter.history(call[1])  # the store is open before the race begins
    barrier.wait(LIMIT_S)
    try:
        do(promoter, call)
        answers.put((number, "done"))
    except PlatformError as err:
        answers.put((number, type(err).__name__))


def die_at(settings: Settings, call: Call, write: int, *, after: bool) -> bool:
    """Makes a call in a process that is killed at one of its writes.

    Args:
        settings: The platform's settings.
        call: The call.
        write: Which write, from 1.
        after: Whether it dies just after that write; else just before.

    Returns:
        Whether it died; False where the call has fewer writes, and ended.
    """
    process = CONTEXT.Process(target=_run_and_die, args=(settings, call, write, after))
    process.start()
    process.join(LIMIT_S)
    assert process.exitcode in (0, -signal.SIGKILL), f"exit {process.exitcode}"
    return process.exitcode != 0


def _run_and_die(settings: Settings, call: Call, write: int, after: bool) -> None:
    settling_module.LOOK_AGAIN_S = 0.0
    promoter = Promoter(settings)
    count = 0

    def deadly(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == write and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return method(*args, **options)
            finally:  # of a write that MLflow refused, too
                if count == write:
                    os.kill(os.getpid(), signal.SIGKILL)

        return wrapped

    client = promoter.registry.client
    for name in WRITES:
        setattr(client, name, deadly(getattr(client, name)))
    do(promoter, call)
