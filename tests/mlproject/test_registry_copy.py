"""A version in another registry: whole, checked, once, and challenger there."""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import unquote

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from mlproject.errors import ConfigError, RegistryError, TrackingError
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import (
    BASE_TAG,
    BASELINE_TAG,
    BLESSING_TAG,
    INFRA_TAG,
    KERAS_DIGEST_TAG,
    MODEL_DIGEST_TAG,
    SAMPLE_TAG,
    TRAIN_RUN_TAG,
    Column,
    Registration,
    Registry,
    VersionInfo,
    model_digest,
)
from mlproject.registry.copy import Copied, CopyRequest, copy_version, sized
from mlproject.registry.copy_run import Place
from mlproject.registry.copy_target import check_seen
from mlproject.registry.deployment_settings import keep_deployment, read_deployment
from mlproject.registry.names import COPIED_FROM_RUN_TAG, COPIED_FROM_TAG, STAGE_TAG
from mlproject.registry.projection import Projection
from mlproject.registry.stores import CREDENTIALS, ModelStore, source_store, target_store
from mlproject.sections.deployment import DeploymentSection
from mlproject.sections.registry import RegistrySection
from mlproject.settings import Settings, read_settings
from mlproject.tracking import ROOT_TAG, Tracker, connect

SAMPLE = {"fare": 10.25, "company": "Flash"}
TAGS = {
    TRAIN_RUN_TAG: "f" * 32,
    BLESSING_TAG: "BLESSED",
    INFRA_TAG: "INFRA_BLESSED",
    SAMPLE_TAG: json.dumps(SAMPLE),
    "benison.run.train": "f" * 32,
    "benison.source_digest": "a" * 64,
    "owner": "the pricing team",
}


class Source:
    """A registry with version 1 of 'taxi': blessed, in production, with a tiny model."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        model = folder / "saved_model"
        (model / "variables").mkdir(parents=True)
        (model / "assets").mkdir()  # empty: it may be lost on the way
        (model / "saved_model.pb").write_bytes(bytes(range(256)) * 40)
        (model / "variables" / "variables.index").write_bytes(b"index")
        (folder / "model.keras").write_bytes(b"keras")
        (folder / "blessing.json").write_text('{"verdict": "BLESSED"}', encoding="utf-8")
        self.tracker = Tracker(settings, "taxi")
        self.run_id = self._run()
        self.version = self.register()

    @property
    def store(self) -> ModelStore:
        return source_store(self.settings, {})

    @property
    def client(self) -> MlflowClient:
        return self.tracker.client

    def register(self, **tags: str) -> VersionInfo:
        registration = Registration(
            name="taxi",
            saved_model=self.folder / "saved_model",
            keras_model=self.folder / "model.keras",
            evidence={
                "blessing.json": self.folder / "blessing.json",
                "code/taxi.py": self.folder / "blessing.json",
            },
            columns=(Column("fare", "float"), Column("company", "string")),
            output="float",
            sample=SAMPLE,
            run_id=self.run_id,
            tags={**TAGS, **tags},
            description="Will the rider tip?",
        )
        return Registry(self.settings).register(registration)

    def _run(self) -> str:
        tags = {"benison.source": "csv", ROOT_TAG: "/home/me/.benison", "mlflow.user": "me"}
        run_id = self.tracker.start_run("pipeline", {**tags, "mlflow.source.git.commit": "c0ffee"})
        self.tracker.log_params(run_id, {f"train.p{n}": n for n in range(120)})
        here = {"register.model_version": 1, "export.serving_path": "/home/me/serving/taxi/1"}
        self.tracker.log_params(run_id, here)
        self.tracker.log_metrics(run_id, {"auc": 0.9, "loss": float("nan")})
        dataset = Dataset("trips", "12345678", "local", json.dumps({"uri": "file:///data/trips"}))
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        self.client.log_inputs(run_id, inputs)
        self.tracker.finish_run(run_id, "FINISHED")
        return run_id


def fresh(empty_store: Path, home: Path) -> Settings:
    home.mkdir(parents=True)
    shutil.copy(empty_store, home / "mlflow.db")
    return read_settings({"BENISON_HOME": str(home)}, home)


@pytest.fixture(scope="module")
def kept(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The source of most tests, which they leave as it is."""
    folder = tmp_path_factory.mktemp("source")
    source = Source(folder, fresh(empty_store, folder / "home"))
    projection = Projection(source.settings, source.client)
    projection.set_policy("taxi", RegistrySection(approval_timeout_s=7.0))
    section = DeploymentSection(target="docker")
    keep_deployment(source.settings, source.client, "taxi", section)
    promoter = Promoter(source.settings)
    for stage in (Stage.STAGING, Stage.PRODUCTION):
        promoter.move(source.version, Ask(stage, "good"))
    return source


