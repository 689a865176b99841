"""Folders of images, one for each class, as a stream of record batches.

Columns: `image` (see `request.ImageOptions.keep`), `label` (the name of the folder that an image
lies in) and `file` (that folder and the file's name). Every image is decoded to its last pixel,
whatever is kept of it, so that no later step meets a damaged one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from mlproject.errors import ConfigError, DataError, closest
from mlproject.examples.arrow_values import list_array, stored
from mlproject.examples.batches import rebatch
from mlproject.examples.columns import Columns, arrow_schema, check_declared
from mlproject.examples.formats import ReadOptions
from mlproject.examples.image_file import BadImage, decode_image, pixels_of, read_image
from mlproject.examples.locations import unreadable
from mlproject.examples.parallel import map_in_order
from mlproject.examples.request import ImageOptions

MAX_VALUES = 1 << 22
"""Height x width x channels: one row of pixels must fit in memory many times over."""

_KEPT = {"pixels": "int list", "encoded": "bytes", "path": "string"}
_RUN_FILES = 64
_RUN_BYTES = 16 << 20


@dataclass(frozen=True)
class _Run:
    """Some images, read.

    Attributes:
        rows: Those that could be decoded.
        bad: The others, with the reason.
    """

    rows: pa.RecordBatch
    bad: tuple[tuple[Path, str], ...]


class ImageSource:
    """Images in class folders.

    Args:
        files: Images; the name of the folder that each lies in is its label.
        options: What to keep of them, declared types, and whether bad files are passed over.

    Raises:
        ConfigError: The size of the pixels is missing or out of bounds, or a declared type names no
            column or no type.
        DataError: The images are not in class folders.
    """

    def __init__(self, files: Sequence[Path], options: ReadOptions) -> None:
        _check_options(options.images)
        _check_labels(files)
        found = {"image": _KEPT[options.images.keep], "label": "string", "file": "string"}
        check_declared(options.column_types, found)
        self._columns: Columns = tuple((found | dict(options.column_types)).items())
        self._options = options
        Image.preinit()  # before threads do it at the same time

    @property
    def columns(self) -> Columns:
        return self._columns

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `formats.FileReader.batches`."""
        yield from rebatch(self._runs(files))

    def _runs(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        read = partial(_read, self._options.images, self._columns)
        bad: list[tuple[Path, str]] = []
        for run in map_in_order(read, _cut(files, self._options.images)):
            for path, reason in run.bad:
                if self._options.skip is None:
                    raise _bad_file(path, reason)
                self._options.skip(path, reason)
            bad += run.bad
            yield run.rows
        if bad and len(bad) == len(files):
            raise _bad_file(*bad[0], others=len(bad) - 1)


def _check_options(options: ImageOptions) -> None:
    failed = received = expected = ""
    values = options.height * options.width * options.channels
    if options.keep not in _KEPT:
        failed, received = "data.images.keep is not known", options.keep
        expected = closest(options.keep, _KEPT)
    elif options.channels not in (1, 3, 4):
        failed, received = "data.images.channels is not known", str(options.channels)
        expected = "1 (grey), 3 (RGB) or 4 (RGBA)"
    elif options.keep == "pixels" and (min(options.height, options.width) < 1):
        failed = "Images kept as pixels need a size"
        received = f"height {options.height}, width {options.width}"
        expected = "data.images.height and data.images.width, in pixels, from 1"
    elif options.keep == "pixels" and values > MAX_VALUES:
        failed, received = "The images would be too large for the rows of a table", f"{values:,}"
        expected = f"at most {MAX_VALUES:,} values (height x width x channels)"
    if failed:
        raise ConfigError(
            failed,
            received=received,
            expected=expected,
            next_step="correct data.images in project.yaml, or leave the images where they are "
            "with keep: path",
        )


def _check_labels(files: Sequence[Path]) -> None:
    labels = {path.parent.name for path in files}
    if len(labels) == 1:
        raise DataError(
            "The images are not in class folders",
            received=f"{len(files):,} images that all lie in a folder '{labels.pop()}', first "
            f"'{files[0]}'",
            expected="a folder for each class in the source: SOURCE/cat/1.png, SOURCE/dog/2.png",
            next_step="put the images of each class in a folder that is named as the class",
        )


def _cut(files: Sequence[Path], options: ImageOptions) -> Iterator[list[Path]]:
    """The files in runs that are small enough to hold several of them in memory."""
    kept = options.height * options.width * options.channels * 8
    run: list[Path] = []
    run_bytes = 0
    for path in files:
        try:
            size = path.stat().st_size + (kept if options.keep == "pixels" else 0)
        except OSError as err:
            raise unreadable(path, err) from err
        if run and (len(run) == _RUN_FILES or run_bytes + size > _RUN_BYTES):
            yield run
            run, run_bytes = [], 0
        run.append(path)
        run_bytes += size
    if run:
        yield run


def _read(options: ImageOptions, columns: Columns, files: Sequence[Path]) -> _Run:
    kept, good, bad = [], [], []
    for path in files:
        try:
            kept.append(_kept(path, options))
            good.append(path)
        except BadImage as err:
            bad.append((path, str(err)))
        except OSError as err:
            raise unreadable(path, err) from err
    found = {
        "image": _image_column(kept, options),
        "label": pa.array([path.parent.name for path in good], pa.string()),
        "file": pa.array([f"{path.parent.name}/{path.name}" for path in good], pa.string()),
    }
    arrays = [_stored(found[name], name, column_type, files) for name, column_type in columns]
    return _Run(pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns)), tuple(bad))


def _kept(path: Path, options: ImageOptions) -> object:
    try:
        where = str(path.absolute())
        where.encode()
    except UnicodeEncodeError as err:
        raise BadImage("its name is not UTF-8") from err
    content = read_image(path)
    image = decode_image(content)
    if options.keep == "pixels":
        return pixels_of(image, options).reshape(-1)
    return content if options.keep == "encoded" else where


def _image_column(kept: list[object], options: ImageOptions) -> pa.Array:
    if options.keep != "pixels":
        return pa.array(kept, pa.binary() if options.keep == "encoded" else pa.string())
    values = np.concatenate([np.empty(0, np.uint8), *kept]).astype(np.int64)
    length = options.height * options.width * options.channels
    return list_array(pa.array(values), pa.array([length] * len(kept), pa.int64()))


def _stored(column: pa.Array, name: str, column_type: str, files: Sequence[Path]) -> pa.Array:
    try:
        return stored(column, column_type)
    except pa.ArrowException as err:
        raise DataError(
            f"Column '{name}' of the images does not convert to {column_type}",
            received=f"{err}; in '{files[0]}' or one of the {len(files)} images from there on",
            expected=f"values that fit {column_type}, as data.column_types declares it",
            next_step=f"correct data.column_types for '{name}' in project.yaml",
        ) from err


def _bad_file(path: Path, reason: str, others: int = 0) -> DataError:
    return DataError(
        f"'{path}' is not an image that can be used",
        received=reason + (f"; and none of the other {others:,} images is" if others else ""),
        expected="a whole PNG, JPEG, BMP or GIF file",
        next_step="name the folder of the images"
        if others
        else "write or copy the file again, take it out of the source, or set "
        "data.images.on_bad_file: skip",
    )
