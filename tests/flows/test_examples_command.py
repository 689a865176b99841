"""`benison examples`: describe, head and export through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli import main

MODULE = """
def preprocessing_fn(inputs):
    return inputs


def run_fn(fn_args):
    return None
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENISON_HOME", str(tmp_path / "home"))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "project.yaml").write_text(
        "name: rides\nmodule: m.py\ndata: {path: 'day={YYYY}-{MM}-{DD}.csv', window: 2}\n"
        "training: {label: y}\n"
    )
    (folder / "m.py").write_text(MODULE)
    for day in (1, 2):
        rows = "\n".join(f"{i},c{i % 3}," for i in range(day * 100, day * 100 + 60))
        (folder / f"day=2026-03-0{day}.csv").write_text(f"id,city,none\n{rows}\n")
    return folder


def test_describe_tells_splits_spans_columns_and_digests(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examples", "describe", str(project), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["columns"] == {"id": "int", "city": "string", "none": "float"}
    assert told["spans"] == ["2026-03-01", "2026-03-02"]
    assert sum(split["rows"] for split in told["splits"].values()) == 120
    assert main(["examples", "describe", str(project)]) == 0
    text = capsys.readouterr().out
    assert "Spans     2026-03-01, 2026-03-02" in text
    assert "Split-" not in text.split("Columns")[1]


def test_head_prints_rows_and_marks_what_is_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examples", "head", str(project), "-n", "3", "--split", "eval"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "city", "none"]
    assert len(lines) == 4
    assert all(line.split()[2] == "-" for line in lines[1:])
    assert main(["examples", "head", str(project), "-n", "1", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"id", "city", "none"}


def test_export_writes_each_span_of_the_named_split(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = ["examples", "export", str(project), "--format", "parquet", "--out", str(out)]
    assert main([*argv, "--split", "train"]) == 0
    assert sorted(p.parent.parent.name for p in out.rglob("*.parquet")) == [
        "span-20513",
        "span-20514",
    ]
    assert {p.parent.name for p in out.rglob("*.parquet")} == {"Split-train"}
    assert main(argv) == 2
    assert "--replace" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["head", "--split", "evil"], "did you mean 'eval'"),
        (["head", "-n", "0"], "1 or more"),
        (["export", "--format", "parket", "--out", "x"], "did you mean 'parquet'"),
    ],
)
def test_a_wrong_word_is_a_usage_error(
    words: list[str], said: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examples", words[0], str(project), *words[1:]]) == 2
    assert said in capsys.readouterr().err
