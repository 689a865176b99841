"""A session with a SavedModel in it, made as TensorFlow Serving's C++ loader makes it.

`tf.compat.v1.saved_model.loader.load` makes a Python object of every operation of the graph. They
refer to each other, so that they stay until the garbage collector's rarest round: memory grows
with each version loaded, and that round stops every request for some tenths of a second. Here the
graph goes from the file to TensorFlow as bytes, and closing the session frees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.model_server.options import SessionOptions
from serving.model_server.status import Code, StatusError

_INIT_SIGNATURE = "__saved_model_init_op"
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION = "saved_model_assets"


def open_session(path: Path, options: SessionOptions) -> tuple[Any, dict[str, Any]]:
    """Loads a SavedModel: its graph, its variables, its tables.

    Args:
        path: The SavedModel's folder.
        options: The tags of the graph, and how the session is made.

    Returns:
        The `tf.compat.v1.Session`, and its `SignatureDef`s by name.

    Raises:
        StatusError: No graph has these tags.
        OSError: There is no SavedModel.
        tf.errors.OpError: TensorFlow refused it.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef

    meta_graph = _meta_graph(path, options.tags)
    config = tf.compat.v1.ConfigProto(
        # A model that names a GPU shall run where there is none, as in TensorFlow Serving.
        allow_soft_placement=True,
        intra_op_parallelism_threads=options.intra_op_threads,
        inter_op_parallelism_threads=options.inter_op_threads,
    )
    session = tf.compat.v1.Session(graph=_graph(meta_graph.graph_def), config=config)
    try:
        _restore_variables(session, meta_graph, path)
        _initialize(session, meta_graph, path)
    except BaseException:
        session.close()
        raise
    definitions = {}
    for name, definition in meta_graph.signature_def.items():
        # A part of a message holds the whole, with the graph's constants.
        definitions[name] = SignatureDef()
        definitions[name].CopyFrom(definition)
    return session, definitions


def _meta_graph(path: Path, tags: Iterable[str]) -> Any:
    from tensorflow.python.saved_model.loader_impl import parse_saved_model

    meta_graphs = parse_saved_model(str(path)).meta_graphs
    for meta_graph in meta_graphs:
        if set(meta_graph.meta_info_def.tags) == set(tags):
            return meta_graph
    there = " ".join(f"{{ {' '.join(m.meta_info_def.tags)} }}" for m in meta_graphs)
    raise StatusError(
        Code.NOT_FOUND,
        f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }} in {path}; "
        f"it has {there or 'none'}",
    )


def _graph(graph_def: Any) -> Any:
    import tensorflow as tf
    from tensorflow.python.client import pywrap_tf_session as c_api
    from tensorflow.python.framework import c_api_util

    graph = tf.Graph()
    options = c_api_util.ScopedTFImportGraphDefOptions()
    content = c_api.TF_NewBufferFromString(graph_def.SerializeToString())
    try:
        with graph._c_graph.get() as c_graph:
            results = c_api.TF_GraphImportGraphDefWithResults(c_graph, content, options.options)
        c_api_util.ScopedTFImportGraphDefResults(results)
    finally:
        c_api.TF_DeleteBuffer(content)
    return graph


def _restore_variables(session: Any, meta_graph: Any, path: Path) -> None:
    if not meta_graph.HasField("saver_def"):
        return
    saver = meta_graph.saver_def
    checkpoint = np.array(str(path / "variables" / "variables"), dtype=object)
    _run(session, saver.restore_op_name, {saver.filename_tensor_name: checkpoint})


def _initialize(session: Any, meta_graph: Any, path: Path) -> None:
    operation = _init_operation(meta_graph)
    if operation:
        _run(session, operation, _assets(meta_graph, path))


def _init_operation(meta_graph: Any) -> str:
    if _INIT_SIGNATURE in meta_graph.signature_def:
        outputs = meta_graph.signature_def[_INIT_SIGNATURE].outputs
        return str(outputs[_INIT_SIGNATURE].name)
    for name in _INIT_COLLECTIONS:
        nodes = meta_graph.collection_def[name].node_list.value
        if nodes:
            return str(nodes[0])
    return ""


def _assets(meta_graph: Any, path: Path) -> dict[str, Any]:
    """The paths of the asset files, by the tensor that takes each."""
    from tensorflow.core.protobuf.meta_graph_pb2 import AssetFileDef

    definitions = list(meta_graph.asset_file_def)
    for packed in meta_graph.collection_def[_ASSETS_COLLECTION].any_list.value:
        if not meta_graph.asset_file_def:
            definitions.append(AssetFileDef())
            packed.Unpack(definitions[-1])
    return {
        asset.tensor_info.name: np.array(str(path / "assets" / asset.filename), dtype=object)
        for asset in definitions
    }


def _run(session: Any, operation: str, feeds: Mapping[str, Any]) -> None:
    from tensorflow.core.protobuf.config_pb2 import CallableOptions

    options = CallableOptions(feed=list(feeds), target=[operation.partition(":")[0]])
    session._make_callable_from_options(options)(*feeds.values())