@pytest.fixture
def source(empty_store: Path, tmp_path: Path) -> Source:
    """A source of the test's own."""
    return Source(tmp_path / "source", fresh(empty_store, tmp_path / "source" / "home"))


@pytest.fixture
def target(empty_store: Path, tmp_path: Path) -> ModelStore:
    """An empty registry, beside the home of whoever copies."""
    home = fresh(empty_store, tmp_path / "prod").home
    mine = read_settings({"BENISON_HOME": str(tmp_path / "mine")}, tmp_path)
    return target_store(f"sqlite:///{home / 'mlflow.db'}", mine, {})


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        f"{start}{name}" for start in ("MLFLOW_TRACKING_", "BENISON_TO_") for name in CREDENTIALS
    ]
    for name in (*names, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")  # so that it comes back as it was, whatever MLflow sets
        monkeypatch.delenv(name)


def asked(reference: str = "taxi@champion", name: str = "", **more: Any) -> CopyRequest:
    return CopyRequest(reference, name, "passed the review", "ann", **more)


def copied(source: Source, target: ModelStore, request: CopyRequest | None = None) -> Copied:
    return copy_version(source.store, target, request or asked("taxi/1"))


def versions(target: ModelStore, name: str = "taxi") -> list[VersionInfo]:
    return Registry(target.settings).versions(name)


def fetched(settings: Settings, name: str, into: Path) -> Path:
    into.mkdir()
    connect(settings)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{name}", dst_path=str(into)))


def test_a_copy_is_challenger_in_the_targets_ledger(kept: Source, target: ModelStore) -> None:
    lines: list[str] = []
    done = copy_version(kept.store, target, asked(), lines.append)
    address = f"sqlite:///{kept.settings.home / 'mlflow.db'}/taxi/1"
    assert (done.source, done.name, done.version, done.stage) == (address, "taxi", 1, "staging")
    assert not done.was_there
    assert done.size_bytes > 10_240
    assert len(lines) == 3
    promoter = Promoter(target.settings)
    (entry,) = promoter.history("taxi")
    assert (entry.who, entry.why) == ("ann", "passed the review")
    assert entry.evidence["copied_from"] == address
    aliases = promoter.registry.client.get_registered_model("taxi").aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {"challenger": 1}


def test_a_copy_keeps_what_describes_it_and_leaves_what_does_not(
    kept: Source, target: ModelStore
) -> None:
    copied(kept, target)
    original = Registry(kept.settings).resolve("taxi/1")
    assert original.tags[STAGE_TAG] == "production"
    (copy,) = versions(target)
    assert copy.tags == {
        **original.tags,
        STAGE_TAG: "staging",
        COPIED_FROM_TAG: f"sqlite:///{kept.settings.home / 'mlflow.db'}/taxi/1",
        COPIED_FROM_RUN_TAG: kept.run_id,
    }
    found = connect(target.settings).get_model_version("taxi", "1")
    assert found.description == "Will the rider tip?"


def test_the_run_of_a_copy_holds_lineage(kept: Source, target: ModelStore) -> None:
    copied(kept, target)
    client = connect(target.settings)
    (copy,) = versions(target)
    run, original = client.get_run(copy.run_id or ""), kept.client.get_run(kept.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name.startswith("copied from sqlite:///")
    assert client.get_experiment(run.info.experiment_id).name == "taxi"
    assert run.data.params == {f"train.p{n}": str(n) for n in range(120)}
    assert run.data.metrics["auc"] == 0.9
    assert run.data.metrics["loss"] != run.data.metrics["loss"]
    assert run.data.tags["benison.source"] == "csv"
    assert run.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert ROOT_TAG not in run.data.tags
    assert run.inputs is not None
    assert original.inputs is not None
    (found,), (there,) = run.inputs.dataset_inputs, original.inputs.dataset_inputs
    assert found.to_dictionary() == there.to_dictionary()
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    assert model.params == run.data.params
    assert model.artifact_location.startswith((target.settings.home / "mlartifacts").as_uri())


def test_the_files_are_the_same_but_for_what_names_them(
    kept: Source, target: ModelStore, tmp_path: Path
) -> None:
    copied(kept, target)
    before = fetched(kept.settings, "taxi/1", tmp_path / "before")
    after = fetched(target.settings, "taxi/1", tmp_path / "after")
    info = mlflow.models.Model.load(after)
    (copy,) = versions(target)
    assert info.run_id == copy.run_id
    assert str(info.model_id) in str(info.artifact_path)
    assert str(info.model_id) not in (before / "MLmodel").read_text()
    original = mlflow.models.Model.load(before)
    assert info.signature == original.signature
    assert info.signature.inputs.input_names() == ["fare", "company"]
    example: Any = info.load_input_example(str(after))
    assert example.to_dict("records") == [SAMPLE]
    for folder in (before, after):
        for name in ("MLmodel", "registered_model_meta"):
            (folder / name).unlink()
    assert model_digest(before) == model_digest(after)


def test_the_policy_and_how_it_is_deployed_go_along_where_the_target_has_none(
    kept: Source, target: ModelStore
) -> None:
    copied(kept, target)
    client = connect(target.settings)
    assert read_deployment(target.settings, client, "taxi").target == "docker"
    projection = Projection(target.settings, connect(target.settings))
    assert projection.read("taxi").policy.approval_timeout_s == 7.0
    other = asked("taxi/1", "fares")
    Promoter(target.settings).ledger.open("fares")
    projection.set_policy("fares", RegistrySection(approval_timeout_s=9.0))
    copied(kept, target, other)
    assert projection.read("fares").policy.approval_timeout_s == 9.0


def test_a_second_copy_finds_the_first(kept: Source, target: ModelStore) -> None:
    first = copied(kept, target)
    second = copied(kept, target)
    assert second.was_there
    assert (second.version, second.files) == (first.version, 0)
    assert len(versions(target)) == 1
    assert len(Promoter(target.settings).history("taxi")) == 1


def test_a_copy_that_the_target_moved_on_stays_there(kept: Source, target: ModelStore) -> None:
    copied(kept, target)
    promoter = Promoter(target.settings)
    for stage in (Stage.PRODUCTION, Stage.ARCHIVED):
        promoter.move(versions(target)[0], Ask(stage, "their decision"))
        assert copied(kept, target).stage == stage
    assert len(promoter.history("taxi")) == 3


def test_another_name_in_the_same_registry_is_a_copy(source: Source, tmp_path: Path) -> None:
    same = target_store(source.settings.tracking_uri, source.settings, {})
    done = copied(source, same, asked("taxi/1", "fares"))
    assert (done.name, done.version) == ("fares", 1)
    assert [v.name for v in versions(same, "fares")] == ["fares"]
    linked = tmp_path / "link"
    linked.symlink_to(source.settings.home)
    for uri in (source.settings.tracking_uri, f"sqlite:///{linked / 'mlflow.db'}"):
        with pytest.raises(RegistryError, match="the same registry"):
            copied(source, target_store(uri, source.settings, {}))
    assert len(Registry(source.settings).versions("taxi")) == 1


def test_numbers_of_the_source_become_the_targets(source: Source, target: ModelStore) -> None:
    connect(target.settings).create_registered_model("taxi")
    connect(target.settings).create_model_version("taxi", "file:///nowhere")
    assert copied(source, target).version == 2
    child = {TRAIN_RUN_TAG: "2", BASE_TAG: "1", BASELINE_TAG: "9"}
    source.register(**child)
    assert copied(source, target, asked("taxi/2")).version == 3
    tags = versions(target)[2].tags
    assert (tags[BASE_TAG], tags[BASELINE_TAG]) == ("2", "")
    assert tags["benison.at_source.base_version"] == "1"
    assert tags["benison.at_source.baseline_version"] == "9"


def test_a_version_whose_run_is_gone_is_copied_without_it(
    source: Source, target: ModelStore
) -> None:
    source.client.set_model_version_tag("taxi", "1", "team", "x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlproject.registry.copy_source.find_run", lambda *_: None)
        assert copied(source, target).stage == "staging"
    run = connect(target.settings).get_run(versions(target)[0].run_id or "")
    assert run.data.params == {}


def test_mlflow_loads_the_copy_and_it_predicts_the_same(
    source: Source, target: ModelStore, taxi_trained: Any
) -> None:
    from mlproject.training import MODEL_FOLDER

    model = taxi_trained.folder / MODEL_FOLDER
    shutil.rmtree(source.folder / "saved_model")
    shutil.copytree(model, source.folder / "saved_model")
    source.register(**{TRAIN_RUN_TAG: "real"})
    copied(source, target, asked("taxi/2"))
    answers = []
    for settings, name in ((source.settings, "taxi/2"), (target.settings, "taxi/1")):
        connect(settings)
        loaded = mlflow.pyfunc.load_model(f"models:/{name}")
        answers.append(loaded.predict(pd.DataFrame([SAMPLE])).to_numpy())
    np.testing.assert_array_equal(answers[0], answers[1])
    assert 0 < answers[0].item() < 1


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        (BLESSING_TAG, "NOT_BLESSED", "its blessing is NOT_BLESSED"),
        (BLESSING_TAG, "", "its blessing is missing"),
        (INFRA_TAG, "NOT_JUDGED", "its trial in a server is NOT_JUDGED"),
        (MODEL_DIGEST_TAG, "", "no tag benison.model_digest"),
    ],
)
def test_an_unfit_version_is_refused_before_anything_is_sent(
    source: Source, target: ModelStore, tag: str, value: str, said: str
) -> None:
    source.client.set_model_version_tag("taxi", "1", tag, value)
    with pytest.raises(RegistryError, match=said):
        copied(source, target)
    assert_untouched(target)


