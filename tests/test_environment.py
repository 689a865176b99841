"""The lock, the bounds, the environment files and MLproject say the same thing."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from mlflow.projects import load_project
from mlflow.projects._project_spec import Project
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from uv import find_uv_bin

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"
STEPS = (
    *("ingest", "statistics", "schema", "validate", "transform", "tune", "train"),
    *("evaluate", "infra_validate", "bless", "register", "export", "serve"),
)
NO_OVERRIDE = ["--override=false", "--reason="]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def lock_entries() -> Iterator[str]:
    """Each requirement of the lock with its hashes, continuation lines joined."""
    lines = [line for line in read("requirements.lock").splitlines() if "#" not in line[:5]]
    yield from filter(None, "\n".join(lines).replace("\\\n", " ").splitlines())


def installed_distributions() -> Iterable[importlib.metadata.Distribution]:
    """Those of the environment: setuptools, once imported, puts its own copies on sys.path."""
    places = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return importlib.metadata.distributions(path=sorted(places))


PROJECT = tomllib.loads(read("pyproject.toml"))
LOCKED = {
    canonicalize_name(name): version
    for name, version in (entry.split()[0].split("==") for entry in lock_entries())
}
DIRECT = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
OVERRIDES: list[str] = PROJECT["tool"]["uv"]["override-dependencies"]
EXTRAS = {
    extra: [Requirement(line) for line in lines]
    for extra, lines in PROJECT["project"]["optional-dependencies"].items()
}
OPTIONAL = [requirement for requirements in EXTRAS.values() for requirement in requirements]
OF_THE_SOURCE = [*DIRECT, *EXTRAS["bigquery"], *EXTRAS["dask"], *EXTRAS["kubernetes"]]


@pytest.mark.parametrize(
    "requirement", [*DIRECT, *OPTIONAL], ids=lambda requirement: requirement.name
)
def test_a_direct_dependency_is_locked_within_its_bounds(requirement: Requirement) -> None:
    locked = LOCKED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(locked, prereleases=True)


def test_what_the_source_imports_is_a_direct_or_an_optional_dependency() -> None:
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py"))
    imported: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    ours = {path.name for path in (ROOT / "src").iterdir()}
    providers = importlib.metadata.packages_distributions()
    direct = {canonicalize_name(requirement.name) for requirement in OF_THE_SOURCE}
    undeclared = {
        module
        for module in imported - ours - sys.stdlib_module_names
        if not direct.intersection(map(canonicalize_name, providers.get(module, [])))
    }
    assert undeclared == set()


def test_the_lock_keeps_the_constraints_of_the_reference_stack() -> None:
    constraints = map(Requirement, PROJECT["tool"]["uv"]["constraint-dependencies"])
    for constraint in constraints:
        assert constraint.specifier.contains(LOCKED[canonicalize_name(constraint.name)])


def test_the_lock_keeps_the_overrides() -> None:
    for override in map(Requirement, OVERRIDES):
        assert override.specifier.contains(LOCKED[canonicalize_name(override.name)])


def test_packages_disagree_about_overridden_packages_only() -> None:
    # Fewer disagreements than overrides: the override, and PIP_NO_DEPS=1 in docs and environment
    # files, can go.
    disputed = set()
    for distribution in installed_distributions():
        for asked in map(Requirement, distribution.requires or []):
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                locked = LOCKED.get(canonicalize_name(asked.name))
                if locked is None or not asked.specifier.contains(locked, prereleases=True):
                    disputed.add(canonicalize_name(asked.name))
    assert disputed == {canonicalize_name(Requirement(override).name) for override in OVERRIDES}


def test_uv_takes_the_lock_where_mlflow_run_installs_it(tmp_path: Path) -> None:
    # As mlflow.utils.virtualenv does it: links to the project's files, and a file of requirements.
    for path in ROOT.iterdir():
        (tmp_path / path.name).symlink_to(path)
    dependencies = yaml.safe_load(read("python_env.yaml"))["dependencies"]
    (tmp_path / "requirements.mlflow.txt").write_text("\n".join(dependencies))
    command = [find_uv_bin(), "pip", "install", "--python", sys.executable, "--dry-run"]
    done = subprocess.run(
        [*command, "--offline", "--no-cache", "-r", "requirements.mlflow.txt"],
        cwd=tmp_path,
        env={name: os.environ[name] for name in os.environ if not name.startswith("UV_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Would make no changes" in done.stderr, done.stderr


def test_pip_is_told_to_install_the_lock_as_it_stands() -> None:
    calls = {
        "PIP_NO_DEPS=1 mlflow run . --env-manager=virtualenv": ["python_env.yaml"],
        "PIP_NO_DEPS=1 conda env create": ["conda.yaml", "docs/dependencies.md"],
        "PIP_NO_DEPS=1 mlflow run .": ["docs/dependencies.md"],
    }
    missing = [(call, name) for call in calls for name in calls[call] if call not in read(name)]
    assert missing == []


def test_every_locked_package_has_a_hash() -> None:
    bare = [
        entry for entry in lock_entries() if not re.search(r" --hash=sha256:[0-9a-f]{64}\b", entry)
    ]
    assert bare == []


def test_the_lock_names_packages_and_hashes_only() -> None:
    name_and_version = re.compile(r"[a-z0-9.-]+==[^\s@/]+( +--hash=sha256:[0-9a-f]{64})+")
    odd = [entry for entry in lock_entries() if not name_and_version.fullmatch(entry)]
    assert odd == []
    assert "://" not in read("requirements.lock")


def test_the_installed_environment_is_the_lock() -> None:
    # pip makes the first step of an environment, benison is the project itself.
    installed = {
        canonicalize_name(distribution.name): distribution.version
        for distribution in installed_distributions()
    }
    beside = {"benison", "pip"}
    assert {name: installed[name] for name in installed if name not in beside} == LOCKED


def test_one_python_version_is_named_everywhere() -> None:
    python_env = yaml.safe_load(read("python_env.yaml"))
    conda = yaml.safe_load(read("conda.yaml"))
    tool = PROJECT["tool"]
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(PYTHON)
    assert python_env["python"] == PYTHON
    assert f"python={PYTHON}" in conda["dependencies"]
    assert f"python_version == '{PYTHON}'" in tool["uv"]["environments"][0]
    assert tool["mypy"]["python_version"] == PYTHON
    assert tool["ruff"]["target-version"] == "py" + PYTHON.replace(".", "")
    assert f"WANTED={PYTHON}\n" in read("scripts/bootstrap.sh")
    assert f"--python-version {PYTHON} " in read("Makefile")


def test_the_environment_files_install_the_lock() -> None:
    python_env = yaml.safe_load(read("python_env.yaml"))
    conda = yaml.safe_load(read("conda.yaml"))
    pip_section = next(entry for entry in conda["dependencies"] if isinstance(entry, dict))
    assert python_env["dependencies"] == ["-r requirements.lock"]
    assert pip_section == {"pip": ["-r requirements.lock"]}


def test_what_the_environment_files_pin_is_what_the_lock_pins() -> None:
    build = map(Requirement, yaml.safe_load(read("python_env.yaml"))["build_dependencies"])
    pins = {pin.name: str(pin.specifier) for pin in build if pin.specifier}
    assert pins == {name: f"=={LOCKED[name]}" for name in pins}


def test_the_dependency_page_gives_a_reason_for_each_direct_dependency() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|$", read("docs/dependencies.md"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(
        requirement.name for requirement in [*DIRECT, *OPTIONAL]
    )
    assert all(reason.strip() for _, reason in rows)


# MLproject, through MLflow's own loader and the shell it uses.


@pytest.fixture(scope="module")
def mlproject() -> Project:
    return load_project(ROOT)


def parameters_seen(
    project: Project, entry_point: str, given: dict[str, str], tmp_path: Path
) -> tuple[list[str], str]:
    """Run the entry point's command as MLflow does, with a `python` that tells what it received.

    Returns:
        The arguments after `python`, and the PYTHONPATH.
    """
    stand_in = tmp_path / "bin" / "python"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.environ['PYTHONPATH']]))\n"
    )
    stand_in.chmod(0o755)
    command = project.get_entry_point(entry_point).compute_command(given, str(tmp_path))
    environment = {**os.environ, "PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    arguments, python_path = json.loads(done.stdout)
    return arguments, python_path


def test_mlproject_has_the_pipeline_each_step_and_the_stages(mlproject: Project) -> None:
    declared = yaml.safe_load(read("MLproject"))
    assert mlproject.name == "benison"
    assert Path(mlproject.env_config_path).name == "python_env.yaml"
    stages = {"promote", "rollback", "approve", "reject", "reconcile", "deploy", "bulk-infer"}
    assert set(declared["entry_points"]) == {"main", "check", *STEPS, *stages}


def test_only_one_file_at_the_top_can_be_taken_for_mlproject() -> None:
    # MLflow takes the first directory entry whose lower-cased name is "mlproject" (ADR 1).
    assert [path.name for path in ROOT.iterdir() if path.name.lower() == "mlproject"] == [
        "MLproject"
    ]


@pytest.fixture
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    # MLflow reads a parameter of type path against the caller's directory.
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("in_root")
def test_the_pipeline_runs_the_taxi_example_by_default(mlproject: Project, tmp_path: Path) -> None:
    arguments, python_path = parameters_seen(mlproject, "main", {}, tmp_path)
    taxi = str(ROOT / "examples" / "taxi")
    options = ["--data=", "--force=false", "--from=", "--span=", *NO_OVERRIDE]
    assert arguments == ["-m", "flows.cli", "train", taxi, *options]
    assert python_path == str(ROOT / "src")


@pytest.mark.usefixtures("in_root")
@pytest.mark.parametrize("step", STEPS)
def test_an_entry_point_runs_the_step_of_its_name(
    mlproject: Project, tmp_path: Path, step: str
) -> None:
    arguments, _ = parameters_seen(mlproject, step, {"force": "true"}, tmp_path)
    taxi = str(ROOT / "examples" / "taxi")
    options = ["--data=", "--force=true", "--span="]
    if step == "bless":
        options += NO_OVERRIDE
    assert arguments == ["-m", "flows.cli", "step", step, taxi, *options]


@pytest.mark.usefixtures("in_root")
def test_the_check_is_run_without_the_options_of_a_step(mlproject: Project, tmp_path: Path) -> None:
    arguments, _ = parameters_seen(mlproject, "check", {}, tmp_path)
    assert arguments == ["-m", "flows.cli", "check", str(ROOT / "examples" / "taxi")]


@pytest.mark.parametrize("data", ["two words.csv", "$(touch pwned)", "a';touch pwned;'", "{force}"])
def test_a_value_reaches_the_pipeline_as_it_was_given(
    mlproject: Project, tmp_path: Path, data: str
) -> None:
    folder = tmp_path / "my project"
    folder.mkdir()
    given = {"project": str(folder), "data": data, "from": "train", "span": "2026-03-01"}
    given |= {"override": "true", "reason": data}
    arguments, _ = parameters_seen(mlproject, "main", given, tmp_path)
    options = [f"--data={data}", "--force=false", "--from=train", "--span=2026-03-01"]
    options += ["--override=true", f"--reason={data}"]
    assert arguments[3:] == [str(folder), *options]
    assert not (ROOT / "pwned").exists()


def test_an_earlier_python_path_is_kept(mlproject: Project) -> None:
    command = mlproject.get_entry_point("main").compute_command({"project": str(ROOT)}, None)
    assert command.startswith('PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" python -m ')
