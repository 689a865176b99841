"""What a person sees: the steps while they run, and the summary."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.console import Display, show_summary
from mlproject.progress import Event

STEPS = ("ingest", "train")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def plain(*events: Event, title: str = "taxi: trips.csv") -> list[str]:
    """The lines where there is no terminal, without the title."""
    stream = io.StringIO()
    with Display(stream, title, STEPS) as display:
        for event in events:
            display(event)
    first, *lines = stream.getvalue().splitlines()
    assert first == title
    return lines


def live(monkeypatch: pytest.MonkeyPatch, *events: Event, title: str = "taxi: trips.csv") -> str:
    """The last picture on a terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    with Display(stream, title, STEPS) as display:
        for event in events:
            display(event)
    console = Console(file=io.StringIO(), width=100, markup=False, emoji=False)
    console.print(display._render())
    assert "\x1b[" in stream.getvalue()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_each_event_that_tells_something_is_a_line() -> None:
    lines = plain(
        Event("start", "ingest", "not made before"),
        Event("rows", "ingest", rows=12_345),
        Event("done", "ingest", seconds=1.25),
        Event("cached", "train", "nothing has changed", seconds=60),
    )
    assert lines == [
        "  ✓ ingest       1.2 s 12,345 rows",
        "  = train          0 s nothing has changed",
    ]


def test_without_a_terminal_a_note_is_a_line_with_the_time_so_far() -> None:
    (line,) = plain(Event("start", "train"), Event("note", "train", "epoch 1/3"))
    assert line.startswith("  ▶ train        0.0 s epoch 1/3")


def test_without_a_terminal_a_failure_is_a_line_with_its_reason() -> None:
    (line,) = plain(Event("start", "train"), Event("failed", "train", "It broke.", seconds=2))
    assert line == "  ✗ train        2.0 s It broke."


def test_what_was_said_while_a_step_waited_goes_when_it_starts() -> None:
    note = Event("note", "ingest", text="loading TensorFlow")
    lines = plain(note, Event("start", "ingest"), Event("done", "ingest", seconds=1.0))
    assert "loading TensorFlow" in lines[0]
    assert "loading TensorFlow" not in lines[-1]


def test_events_of_other_steps_are_passed_over() -> None:
    assert plain(Event("note", "", "lost"), Event("done", "serve", seconds=1)) == []


def test_without_a_terminal_nothing_is_redrawn() -> None:
    stream = io.StringIO()
    with Display(stream, "taxi", STEPS) as display:
        display(Event("done", "ingest", seconds=1))
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_every_step_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = live(
        monkeypatch,
        Event("start", "ingest"),
        Event("rows", "ingest", rows=12_345),
        Event("done", "ingest", seconds=1.25),
    )
    lines = [" ".join(line.split()) for line in picture.splitlines()]
    assert lines[0].startswith("taxi: trips.csv 0 s")
    assert "✓ ingest 1.2 s 12,345" in lines
    assert "· train" in lines


