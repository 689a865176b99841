"""One SavedModel: TensorFlow 2's and 1's, with assets, sparse inputs, and parts of its outputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.model_server.loader import LoadedModel
from serving.model_server.options import SessionOptions
from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.model_server.status import Code, StatusError

ROW = {"x": np.float32([1, 2]), "n": np.int64([1, 2]), "s": np.array([b"a", b"\0"], object)}


@pytest.fixture
def load() -> Any:
    loaded: list[LoadedModel] = []

    def load(path: Path, *options: Any) -> LoadedModel:
        loaded.append(LoadedModel(path, *options))
        return loaded[-1]

    yield load
    for model in loaded:
        model.close()


def save_v1(folder: Path, make: Callable[[Any], dict[str, Any]], **options: Any) -> Path:
    """A SavedModel as TensorFlow 1 writes it."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = make(tf.compat.v1)
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(tf.compat.v1.tables_initializer())
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        made = {name: option() for name, option in options.items()}
        tags = made.pop("tags", ["serve"])
        builder.add_meta_graph_and_variables(session, tags, signatures, **made)
        builder.save()
    return folder


def signature(v1: Any, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    info = v1.saved_model.build_tensor_info
    return v1.saved_model.build_signature_def(
        {name: info(tensor) for name, tensor in inputs.items()},
        {name: info(tensor) for name, tensor in outputs.items()},
        "tensorflow/serving/predict",
    )


def test_only_what_is_asked_is_computed(
    saved_models: dict[str, Path], load: Callable[..., LoadedModel]
) -> None:
    model = load(saved_models["fare"])
    default = model.signatures[DEFAULT_SIGNATURE]
    both = model.predict(default, ROW)
    assert both["score"].tolist() == [2.0, 4.0]
    assert both["greeting"].tolist() == [b"a!", b"\0!"]
    for names in (["greeting"], ["score"], ["score", "greeting"]):
        for _ in range(2):
            assert list(model.predict(default, ROW, names)) == names
    known = len(model._callables)
    model.predict(default, ROW, ["greeting"])
    assert len(model._callables) == known
    with pytest.raises(StatusError, match="output tensor alias not found in signature: nothing"):
        model.predict(default, ROW, ["nothing"])


def test_any_tensor_can_be_fed_and_fetched(
    saved_models: dict[str, Path], load: Callable[..., LoadedModel]
) -> None:
    model = load(saved_models["fare"])
    definition = model.signature_defs["total"]
    feed, fetch = definition.inputs["x"].name, definition.outputs["total"].name
    assert model.run({feed: np.float32([1, 2])}, [fetch])[0] == 3.0
    with pytest.raises(StatusError) as caught:
        model.run({feed: np.float32([1])}, ["nothing:0"])
    assert caught.value.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT)
    with pytest.raises(StatusError):
        model.run({feed: np.array([b"text"], object)}, [fetch])


