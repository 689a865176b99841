"""The documents say what is true: commands parse, targets and files exist, nothing is left out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.cli import build_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")])
README = ROOT / "README.md"


def shell_lines(document: Path) -> list[str]:
    """The commands of a document's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    lines = [re.sub(r"\s+#.*$", "", line) for block in blocks for line in block.splitlines()]
    commands, open_quote = [], ""
    for line in lines:
        open_quote = f"{open_quote} {line}".strip()
        if open_quote.count("'") % 2 == 0:
            commands.append(open_quote)
            open_quote = ""
    return [command for command in commands if command]


COMMANDS = [(d.relative_to(ROOT), line) for d in DOCUMENTS for line in shell_lines(d)]


@pytest.mark.parametrize(("document", "line"), [c for c in COMMANDS if "benison " in c[1]])
def test_every_benison_command_in_the_documents_parses(document: Path, line: str) -> None:
    words = shlex.split(line)
    arguments = words[words.index("benison") + 1 :]
    build_parser().parse_args(arguments)


@pytest.mark.parametrize(("document", "line"), [c for c in COMMANDS if "make " in c[1]])
def test_every_make_target_in_the_documents_exists(document: Path, line: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = [word for word in shlex.split(line) if "=" not in word]
    for target in words[words.index("make") + 1 :]:
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(("document", "line"), [c for c in COMMANDS if "mlflow run" in c[1]])
def test_every_mlflow_entry_point_in_the_documents_exists(document: Path, line: str) -> None:
    entry_points = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    words = shlex.split(line)
    if "-e" in words:
        assert words[words.index("-e") + 1] in entry_points


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_of_the_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_every_command_is_in_the_readme() -> None:
    commands = next(
        action.choices for action in build_parser()._actions if action.dest == "command"
    )
    said = README.read_text(encoding="utf-8")
    assert [name for name in commands if f"benison {name}" not in said] == []


def test_the_table_of_project_yaml_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlproject.config_docs", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_prefect_yaml_has_only_keys_that_prefect_reads() -> None:
    """Prefect drops unknown keys without a word."""
    known = {"name", "prefect-version", "build", "push", "pull", "definitions", "deployments"}
    known_in_deployment = {
        "name",
        "description",
        "entrypoint",
        "parameters",
        "schedules",
        "work_pool",
        "pull",
        "tags",
        "triggers",
        "concurrency_limit",
    }
    values = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    assert set(values) <= known
    for deployment in values["deployments"]:
        assert set(deployment) <= known_in_deployment
        file, _, function = deployment["entrypoint"].partition(":")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")
        if "project" in deployment["parameters"]:
            assert (ROOT / deployment["parameters"]["project"] / "project.yaml").exists()
