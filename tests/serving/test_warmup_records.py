"""The warm-up requests of a version: run before it answers, and failing its load."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.model_config import ModelConfig
from serving.model_server.loader import LoadedModel
from serving.model_server.manager import ModelManager
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code, StatusError
from serving.model_server.warmup_records import run_warmup


def predict_log(values: Any = (1.0,), signature: str = "", name: str = "x") -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.predict_log.request.model_spec.name = "any name"
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.float32))
    return log


def example_log(kind: str, signature: str, feature: str = "x") -> Any:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    request = getattr(log, kind).request
    request.model_spec.signature_name = signature
    example = request.input.example_list.examples.add()
    example.features.feature[feature].float_list.value.append(2.0)
    return log


def multi_inference_log() -> Any:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    request = log.multi_inference_log.request
    for signature, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "m", signature
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(2.0)
    return log


def write(folder: Path, records: Iterable[bytes]) -> Path:
    import tensorflow as tf

    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)
    return file


@pytest.fixture
def folder(saved_models: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(saved_models["double"], tmp_path / "m" / "1")


@pytest.fixture
def examples_folder(example_models: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(example_models["half_plus_two"], tmp_path / "m" / "1")


@pytest.fixture
def warm_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Loads a folder, runs its warm-up, and gives what the model was fed."""

    def warm_up(folder: Path, iterations: int = 1) -> list[Any]:
        model, fed = LoadedModel(folder), []
        call = model._call
        monkeypatch.setattr(
            model, "_call", lambda run, feeds: (fed.append(feeds), call(run, feeds))[1]
        )
        try:
            run_warmup(model, folder, 1, iterations)
        finally:
            model.close()
        return fed

    return warm_up


def test_a_model_without_requests_is_not_warmed_up(
    folder: Path, warm_up: Callable[..., list[Any]]
) -> None:
    assert warm_up(folder) == []


def test_each_request_runs_as_often_as_is_asked(
    folder: Path, warm_up: Callable[..., list[Any]]
) -> None:
    write(folder, [predict_log([v]).SerializeToString() for v in (1.0, 2.0)])
    assert [float(feeds[0][0]) for feeds in warm_up(folder)] == [1.0, 2.0]
    assert [float(feeds[0][0]) for feeds in warm_up(folder, 2)] == [1.0, 1.0, 2.0, 2.0]


def test_every_kind_of_request_runs(
    examples_folder: Path, warm_up: Callable[..., list[Any]]
) -> None:
    logs = [
        predict_log([[2.0]]),
        example_log("classify_log", "classify_x_to_y"),
        example_log("regress_log", "regress_x_to_y"),
        multi_inference_log(),
    ]
    write(examples_folder, [b"", *(log.SerializeToString() for log in logs)])
    fed = warm_up(examples_folder)
    assert [feeds[0].dtype for feeds in fed] == [np.float32, object, object, object]


@pytest.mark.parametrize(
    ("make", "code", "text"),
    [
        (lambda: predict_log(name="y"), Code.INVALID_ARGUMENT, "input size does not match"),
        (
            lambda: predict_log(signature="none"),
            Code.FAILED_PRECONDITION,
            'Serving signature key "none" not found.',
        ),
        (
            lambda: example_log("regress_log", "none"),
            Code.INVALID_ARGUMENT,
            "No signature was found with the name: none",
        ),
    ],
)
def test_a_request_that_fails_fails_the_warm_up(
    folder: Path,
    warm_up: Callable[..., list[Any]],
    make: Callable[[], Any],
    code: Code,
    text: str,
) -> None:
    write(folder, [make().SerializeToString()])
    with pytest.raises(StatusError, match=text) as caught:
        warm_up(folder)
    assert caught.value.code is code


def test_a_request_that_the_model_refuses_fails_the_warm_up(
    saved_models: dict[str, Path], tmp_path: Path, warm_up: Callable[..., list[Any]]
) -> None:
    folder = shutil.copytree(saved_models["keras"], tmp_path / "m" / "1")
    write(folder, [predict_log([[1.0, 2.0, 3.0]], name="row").SerializeToString()])
    assert len(warm_up(folder)) == 1
    write(folder, [predict_log([[1.0, 2.0]], name="row").SerializeToString()])
    with pytest.raises(StatusError, match="Matrix size-incompatible") as caught:
        warm_up(folder)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_session_run_log_is_not_supported(
    folder: Path, warm_up: Callable[..., list[Any]]
) -> None:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.session_run_log.request.fetch.append("y")
    write(folder, [log.SerializeToString()])
    with pytest.raises(StatusError, match="Unsupported log_type for warmup") as caught:
        warm_up(folder)
    assert caught.value.code is Code.UNIMPLEMENTED


def test_a_thousand_requests_are_the_most(folder: Path, warm_up: Callable[..., list[Any]]) -> None:
    record = predict_log().SerializeToString()
    write(folder, [record] * 1000)
    assert len(warm_up(folder)) == 1000
    write(folder, [record] * 1001)
    with pytest.raises(StatusError, match=r"exceeds the maximum \(1000\) at"):
        warm_up(folder)


def test_a_file_that_is_no_tfrecord_is_refused(
    folder: Path, warm_up: Callable[..., list[Any]]
) -> None:
    file = write(folder, [predict_log().SerializeToString()] * 2)
    whole = file.read_bytes()
    for damaged in (whole[:-5], b"no record at all", whole[:20] + b"!" + whole[21:]):
        file.write_bytes(damaged)
        with pytest.raises(StatusError, match="in TFRecord format") as caught:
            warm_up(folder)
        assert caught.value.code is Code.DATA_LOSS
    write(folder, [b"\xff\xff no PredictionLog"])
    with pytest.raises(StatusError, match="Failed to parse warmup record"):
        warm_up(folder)


@pytest.mark.parametrize(("enabled", "loads"), [(True, False), (False, True)])
def test_a_failing_warm_up_fails_the_load_where_it_is_on(
    folder: Path, enabled: bool, loads: bool
) -> None:
    write(folder, [predict_log(signature="none").SerializeToString()])
    options = ManagerOptions(max_load_retries=0, enable_warmup=enabled)
    manager = ModelManager([ModelConfig("m", str(folder.parent))], options)
    manager.start()
    try:
        assert (manager.wait_until_available(60) == []) is loads
        status = manager.statuses("m")[0]
        assert (status.code is Code.OK) is loads
        assert loads or status.message == 'Serving signature key "none" not found.'
    finally:
        manager.close()
