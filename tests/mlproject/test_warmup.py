"""Warm-up requests: written from raw rows, read back, and asked of the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from mlproject.errors import ConfigError, DataError, ServingError
from mlproject.examples.reader import read_batches
from mlproject.raw_inputs import MISSING_INT, raw_arrays
from mlproject.saved_model import OUTPUT, open_signature
from mlproject.saved_model_layout import WARMUP_FILE
from mlproject.training import MODEL_FOLDER
from mlproject.warmup import read_warmup_requests, write_warmup_requests

Write = Callable[[Path, Mapping[str, pa.Array]], Path]


@pytest.fixture
def model(taxi_trained: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taxi_trained.folder / MODEL_FOLDER, tmp_path / "model"))


def warmup_file(model: Path) -> Path:
    return model / "assets.extra" / WARMUP_FILE


def echo(folder: Path, **specs: tf.TensorSpec) -> Path:
    """A SavedModel of its own, which gives a number for each row of its inputs."""
    named = {n: tf.TensorSpec(s.shape, s.dtype, name=n) for n, s in specs.items()}

    @tf.function(input_signature=[named])
    def serving_default(features: Any) -> Any:
        rows = tf.shape(next(iter(features.values())))[0]
        return {OUTPUT: tf.zeros([rows, 1])}

    module = tf.Module()
    signatures = {"serving_default": serving_default.get_concrete_function()}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def test_tensorflow_reads_the_requests_and_the_model_answers_all_of_them(
    model: Path, taxi_examples: Path
) -> None:
    split = taxi_examples / "Split-eval"
    assert write_warmup_requests(model, "taxi", split, rows=40) == 40
    (batch,) = read_batches(split)
    places = np.linspace(0, batch.num_rows - 1, 40).round().astype(int)
    records = list(tf.data.TFRecordDataset(str(warmup_file(model))).as_numpy_iterator())
    requests = [PredictionLog.FromString(record).predict_log.request for record in records]
    assert {(r.model_spec.name, r.model_spec.signature_name) for r in requests} == {
        ("taxi", "serving_default")
    }
    with open_signature(model) as predict:
        whole = raw_arrays(batch, predict.input_names)  # type: ignore[attr-defined]
        wanted = predict(whole)[OUTPUT][places]
        given = [{n: tf.make_ndarray(t) for n, t in r.inputs.items()} for r in requests]
        answers = np.concatenate([predict(arrays)[OUTPUT] for arrays in given])
    np.testing.assert_allclose(answers, wanted, atol=1e-6)
    missing = [int(g["dropoff_community_area"][0] == MISSING_INT) for g in given]
    assert 0 < sum(missing) < 40


def test_requests_are_read_as_they_were_written(model: Path, taxi_examples: Path) -> None:
    write_warmup_requests(model, "taxi", taxi_examples / "Split-eval", rows=7)
    with open_signature(model) as predict:
        names, requests = predict.input_names, read_warmup_requests(model)  # type: ignore[attr-defined]
        assert len(requests) == 7
        for request in requests:
            assert sorted(request) == sorted(names)
            assert {array.shape for array in request.values()} == {(1,)}
            assert predict(request)[OUTPUT].shape == (1, 1)
    assert requests[0]["company"].dtype == np.dtype(object)
    assert requests[0]["trip_start_hour"].dtype == np.dtype("int64")
    assert requests[0]["fare"].dtype == np.dtype("float32")


def test_lists_bytes_and_missing_values_are_their_stand_ins(
    tmp_path: Path, write_split: Write
) -> None:
    model = echo(
        tmp_path / "model",
        any=tf.TensorSpec([None, None], tf.int64),
        fixed=tf.TensorSpec([None, 2, 2], tf.float32),
        raw=tf.TensorSpec([None], tf.string),
        small=tf.TensorSpec([None], tf.int32),
    )
    columns = {
        "any": pa.array([[1, 2, 3], None, [4]]),
        "fixed": pa.array([[0.0, 1.0, 2.0, 3.0], None, [4.0, 5.0, 6.0, 7.0]]),
        "raw": pa.array([b"\x00\xff", None, b"x\x00"]),
        "small": pa.array([1, 2, 3]),
        "unused": pa.array(["a", "b", "c"]),
    }
    split = write_split(tmp_path / "Split-eval", columns)
    assert write_warmup_requests(model, "m", split) == 3
    first, second, third = read_warmup_requests(model)
    assert first["any"].tolist() == [[1, 2, 3]]
    assert second["any"].tolist() == [[MISSING_INT]]
    assert third["any"].tolist() == [[4]]
    assert third["fixed"].tolist() == [[[4.0, 5.0], [6.0, 7.0]]]
    assert np.isnan(second["fixed"]).all()
    assert [r["raw"].tolist() for r in (first, second, third)] == [[b"\x00\xff"], [b""], [b"x\x00"]]
    assert first["small"].dtype == np.dtype("int32")
    assert "unused" not in first


def test_a_model_that_takes_no_columns_gets_no_requests(
    tmp_path: Path, taxi_examples: Path
) -> None:
    model = echo(tmp_path / "model", examples=tf.TensorSpec([None], tf.string))
    assert write_warmup_requests(model, "m", taxi_examples / "Split-eval") == 0
    assert not warmup_file(model).exists()
    assert read_warmup_requests(model) == []


def test_data_of_another_type_is_refused_by_the_inputs_name(
    tmp_path: Path, write_split: Write
) -> None:
    model = echo(tmp_path / "model", x=tf.TensorSpec([None], tf.float32))
    split = write_split(tmp_path / "Split-eval", {"x": pa.array(["1.5"])})
    with pytest.raises(ServingError, match="'x'") as caught:
        write_warmup_requests(model, "m", split)
    assert (caught.value.received, caught.value.expected) == ("text or bytes", "float32")


@pytest.mark.parametrize("rows", [0, 1001])
def test_more_requests_than_tensorflow_serving_reads_are_refused(
    rows: int, model: Path, taxi_examples: Path
) -> None:
    with pytest.raises(ConfigError, match="warm-up") as caught:
        write_warmup_requests(model, "taxi", taxi_examples / "Split-eval", rows)
    assert caught.value.expected == "1 to 1,000, as many as TensorFlow Serving reads"


def test_a_split_that_is_missing_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no examples"):
        write_warmup_requests(model, "taxi", tmp_path)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, taxi_examples: Path) -> None:
    with pytest.raises(ServingError, match="Reading the SavedModel"):
        write_warmup_requests(tmp_path, "taxi", taxi_examples / "Split-eval")


def other_kind() -> bytes:
    log = PredictionLog()
    log.classify_log.request.model_spec.name = "m"
    return bytes(log.SerializeToString())


def other_signature() -> bytes:
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = "other"
    return bytes(log.SerializeToString())


def bad_tensor() -> bytes:
    log = PredictionLog()
    tensor = log.predict_log.request.inputs["x"]
    tensor.CopyFrom(tf.make_tensor_proto(np.zeros(4, "float32")))
    tensor.tensor_content = b"abc"
    return bytes(log.SerializeToString())


@pytest.mark.parametrize(
    "records",
    [
        [other_kind()],
        [other_signature()],
        [bad_tensor()],
        [b"\xff\xff no protobuf"],
        [PredictionLog().SerializeToString()],
        [other_signature().replace(b"other", b"")] * 1001,
    ],
    ids=["kind", "signature", "tensor", "garbage", "empty", "many"],
)
def test_records_that_are_no_requests_are_refused(records: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(warmup_file(tmp_path))) as writer:
        for record in records:
            writer.write(record)
    with pytest.raises(ServingError, match="warm-up requests"):
        read_warmup_requests(tmp_path)


def test_a_file_cut_in_the_middle_is_refused(model: Path, taxi_examples: Path) -> None:
    write_warmup_requests(model, "taxi", taxi_examples / "Split-eval", rows=3)
    file = warmup_file(model)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ServingError, match="warm-up requests"):
        read_warmup_requests(model)