def _change(model: Path) -> None:
    with (model / "artifacts" / "saved_model" / "saved_model.pb").open("r+b") as file:
        file.write(b"X")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_change, "not what was registered"),
        (
            lambda model: (model / "artifacts" / "saved_model" / "more").touch(),
            "files have changed",
        ),
        (lambda model: (model / "artifacts" / "model.keras").unlink(), "model.keras"),
        (lambda model: (model / "MLmodel").unlink(), "no MLmodel"),
        (lambda model: (model / "MLmodel").write_text("[1]"), "MLmodel file"),
        (lambda model: (model / "MLmodel").write_text("a: {"), "MLmodel file"),
        (shutil.rmtree, "Fetching version 1 of 'taxi' failed"),
    ],
)
def test_damaged_files_make_no_version(
    source: Source, target: ModelStore, damage: Callable[[Path], Any], said: str
) -> None:
    (logged,) = source.client.search_logged_models([source.tracker.experiment_id])
    damage(Path(logged.artifact_location.removeprefix("file://")))
    with pytest.raises(RegistryError, match=said):
        copied(source, target)
    assert versions(target) == []


def test_a_model_that_has_no_digest_is_not_taken_along(source: Source, target: ModelStore) -> None:
    source.client.set_model_version_tag("taxi", "1", KERAS_DIGEST_TAG, "")
    with pytest.raises(
        RegistryError, match=r"model\.keras of version 1 of 'taxi' cannot be checked"
    ):
        copied(source, target)
    assert_untouched(target)


