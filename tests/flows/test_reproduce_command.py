"""`benison reproduce`: its options, and what it prints of each verdict."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest

from flows import reproduce_command
from flows.reproduce_command import summary
from mlproject.errors import ConfigError
from mlproject.reproduction.values import ArrayGap, Comparison, MetricGap, Reproduction, Verdict

EQUAL = Comparison(846, (), ArrayGap(5032, 0, 0.0), ArrayGap(8, 0, 0.0))


def outcome(verdict: Verdict, comparison: Comparison | None, *reasons: str) -> Reproduction:
    return Reproduction("taxi", 7, verdict, 1e-4, comparison, reasons, 48.1, "run", "http://x")


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    reproduce_command.add_parser(parser.add_subparsers(dest="command"))
    return parser.parse_args(["reproduce", *words])


@pytest.mark.parametrize("tolerance", ["-1", "nan", "inf"])
def test_a_tolerance_that_is_none_is_refused_before_anything_is_opened(
    tolerance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENISON_HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match="--tolerance"):
        reproduce_command.reproduce(parse("taxi/7", f"--tolerance={tolerance}"))
    assert not (tmp_path / "home").exists()


def test_identical_says_how_much_was_compared() -> None:
    assert summary(outcome("identical", EQUAL)) == [
        "taxi/7 again: identical",
        "  metrics      846 of 846 equal",
        "  predictions  5,032 of 5,032 equal",
        "  weights      8 of 8 equal",
        "Seconds  48.1",
        "MLflow   http://x",
    ]


def test_identical_elsewhere_does_not_say_that_it_may_differ() -> None:
    text = "\n".join(summary(outcome("identical", EQUAL, "processor cores: 2 then, 8 now")))
    assert "All the same, not everything is as it was:\n  - processor cores" in text
    assert "may differ" not in text


def test_a_difference_names_the_widest_gaps_and_why_it_may_be() -> None:
    gaps = [MetricGap(f"hour={n}", "auc", 0.9, 0.8, 0.1, "value") for n in range(8)]
    gaps = [MetricGap("overall", "own", None, 1.0, math.inf, "missing"), *gaps]
    apart = Comparison(9, tuple(gaps), ArrayGap(10, 4, 0.25), ArrayGap(3, 3, math.inf, "2 names"))
    lines = summary(outcome("different", apart, "the module file is x.py"))
    assert lines[1:4] == [
        "  metrics      1 of 9 equal",
        "  predictions  6 of 10 equal, largest difference 0.25",
        "  weights      not compared: 2 names",
    ]
    assert lines[4] == "    own of overall: not judged then, 1 now"
    assert "    and 1 more" in lines
    assert lines[lines.index("Why it may differ:") + 1] == "  - the module file is x.py"


def test_a_tolerance_is_named_where_it_decided() -> None:
    near = Comparison(1, (), ArrayGap(10, 1, 1e-6), ArrayGap(1, 1, 1e-7))
    assert summary(outcome("within tolerance", near))[0] == (
        "taxi/7 again: within tolerance of 0.0001"
    )


def test_what_could_not_be_judged_says_why() -> None:
    lines = summary(outcome("could not judge", None, "the data is blocked: fare has a NaN"))
    assert lines[:3] == [
        "taxi/7 again: could not judge",
        "Why:",
        "  - the data is blocked: fare has a NaN",
    ]
