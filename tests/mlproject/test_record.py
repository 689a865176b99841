"""The record of a step: written with its artifact, read when MLflow can take it."""

from __future__ import annotations

from pathlib import Path

from mlproject.record import FIGURES, RECORD, Dataset, Record, figures_folder


def test_a_record_reads_as_it_was_written(tmp_path: Path) -> None:
    record = Record(
        params={"seed": 42, "layers": [64, 32], "none": None, "text": "é"},
        metrics={"auc": 0.91},
        curves={"loss": [0.5, 0.25]},
        tags={"blessing": "BLESSED"},
        datasets=(Dataset("taxi-train", "file:///x", "abc", 7, "train", {"fare": "float"}),),
        tables={"slices.json": [{"slice": "overall", "auc": 0.91}, {"slice": "a=b", "auc": None}]},
    )
    record.write(tmp_path)
    assert Record.read(tmp_path) == record


def test_a_record_of_nothing_reads_as_nothing(tmp_path: Path) -> None:
    Record().write(tmp_path)
    assert Record.read(tmp_path) == Record()


def test_an_artifact_without_a_record_has_an_empty_one(tmp_path: Path) -> None:
    assert Record.read(tmp_path) == Record()
    assert not (tmp_path / RECORD).exists()


def test_metrics_that_are_no_numbers_survive(tmp_path: Path) -> None:
    Record(metrics={"loss": float("inf")}, curves={"loss": [float("nan")]}).write(tmp_path)
    read = Record.read(tmp_path)
    assert read.metrics == {"loss": float("inf")}
    assert str(read.curves["loss"][0]) == "nan"


def test_the_folder_of_figures_is_made_once(tmp_path: Path) -> None:
    folder = figures_folder(tmp_path)
    (folder / "a.txt").write_text("")
    assert figures_folder(tmp_path) == folder == tmp_path / FIGURES
    assert (folder / "a.txt").exists()