def test_files_that_arrive_changed_make_no_version(
    kept: Source, target: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = MlflowClient.log_model_artifacts

    def lossy(self: MlflowClient, model_id: str, folder: str, *rest: Any, **more: Any) -> None:
        send(self, model_id, folder, *rest, **more)
        place = self.get_logged_model(model_id).artifact_location.removeprefix("file://")
        _change(Path(place))

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", lossy)
    with pytest.raises(RegistryError, match="not what was sent"):
        copied(kept, target)
    assert versions(target) == []
    monkeypatch.undo()
    assert copied(kept, target).version == 1


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("tax@champion", "taxi"),
        ("taxi@champoin", "champion"),
        ("taxi/9", "one of 1"),
        ("taxi/x", "MODEL@alias"),
    ],
)
def test_an_unknown_version_is_told_with_what_is_close(
    kept: Source, target: ModelStore, reference: str, said: str
) -> None:
    with pytest.raises(RegistryError, match=said):
        copied(kept, target, asked(reference))


@pytest.mark.parametrize("name", ["fares/2", "fares@champion", "@"])
def test_a_name_is_a_name_alone(kept: Source, target: ModelStore, name: str) -> None:
    with pytest.raises(RegistryError, match=r"a name alone|MODEL"):
        copied(kept, target, asked("taxi/1", name))


