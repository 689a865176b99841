"""The project as it was, in a folder of its own: recorded files over those of the commit.

<scratch>/evidence/     the version's evidence
<scratch>/files/        the commit's files, or links to those of the project's folder
<scratch>/files/...     the project's folder in it: project.yaml (written from the recorded
                        configuration), module file, what it imports, schema and cases as
                        recorded
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlproject.config import PROJECT_FILE, Project, load_project
from mlproject.errors import ConfigError, DataError, PlatformError
from mlproject.examples.request import check_request
from mlproject.examples.sources import find_source
from mlproject.project_data import ingest_request
from mlproject.reproduction.git_files import Repository, find_repository
from mlproject.reproduction.reasons import DIRTY
from mlproject.reproduction.recorded import Recorded, code_name, files_named
from mlproject.reproduction.scratch_config import scratch_config

FILES = "files"


@dataclass(frozen=True)
class Asked:
    """What a person asked for.

    Attributes:
        project: The project's folder now; empty for the recorded one.
        data: Where the rows are now (`PATH`, or `SPLIT=PATH` for each split).
        module: A module file to take instead of the recorded one; empty for none.
    """

    project: str = ""
    data: tuple[str, ...] = ()
    module: str = ""


@dataclass(frozen=True)
class ScratchProject:
    """A recorded project, made again.

    Attributes:
        project: The project; its data has the recorded digest.
        from_folder: The folder that other files than the recorded ones are taken from as they are
            now; empty where they are the commit's.
    """

    project: Project
    from_folder: str


def make_scratch_project(recorded: Recorded, asked: Asked, scratch: Path) -> ScratchProject:
    """Makes the project again, and checks that its data is the recorded data.

    Args:
        recorded: What the version was made of.
        asked: Where things are now.
        scratch: An existing folder; `files` in it is made.

    Raises:
        ConfigError: There is no project's folder, its repository has no such commit, or the
            recorded configuration is not one of this platform.
        DataError: The data has changed or is gone.
    """
    original = _original(recorded, asked)
    files = scratch / FILES
    files.mkdir()
    repository = find_repository(original)
    commit = recorded.commit.removesuffix(DIRTY)
    committed = bool(commit) and repository is not None and repository.has(commit)
    if committed and repository is not None:
        folder = _write_commit(repository, commit, recorded, files)
    elif commit and not asked.project:
        raise _no_commit(commit, original, repository)
    else:
        folder = files
        _link(original, folder)
    _lay_over(recorded, asked, folder)
    folders = (folder, original) if committed else (original,)
    project = _with_recorded_data(recorded, asked, folder, folders)
    return ScratchProject(project, "" if committed else str(original))


def _original(recorded: Recorded, asked: Asked) -> Path:
    """The project's folder now."""
    given = Path(asked.project or recorded.folder)
    folder = given.parent if given.is_file() else given
    if (asked.project or recorded.folder) and folder.is_dir():
        return folder.resolve()
    raise ConfigError(
        "Looking for the project's folder failed",
        received=f"{given if recorded.folder or asked.project else 'no recorded folder'}, which "
        "is not there",
        expected="the folder of the project, in a clone of its repository",
        next_step="name it: `benison reproduce MODEL/VERSION --project DIR`",
    )


def _write_commit(repository: Repository, commit: str, recorded: Recorded, files: Path) -> Path:
    """Writes the project's folder, and what its configuration names outside of it."""
    named = (
        os.path.normpath(os.path.join(repository.prefix, name))
        for name in files_named(recorded.config)
        if not os.path.isabs(name)
    )
    outside = [name for name in named if not name.startswith("..")]
    paths = [repository.prefix, *outside] if repository.prefix else []
    folder = files / repository.prefix
    if not repository.write(commit, paths, files) or not folder.is_dir():
        raise ConfigError(
            "Taking the project from its commit failed",
            received=f"no folder '{repository.prefix}' in commit {commit[:12]} of {repository.top}",
            expected="the folder that the version was trained from",
            next_step="name it with --project DIR",
        )
    return folder


def _no_commit(commit: str, folder: Path, repository: Repository | None) -> ConfigError:
    where = f"the repository {repository.top}" if repository else f"{folder}, outside git"
    return ConfigError(
        "Looking for the recorded commit failed",
        received=f"no commit {commit} in {where}",
        expected="a clone that has it",
        next_step="`git fetch` it, or name a folder with --project DIR: a clone that has it, or "
        "any folder whose files are to be taken as they are",
    )


def _link(original: Path, folder: Path) -> None:
    """Links every entry: what the evidence does not hold is taken as it is, without a copy."""
    for entry in sorted(original.iterdir()):
        (folder / entry.name).symlink_to(entry)


def _lay_over(recorded: Recorded, asked: Asked, folder: Path) -> None:
    """Writes the recorded files over those of the folder."""
    for file in sorted(recorded.code.rglob("*")):
        if file.is_file():
            _replace(folder, file.relative_to(recorded.code), file)
    if asked.module:
        module = Path(asked.module)
        if not module.is_file():
            raise ConfigError(
                "Reading --module failed", received=asked.module, expected="a Python file"
            )
        _replace(folder, Path(code_name(recorded.config, recorded.config["module"])), module)


def _replace(folder: Path, name: Path, file: Path) -> None:
    """Writes a file without following a link out of the scratch folder."""
    at = folder
    for part in name.parts[:-1]:
        at = at / part
        if at.is_symlink():  # the original folder: its other entries are linked one by one
            original = at.resolve()
            at.unlink()
            at.mkdir()
            _link(original, at)
        at.mkdir(exist_ok=True)
    target = at / name.name
    target.unlink(missing_ok=True)
    shutil.copy(file, target)


def _with_recorded_data(
    recorded: Recorded, asked: Asked, folder: Path, folders: tuple[Path, ...]
) -> Project:
    """The project, with its data where it has the recorded digest.

    Args:
        recorded: What the version was made of.
        asked: Where the data is now, if a person said so.
        folder: The scratch project's folder.
        folders: Folders that a relative path of the data may mean, the likeliest first.
    """
    found: list[str] = []
    refused: PlatformError | None = None
    for base in folders:
        project = _write_project(recorded, asked, folder, base)
        try:
            digest = _source_digest(project)
        except DataError as err:
            refused = refused or err
            continue
        if digest == recorded.source_digest:
            return project
        found.append(digest)
        if asked.data:
            break
    if not found and refused is not None:
        refused.add_note(f"When the version was trained, it was at {recorded.source_uri}")
        raise refused
    raise DataError(
        f"The data has changed: digest {found[0][:12]} now, {recorded.source_digest[:12]} then",
        received=f"other rows, files or names of files than at {recorded.source_uri} then",
        expected="the data that the version was trained on",
        next_step="`--data PATH` says where those rows are now",
    )


def _source_digest(project: Project) -> str:
    request = ingest_request(project)
    check_request(request)
    return find_source(request).digest()


def _write_project(recorded: Recorded, asked: Asked, folder: Path, base: Path) -> Project:
    """Writes project.yaml and reads it as any other."""
    values = scratch_config(recorded, base)
    file = folder / PROJECT_FILE
    file.unlink(missing_ok=True)
    # JSON is YAML in which every text is quoted.
    file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    try:
        return load_project(folder, asked.data)
    except ConfigError as err:
        if asked.data:
            raise
        raise ConfigError(
            "The recorded configuration is not one of this version of the platform",
            received=err.received,
            expected=err.expected,
            next_step="reproduce it with the version of the platform that trained it",
        ) from err
