"""Memory between the steps of one process: what is free goes back, what stays is left alone.

Arrow's pool and glibc keep what was freed; over the steps of one process that adds up to a third
of a GiB at a million rows (benchmarks/pipeline.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys


def release_memory() -> None:
    """Collects garbage, empties Arrow's pool if it is loaded, and trims glibc's heap."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another libc has no malloc_trim
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def keep_imported() -> None:
    """Takes what was imported so far out of all later collections: it lives as long as the process.

    Each collection of TensorFlow's, Beam's and MLflow's 640,000 objects takes a third of a second.
    """
    gc.collect()
    gc.freeze()