def assert_untouched(target: ModelStore) -> None:
    client = connect(target.settings)
    assert client.search_registered_models() == []
    assert [e.name for e in client.search_experiments()] == ["Default"]


class Killed(BaseException):
    """As SIGKILL: nothing of the process is done afterwards."""


WRITES = (
    "create_experiment",
    "create_run",
    "log_batch",
    "log_inputs",
    "create_logged_model",
    "log_outputs",
    "log_model_artifacts",
    "finalize_logged_model",
    "create_registered_model",
    "set_registered_model_tag",
    "create_model_version",
    "log_param",
    "set_registered_model_alias",
    "set_model_version_tag",
    "set_terminated",
    "delete_logged_model",
)


def kill_after(monkeypatch: pytest.MonkeyPatch, most: int, done: list[str]) -> None:
    """Lets so many writes through; the next one, and all after it, kill."""

    def dying(name: str) -> Callable[..., Any]:
        method = getattr(MlflowClient, name)

        def call(self: MlflowClient, *args: Any, **more: Any) -> Any:
            if len(done) == most:
                raise Killed
            done.append(name)
            return method(self, *args, **more)

        return call

    for name in WRITES:
        monkeypatch.setattr(MlflowClient, name, dying(name))


@pytest.mark.slow
def test_a_copy_that_is_killed_anywhere_is_finished_by_the_next(
    kept: Source, empty_store: Path, tmp_path: Path
) -> None:
    most, done = 0, list[str]()
    while True:
        settings = fresh(empty_store, tmp_path / str(most))
        target = target_store(settings.tracking_uri, settings, {})
        done.clear()
        with pytest.MonkeyPatch.context() as patch:
            kill_after(patch, most, done)
            try:
                copied(kept, target)
                break
            except Killed:
                pass
        for version in versions(target):  # no version without its files
            fetched(settings, f"taxi/{version.version}", tmp_path / f"half-{most}")
        again = copied(kept, target)
        assert (again.version, again.stage) == (1, "staging"), done
        assert_one_whole_copy(settings)
        most += 1
    assert {"create_model_version", "log_param", "set_registered_model_alias"} <= set(done)
    assert most > 12


def assert_one_whole_copy(settings: Settings) -> None:
    client = connect(settings)
    found = client.get_experiment_by_name("taxi")
    experiment = found.experiment_id if found else ""
    runs = [r for r in client.search_runs([experiment]) if COPIED_FROM_TAG in r.data.tags]
    (version,) = Registry(settings).versions("taxi")
    assert [(r.info.run_id, r.info.status) for r in runs] == [(version.run_id, "FINISHED")]
    (model,) = client.search_logged_models([experiment])
    assert str(model.status) == "READY"
    assert client.get_model_version("taxi", "1").source == f"models:/{model.model_id}"
    promoter = Promoter(settings)
    assert len(promoter.history("taxi")) == 1
    assert promoter.projection.read("taxi").aliases == {"challenger": 1}
    assert version.tags[STAGE_TAG] == "staging"


