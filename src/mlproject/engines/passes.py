"""Passes over the rows: analyzers that need each other's results read the rows again for each.

Without this, Beam's in-process runner keeps every row between two passes (6 million taxi rows: 5
GiB instead of 1, and twice the CPU), its Dask counterpart sends them through the driver, and with
three passes it does not end at all (https://github.com/apache/beam/issues/26190). tf.Transform can
copy the reading for each pass, back to where a GroupByKey ends; `Spread` is one that it copies too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform


class Spread(beam.GroupByKey):
    """A GroupByKey by another name: each pass gets one of its own, and so its own reading.

    tf.Transform's copies end at what is a GroupByKey by its very class. Ended there, the copied
    reading would be fused into the first pass, and its rows kept for the second.
    """


def analysis_context(temp_dir: Path) -> Any:
    """The context in which tf.Transform's analysis is to be built.

    Args:
        temp_dir: For what passes between tf.Transform's steps; every worker must reach it.
    """
    import tensorflow_transform.beam as tft_beam

    # tf.Transform 1.16 makes copies with the four arguments that Beam's class once had; the two
    # that came after hold nothing for transforms without hints.
    if AppliedPTransform.__init__.__defaults__ is None:
        AppliedPTransform.__init__.__defaults__ = (None, None)
    return tft_beam.Context(
        temp_dir=str(temp_dir), force_tf_compat_v1=False, use_deep_copy_optimization=True
    )
