"""The digest of rows as they stream by: of columns, values and order."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from mlproject.examples.batches import settle
from mlproject.examples.columns import Columns
from mlproject.examples.splits import hash_rows


class RowsDigest:
    """Sums up rows; the same rows give the same digest however they are cut into batches.

    Args:
        columns: Of every batch to come.
    """

    def __init__(self, columns: Columns) -> None:
        self._hash = hashlib.sha256(repr(sorted(columns)).encode())

    def update(self, batch: pa.RecordBatch) -> None:
        """Takes the next rows.

        Raises:
            DataError: A list holds a null.
        """
        hashes = hash_rows(settle(batch))
        self._hash.update(hashes.astype("<u8", copy=False).tobytes())

    def hexdigest(self) -> str:
        """SHA-256 in hex."""
        return self._hash.hexdigest()