def test_ever_other_fetches_do_not_fill_the_memory(
    saved_models: dict[str, Path],
    load: Callable[..., LoadedModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import serving.model_server.loader as module

    model = load(saved_models["fare"])
    monkeypatch.setattr(module, "_MOST_PLANS", len(model._plans) + 2)
    default = model.signatures[DEFAULT_SIGNATURE]
    for turn in range(1, 12):
        assert "score" in model.predict(default, ROW, ["score", "greeting"] * turn)
    assert len(model._plans) <= module._MOST_PLANS


def test_threads_share_a_model(
    saved_models: dict[str, Path], load: Callable[..., LoadedModel]
) -> None:
    model = load(saved_models["double"])
    default = model.signatures[DEFAULT_SIGNATURE]

    def ask(number: int) -> bool:
        return bool(model.predict(default, {"x": np.float32([number])})["y"][0] == 2 * number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_a_model_of_tensorflow_1_with_variables_answers(
    example_models: dict[str, Path], load: Callable[..., LoadedModel]
) -> None:
    model = load(example_models["half_plus_two"])
    default = model.signatures[DEFAULT_SIGNATURE]
    assert model.predict(default, {"x": np.float32([[2.0]])})["y"].tolist() == [[3.0]]


def test_assets_and_initializers_are_used(tmp_path: Path, load: Callable[..., LoadedModel]) -> None:
    words = tmp_path / "words.txt"
    words.write_text("cash\ncard\n")

    def make(v1: Any) -> dict[str, Any]:
        import tensorflow as tf

        table = v1.lookup.StaticHashTable(
            v1.lookup.TextFileInitializer(
                str(words),
                tf.string,
                v1.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                v1.lookup.TextFileIndex.LINE_NUMBER,
            ),
            -1,
        )
        word = v1.placeholder(tf.string, [None])
        return {DEFAULT_SIGNATURE: signature(v1, {"word": word}, {"id": table.lookup(word)})}

    def main_op() -> Any:
        import tensorflow as tf

        return tf.compat.v1.tables_initializer()

    def assets() -> Any:
        import tensorflow as tf

        v1 = tf.compat.v1
        return v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS)

    path = save_v1(tmp_path / "m", make, main_op=main_op, assets_collection=assets)
    words.unlink()
    model = load(path)
    asked = {"word": np.array([b"card", b"coin", b"cash"], object)}
    answer = model.predict(model.signatures[DEFAULT_SIGNATURE], asked)
    assert answer["id"].tolist() == [1, -1, 0]


def test_a_sparse_input_is_shown_but_not_served(
    tmp_path: Path, load: Callable[..., LoadedModel]
) -> None:
    def make(v1: Any) -> dict[str, Any]:
        import tensorflow as tf

        dense = v1.placeholder(tf.float32, [None, 3])
        sparse = v1.sparse_placeholder(tf.float32, [None, 3])
        total = tf.sparse.reduce_sum(sparse)
        return {
            DEFAULT_SIGNATURE: signature(v1, {"x": dense}, {"y": 2.0 * dense}),
            "sparse": signature(v1, {"x": sparse}, {"y": total}),
        }

    model = load(save_v1(tmp_path / "m", make))
    assert set(model.signatures) == {DEFAULT_SIGNATURE}
    assert model.signature_defs["sparse"].inputs["x"].HasField("coo_sparse")


def test_tags_choose_the_graph(tmp_path: Path, load: Callable[..., LoadedModel]) -> None:
    def make(v1: Any) -> dict[str, Any]:
        import tensorflow as tf

        x = v1.placeholder(tf.float32, [None])
        return {DEFAULT_SIGNATURE: signature(v1, {"x": x}, {"y": -x})}

    path = save_v1(tmp_path / "m", make, tags=lambda: ["serve", "gpu"])
    model = load(path, SessionOptions(tags=("serve", "gpu"), intra_op_threads=1))
    answer = model.predict(model.signatures[DEFAULT_SIGNATURE], {"x": np.float32([1])})
    assert answer["y"].tolist() == [-1.0]
    with pytest.raises(StatusError) as caught:
        load(path)
    assert caught.value.code is Code.NOT_FOUND


def test_what_is_no_model_is_refused(saved_models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(StatusError, match=str(tmp_path)) as caught:
        LoadedModel(tmp_path)
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(StatusError):
        LoadedModel(saved_models["broken"])


def test_a_failing_load_leaves_no_session_behind(saved_models: dict[str, Path]) -> None:
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(StatusError):
            LoadedModel(saved_models["broken"])
    assert len(os.listdir("/proc/self/fd")) <= files + 2


def test_a_signature_without_its_tensor_fails_its_own_requests_only(
    load: Any, tmp_path: Path
) -> None:
    def make(v1: Any) -> dict[str, Any]:
        x = v1.placeholder("float32", [None])
        good, bad = (signature(v1, {"x": x}, {"y": x * 2.0}) for _ in range(2))
        bad.outputs["y"].name = "gone:0"
        return {DEFAULT_SIGNATURE: good, "bad": bad}

    model = load(save_v1(tmp_path / "model", make))
    feeds = {"x": np.float32([1, 2])}
    assert model.predict(model.signatures[DEFAULT_SIGNATURE], feeds)["y"].tolist() == [2, 4]
    with pytest.raises(StatusError, match="gone"):
        model.predict(model.signatures["bad"], feeds)
