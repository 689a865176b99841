"""The gRPC services over TF1-style models, and what stands around every call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from serving.export import export_version
from serving.model_config import ModelConfig
from serving.model_server.grpc_service import GrpcOptions, add_services
from serving.model_server.manager import ModelManager
from serving.model_server.options import ManagerOptions
from serving.model_server.status import Code

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, int | None, Code]] = []
        self.sizes: list[tuple[int, int]] = []
        self.runs: list[tuple[float | None, int]] = []

    def request(self, api: str, entrypoint: str, *args: Any, **sizes: Any) -> None:
        model, version, code, seconds = args
        assert seconds > 0
        self.seen.append((api, entrypoint, model, version, code))
        self.sizes.append((sizes["bytes_in"], sizes["bytes_out"]))
        self.runs.append((sizes["run_s"], sizes["examples"]))


@contextmanager
def serving(
    manager: ModelManager, threads: int = 4, address: str = "127.0.0.1:0", **options: Any
) -> Iterator[SimpleNamespace]:
    from grpc_health.v1.health_pb2_grpc import HealthStub
    from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    server = grpc.server(ThreadPoolExecutor(threads), options=UNLIMITED)
    health = add_services(server, manager, GrpcOptions(**{"max_tensor_bytes": 2**26, **options}))
    port = server.add_insecure_port(address)
    server.start()
    target = address if address.startswith("unix:") else f"127.0.0.1:{port}"
    with grpc.insecure_channel(target, options=UNLIMITED) as channel:
        yield SimpleNamespace(
            channel=channel,
            health=health,
            checks=HealthStub(channel),
            models=ModelServiceStub(channel),
            prediction=PredictionServiceStub(channel),
        )
    server.stop(0).wait(10)


@pytest.fixture(scope="module")
def served(
    saved_models: dict[str, Path],
    example_models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SimpleNamespace]:
    """A manager of the example models, `fare` and `slow`, and the folder of their base paths."""
    root = tmp_path_factory.mktemp("heads")
    folders = {**example_models, **{name: saved_models[name] for name in ("fare", "slow")}}
    for name, folder in folders.items():
        export_version(folder, root / name, 123)
    configs = [ModelConfig(name, str(root / name)) for name in sorted(folders)]
    manager = ModelManager(configs, ManagerOptions(poll_wait_s=0))
    manager.start()
    assert manager.wait_until_available(60) == []
    yield SimpleNamespace(manager=manager, root=root)
    manager.close()


@pytest.fixture(scope="module")
def stubs(served: SimpleNamespace) -> Iterator[SimpleNamespace]:
    with serving(served.manager) as running:
        yield running


def predict_request(model: str, inputs: dict[str, Any], signature: str = "") -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    message = PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    for name, array in inputs.items():
        message.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return message


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def slow_request(turns: int) -> Any:
    return predict_request("slow", {"n": np.array([turns], np.int64)})


def fill(input_proto: Any, *values: float) -> None:
    for value in values:
        example = input_proto.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(value)


def example_request(kind: str, model: str, signature: str, *values: float) -> Any:
    from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
    from tensorflow_serving.apis.regression_pb2 import RegressionRequest

    message = {"classify": ClassificationRequest, "regress": RegressionRequest}[kind]()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    fill(message.input, *values)
    return message


def assert_spec(spec: Any, name: str, signature: str) -> None:
    assert (spec.name, spec.signature_name, spec.version.value) == (name, signature, 123)


def failing(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("rank", [1, 2])  # the signature's shape is [-1, 1]
def test_predict_takes_one_value_in_its_typed_field(stubs: Any, rank: int) -> None:
    message = predict_request("half_plus_two", {})
    x = message.inputs["x"]
    x.dtype = 1
    x.float_val.append(2.0)
    for _ in range(rank):
        x.tensor_shape.dim.add().size = 1
    message.output_filter.append("y")
    response = stubs.prediction.Predict(message)
    assert list(response.outputs["y"].float_val) == [3.0]
    assert len(response.outputs["y"].tensor_shape.dim) == rank
    assert_spec(response.model_spec, "half_plus_two", "serving_default")


def test_classify(stubs: Any) -> None:
    message = example_request("classify", "half_plus_two", "classify_x_to_y", 2.0)
    response = stubs.prediction.Classify(message)
    [[only]] = [row.classes for row in response.result.classifications]
    assert (only.score, only.label) == (3.0, "")
    assert_spec(response.model_spec, "half_plus_two", "classify_x_to_y")
    response = stubs.prediction.Classify(example_request("classify", "classifier", "", 2.0))
    assert [c.label for c in response.result.classifications[0].classes] == ["low", "high"]
    assert_spec(response.model_spec, "classifier", "serving_default")


def test_regress(stubs: Any) -> None:
    message = example_request("regress", "half_plus_two", "regress_x_to_y", 2.0, 0.0)
    response = stubs.prediction.Regress(message)
    assert [row.value for row in response.result.regressions] == [3.0, 2.0]
    assert_spec(response.model_spec, "half_plus_two", "regress_x_to_y")


def test_multi_inference(stubs: Any) -> None:
    from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest

    message = MultiInferenceRequest()
    fill(message.input, 2.0)
    for method in ("regress", "classify"):
        task = message.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "half_plus_two"
        task.model_spec.signature_name = f"{method}_x_to_y"
    first, second = stubs.prediction.MultiInference(message).results
    assert first.regression_result.regressions[0].value == 3.0
    assert second.classification_result.classifications[0].classes[0].score == 3.0
    assert_spec(first.model_spec, "half_plus_two", "regress_x_to_y")
    assert_spec(second.model_spec, "half_plus_two", "classify_x_to_y")
    code = failing(lambda: stubs.prediction.MultiInference(MultiInferenceRequest()))
    assert code == (INVALID, "ModelSpec has no name specified.")


@pytest.mark.parametrize("kind", ["Classify", "Regress"])
def test_wrong_requests_with_examples(stubs: Any, kind: str) -> None:
    def code(model: str, signature: str, *values: float) -> tuple[grpc.StatusCode, str]:
        message = example_request(kind.lower(), model, signature, *values)
        return failing(lambda: getattr(stubs.prediction, kind)(message))

    name = f"{kind.lower()}_x_to_y"
    assert code("half_plus_two", name) == (INVALID, "Input is empty.")
    assert code("half_plus_two", "nope", 1.0) == (
        INVALID,
        "No signature was found with the name: nope",
    )
    assert code("other", "", 1.0)[0] is grpc.StatusCode.NOT_FOUND
    assert code("", "", 1.0) == (INVALID, "ModelSpec has no name specified.")
    empty = type(example_request(kind.lower(), "", ""))()
    assert failing(lambda: getattr(stubs.prediction, kind)(empty)) == (INVALID, "Missing ModelSpec")


def test_bytes_that_are_no_request_are_an_invalid_argument(stubs: Any) -> None:
    for method in ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"):
        call = stubs.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        code, details = failing(lambda call=call: call(b"\xff\xff\xff"))
        assert code is INVALID
        assert details.startswith("The request is no ")


def test_a_message_over_grpcs_usual_limit_goes_both_ways(stubs: Any) -> None:
    x = np.arange(2_000_000, dtype=np.float32)  # 8 MB; gRPC's own limit is 4 MiB
    response = stubs.prediction.Predict(predict_request("fare", {"x": x}, "total"))
    np.testing.assert_array_equal(np.array(response.outputs["x"].float_val), x)


def test_a_tensor_over_the_limit_is_refused(served: SimpleNamespace) -> None:
    with serving(served.manager, max_tensor_bytes=1000) as small:
        message = predict_request("fare", {"x": np.zeros(1, np.float32)}, "total")
        message.inputs["x"].tensor_shape.dim[0].size = 10**9
        message.inputs["x"].tensor_content = b""
        code, details = failing(lambda: small.prediction.Predict(message))
    assert code is INVALID
    assert "over 1000 bytes" in details


def test_every_request_is_observed_once_with_its_status(served: SimpleNamespace) -> None:
    from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

    recorder = Recorder()
    with serving(served.manager, observer=recorder) as running:
        message = example_request("regress", "regressor", "", 1.0)
        answer = running.prediction.Regress(message)
        failing(lambda: running.prediction.Classify(example_request("classify", "no", "", 1.0)))
        failing(lambda: running.prediction.Predict(predict_request("fare", {})))
        status = GetModelStatusRequest()
        status.model_spec.name = "fare"
        running.models.GetModelStatus(status)
    assert recorder.seen == [
        ("GRPC", "Regress", "regressor", 123, Code.OK),
        ("GRPC", "Classify", "no", None, Code.NOT_FOUND),
        ("GRPC", "Predict", "fare", 123, Code.INVALID_ARGUMENT),
        ("GRPC", "GetModelStatus", "fare", None, Code.OK),
    ]
    assert [(ran is not None, examples) for ran, examples in recorder.runs] == [
        (True, 1),
        (False, 0),
        (False, 0),
        (False, 0),
    ]
    assert recorder.sizes[0] == (message.ByteSize(), answer.ByteSize())
    assert recorder.sizes[1][1] == 0


def test_a_token_is_asked_of_all_but_health(served: SimpleNamespace) -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest

    message = example_request("regress", "regressor", "", 1.0)
    with serving(served.manager, token="s3cret") as running:
        for metadata in (
            None,
            [("authorization", "Bearer wrong")],
            [("authorization", "s3cret")],
            [("authorization", "Bearer s3cret ")],
            [("x-authorization", "Bearer s3cret")],
        ):
            code, details = failing(
                lambda metadata=metadata: running.prediction.Regress(message, metadata=metadata)
            )
            assert code is grpc.StatusCode.UNAUTHENTICATED
            assert "s3cret" not in details
        metadata = [("authorization", "Bearer s3cret")]
        assert running.prediction.Regress(message, metadata=metadata).result.regressions
        assert running.checks.Check(HealthCheckRequest()).status
    assert "s3cret" not in repr(GrpcOptions(1, token="s3cret"))


def test_a_request_whose_deadline_passes_while_it_waits_is_not_run(
    served: SimpleNamespace,
) -> None:
    recorder = Recorder()
    with serving(served.manager, threads=1, observer=recorder) as running:
        slow = served.manager.models["slow"].live()
        assert slow is not None
        first = running.prediction.Predict.future(slow_request(150_000))
        wait_for(lambda: slow.in_flight or first.done())
        message = example_request("regress", "regressor", "", 1.0)
        code, _ = failing(lambda: running.prediction.Regress(message, timeout=0.05))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        first.result(30)
        running.prediction.Classify(example_request("classify", "classifier", "", 1.0))
    assert [seen[1] for seen in recorder.seen if seen[4] is Code.OK] == ["Predict", "Classify"]


def test_a_cancelled_request_leaves_the_server_well(stubs: Any) -> None:
    under_way = stubs.prediction.Predict.future(slow_request(150_000))
    time.sleep(0.05)
    under_way.cancel()
    assert under_way.code() is grpc.StatusCode.CANCELLED
    assert stubs.prediction.Predict(slow_request(3)).outputs["y"].int64_val == [3]


def test_a_unix_socket_serves_too(served: SimpleNamespace, tmp_path: Path) -> None:
    with serving(served.manager, address=f"unix:{tmp_path}/s") as running:
        message = example_request("regress", "regressor", "", 1.0)
        assert running.prediction.Regress(message).result.regressions[0].value == 3.0


def test_health_follows_the_models_and_ends_with_the_drain(
    served: SimpleNamespace, saved_models: dict[str, Path], tmp_path: Path
) -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

    configs = [ModelConfig("fare", str(tmp_path / "fare"))]
    (tmp_path / "fare").mkdir()
    manager = ModelManager(configs, ManagerOptions(poll_wait_s=0.05))
    manager.start()
    services = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
    with serving(manager) as running:

        def check(service: str) -> int:
            return int(running.checks.Check(HealthCheckRequest(service=service)).status)

        assert {check(service) for service in services} == {HealthCheckResponse.NOT_SERVING}
        seen: list[int] = []
        enough = threading.Event()

        def watch() -> None:
            try:
                for answer in running.checks.Watch(HealthCheckRequest(service=services[1])):
                    seen.append(answer.status)
                    if len(seen) == 3:
                        enough.set()
            except grpc.RpcError:  # the server stopped
                pass

        watcher = threading.Thread(target=watch)
        watcher.start()
        wait_for(lambda: seen)
        export_version(saved_models["fare"], tmp_path / "fare", 1)
        manager.wait_until_available(60)
        assert {check(service) for service in services} == {HealthCheckResponse.SERVING}
        assert failing(lambda: check("other"))[0] is grpc.StatusCode.NOT_FOUND
        running.health.drain()
        assert {check(service) for service in services} == {HealthCheckResponse.NOT_SERVING}
        assert enough.wait(30)
    watcher.join(30)
    manager.close()
    assert seen == [
        HealthCheckResponse.NOT_SERVING,
        HealthCheckResponse.SERVING,
        HealthCheckResponse.NOT_SERVING,
    ]


def test_watchers_of_the_health_that_come_and_go_share_one_thread(served: SimpleNamespace) -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest

    before = set(threading.enumerate())
    with serving(served.manager) as running:
        for _ in range(5):
            watch = running.checks.Watch(HealthCheckRequest())
            next(watch)
            watch.cancel()
            wait_for(lambda: running.health._watchers == 0)
        watch = running.checks.Watch(HealthCheckRequest())
        next(watch)
        ours = [thread.name for thread in set(threading.enumerate()) - before]
        assert ours.count("grpc-health") == 1
        watch.cancel()
    wait_for(lambda: not running.health._is_looking)


def test_a_reload_replaces_the_served_models_or_changes_nothing(
    served: SimpleNamespace, tmp_path: Path
) -> None:
    from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest

    manager = ModelManager(
        [ModelConfig("regressor", str(served.root / "regressor"))], ManagerOptions(poll_wait_s=0)
    )
    manager.start()
    manager.wait_until_available(60)

    def config(*models: tuple[str, Path]) -> Any:
        message = ReloadConfigRequest()
        message.config.model_config_list.SetInParent()
        for name, path in models:
            message.config.model_config_list.config.add(
                name=name, base_path=str(path), model_platform="tensorflow"
            )
        return message

    with serving(manager) as running:
        regress = example_request("regress", "regressor", "", 1.0)
        classify = example_request("classify", "classifier", "", 1.0)
        reload = running.models.HandleReloadConfigRequest
        code, details = failing(lambda: reload(ReloadConfigRequest()))
        assert code is INVALID
        assert details.endswith("Only ModelConfigList is currently supported")
        twice = config(("a", served.root / "fare"), ("a", served.root / "fare"))
        assert failing(lambda: reload(twice))[0] is INVALID
        absent = config(("a", tmp_path / "absent"))
        assert failing(lambda: reload(absent))[0] is INVALID
        assert running.prediction.Regress(regress).result.regressions
        answer = reload(config(("classifier", served.root / "classifier")))
        assert answer.HasField("status")
        assert answer.status.error_code == 0
        assert running.prediction.Classify(classify).result.classifications
        assert failing(lambda: running.prediction.Regress(regress))[0] is (
            grpc.StatusCode.NOT_FOUND
        )
    manager.close()
