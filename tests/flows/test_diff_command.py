"""`benison diff` on registered versions, in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from mlproject.evaluation.files import write_differences, write_metrics
from mlproject.metrics import CANDIDATE, CHAMPION, OVERALL, Difference, MetricRow
from mlproject.registry.names import (
    BASELINE_TAG,
    BLESSING_TAG,
    CHAMPION_ALIAS,
    ROWS_TAG,
    STAGE_TAG,
)

SCHEMA = 'feature {{ name: "fare" type: FLOAT float_domain {{ max: {} }} }}'
ESCAPE = "\x1b[2Jgone"
Run = Callable[..., tuple[int, str, str]]


def metric(
    name: str, value: float, half: float, model: str = CANDIDATE, where: str = OVERALL
) -> MetricRow:
    return MetricRow(where, model, name, 500, value, value - half, value + half, half / 2)


def write_version(folder: Path, number: int) -> dict[str, str]:
    """The evidence of version 1 or 2, as the step `register` lays it down; its tags."""
    evidence = folder / "artifacts" / "evidence"
    (evidence / "code").mkdir(parents=True)
    config = {"name": "taxi", "training": {"seed": 42, "hyperparameters": {"epochs": 2 + number}}}
    (evidence / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (evidence / "schema.pbtxt").write_text(SCHEMA.format(100 * number), encoding="utf-8")
    (evidence / "project.yaml").write_text("name: taxi\n", encoding="utf-8")
    (evidence / "code" / "taxi.py").write_text(f"# {ESCAPE}\nunits = {number}\n", encoding="utf-8")
    rows = [metric("auc", 0.80 + 0.05 * number, 0.01), metric("mae", 3.0 + number, 0.1)]
    tags = {BLESSING_TAG: "BLESSED", STAGE_TAG: "archived", ROWS_TAG: '{"eval": 500, "train": 900}'}
    if number == 2:
        tags |= {BASELINE_TAG: "1", STAGE_TAG: "production"}
        rows += [metric("auc", 0.84, 0.01, CHAMPION), metric("mae", 4.0, 0.1, CHAMPION)]
        for model, value in ((CANDIDATE, 0.71), (CHAMPION, 0.70)):
            rows.append(metric("auc", value, 0.2, model, "way=Cash"))
        differences = [
            Difference(OVERALL, "auc", 500, 0.06, 0.04, 0.08, 0.01),
            Difference(OVERALL, "mae", 500, 1.0, 0.8, 1.2, 0.1),
            Difference("way=Cash", "auc", 500, 0.01, -0.1, 0.12, 0.06),
        ]
        write_differences(differences, evidence)
    write_metrics(rows, evidence)
    return tags


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """taxi/1, taxi/2 (the champion), taxi/3 whose artifacts are gone, and digits/1 of others."""
    from mlproject.settings import read_settings
    from mlproject.tracking import connect

    folder = tmp_path_factory.mktemp("desk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENISON_HOME", str(folder / "home"))
        for name in ("MLFLOW_TRACKING_URI", "BENISON_PIPELINE_ROOT"):
            patch.delenv(name, raising=False)
        client = connect(read_settings())
        client.create_registered_model("taxi")
        for number in (1, 2):
            tags = write_version(folder / str(number), number)
            client.create_model_version("taxi", (folder / str(number)).as_uri(), tags=tags)
        client.set_registered_model_alias("taxi", CHAMPION_ALIAS, "2")
        client.create_model_version("taxi", (folder / "gone").as_uri())
        (folder / "other").mkdir()
        (folder / "other" / "MLmodel").write_text("flavors: {}\n", encoding="utf-8")
        client.create_registered_model("digits")
        client.create_model_version("digits", (folder / "other").as_uri())
        yield folder


@pytest.fixture
def run(desk: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["diff", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_what_differs_is_printed_section_by_section(run: Run) -> None:
    code, out, _ = run("taxi/1", "taxi@champion")
    assert code == 5
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "taxi/1 -> taxi/2: they differ"
    assert "stage archived -> production" in lines
    assert "Parameters 1 of 4 differ" not in out
    assert "training.hyperparameters.epochs 3 -> 4" in lines
    assert "fare float max 100 -> 200 (widened)" in lines
    assert "both measured on the eval rows of taxi/2, row against row" in lines
    better, worse = (next(w for w in lines if f"overall {m}" in w) for m in ("auc", "mae"))
    assert better.endswith("+0.0600 [+0.0400, +0.0800] better")
    assert worse.endswith("+1.0000 [+0.8000, +1.2000] worse")
    assert "and within noise, on slices: 1; --all shows them" in lines
    assert "-units = 1" in lines
    assert "+units = 2" in lines
    assert "training.seed" not in out
    assert "taxi/1: statistics not recorded" in lines


def test_all_shows_what_is_the_same_and_what_is_within_noise(run: Run) -> None:
    code, out, _ = run("taxi/1", "taxi/2", "--all")
    assert code == 5
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "training.seed 42" in lines
    assert "rows.train 900" in lines
    assert any("way=Cash auc" in line and line.endswith("within noise") for line in lines)
    assert "project.yaml unchanged" in lines


def test_a_version_is_the_same_as_itself(run: Run) -> None:
    code, out, _ = run("taxi", "taxi/2")
    assert code == 0
    assert "taxi/2 -> taxi/2: nothing that is recorded differs" in out


def test_no_control_character_of_the_evidence_reaches_the_terminal(run: Run) -> None:
    _, out, _ = run("taxi/1", "taxi/2", "--all")
    assert "gone" in out
    assert "\x1b" not in out


def test_json_holds_the_same_and_nothing_else_is_printed(run: Run) -> None:
    code, out, _ = run("taxi/1", "taxi/2", "--json")
    told = json.loads(out)
    assert (code, told["verdict"], told["after"]) == (5, "different", "taxi/2")
    assert told["parameters"]["items"] == [
        {"name": "training.hyperparameters.epochs", "before": "3", "after": "4"}
    ]
    assert {shift["verdict"] for shift in told["metrics"]["items"]} == {
        "better",
        "worse",
        "within noise",
    }
    every = json.loads(run("taxi/1", "taxi/2", "--json", "--all")[1])
    assert len(every["parameters"]["items"]) == 3


def test_a_page_is_written(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    code, out, _ = run("taxi/1", "taxi/2", "--out", str(page))
    assert (code, out.splitlines()[-1]) == (5, f"Written  {page}")
    assert "training.hyperparameters.epochs" in page.read_text(encoding="utf-8")


def test_versions_of_two_models_one_registered_by_others(run: Run) -> None:
    code, out, _ = run("digits/1", "taxi/1")
    assert code == 5
    for what in ("config.json", "schema.pbtxt", "metrics.parquet", "code", "data"):
        assert f"digits/1: {what} not recorded" in out


@pytest.mark.parametrize(
    ("references", "told"),
    [
        (("taxy/1", "taxi/2"), "did you mean 'taxi'?"),
        (("taxi/1", "taxi/9"), "one of 1, 2, 3"),
        (("taxi/1", "taxi@champoin"), "did you mean 'champion'?"),
        (("taxi/1", "taxi/one"), "MODEL, MODEL@alias or MODEL/version"),
        (("taxi/1", "taxi/3"), "The artifacts of version 3 of 'taxi' are gone"),
    ],
)
def test_what_cannot_be_found_is_one_clear_line(
    run: Run, references: tuple[str, str], told: str
) -> None:
    code, out, err = run(*references)
    assert (code, out) == (1, "")
    assert told in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [("diff.pdf", 2, "a file ending in .html"), ("none/diff.html", 1, "a folder that exists")],
)
def test_a_page_that_cannot_be_written_is_refused(
    run: Run, tmp_path: Path, name: str, code: int, told: str
) -> None:
    got, _, err = run("taxi/1", "taxi/2", "--out", str(tmp_path / name))
    assert got == code
    assert told in err


def test_damaged_evidence_is_told_and_the_rest_compared(run: Run, desk: Path) -> None:
    file = desk / "1" / "artifacts" / "evidence" / "metrics.parquet"
    aside = file.with_suffix(".aside")
    config = file.with_name("config.json")
    kept: dict[str, Any] = {"config": config.read_bytes()}
    shutil.move(file, aside)
    try:
        config.write_text("{", encoding="utf-8")
        code, out, _ = run("taxi/1", "taxi/2")
    finally:
        shutil.move(aside, file)
        config.write_bytes(kept["config"])
    assert code == 5
    assert "taxi/1: config.json cannot be read" in out
    assert "max 100 -> 200" in out
