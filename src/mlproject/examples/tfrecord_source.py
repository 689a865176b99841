"""TFRecord files of `tf.train.Example` as a stream of record batches in their stored types.

The rules; none depends on how the reader cuts the file into blocks:

1. A declared type wins.
2. A feature of int64_list is int, of float_list float, of bytes_list string if every value is
   UTF-8, else bytes. A feature without any value is a float column of nulls.
3. A feature with several values in one of the records is a list column, else one of single values.
4. A record that lacks a feature, or has no value for it, has a null.
5. A feature of two kinds is an error.

The columns are sorted by name: a record keeps its features in no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from mlproject.errors import DataError
from mlproject.examples.batches import rebatch
from mlproject.examples.column_limit import check_limit
from mlproject.examples.columns import Columns, arrow_schema, check_declared, check_names
from mlproject.examples.file_state import FileState, states_of
from mlproject.examples.formats import ReadOptions
from mlproject.examples.parallel import map_in_order
from mlproject.examples.sources import changed
from mlproject.examples.tfrecord_examples import (
    Feature,
    decode,
    describe,
    features_of,
    kind_of,
    stored_column,
)
from mlproject.examples.tfrecord_file import RecordBlock, read_record_blocks


class TFRecordSource:
    """TFRecord files of Examples.

    A record says what it holds, but not what the others hold: all are decoded once to find the
    columns, and once more to read them.

    Args:
        files: Files to read, in order.
        options: Declared types; the other options are for text.

    Raises:
        ConfigError: A declared type names no feature or no type.
        DataError: A file is not readable, or holds something else.
    """

    def __init__(self, files: Sequence[Path], options: ReadOptions) -> None:
        self._features = _scan(states_of(files))
        check_declared(options.column_types, self._features)
        self._columns: Columns = tuple(
            (name, options.column_types.get(name, self._features[name].column_type))
            for name in sorted(self._features)
        )

    @property
    def columns(self) -> Columns:
        return self._columns

    def batches(self, files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
        """See `formats.FileReader.batches`."""
        work = partial(_stored, self._features, self._columns)
        yield from rebatch(map_in_order(work, _blocks(files)))


@lru_cache(maxsize=4)  # a source is opened again when a reviewed schema has a say in its types
def _scan(states: tuple[FileState, ...]) -> Mapping[str, Feature]:
    files = [state.path for state in states]
    where = f"'{files[0]}'"
    features: dict[str, Feature] = {}
    for found in map_in_order(_found, _blocks(files)):
        for name, feature in found.items():
            known = features.get(name)
            features[name] = known.joined(name, feature) if known else feature
        check_limit(len(features), where)
    check_names(list(features), where)
    if not features:
        raise DataError(
            f"The records of {where} have no features",
            received="no record that has a feature",
            expected="records that hold a tf.train.Example",
            next_step="check the job that wrote the data",
        )
    return features


def _blocks(files: Sequence[Path]) -> Iterator[RecordBlock]:
    for path in files:
        yield from read_record_blocks(path)


def _found(block: RecordBlock) -> dict[str, Feature]:
    return features_of(decode(block), block)


def _stored(
    features: Mapping[str, Feature], columns: Columns, block: RecordBlock
) -> pa.RecordBatch:
    batch = decode(block)
    schema = arrow_schema(columns)
    for name, kind in zip(batch.schema.names, batch.schema.types, strict=True):
        if name not in features or kind_of(kind) not in ("", features[name].kind):
            raise changed(
                f"feature '{name}' in {describe(block)} is new, or of another type",
                "the features that were there at first",
            )
    arrays = []
    for name, column_type in columns:
        at = batch.schema.get_field_index(name)
        if at < 0:
            arrays.append(pa.nulls(len(block.starts), schema.field(name).type))
            continue
        try:
            arrays.append(stored_column(batch.column(at), column_type))
        except pa.ArrowException as err:
            raise DataError(
                f"Feature '{name}' does not convert to {column_type}",
                received=f"{err}; in {describe(block)}",
                expected=f"values that fit {column_type}, as data.column_types declares it",
                next_step=f"correct data.column_types for '{name}' in project.yaml",
            ) from err
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
