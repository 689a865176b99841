"""What is kept with a version for good: what it was made of, and what was measured of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlproject.artifacts import fingerprint
from mlproject.blessing.verdict import INFRA_FILE
from mlproject.config import PROJECT_FILE, load_project
from mlproject.digests import cases_digest, code_digests, schema_digest
from mlproject.errors import ConfigError
from mlproject.execution import StepContext
from mlproject.record import FIGURES
from mlproject.registry import CODE, CONFIG_FILE, STATISTICS
from mlproject.schema import SCHEMA_FILE
from mlproject.steps.bless import BLESSING_FILE, CARD_FILE
from mlproject.steps.planned import must_be_planned
from mlproject.user_module import read_module, sibling_files


def evidence_of(ctx: StepContext) -> Mapping[str, Path]:
    """The files of evidence of the plan's candidate.

    Returns:
        Name below `evidence/` -> file. `project.yaml` is left out where it was edited since the
        run began: `config.json` says what ran.

    Raises:
        DataError: The module file, or another file of the project, changed since the run was
            planned.
    """
    from mlproject.evaluation import DIFFERENCES_FILE, METRICS_FILE

    bless, evaluate = ctx.inputs["bless"].path, ctx.published("evaluate").path
    config = ctx.out_dir / CONFIG_FILE
    config.write_text(ctx.project.config_text(), encoding="utf-8")
    files = (
        config,
        bless / BLESSING_FILE,
        bless / FIGURES / CARD_FILE,
        evaluate / METRICS_FILE,
        evaluate / DIFFERENCES_FILE,
        ctx.published("infra_validate").path / INFRA_FILE,
        ctx.published("schema").path / SCHEMA_FILE,
    )
    return {
        **{file.name: file for file in files},
        **_statistics_files(ctx.published("statistics").path),
        **_project_file(ctx),
        **_code_files(ctx),
    }


def _statistics_files(folder: Path) -> dict[str, Path]:
    from mlproject.statistics import STATISTICS_FILE

    files = sorted(folder.glob(f"Split-*/**/{STATISTICS_FILE}"))
    return {f"{STATISTICS}/{file.relative_to(folder).as_posix()}": file for file in files}


def _project_file(ctx: StepContext) -> dict[str, Path]:
    """project.yaml, where it still says what ran; the data may stand on the command line."""
    file, config = ctx.project.folder / ctx.project.file_name, ctx.project.config
    try:
        written = load_project(file).config
    except ConfigError:
        written = None
    if written is None or written.model_copy(update={"data": config.data}) != config:
        ctx.note(f"{file.name} changed while the run was going on; {CONFIG_FILE} is kept alone")
        return {}
    return {PROJECT_FILE: file}


def _code_files(ctx: StepContext) -> dict[str, Path]:
    """What of the project's folder the candidate was made of, by its path in that folder."""
    project, digests = ctx.project, ctx.plan.digests
    source = read_module(project.module_path)
    must_be_planned("module file", source.digest, digests.module)
    code = code_digests(source)
    must_be_planned(
        "code that the module file imports", fingerprint(code), fingerprint(digests.code)
    )
    must_be_planned("reviewed schema", schema_digest(project), digests.schema)
    must_be_planned("file of cases", cases_digest(project), digests.cases)
    named = (project.config.schema_.path, project.config.evaluation.cases)
    files = [
        project.module_path,
        *sibling_files([source.tree], project.module_path.parent),
        *(project.folder / name for name in named if name),
    ]
    return {f"{CODE}/{_name_in(project.folder, file)}": file for file in files}


def _name_in(folder: Path, file: Path) -> str:
    """A file's path in the project's folder; its name alone, where it lies outside."""
    file = Path(os.path.normpath(file))
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name
