"""`benison schema` and `benison data bad-rows` on a small project, in this process."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows import bad_rows_command, schema_command
from mlproject.errors import BusyError, ConfigError, DataError
from mlproject.schema import parse_schema

PROJECT = """
name: taxi
module: taxi.py
data: {path: trips.csv}
schema: {training_only: [tips]%s}
training: {label: y}
"""
MODULE = """
def preprocessing_fn(inputs):
    return inputs

def run_fn(fn_args):
    return None
"""
HEADER = "hour,fare,payment,tips"
REVIEWED = """\
# Reviewed by Ada.
feature {  # of the day
  name: "hour" type: INT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  int_domain { min: 0 max: 23 }
}
# dollars
feature {
  name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  float_domain { min: 0 max: 100 }
}
feature {
  name: "payment" type: BYTES presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
  domain: "payment"
}
feature {
  name: "tips" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } }
}
string_domain { name: "payment" value: "Card" value: "Cash" value: "Voucher" }
"""


def rows(count: int = 60) -> list[str]:
    """Trips that obey the reviewed schema."""
    ways = ("Cash", "Card")
    return [f"{i % 24},{i}.5,{ways[i % 2]},{i % 3}.25" for i in range(count)]


@dataclass
class Desk:
    """A project, and the commands at work on it."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def schema(self) -> Path:
        return self.folder / "schema.pbtxt"

    def write(self, lines: list[str], header: str = HEADER) -> None:
        (self.folder / "trips.csv").write_text("\n".join([header, *lines]) + "\n")

    def review(self, text: str = REVIEWED, named: bool = True) -> None:
        self.schema.write_text(text)
        path = ", path: schema.pbtxt" if named else ""
        (self.folder / "project.yaml").write_text(PROJECT % path)

    def run(self, group: str, *words: str) -> tuple[int, str]:
        """The exit code, and what was printed."""
        parser = argparse.ArgumentParser()
        groups = parser.add_subparsers(required=True)
        schema_command.add_parser(groups)
        data = groups.add_parser("data").add_subparsers(required=True)
        bad_rows_command.add_leaf(data)
        command, *rest = words
        args = parser.parse_args([group, command, str(self.folder), *rest])
        self.capsys.readouterr()
        try:
            code = args.run(args)
        finally:
            self.printed = self.capsys.readouterr().out
        return code, self.printed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One home for all: making MLflow's tables takes seconds."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def desk(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Desk:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BENISON_HOME", str(home))
    monkeypatch.setenv("BENISON_PIPELINE_ROOT", str(tmp_path / "pipeline"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "taxi.py").write_text(MODULE)
    (folder / "project.yaml").write_text(PROJECT % "")
    desk = Desk(folder, capsys)
    desk.write(rows())
    return desk


def test_a_first_schema_is_inferred_shown_and_the_same_as_the_data(desk: Desk) -> None:
    code, out = desk.run("schema", "infer", "--drift", "0.1", "--skew", "0.2")
    assert code == 0
    assert out == (
        f"Written  {desk.schema}; no run reads it before project.yaml says "
        "`schema: {path: schema.pbtxt}`\n"
    )
    schema = parse_schema(desk.schema.read_text(), "here")
    assert [feature.name for feature in schema.feature] == HEADER.split(",")
    code, out = desk.run("schema", "show")
    lines = [line.split() for line in out.splitlines()]
    heads = "feature type presence values environments drift skew domain"
    assert " ".join(lines[0]) == heads
    assert lines[2] == ["fare", "float", "1.0", "[1]", "all", "js", "0.1", "js", "0.2", "-"]
    assert out.splitlines()[3].endswith("linf 0.1  linf 0.2  'payment', 2 values: Card, Cash")
    assert lines[4] == [
        "tips",
        "float",
        "1.0",
        "[1]",
        "not",
        "in",
        "SERVING",
        "js",
        "0.1",
        "-",
        "-",
    ]
    assert desk.run("schema", "diff") == (0, f"No difference to {desk.schema}\n")
    before = desk.schema.read_text()
    assert desk.run("schema", "accept", "--accept") == (0, f"No difference to {desk.schema}\n")
    assert desk.schema.read_text() == before


def test_a_schema_that_project_yaml_names_before_it_is_there_is_inferred(desk: Desk) -> None:
    desk.review()
    desk.schema.unlink()
    assert desk.run("schema", "infer") == (0, f"Written  {desk.schema}\n")
    assert desk.run("schema", "diff")[0] == 0


def test_data_that_breaks_the_schema_differs_with_an_exit_code_of_its_own(desk: Desk) -> None:
    desk.review()
    assert desk.run("schema", "diff")[0] == 0
    desk.write([*rows(), "24,250,Barter,1", "3,2,,1"])
    code, out = desk.run("schema", "diff")
    assert code == 5
    assert out.splitlines() == [
        "hour     int    max 23 -> 24 (widened)",
        "fare     float  max 100 -> 250 (widened)",
        "payment  bytes  presence 1.0 -> 0.97 (widened)",
        "payment  bytes  values a row [1] -> 1..1 (widened)",
        "payment  bytes  domain +1 value: Barter (widened)",
    ]
    assert desk.schema.read_text() == REVIEWED


def test_a_wider_schema_wants_consent_for_all_or_by_name(desk: Desk) -> None:
    desk.review()
    desk.write([*rows(), "24,250,Barter,1"])
    with pytest.raises(ConfigError, match="3 such changes, of hour, fare, payment"):
        desk.run("schema", "accept")
    assert "max 100 -> 250 (widened)" in desk.printed
    assert desk.schema.read_text() == REVIEWED
    code, out = desk.run("schema", "accept", "fare")
    assert (code, out) == (
        0,
        f"fare  float  max 100 -> 250 (widened)\nWritten  {desk.schema}\n",
    )
    text = desk.schema.read_text()
    assert text.startswith("# Reviewed by Ada.\nfeature {  # of the day\n")
    assert "# dollars\nfeature {" in text
    with pytest.raises(ConfigError, match="of hour, payment"):
        desk.run("schema", "accept")
    assert desk.run("schema", "accept", "--accept")[0] == 0
    assert desk.run("schema", "diff")[0] == 0


def test_a_narrower_schema_passes_without_consent(desk: Desk) -> None:
    desk.review()
    code, out = desk.run("schema", "accept", "--tighten")
    assert code == 0
    assert out.splitlines() == [
        "fare     float  min 0 -> 0.5 (narrowed)",
        "fare     float  max 100 -> 59.5 (narrowed)",
        "payment  bytes  domain -1 value: Voucher (narrowed)",
        f"Written  {desk.schema}",
    ]
    assert desk.run("schema", "diff")[0] == 0


def test_a_reviewed_schema_is_not_inferred_anew_without_consent(desk: Desk) -> None:
    desk.review()
    with pytest.raises(ConfigError, match="--accept"):
        desk.run("schema", "infer")
    assert "hour     int    domain ints (0..23) -> none (widened)" in desk.printed
    assert desk.schema.read_text() == REVIEWED
    assert desk.run("schema", "infer", "--accept")[0] == 0
    assert desk.schema.read_text().startswith("# Reviewed by Ada.\n")
    assert desk.run("schema", "infer") == (0, f"No difference to {desk.schema}\n")


def test_a_type_that_the_data_does_not_have_any_more_is_a_difference(desk: Desk) -> None:
    """The pipeline cannot read such data at all: the words are no numbers."""
    desk.review()
    desk.write([f"h{line}" for line in rows()])
    code, out = desk.run("schema", "diff")
    assert code == 5
    assert out.splitlines()[0] == "hour  bytes  type INT -> BYTES (changed)"
    assert desk.run("schema", "accept", "hour")[0] == 0
    assert desk.run("schema", "diff")[0] == 0


def test_data_that_cannot_be_read_at_all_is_an_error(desk: Desk) -> None:
    desk.review()
    desk.write(["1,2"])
    with pytest.raises(DataError, match="cells"):
        desk.run("schema", "diff")


def test_two_files_are_compared_without_data(desk: Desk, tmp_path: Path) -> None:
    desk.review()
    (desk.folder / "trips.csv").unlink()
    other = tmp_path / "other.pbtxt"
    other.write_text(REVIEWED.replace("max: 23", "max: 22"))
    code, out = desk.run("schema", "diff", "--against", str(other))
    assert (code, out) == (5, "hour  int  max 23 -> 22 (narrowed)\n")
    other.write_text(REVIEWED)
    assert desk.run("schema", "diff", "--against", str(other))[0] == 0
    with pytest.raises(ConfigError, match=r"none\.pbtxt"):
        desk.run("schema", "diff", "--against", str(tmp_path / "none.pbtxt"))


def test_rules_are_set_by_hand(desk: Desk) -> None:
    desk.review()
    code, out = desk.run("schema", "set", "fare", "max=250", "drift.js=0.1")
    assert (code, out.splitlines()) == (
        0,
        [
            "fare  float  max 100 -> 250 (widened)",
            "fare  float  drift.js none -> 0.1 (narrowed)",
            f"Written  {desk.schema}",
        ],
    )
    before = desk.schema.read_text()
    assert desk.run("schema", "set", "fare", "max=250") == (0, f"No difference to {desk.schema}\n")
    with pytest.raises(ConfigError, match="did you mean 'max'"):
        desk.run("schema", "set", "fare", "maxi=1")
    with pytest.raises(ConfigError, match="in SERVING"):
        desk.run("schema", "set", "tips", "skew.js=0.1")
    with pytest.raises(DataError, match="above max"):
        desk.run("schema", "set", "fare", "min=300")
    assert desk.schema.read_text() == before


def test_some_features_are_shown_whole(desk: Desk) -> None:
    desk.review()
    code, out = desk.run("schema", "show", "payment")
    assert code == 0
    assert out.splitlines() == [
        "feature       payment",
        "type          bytes",
        "presence      1.0",
        "values        [1]",
        "environments  all",
        "domain        'payment', 3 values: Card, Cash, Voucher",
        *(f"                {value}" for value in ("Card", "Cash", "Voucher")),
        "",
    ]
    with pytest.raises(ConfigError, match="did you mean 'payment'"):
        desk.run("schema", "show", "payments")


@pytest.mark.parametrize("command", ["show", "diff", "accept", "set"])
def test_a_project_without_a_reviewed_schema_is_told_how_to_make_one(
    desk: Desk, command: str
) -> None:
    more = ["fare", "max=1"] if command == "set" else []
    with pytest.raises(ConfigError, match="benison schema infer"):
        desk.run("schema", command, *more)


def test_a_schema_that_project_yaml_does_not_name_says_so(desk: Desk) -> None:
    desk.review(named=False)
    assert "no run reads it before project.yaml says" in desk.run("schema", "show")[1]
    assert desk.run("schema", "diff")[0] == 0


def test_another_run_on_the_pipeline_root_is_waited_for_by_a_person(
    desk: Desk, tmp_path: Path
) -> None:
    from mlproject.artifacts import ArtifactStore

    desk.review()
    with ArtifactStore(tmp_path / "pipeline").lock(), pytest.raises(BusyError):
        desk.run("schema", "diff")


def test_bad_rows_are_counted_and_copied(desk: Desk, home: Path, tmp_path: Path) -> None:
    desk.review()
    desk.write([*rows(), *(f"24,{250 + i},Barter,1" for i in range(9))])
    code, out = desk.run("data", "bad-rows", "--limit", "2")
    assert code == 0
    count = out.split("payment")[1].split()[0]
    assert out.splitlines()[0].split() == ["kind", "feature", "rows", "first", "value"]
    assert f"ENUM_TYPE_UNEXPECTED_STRING_VALUES  payment     {count}  Barter" in out
    assert f"INT_TYPE_BIG_INT                    hour        {count}  24" in out
    file = home / "bad-rows" / "taxi-train.parquet"
    assert out.splitlines()[-1].endswith(f"6 faults copied to {file}")
    assert pq.read_table(file).num_rows == 6
    copied = tmp_path / "mine.parquet"
    code, out = desk.run("data", "bad-rows", "--split", "eval", "--out", str(copied))
    assert code == 0
    assert int(count) + int(out.split("payment")[1].split()[0]) == 9
    assert set(pq.read_table(copied)["_split"].to_pylist()) == {"eval"}


def test_no_bad_row_is_said_and_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    desk.review()
    copied = tmp_path / "mine.parquet"
    code, out = desk.run("data", "bad-rows", "--out", str(copied))
    assert code == 0
    assert "breaks the schema" in out
    assert not copied.exists()


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["--split", "evla"], "did you mean 'eval'"), (["--limit", "0"], "above 0")],
)
def test_options_of_bad_rows_are_checked(desk: Desk, words: list[str], hint: str) -> None:
    desk.review()
    with pytest.raises(ConfigError, match=hint):
        desk.run("data", "bad-rows", *words)


@pytest.fixture
def parse() -> Callable[..., argparse.Namespace]:
    parser = argparse.ArgumentParser()
    schema_command.add_parser(parser.add_subparsers(required=True))
    return lambda *words: parser.parse_args(["schema", *words])


def test_every_command_has_its_function(parse: Callable[..., argparse.Namespace]) -> None:
    assert parse("infer", "p").run is schema_command.infer
    assert parse("show", "p").feature == []
    assert parse("diff", "p", "--data", "x", "--tighten").data == ["x"]
    assert parse("accept", "p", "a", "b").feature == ["a", "b"]
    assert parse("set", "p", "a", "max=1", "min=").rule == ["max=1", "min="]
