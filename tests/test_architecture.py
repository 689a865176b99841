"""The shape of the code: who may import whom, what an import may cost, what files are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"

# Each takes from half a second to five, and none is needed to print help or to say what is wrong.
HEAVY = {
    *("apache_beam", "keras", "matplotlib", "mlflow", "pandas", "prefect", "scipy", "sklearn"),
    *("tensorflow", "tensorflow_data_validation", "tensorflow_transform", "tf_keras", "tfx_bsl"),
}
LIGHT_MODULES = (
    *("flows", "mlproject", "monitoring", "serving"),
    *("flows.cli", "mlproject.artifacts", "mlproject.config", "mlproject.errors"),
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_import_contracts_hold() -> None:
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_folder_holds_the_four_packages() -> None:
    packages = {path.parent.name for path in SRC.glob("*/__init__.py")}
    assert packages == {"flows", "mlproject", "monitoring", "serving"}


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_importing_a_light_module_loads_nothing_heavy(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert HEAVY.intersection(json.loads(done.stdout)) == set()


def test_showing_the_help_loads_nothing_heavy() -> None:
    code = (
        "import json, sys; from flows.cli import main; sys.argv = ['benison', '--help']\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "print(); print(json.dumps(sorted(sys.modules)))"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert HEAVY.intersection(json.loads(done.stdout.splitlines()[-1])) == set()


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"common", "helper", "helpers", "misc", "util", "utils"}
    found = [path for path in SRC.rglob("*") if path.stem in drawers and path.suffix in {"", ".py"}]
    assert found == []


def test_every_folder_of_modules_is_a_package() -> None:
    # A folder without __init__.py would be invisible to the import contracts.
    folders = {path.parent for path in SRC.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []
