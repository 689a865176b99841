"""Where statistics lie on disk, written and read back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import DataError

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

STATISTICS_FILE = "stats.pb"
_SPAN = "span-"


def split_folder(statistics_dir: Path, split: str) -> Path:
    """The folder of a split's statistics."""
    return statistics_dir / f"Split-{split}"


def span_folder(split_dir: Path, name: str) -> Path:
    """The folder of a span's statistics, by the name of its Examples' file."""
    return split_dir / name


def write_statistics(statistics: DatasetFeatureStatisticsList, folder: Path) -> None:
    """Writes `stats.pb` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STATISTICS_FILE).write_bytes(statistics.SerializeToString(deterministic=True))


def read_statistics(
    statistics_dir: Path, split: str, span: int | None = None
) -> DatasetFeatureStatisticsList:
    """Reads the statistics of a split, or of one of its spans.

    Args:
        statistics_dir: The artifact.
        split: The split.
        span: The span's number; the whole split when None.

    Raises:
        DataError: They are not there, or no statistics.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

    folder = split_folder(statistics_dir, split)
    if span is not None:
        folder = span_folder(folder, f"{_SPAN}{span:010d}")
    file = folder / STATISTICS_FILE
    try:
        return DatasetFeatureStatisticsList.FromString(file.read_bytes())
    except FileNotFoundError as err:
        known = ", ".join(map(str, span_numbers(statistics_dir, split))) or "none"
        raise DataError(
            f"There are no statistics of split '{split}'"
            + (f", span {span}" if span is not None else ""),
            received=f"no {file}",
            expected=f"one of the spans that have statistics of their own: {known}"
            if span is not None
            else "statistics of this split",
            next_step="run the step 'statistics' again" if span is None else "name another span",
        ) from err
    except DecodeError as err:
        raise DataError(
            f"'{file}' holds no statistics",
            received=str(err) or "bytes that cannot be parsed",
            expected="a serialized DatasetFeatureStatisticsList",
            next_step="run the step 'statistics' again with --force",
        ) from err


def span_numbers(statistics_dir: Path, split: str) -> list[int]:
    """The spans of a split that have statistics of their own, in rising order."""
    files = split_folder(statistics_dir, split).glob(f"{_SPAN}*/{STATISTICS_FILE}")
    names = (file.parent.name.removeprefix(_SPAN) for file in files)
    return sorted(int(name) for name in names if name.isdecimal())
