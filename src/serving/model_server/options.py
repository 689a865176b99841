"""How models are found, loaded and kept; the defaults are TensorFlow Serving's."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.saved_model_layout import SERVING_TAG

if TYPE_CHECKING:
    from serving.model_server.batching import BatchingParameters, BatchRecorder
    from serving.model_server.observer import LoadRecorder


@dataclass(frozen=True)
class SessionOptions:
    """How a model's session is made.

    Attributes:
        tags: The tags of the graph to load, all of which it must have.
        intra_op_threads: Threads inside one operation; 0 leaves it to TensorFlow.
        inter_op_threads: Operations at once; 0 leaves it to TensorFlow. TensorFlow shares its
            threads between the sessions of a process, and so takes both from the first session.
        prefer_tflite: Whether a version that holds a `model.tflite` is served from it.
        tflite_interpreters: How many requests such a model runs at once; 0 is as many as there
            are processors.
        check_method_names: Whether only signatures with the method name of classify, or regress,
            are taken for it.
    """

    tags: tuple[str, ...] = (SERVING_TAG,)
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    prefer_tflite: bool = False
    tflite_interpreters: int = 0
    check_method_names: bool = False


@dataclass(frozen=True)
class ManagerOptions:
    """The options of a `ModelManager`.

    Attributes:
        poll_wait_s: Seconds between two looks at the base paths; 0 looks once, at the start and
            after each change of the configuration; below 0 never looks.
        load_threads: How many versions are loaded at once; 0 is one at a time.
        initial_load_threads: The same until every model of the first configuration is loaded.
        max_load_retries: How many times a load that failed is tried again. A version whose files
            change is tried again from the beginning.
        load_retry_interval_s: Seconds between two tries. Other models load meanwhile.
        labels_for_unavailable: Whether a label that is new may name a version not loaded yet.
        any_labels_for_unavailable: Whether labels that exist may be moved to one, too.
        versions_always_present: Whether the versions loaded stay when the base path is empty.
        enable_warmup: Whether a version's warm-up requests run before it answers.
        warmup_iterations: How many times each of them runs.
        batching: The parameters of dynamic batching; None runs each request by itself.
        batch_recorder: Is told of each batch.
        load_recorder: Is told of each load and warm-up.
        keep_previous: Whether the version that answered before stays loaded, for a rollback that
            loads nothing. It costs its memory.
        default_label: The label whose version answers when a request names none; models without
            this label answer with their newest version.
        session: How sessions are made.
        cache_dir: Where versions from `gs://` are copied to; None is a temporary folder that goes
            with the manager.
    """

    poll_wait_s: float = 1.0
    load_threads: int = 0
    initial_load_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    max_load_retries: int = 5
    load_retry_interval_s: float = 60.0
    labels_for_unavailable: bool = False
    any_labels_for_unavailable: bool = False
    versions_always_present: bool = False
    enable_warmup: bool = True
    warmup_iterations: int = 1
    batching: BatchingParameters | None = None
    batch_recorder: BatchRecorder | None = None
    load_recorder: LoadRecorder | None = None
    keep_previous: bool = False
    default_label: str = ""
    session: SessionOptions = SessionOptions()
    cache_dir: Path | None = None
