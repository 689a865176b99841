"""The statistics of a project's newest data, computed where they are not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.console import Display
from flows.logs import quiet
from flows.pipeline import Request, open_run
from mlproject.artifacts import Artifact, read_value
from mlproject.config import Project
from mlproject.errors import DataError
from mlproject.progress import listening
from mlproject.settings import read_settings

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

STEPS = ("ingest", "statistics")


@dataclass(frozen=True)
class NewestStatistics:
    """The statistics of the newest data.

    Attributes:
        statistics: Of the splits, the train split first.
        types_declared: Whether the data was read in the types of the reviewed schema.
    """

    statistics: tuple[DatasetFeatureStatisticsList, ...]
    types_declared: bool


class SchemaFreeRequest(Request):
    """A request for a project as it would be without a reviewed schema."""

    def load(self) -> Project:
        """The project, without its `schema.path`."""
        project = super().load()
        section = project.config.schema_.model_copy(update={"path": None})
        config = project.config.model_copy(update={"schema_": section})
        return project.model_copy(update={"config": config})


def read_newest(
    folder: str, data: tuple[str, ...], verbose: bool, *, schema_free: bool = False
) -> NewestStatistics:
    """Ingests the newest data and computes its statistics, both cached as in a pipeline run.

    Where the data cannot be read in the reviewed schema's types, it is read without them: the
    difference is then the type.

    Args:
        folder: The project's folder.
        data: Overrides of where the rows are.
        verbose: Show the libraries' logs.
        schema_free: Leave the reviewed schema out from the start.

    Raises:
        PlatformError: The project or the data cannot be read, or another run holds the root.
    """
    free = SchemaFreeRequest(folder, data)
    if schema_free:
        return NewestStatistics(_read(free, verbose), types_declared=False)
    request = Request(folder, data)
    declared = request.load().schema_path is not None
    try:
        return NewestStatistics(_read(request, verbose), types_declared=declared)
    except DataError as refusal:
        if not declared:
            raise
        try:
            return NewestStatistics(_read(free, verbose), types_declared=False)
        except DataError:
            raise refusal from None


def run_steps(request: Request, steps: tuple[str, ...], verbose: bool) -> dict[str, Artifact]:
    """Runs steps by themselves, or takes what they have left, with a display of their progress.

    Raises:
        PlatformError: A step failed, or another run holds the pipeline root.
    """
    settings = read_settings()
    title = f"{request.project}: {', '.join(steps)}"
    with quiet(settings.home, steps[-1], verbose) as (stream, _):
        display = Display(stream, title, steps)
        with display, listening(display), open_run(request, alone=True) as run:
            return {step: run.run_step(step)[0] for step in steps}


def _read(request: Request, verbose: bool) -> tuple[DatasetFeatureStatisticsList, ...]:
    from mlproject.statistics import read_statistics

    artifact = run_steps(request, STEPS, verbose)["statistics"]
    splits = sorted(read_value(artifact, "splits"), key=lambda split: split != "train")
    return tuple(read_statistics(artifact.path, split) for split in splits)