@pytest.mark.parametrize("where", ["create_model_version", "create_logged_model", "log_param"])
def test_of_two_copies_at_once_one_is_kept(
    kept: Source, target: ModelStore, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    method, busy = getattr(MlflowClient, where), list[Copied]()

    def call(self: MlflowClient, *args: Any, **more: Any) -> Any:
        if not busy:
            monkeypatch.setattr(MlflowClient, where, method)
            busy.append(copied(kept, target))
        return method(self, *args, **more)

    monkeypatch.setattr(MlflowClient, where, call)
    if where == "log_param":  # the ledger's entry
        with pytest.raises(RegistryError, match="came first"):
            copied(kept, target)
    mine = copied(kept, target)
    assert (mine.version, busy[0].version) == (1, 1)
    assert [v.version for v in versions(target)] == [1]
    assert len(Promoter(target.settings).history("taxi")) == 1


def test_the_process_is_as_before_whatever_happens(kept: Source, target: ModelStore) -> None:
    connect(kept.settings)
    before = dict(os.environ)
    copied(kept, target)
    with pytest.raises(RegistryError):
        copied(kept, target, asked("taxi/9"))
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == kept.settings.tracking_uri
    assert dict(os.environ) == before


def test_each_store_gets_its_own_credentials_alone() -> None:
    mine = read_settings({"BENISON_HOME": "/tmp/none"}, Path("/tmp"))
    env = {
        "MLFLOW_TRACKING_USERNAME": "dev",
        "MLFLOW_TRACKING_PASSWORD": "devword",
        "MLFLOW_TRACKING_TOKEN": "token",
        "BENISON_TO_USERNAME": "prod",
        "BENISON_TO_PASSWORD": "prodword",
    }
    one, two = source_store(mine, env), target_store("http://127.0.0.1:9", mine, env)
    open_one = target_store("http://127.0.0.1:9", mine, {n: env[n] for n in list(env)[:3]})
    with one.in_force():
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "devword"
        with two.in_force():
            assert os.environ["MLFLOW_TRACKING_USERNAME"] == "prod"
            assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "prodword"
            assert "MLFLOW_TRACKING_TOKEN" not in os.environ
        with open_one.in_force():
            assert not any(f"MLFLOW_TRACKING_{name}" in os.environ for name in CREDENTIALS)
        assert os.environ["MLFLOW_TRACKING_TOKEN"] == "token"
    assert "word" not in repr(two) + repr(one)


@pytest.mark.parametrize(
    ("uri", "bare", "user", "password"),
    [
        ("http://ann:p%40ss@host:5000/ml", "http://host:5000/ml", "ann", "p@ss"),
        ("HTTPS://ann:p@s/s@host", "https://host", "ann", "p@s/s"),
        ("http://host:5000", "http://host:5000", None, None),
    ],
)
def test_credentials_leave_the_uri_of_a_server(
    uri: str, bare: str, user: str | None, password: str | None
) -> None:
    store = target_store(uri, read_settings({}, Path("/tmp")), {})
    assert store.settings.tracking_uri == store.shown == bare
    assert store.credentials.get("MLFLOW_TRACKING_USERNAME") == user
    assert store.credentials.get("MLFLOW_TRACKING_PASSWORD") == password


@pytest.mark.parametrize(
    ("uri", "env", "whole"),
    [
        ("postgresql://db/ml", {}, "postgresql://db/ml"),
        ("postgresql://a:b@db/ml", {}, "postgresql://a:b@db/ml"),
        (
            "postgresql://db/ml?sslmode=require",
            {"BENISON_TO_USERNAME": "a", "BENISON_TO_PASSWORD": "p@/s"},
            "postgresql://a:p%40%2Fs@db/ml?sslmode=require",
        ),
    ],
)
def test_a_database_takes_its_credentials_in_the_uri(
    uri: str, env: dict[str, str], whole: str
) -> None:
    store = target_store(uri, read_settings({}, Path("/tmp")), env)
    assert store.settings.tracking_uri == whole
    assert store.shown == "postgresql://db/ml"
    assert store.credentials == {}


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "prod",
        "/srv/mlflow.db",
        "file:///srv/mlruns",
        "databricks",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////nowhere/at/all/mlflow.db",
        "sqlite:////tmp",
        "ftp://u:p@h",
    ],
)
def test_what_is_no_target_is_told(uri: str) -> None:
    with pytest.raises(ConfigError, match="cannot be copied there") as told:
        target_store(uri, read_settings({}, Path("/tmp")), {})
    assert "u:p" not in str(told.value)


@pytest.mark.parametrize("name", ["USERNAME", "PASSWORD"])
def test_half_of_the_credentials_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match="without a"):
        target_store("http://host", read_settings({}, Path("/tmp")), {f"BENISON_TO_{name}": "x"})


