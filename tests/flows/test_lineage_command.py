"""`benison lineage` on versions that the client made, in this process."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.cli import main

Run = Callable[..., tuple[int, str, str]]
MARKUP = "[bold]<b>taxi</b>[/x]"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A platform home with two versions; the second began with the first."""
    from mlproject.registry.names import BASE_TAG, BLESSING_TAG, SOURCE_URI_TAG
    from mlproject.settings import read_settings
    from mlproject.tracking import connect

    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENISON_HOME", str(home))
        for name in ("MLFLOW_TRACKING_URI", "BENISON_PIPELINE_ROOT"):
            patch.delenv(name, raising=False)
        client = connect(read_settings())
        run = client.create_run(client.create_experiment("taxi"), run_name=MARKUP)
        client.set_terminated(run.info.run_id)
        client.create_registered_model("taxi")
        uri = {SOURCE_URI_TAG: '{"train": "gs://bucket/march.csv"}'}
        client.create_model_version("taxi", "file:///none", run.info.run_id, tags=uri)
        tags = {BASE_TAG: "1", BLESSING_TAG: "BLESSED"}
        client.create_model_version("taxi", "file:///none", run.info.run_id, tags=tags)
        client.set_registered_model_alias("taxi", "champion", "2")
        yield home


@pytest.fixture
def run(desk: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `benison lineage`: the exit code, and what it printed on both streams."""

    def call(*words: str) -> tuple[int, str, str]:
        code = main(["lineage", *words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.mark.parametrize("model", ["taxi", "taxi@champion", "taxi/2"])
def test_the_tree_is_printed_on_whole_lines(model: str, run: Run) -> None:
    code, out, _ = run(model)
    assert code == 0
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].startswith("taxi/2  aliases champion; blessing BLESSED; made 20")
    assert any(line.startswith("├── parent model  taxi/1") for line in lines)
    assert "│   └── data train: march.csv  uri gs://bucket/march.csv" in lines
    assert any(MARKUP in line for line in lines)


def test_what_came_from_data_is_printed(run: Run) -> None:
    code, out, _ = run("--downstream", "gs://bucket/march.csv")
    assert code == 0
    assert [line.rstrip() for line in out.splitlines()] == [
        "gs://bucket/march.csv",
        "├── trained on it (1)",
        "│   └── taxi/1",
        "└── warm start: began with such a version's weights (1)",
        "    └── taxi/2  from taxi/1  aliases champion; blessing BLESSED",
    ]


def test_json_is_the_graph(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    code, out, _ = run("taxi", "--json", "--out", str(file))
    assert code == 0
    graph = json.loads(out)
    assert graph == json.loads(file.read_text(encoding="utf-8"))
    assert graph["root"] == "taxi/2"
    assert {node["kind"] for node in graph["nodes"]} == {
        "model version",
        "data",
        "parent model",
        "pipeline run",
    }
    keys = {node["key"] for node in graph["nodes"]}
    assert {edge[end] for edge in graph["edges"] for end in ("source", "target")} <= keys


def test_the_graph_is_written_as_svg_and_as_a_page(run: Run, tmp_path: Path) -> None:
    for name in ("graph.svg", "graph.HTML"):
        file = tmp_path / name
        code, out, _ = run("taxi/2", "--out", str(file))
        assert code == 0
        assert out.splitlines()[-1].strip() == str(file)
        text = file.read_text(encoding="utf-8")
        assert "<b>taxi" not in text
        assert "&lt;b&gt;taxi" in text
    ET.parse(tmp_path / "graph.svg")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--downstream with a URI"),
        (["taxi", "--downstream", "x.csv"], 2, "both a model and --downstream"),
        (["--downstream", ""], 2, "MODEL/VERSION"),
        (["taxi", "--out", "graph.png"], 2, "ending in .svg, .html or .json"),
        (["taxi", "--out", "/no/such/folder/graph.svg"], 1, "a folder that exists"),
        (["taxis"], 1, "did you mean 'taxi'?"),
        (["taxi/9"], 1, "one of 1, 2"),
        (["taxi@champions"], 1, "did you mean 'champion'?"),
        (["taxi/2/3"], 1, "MODEL/version"),
        (["--downstream", "taxis/1"], 1, "did you mean 'taxi'?"),
    ],
)
def test_bad_input_is_one_clear_line(words: list[str], code: int, said: str, run: Run) -> None:
    got, out, err = run(*words)
    assert (got, out) == (code, "")
    assert err.startswith("benison lineage: ")
    assert said in err.splitlines()[0]


def test_mlflow_that_is_down_is_one_clear_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, out, err = run("taxi", "--json")
    assert code == 1
    assert "does not answer" in json.loads(out)["error"]
    assert "The MLflow server does not answer" in err
