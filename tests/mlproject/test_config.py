"""project.yaml: what is taken, what is refused, and how the refusal reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from flows.cli import main
from mlproject import config_docs
from mlproject.config import load_project, parse_config
from mlproject.errors import ConfigError, PlatformError

ROOT = Path(__file__).parents[2]
MODULE = "def preprocessing_fn(inputs):\n    return inputs\n\ndef run_fn(fn_args):\n    pass\n"


def values(**changes: Any) -> dict[str, Any]:
    """A valid project.yaml; `a__b=1` sets the key `b` of the section `a`, `...` removes a key."""
    result: dict[str, Any] = {
        "name": "taxi",
        "module": "taxi.py",
        "data": {"path": "trips.csv"},
        "training": {"label": "big_tipper"},
    }
    for name, value in changes.items():
        *sections, key = name.split("__")
        target = result
        for section in sections:
            target = target.setdefault(section, {})
        if value is ...:
            del target[key]
        else:
            target[key] = value
    return result


def make_project(folder: Path, text: str | None = None, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "project.yaml").write_text(
        yaml.safe_dump(values(**changes)) if text is None else text
    )
    (folder / "taxi.py").write_text(MODULE)
    (folder / "trips.csv").write_text("tips,fare\n1,2\n")
    return folder


def bounds(**changes: Any) -> dict[str, Any]:
    return {"value_thresholds": {"auc": {"min": 0.9, **changes}}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-3", 0.003),
        ("1.5e3", 1500.0),
        ("-2E+4", -20_000.0),
        (".5e1", 5.0),
        ("1e", "1e"),
        ("e3", "e3"),
        ("'3e-3'", "3e-3"),
        ("1e3x", "1e3x"),
    ],
)
def test_numbers_are_read_as_yaml_1_2_does(text: str, value: float | str) -> None:
    found = parse_config(
        "{name: taxi, module: taxi.py, data: {path: a.csv}, "
        f"training: {{label: tip, hyperparameters: {{rate: {text}, many: [{text}]}}}}}}",
        "project.yaml",
    ).training.hyperparameters
    assert found == {"rate": value, "many": [value]}
    assert type(found["rate"]) is type(value)


VALID: dict[str, dict[str, Any]] = {
    "the least": {},
    "split paths": {"data": {"split_paths": {"train": "a.csv", "eval": "b.csv", "test": "c.csv"}}},
    "more splits": {"data__splits": {"train": 8, "eval": 1, "test": 1}},
    "a tab": {"data__delimiter": "\t"},
    "column types": {"data__column_types": {"zip": "string"}},
    "a policy": {"validation": {"default": "warn", "policy": {"SCHEMA_NEW_COLUMN": "block"}}},
    "hyperparameters": {"training__hyperparameters": {"a": 1, "b": [1, 2], "c": "x", "d": True}},
    "a bound on a slice": {"evaluation": {"slices": ["pay"], **bounds(slices=["pay=Cash"])}},
    "a bound on a column": {"evaluation": {"slices": ["pay"], **bounds(slices=["pay=*"])}},
    "a value with '='": {"evaluation": {"slices": ["pay"], **bounds(slices=["pay=a=b"])}},
    "a value with ','": {"evaluation": {"slices": ["pay"], **bounds(slices=["pay=[5, 10)"])}},
    "a cross in another order": {
        "evaluation": {"slices": ["pay,day"], **bounds(slices=["day=[5, 10),pay=*"])}
    },
    "a bound below 0": {"evaluation": {"change_thresholds": {"auc": {"max_loss": -0.01}}}},
    "a sample": {"serving": {"sample": {"a": 1, "b": None, "c": "x", "d": 0.5, "e": True}}},
    "lists in the sample": {"serving": {"sample": {"a": [1, 2.5], "b": ["x", {"b64": "YQ=="}]}}},
    "bytes in the sample": {"serving": {"sample": {"a": {"b64": "/wA="}}}},
}

INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "unknown section": ({"evalution": {}}, "unknown key 'evalution' (did you mean 'evaluation')"),
    "unknown key of data": ({"data__pth": "x"}, "unknown key 'data.pth' (did you mean 'path')"),
    "unknown key of schema": ({"schema": {"pat": "x"}}, "'schema.pat' (did you mean 'path')"),
    "unknown key of validation": (
        {"validation": {"defualt": "warn"}},
        "'validation.defualt' (did you mean 'default')",
    ),
    "unknown key of training": ({"training__sed": 1}, "'training.sed' (did you mean 'seed')"),
    "unknown key of evaluation": (
        {"evaluation": {"slice": []}},
        "'evaluation.slice' (did you mean 'slices')",
    ),
    "unknown key of a value threshold": (
        {"evaluation": {"value_thresholds": {"auc": {"mim": 1}}}},
        "unknown key 'evaluation.value_thresholds.auc.0.mim' (did you mean 'min')",
    ),
    "unknown key of a change threshold": (
        {"evaluation": {"change_thresholds": {"auc": {"maxloss": 1, "max_loss": 1}}}},
        "unknown key 'evaluation.change_thresholds.auc.0.maxloss' (did you mean 'max_loss')",
    ),
    "unknown key of serving": (
        {"serving": {"smaple": {}}},
        "'serving.smaple' (did you mean 'sample')",
    ),
    "a key like no other": (
        {"zzzzzz": 1},
        "unknown key 'zzzzzz' (one of data, deployment, description",
    ),
    "no name": ({"name": ...}, "the key 'name' is missing"),
    "no data": ({"data": ...}, "the key 'data' is missing"),
    "no label": ({"training": {}}, "the key 'training.label' is missing"),
    "a name with a slash": ({"name": "a/b"}, "name: String should match pattern"),
    "a name with a line break": ({"name": "a\n"}, "name: String should match pattern"),
    "a text for a number": ({"training__seed": "many"}, "training.seed: Input should be a valid"),
    "a number below its bound": ({"training__seed": -1}, "training.seed: Input should be greater"),
    "a text for a list": ({"evaluation": {"slices": "pay"}}, "evaluation.slices: Input should be"),
    "a text for a section": ({"data": "trips.csv"}, "data: Input should be"),
    "nothing for a section": ({"evaluation": None}, "evaluation: Input should be"),
    "an unknown policy": (
        {"validation": {"default": "stop"}},
        "validation.default: Input should",
    ),
    "an unknown type": ({"data__column_types": {"a": "date"}}, "data.column_types.a: Input should"),
    "a long delimiter": ({"data__delimiter": "::"}, "data.delimiter: String should have at most 1"),
    "a share of nothing": ({"data__splits": {"train": 1, "eval": 0}}, "data.splits.eval: Input"),
    "an endless share": (
        {"data__splits": {"train": float("inf"), "eval": 1}},
        "data.splits.train: Input should be a finite number",
    ),
    "no source": ({"data": {}}, "data: give one of 'path', 'split_paths'"),
    "two sources": (
        {"data__split_paths": {"train": "a", "eval": "b"}},
        "data: give one of 'path', 'split_paths'",
    ),
    "no eval split": ({"data": {"split_paths": {"train": "a"}}}, "missing: ['eval']"),
    "no train share": ({"data__splits": {"eval": 1}}, "missing: ['train']"),
    "a split that is a path": (
        {"data__splits": {"train": 1, "eval": 1, "../x": 1}},
        "split name '../x' must be letters, digits and underscores",
    ),
    "an unknown metric": (
        {"evaluation": {"value_thresholds": {"acu": {"min": 1}}}},
        "unknown metric 'acu' of a binary task: did you mean 'auc'?",
    ),
    "an unknown metric of change": (
        {"evaluation": {"change_thresholds": {"r2": {"max_loss": 1}}}},
        "evaluation.change_thresholds: unknown metric 'r2' of a binary task",
    ),
    "a threshold without a bound": (
        {"evaluation": {"value_thresholds": {"auc": {}}}},
        "evaluation.value_thresholds.auc.0: give 'min', 'max' or both",
    ),
    "a bound that is not a number": (
        {"evaluation": bounds(min=float("nan"))},
        "evaluation.value_thresholds.auc.0.min: Input should be a finite number",
    ),
    "a loss without an end": (
        {"evaluation": {"change_thresholds": {"auc": {"max_loss": float("inf")}}}},
        "max_loss: Input should be a finite number",
    ),
    "a slice that is not measured": (
        {"evaluation": {"slices": ["pay"], **bounds(slices=["company=*"])}},
        "slice 'company=*' is not measured",
    ),
    "a slice without a value": (
        {"evaluation": {"slices": ["pay"], **bounds(slices=["pay"])}},
        "slice 'pay' is not measured; write COLUMN=VALUE or COLUMN=*",
    ),
    "slices without columns": ({"evaluation": bounds(slices=["pay=x"])}, "(there are none)"),
    "a list of lists in the sample": (
        {"serving": {"sample": {"a": [[1]]}}},
        "serving.sample: 'a' is neither text, a finite number",
    ),
    "a missing value in a list of the sample": (
        {"serving": {"sample": {"a": [1, None]}}},
        "serving.sample: the list 'a' has a missing value",
    ),
    "no base64 in the sample": ({"serving": {"sample": {"a": {"b64": "a"}}}}, "bytes as {b64: "),
    "a number in the sample that is none": (
        {"serving": {"sample": {"a": float("nan")}}},
        "serving.sample: 'a' is neither",
    ),
    "a sample that no tag holds": (
        {"serving": {"sample": {"a": ["x" * 150_000]}}},
        "serving.sample: the row has 150,011 characters",
    ),
    "no slice at all": ({"evaluation": bounds(slices=[])}, "evaluation.value_thresholds.auc"),
}

BROKEN: dict[str, tuple[str, str]] = {
    "no YAML": ("name: [", "not valid YAML"),
    "two documents": ("a: 1\n---\nb: 2\n", "not valid YAML"),
    "an unknown tag": ("name: !!python/object/apply:os.system [echo]\n", "not valid YAML"),
    "a date that does not exist": ("name: 2024-13-45\n", "not valid YAML"),
    "nested without end": ("[" * 1000, "not valid YAML"),
    "a control character": ("name: \x01\n", "not valid YAML"),
    "half of a surrogate pair": ('name: "a\\ud800"\n', "a text that is no Unicode"),
    "a key that stands twice": ("name: a\nname: b\n", "the key 'name' stands twice"),
    "a section that stands twice": (
        yaml.safe_dump(values(evaluation=bounds())) + "evaluation: {}\n",
        "the key 'evaluation' stands twice",
    ),
    "an empty file": ("", "NoneType"),
    "a list": ("- a\n", "Received: list"),
    "a text": ("hello\n", "Received: str"),
    "a number for a key": (yaml.safe_dump(values()) + "1: 2\n", "1: Keys should be strings"),
    "a section within itself": (
        yaml.safe_dump(values()) + "serving: &a {sample: *a}\n",
        "serving.sample: 'sample' is neither",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID)
def test_a_valid_project_loads(tmp_path: Path, changes: dict[str, Any]) -> None:
    project = load_project(make_project(tmp_path / "p", **changes))
    assert project.config.name == "taxi"
    assert project.module_path == tmp_path / "p" / "taxi.py"


@pytest.mark.parametrize(("changes", "message"), INVALID.values(), ids=INVALID)
def test_an_invalid_project_is_refused_by_key(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(make_project(tmp_path / "p", **changes))
    assert message in str(caught.value)
    assert str(tmp_path / "p" / "project.yaml") in str(caught.value)


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_is_no_project_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(make_project(tmp_path / "p", text=text))
    assert message in str(caught.value)


def test_every_fault_is_named_at_once() -> None:
    text = yaml.safe_dump(values(nam="x", name="a/b", training__seed=-1))
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "project.yaml")
    for part in ("'nam'", "name: String", "training.seed: "):
        assert part in str(caught.value)


def test_merge_keys_of_yaml_still_work() -> None:
    text = yaml.safe_dump(values()) + (
        "evaluation:\n  value_thresholds:\n"
        "    auc: &bound {min: 0.5, max: 0.9}\n    accuracy: {<<: *bound, min: 0.6}\n"
    )
    thresholds = parse_config(text, "project.yaml").evaluation.value_thresholds
    (bound,) = thresholds["accuracy"]
    assert (bound.min, bound.max) == (0.6, 0.9)


def test_the_configuration_cannot_be_changed_after_loading(tmp_path: Path) -> None:
    project = load_project(make_project(tmp_path / "p"))
    with pytest.raises(ValidationError, match="frozen"):
        project.config.training.seed = 7  # type: ignore[misc]


def test_the_defaults_are_the_documented_ones(tmp_path: Path) -> None:
    config = load_project(make_project(tmp_path / "p")).config
    assert config.data.splits == {"train": 2.0, "eval": 1.0}
    assert config.validation.default == "block"
    assert (config.training.seed, config.training.train_steps) == (42, None)
    assert config.evaluation.min_slice_examples == 100
    assert config.evaluation.value_thresholds == {}
    assert config.evaluation.change_thresholds == {}


def test_the_file_itself_may_be_named_instead_of_its_folder(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p")
    assert load_project(folder / "project.yaml") == load_project(folder)


@pytest.mark.parametrize("name", ["gone", "x" * 5000, "file.txt/x"])
def test_a_folder_that_is_not_there_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(ConfigError):
        load_project(tmp_path / name)


def test_a_file_that_is_not_utf8_is_a_configuration_error(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "p")
    (folder / "project.yaml").write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match="utf-8"):
        load_project(folder)


def test_paths_are_relative_to_the_project_and_absolute_ones_stay(tmp_path: Path) -> None:
    here = load_project(make_project(tmp_path / "p", schema={"path": "s.pbtxt"}))
    assert here.source_paths() == {None: str(tmp_path / "p" / "trips.csv")}
    assert here.schema_path == tmp_path / "p" / "s.pbtxt"
    there = load_project(make_project(tmp_path / "p", data__path="/data/*.csv"))
    assert there.source_paths() == {None: "/data/*.csv"}
    assert there.schema_path is None


def test_data_from_the_command_line_wins_and_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_project(tmp_path / "p", data__delimiter=";")
    monkeypatch.chdir(tmp_path)
    project = load_project(folder, ("new.csv",))
    assert project.source_paths() == {None: str(tmp_path / "new.csv")}
    assert project.config.data.delimiter == ";"
    project = load_project(folder, ("train=a.csv", "eval=/b=c.csv"))
    assert project.source_paths() == {"train": str(tmp_path / "a.csv"), "eval": "/b=c.csv"}
    project = load_project(folder, ("./day=1",))
    assert project.source_paths() == {None: str(tmp_path / "day=1")}


def test_data_from_the_command_line_can_join_what_project_yaml_splits(tmp_path: Path) -> None:
    split = make_project(tmp_path / "p", data={"split_paths": {"train": "a", "eval": "b"}})
    assert load_project(split, ("/all.csv",)).source_paths() == {None: "/all.csv"}


@pytest.mark.parametrize(
    "data",
    [
        ("a.csv", "b.csv"),
        ("train=a.csv", "b.csv"),
        ("train=a.csv", "train=b.csv", "eval=c.csv"),
        ("train=a.csv",),
        ("day=1",),
    ],
)
def test_data_from_the_command_line_that_is_no_source_is_refused(
    tmp_path: Path, data: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match="--data"):
        load_project(make_project(tmp_path / "p"), data)


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID)
def test_check_passes_a_valid_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any]
) -> None:
    folder = make_project(tmp_path / "p", **changes)
    for name in "abc":
        (folder / f"{name}.csv").write_text("tips,fare\n1,2\n")
    assert main(["check", str(folder)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("taxi: project.yaml, taxi.py and the data are in order\n")
    assert shown.err == ""


FAULTS = {name: yaml.safe_dump(values(**changes)) for name, (changes, _) in INVALID.items()}
FAULTS |= {name: text for name, (text, _) in BROKEN.items()}


@pytest.mark.parametrize("text", FAULTS.values(), ids=FAULTS)
def test_check_refuses_an_invalid_project_with_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    folder = make_project(tmp_path / "p", text=text)
    assert main(["check", str(folder)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"benison check: Reading {folder / 'project.yaml'} failed")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"module": "taxy.py"}, 2, "did you mean 'taxi.py'?"),
        ({"schema": {"path": "gone.pbtxt"}}, 2, "Reading the reviewed schema failed"),
        ({"schema": {"path": "taxi.py"}}, 2, "protobuf text format"),
        ({"validation": {"policy": {"SCHEMA_NEW_COLUM": "warn"}}}, 2, "'SCHEMA_NEW_COLUMN'?"),
        ({"data__path": "gone.csv"}, 1, "gone.csv"),
        ({"module": "project.yaml"}, 1, "Parsing the module file project.yaml failed"),
    ],
)
def test_check_refuses_a_project_whose_files_are_not_in_order(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    code: int,
    message: str,
) -> None:
    assert main(["check", str(make_project(tmp_path / "p", **changes))]) == code
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_check_of_the_example_is_light() -> None:
    code = (
        "import sys, time; from flows.cli import main\n"
        "code = main(['check', 'examples/taxi', *sys.argv[1:]])\n"
        "heavy = {'tensorflow', 'mlflow', 'prefect', 'pandas', 'apache_beam'} & set(sys.modules)\n"
        "print('heavy', sorted(heavy), time.process_time() < 2); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "trips.csv" in done.stderr:
        pytest.skip("needs the taxi data: `make examples/taxi/data/trips.csv`")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy [] True"


def test_the_reference_of_project_yaml_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert config_docs.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_reference_is_told_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config_docs, "DOCUMENT", tmp_path / "project-yaml.md")
    assert config_docs.main(["--check"]) == 1
    assert "is stale: run `python -m mlproject.config_docs`" in capsys.readouterr().err
    assert config_docs.main([]) == 0
    assert config_docs.main(["--check"]) == 0
    for key in ("split_paths", "max_loss", "min_slice_examples", "training_only"):
        assert f"| `{key}` |" in (tmp_path / "project-yaml.md").read_text()


def test_every_error_of_the_configuration_can_be_acted_on(tmp_path: Path) -> None:
    for index, text in enumerate(FAULTS.values()):
        with pytest.raises(PlatformError) as caught:
            load_project(make_project(tmp_path / str(index), text=text))
        assert caught.value.received
        assert caught.value.expected or caught.value.next_step