def test_a_relative_file_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = target_store("sqlite:///prod.db", read_settings({}, tmp_path), {})
    assert store.settings.tracking_uri == f"sqlite:///{tmp_path / 'prod.db'}"
    assert store.settings.artifact_root == tmp_path / "mlartifacts"


def test_a_target_that_is_down_is_told_as_the_target(
    kept: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlproject.tracking.connection.time.sleep", lambda seconds: None)
    down = target_store("http://ann:secret@127.0.0.1:9", kept.settings, {})
    with pytest.raises(TrackingError, match="At the target of the copy") as told:
        copied(kept, down)
    assert "--to" in str(told.value)
    assert "secret" not in str(told.value)


class Blind(BaseHTTPRequestHandler):
    """A server that says which files of a model it sees."""

    seen: ClassVar[list[str]] = []
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        body = json.dumps({"files": [{"path": name} for name in self.seen]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Says nothing."""


@pytest.mark.parametrize(("seen", "fine"), [(["MLmodel", "artifacts"], True), ([], False)])
def test_a_server_is_asked_whether_it_sees_a_folder_that_was_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[str], fine: bool
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Blind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(Blind, "seen", seen)
    monkeypatch.setattr(Blind, "asked", [])
    url = f"http://ann:word@127.0.0.1:{server.server_port}"
    store = target_store(url, read_settings({}, tmp_path), {})
    deleted: list[str] = []
    client = SimpleNamespace(delete_logged_model=deleted.append)
    promoter: Any = SimpleNamespace(registry=SimpleNamespace(client=client))
    model = LoggedModel("1", "m-1", "taxi", "file:///srv/models/m-1", 0, 0)
    try:
        with store.in_force():
            if fine:
                check_seen(Place(store, promoter, "taxi"), model)
            else:
                with pytest.raises(RegistryError, match="does not see the files"):
                    check_seen(Place(store, promoter, "taxi"), model)
    finally:
        server.shutdown()
        server.server_close()
    basic = "Basic " + base64.b64encode(b"ann:word").decode()
    assert Blind.asked == [("/api/2.0/mlflow/logged-models/m-1/artifacts/directories", basic)]
    assert deleted == ([] if fine else ["m-1"])


@pytest.mark.slow
@pytest.mark.postgres
def test_a_database_without_a_server_must_be_told_where_the_files_go(
    kept: Source, postgres: Any, tmp_path: Path
) -> None:
    postgres.start()
    postgres.execute("CREATE DATABASE copies")
    uri = postgres.url.removesuffix("postgres") + "copies"
    secret = uri.partition("@")[0].rpartition(":")[2]
    bare = f"postgresql://127.0.0.1:{postgres.port}/copies"
    env = {"BENISON_TO_USERNAME": "owner", "BENISON_TO_PASSWORD": unquote(secret)}
    target = target_store(bare, kept.settings, env)
    with pytest.raises(RegistryError, match="--artifacts"):
        copied(kept, target)
    assert versions(target) == []
    asking = asked("taxi/1", artifacts=(tmp_path / "shared").as_uri())
    done = copied(kept, target, asking)
    assert (done.target, done.version, done.stage) == (bare, 1, "staging")
    assert (fetched(target.settings, "taxi/1", tmp_path / "back") / "MLmodel").is_file()
    assert len(list((tmp_path / "shared" / "taxi").rglob("MLmodel"))) == 1
    assert copied(kept, target, asking).was_there
    client = connect(target.settings)
    run = client.get_run(versions(target)[0].run_id or "")
    assert secret not in str(run.to_dictionary())


def test_a_server_that_hides_what_is_not_there_is_no_error(
    kept: Source, target: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(client: MlflowClient, run_id: str) -> None:
        raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)

    monkeypatch.setattr("mlproject.registry.copy.find_run", forbidden)
    assert copied(kept, target).version == 1


def test_sizes_are_read_at_a_glance() -> None:
    assert [sized(n) for n in (0, 612, 1_234, 5_600_000, 7_890_000_000)] == [
        "0 B",
        "612 B",
        "1.23 kB",
        "5.6 MB",
        "7.89 GB",
    ]
