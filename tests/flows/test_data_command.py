"""`benison data profile` on a small project, in this process."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import data_command
from mlproject.errors import ConfigError, DataError

PROJECT = """
name: taxi
module: taxi.py
data: {path: "trips-{SPAN}.csv", window: 2}
schema: {training_only: [tips]}
statistics: {slices: [payment]}
training: {label: big_tip}
"""
MODULE = """
def preprocessing_fn(inputs):
    return inputs

def run_fn(fn_args):
    return None
"""


def write_span(folder: Path, span: int, rows: int, shift: float) -> None:
    ways = ("Cash", "Card", "<script>alert(1)</script>")
    lines = [f"{n % 24},{n % 37 + shift},{ways[n % 3]},{n % 5}.25" for n in range(rows)]
    text = "\n".join(["hour,fare,payment,tips", *lines]) + "\n"
    (folder / f"trips-{span}.csv").write_text(text, encoding="utf-8")


Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A project with two spans, and a platform home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("BENISON_HOME", str(home))
        for name in ("MLFLOW_TRACKING_URI", "BENISON_PIPELINE_ROOT"):
            patch.delenv(name, raising=False)
        folder = tmp_path_factory.mktemp("taxi")
        (folder / "project.yaml").write_text(PROJECT)
        (folder / "taxi.py").write_text(MODULE)
        write_span(folder, 4, 300, 0)
        write_span(folder, 5, 600, 20)
        yield folder, home


@pytest.fixture
def run(desk: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `data profile`: the exit code, and the page."""
    folder, _ = desk

    def call(*words: str) -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        data_command.add_parser(parser.add_subparsers(required=True))
        out = tmp_path / "page.html"
        args = parser.parse_args(["data", "profile", str(folder), "--out", str(out), *words])
        code = int(args.run(args))
        assert capsys.readouterr().out.splitlines()[0] == str(out)
        return code, out.read_text(encoding="utf-8")

    return call


def profile_runs(home: Path) -> list[Any]:
    from mlproject.settings import read_settings
    from mlproject.tracking import Tracker

    tracker = Tracker(read_settings({"BENISON_HOME": str(home)}, home), "taxi")
    runs = tracker.client.search_runs([tracker.experiment_id], "tags.mlflow.runName = 'profile'")
    return [(run, tracker.client.list_artifacts(run.info.run_id)) for run in runs]


def test_a_profile_is_written_and_logged_and_its_steps_are_kept(
    desk: tuple[Path, Path], run: Run
) -> None:
    _, home = desk
    before = len(profile_runs(home))
    code, page = run("--label", "payment")
    assert code == 0
    assert "<h1>taxi: eval</h1>" in page
    assert "<dt>spans</dt><dd>4, 5</dd>" in page
    assert "inferred from the statistics" in page
    assert "tells of payment" in page
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in page
    logged = profile_runs(home)
    assert len(logged) == before + 1
    newest, files = logged[0]
    assert newest.info.status == "FINISHED"
    assert newest.data.tags["benison.profile"] == "taxi: eval"
    assert [file.path for file in files] == ["profile.html"]
    run()
    assert len(list(home.rglob("artifact.json"))) == 2  # ingest and statistics, made once


def test_a_split_is_compared_with_another_and_with_a_span(run: Run) -> None:
    _, against_train = run("--against", "train")
    assert "<h1>taxi: eval against train</h1>" in against_train
    _, against_span = run("--split", "train", "--against", "span:4")
    assert "<h1>taxi: train against train, span 4</h1>" in against_span
    assert "Most different from train, span 4" in against_span


def test_the_projects_label_is_left_out_where_it_is_no_raw_column(run: Run) -> None:
    _, page = run()
    assert "&#x27;big_tip&#x27; is no raw column of the data" in page


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("--split", "evl"), ConfigError, r"'evl'.*did you mean 'eval'\?"),
        (("--against", "tran"), ConfigError, r"'tran'.*did you mean 'train'\?"),
        (("--against", "eval"), ConfigError, "nothing to compare"),
        (("--against", "span:9"), DataError, "span 9.*own: 4, 5"),
        (("--against", "span:x"), ConfigError, "span cannot be read"),
        (("--label", "tip"), ConfigError, r"column failed.*'tip'.*did you mean 'tips'\?"),
    ],
)
def test_what_is_not_there_is_named(
    run: Run, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(*words)


def test_a_profile_that_fails_fails_its_mlflow_run(desk: tuple[Path, Path], run: Run) -> None:
    _, home = desk
    run()
    for file in home.rglob("Split-eval/*.parquet"):
        shutil.copy(file, f"{file}.kept")
        file.write_bytes(b"no parquet")
    try:
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            run()
    finally:
        for kept in home.rglob("*.kept"):
            kept.rename(kept.with_suffix(""))
    assert profile_runs(home)[0][0].info.status == "FAILED"


def test_the_parser_adds_leaves_beside_the_profile() -> None:
    parser = argparse.ArgumentParser()
    data_command.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["data", "bad-rows", "taxi"])
    assert args.run.__name__ == "bad_rows"