@pytest.mark.parametrize(
    ("event", "row"),
    [
        (Event("start", "train", "because"), "▶ train 0.0 s"),
        (Event("note", "train", "epoch 1/3"), "· train epoch 1/3"),
        (Event("rows", "train", rows=7), "· train 7"),
        (Event("cached", "train", "nothing changed"), "= train 0 s cached: nothing changed"),
        (Event("done", "train", seconds=3), "✓ train 3.0 s"),
        (Event("failed", "train", "It broke.", seconds=3), "✗ train 3.0 s It broke."),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_on_a_terminal_each_event_changes_its_row(
    monkeypatch: pytest.MonkeyPatch, event: Event, row: str
) -> None:
    picture = live(monkeypatch, event)
    assert row in [" ".join(line.split()) for line in picture.splitlines()]


HOSTILE = "[/red] [bold]x[/] :smile: data[a].csv"


def test_text_that_looks_like_markup_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = plain(Event("failed", "train", HOSTILE), title=HOSTILE)
    assert line.endswith(HOSTILE)
    picture = live(monkeypatch, Event("failed", "train", HOSTILE), title=HOSTILE)
    assert picture.count(HOSTILE) == 2


def test_the_terminal_is_given_back_when_the_run_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), Display(stream, "taxi", STEPS):
        raise ZeroDivisionError
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is shown again


def metric_row(name: str = "overall", model: str = "candidate", **values: Any) -> dict[str, Any]:
    metrics = {"examples": 5000, "auc": 0.91, "accuracy": 0.85, "log_loss": 0.3}
    return {"slice": name, "model": model, **metrics, **values}


def outcome(**changes: Any) -> dict[str, Any]:
    return {
        "status": "blessed",
        "model": "taxi",
        "version": 3,
        "champion": 3,
        "reasons": ["auc overall is 0.9100 (at least 0.9 wanted)"],
        "warnings": [],
        "metrics": {},
        "task": "binary",
        "override": None,
        "waiting": "",
        "slices": [metric_row()],
        "sample": {"sample": {"company": "O'Hare"}, "prediction": [0.75]},
        "mlflow_run_id": "run",
        "mlflow_run_url": "http://127.0.0.1:5000/#/experiments/1/runs/run",
        "steps": [{"name": "ingest", "cached": False}, {"name": "train", "cached": True}],
        **changes,
    }


def summary(**changes: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    show_summary(console, outcome(**changes), "(`benison ui` opens it)")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_of_a_blessed_run_says_what_to_try_next() -> None:
    text = summary()
    assert "BLESSED" in text
    assert "NOT BLESSED" not in text
    assert "- auc overall is 0.9100 (at least 0.9 wanted)" in text
    assert "Model    taxi/3 is the champion" in text
    assert (
        "MLflow   http://127.0.0.1:5000/#/experiments/1/runs/run  (`benison ui` opens it)" in text
    )
    assert "Served   [0.75] for the sample row" in text
    assert "Serve    benison serve taxi" in text
    assert """Predict  benison predict taxi '{"company": "O'"'"'Hare"}'""" in text
    assert "Nothing was run" not in text


def test_the_summary_does_not_call_a_version_champion_that_is_not() -> None:
    """A person has moved the alias since: nothing runs again, and that is to be said."""
    text = summary(champion=2)
    assert "Model    taxi/3 was blessed; the champion is version 2" in text
    assert "taxi/3 is the champion" not in text


def test_the_summary_says_what_a_staged_version_waits_for() -> None:
    text = summary(
        status="staged", champion=2, waiting="waits for a person: benison approve taxi/3"
    )
    assert "BLESSED, and not in production yet" in text
    assert "Model    taxi/3 waits for a person: benison approve taxi/3" in text


def test_the_summary_of_a_run_that_was_not_blessed_says_why() -> None:
    text = summary(
        status="not_blessed",
        version=None,
        reasons=["auc overall is 0.8000, below the least allowed 0.9"],
        warnings=["warn: company (eval): new value [ENUM]"],
        sample={},
    )
    assert "NOT BLESSED: the champion stays" in text
    assert "- auc overall is 0.8000, below the least allowed 0.9" in text
    assert "- warn: company (eval): new value [ENUM]" in text
    for absent in ("is the champion", "Served", "Serve ", "Predict"):
        assert absent not in text


def test_the_summary_of_blocked_data_says_what_is_wrong_with_it() -> None:
    text = summary(
        status="blocked",
        version=None,
        reasons=["block: tips (train): gone [SCHEMA_MISSING_COLUMN]"],
        slices=[],
        sample={},
        mlflow_run_id=None,
    )
    assert "DATA BLOCKED: nothing was trained" in text
    assert "- block: tips (train): gone [SCHEMA_MISSING_COLUMN]" in text
    assert "MLflow" not in text
    assert "log_loss" not in text


def test_the_summary_of_a_run_that_was_all_cached_says_so() -> None:
    text = summary(steps=[{"name": "ingest", "cached": True}])
    assert "Nothing was run" in text
    assert "--force" in text


def test_the_summary_shows_the_largest_slices_and_the_champion_beside() -> None:
    slices = [metric_row(), metric_row(model="champion", auc=0.9)]
    slices += [metric_row(f"company={i}", examples=i) for i in range(1, 13)]
    slices += [metric_row("pay=Cash", examples=2, auc=None, accuracy=None, log_loss=None)]
    lines = [" ".join(line.strip("│ ").split()) for line in summary(slices=slices).splitlines()]
    assert "overall 5,000 0.9100 (0.9000) 0.8500 (0.8500) 0.3000 (0.3000)" in lines
    assert "company=12 12 0.9100 0.8500 0.3000" in lines
    assert not any(line.startswith("company=4 ") for line in lines)
    assert any("5 smaller slices" in line for line in lines)


def test_a_slice_that_was_not_judged_says_so() -> None:
    nothing: dict[str, Any] = {"auc": None, "accuracy": None, "log_loss": None}
    assert (
        summary(slices=[metric_row(), metric_row("pay=Cash", **nothing)]).count("not judged") == 3
    )


def test_values_of_the_data_that_look_like_markup_are_shown_as_they_are() -> None:
    hostile = "[/red]:smile:"
    text = summary(
        reasons=[f"auc on company={hostile} is low"],
        warnings=[hostile],
        slices=[metric_row(), metric_row(f"company={hostile}")],
        sample={"sample": {"company": hostile}, "prediction": [hostile]},
        mlflow_run_url=f"http://mlflow/{hostile}",
    )
    assert text.count(hostile) == 6


def test_a_long_row_stays_on_one_line_to_be_copied() -> None:
    text = summary(sample={"sample": {"a": "x" * 300}, "prediction": [0.5]})
    assert any("x" * 300 in line for line in text.splitlines())


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_the_note_gives_way_and_nothing_else(width: int) -> None:
    display = Display(Terminal(), "taxi: trips.csv", ("ingest", "statistics"))
    display(Event("rows", "statistics", rows=1_234_567))
    display(Event("done", "statistics", seconds=123.4))
    display(Event("note", "statistics", "a note " * 30))
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False)
    console.print(display._render())
    assert isinstance(console.file, io.StringIO)
    title, _, first, second = console.file.getvalue().splitlines()
    assert title.startswith("taxi: trips.csv")
    assert first.split() == ["·", "ingest"]
    assert " ".join(second.split()).startswith("✓ statistics 123.4 s 1,234,567 a note")
    assert second.rstrip().endswith("…")
    assert len(second.rstrip()) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_narrow_terminal_a_slice_keeps_its_numbers_whole(width: int) -> None:
    slices = [metric_row(name, model) for name in ("overall", LONG) for model in MODELS]
    console = Console(file=io.StringIO(), width=width)
    show_summary(console, outcome(slices=slices), "")
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    table = text[: text.index("Model ")]
    assert table.count("0.9100") == 1 + 2 + 2  # in the reason, and twice for each slice
    assert table.count("(0.3000)") == 2
    assert "company=" in table
    assert "…" in table
    assert "Services" in table
    assert max(map(len, table.splitlines())) <= width


LONG = "company=Taxi Affiliation Services and a Name That Goes On and Other Services"
MODELS = ("candidate", "champion")


def test_logs_go_to_the_log_and_not_above_the_table(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    try:
        program = LOGGING.format(home=str(tmp_path))
        environment = {**os.environ, "TERM": "xterm-256color"}
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=end, stderr=end, env=environment, check=False
        )
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
        os.close(end)
    assert done.returncode == 0, shown
    assert "\x1b[" in shown
    assert "ingest" in shown
    assert "a library" not in shown
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_text() == "a library, out\na library, err\n"


LOGGING = """
import sys
from pathlib import Path
from flows.console import Display
from flows.logs import quiet

with quiet(Path({home!r}), "train", False) as (stream, _), Display(stream, "taxi", ("ingest",)):
    print("a library, out", flush=True)
    print("a library, err", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize(
    ("status", "effect", "title"),
    [
        ("blessed", "applied", "BLESSED BY OVERRIDE"),
        ("blessed", "not needed", "BLESSED ─"),
        ("not_blessed", "refused", "NOT BLESSED: the champion stays"),
    ],
)
def test_only_an_override_that_applied_is_in_the_title(
    status: str, effect: str, title: str
) -> None:
    override = {"who": "ada", "reason": "why", "when": "2026-11-21T10:00:00+00:00"}
    text = summary(status=status, override={**override, "effect": effect})
    assert title in text
    assert ("BY OVERRIDE" in text) == (effect == "applied")


def test_reasons_that_are_left_out_are_counted() -> None:
    text = summary(status="not_blessed", reasons=[f"reason {number}" for number in range(15)])
    assert "reason 11" in text
    assert "reason 12" not in text
    assert "and 3 more" in text
