"""`benison deploy` up to its target: which versions, whose configuration, what is remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.flows.shop import Shop

from flows import deployer
from flows.cli import main
from flows.deploy_command import TARGETS
from flows.deployer import DeployRequest, prepare, wanted_versions
from mlproject.errors import ConfigError, RegistryError, ServingError
from mlproject.promotion.asks import Ask
from mlproject.promotion.stages import Stage
from mlproject.registry import Registry, VersionInfo
from mlproject.registry.deployment_settings import (
    DEPLOYMENT_TAG,
    keep_deployment,
    read_deployment,
)
from mlproject.sections import DeploymentSection
from serving.targets import desired
from serving.targets.base import DeployedVersion, Deployment, TargetStatus, target_names


class Recorder:
    """Stands for a target: takes what it is given."""

    def __init__(self) -> None:
        self.deployed: list[Deployment] = []
        self.stopped: list[str] = []

    def deploy(self, deployment: Deployment) -> TargetStatus:
        self.deployed.append(deployment)
        return self.status(deployment.model)

    reload = deploy

    def status(self, model: str) -> TargetStatus:
        if not self.deployed:
            return TargetStatus(model, "local", "stopped")
        last = self.deployed[-1]
        return TargetStatus(
            *(model, "local", "running", "http://127.0.0.1:8501", "127.0.0.1:8500"),
            versions=last.numbers,
            default_version=last.default_version,
            labels=last.labels,
            facts={"pid": 7, "uptime_s": 90.0, "restarts": 2},
        )

    def stop(self, model: str) -> None:
        self.stopped.append(model)
        self.deployed.clear()

    def logs(self, model: str, lines: int) -> str:
        return f"{lines} lines of {model}"

    def render(self, deployment: Deployment) -> Mapping[str, str]:
        return {"all.yaml": f"kind: {deployment.model}\n"}


@pytest.fixture
def export(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for the export, which takes most of the time; its own tests are elsewhere."""

    def exported(registry: Registry, version: VersionInfo, root: Path) -> DeployedVersion:
        return DeployedVersion(version.version, root / version.name / str(version.version), "")

    monkeypatch.setattr(desired, "_export", exported)


@pytest.fixture
def filed(shop: Shop) -> Shop:
    """The shop, its versions with files."""
    shop.files = True
    return shop


@pytest.fixture
def target(export: None, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The one target that every name opens."""
    recorder = Recorder()
    monkeypatch.setattr("serving.targets.base.open_target", lambda name, place: recorder)
    monkeypatch.setattr(deployer, "open_target", lambda name, place: recorder)
    return recorder


def ready(shop: Shop, reference: str = "shop", said: list[str] | None = None) -> Deployment:
    say = (said if said is not None else []).append
    return prepare(shop.settings, DeployRequest(reference), say).deployment


def test_the_names_of_the_targets_stand_in_the_help() -> None:
    assert target_names() == TARGETS


def test_champion_challenger_and_previous_are_wanted(filed: Shop) -> None:
    shop = filed
    shop.champion()
    shop.champion()
    shop.staged()
    deployment = ready(shop)
    assert deployment.numbers == (1, 2, 3)
    assert deployment.default_version == 2
    assert deployment.labels == {"stable": 2, "canary": 3}
    assert deployment.base_path == shop.settings.serving_root / "shop"
    assert all((v.folder / "saved_model.pb").is_file() for v in deployment.versions)


def test_without_a_challenger_there_is_no_canary(shop: Shop, export: None) -> None:
    shop.champion()
    deployment = ready(shop)
    assert (deployment.numbers, deployment.labels) == ((1,), {"stable": 1})


def test_a_champion_moved_by_hand_is_settled_first(shop: Shop, export: None) -> None:
    shop.champion()
    bad = shop.version(blessing="NOT_BLESSED")
    shop.move_alias("champion", bad)
    assert ready(shop).default_version == 1


def test_a_challenger_that_may_not_be_served_is_left_out_and_said(shop: Shop, export: None) -> None:
    shop.champion()
    staged = shop.staged()
    shop.client.set_model_version_tag("shop", str(staged.version), "blessing", "NOT_BLESSED")
    said: list[str] = []
    deployment = ready(shop, said=said)
    assert (deployment.numbers, deployment.labels) == ((1,), {"stable": 1})
    assert "shop/2 (challenger) is left out: blessing NOT_BLESSED" in said


def test_a_challenger_whose_files_are_damaged_is_left_out_and_said(filed: Shop) -> None:
    shop = filed
    shop.champion()
    shop.staged()
    folder = shop.settings.serving_root / "shop" / "2"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text("another model")
    said: list[str] = []
    assert ready(shop, said=said).numbers == (1,)
    assert "is not what was registered" in said[-1]


def test_a_damaged_champion_is_an_error(filed: Shop) -> None:
    shop = filed
    shop.champion()
    folder = shop.settings.serving_root / "shop" / "1"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text("another model")
    with pytest.raises(RegistryError, match="is not what was registered"):
        ready(shop)


def test_the_previous_version_is_kept_only_where_it_is_wanted(shop: Shop, export: None) -> None:
    shop.champion()
    shop.champion()
    keep_deployment(shop.settings, shop.client, "shop", DeploymentSection(keep_previous=False))
    assert ready(shop).numbers == (2,)


def test_after_a_rollback_the_champion_answers_though_it_is_older(shop: Shop, export: None) -> None:
    shop.champion()
    shop.champion()
    shop.promoter.rollback("shop", "worse")
    deployment = ready(shop)
    assert (deployment.default_version, deployment.labels["stable"]) == (1, 1)


def test_a_version_by_number_or_alias_stands_alone_without_a_label(
    shop: Shop, export: None
) -> None:
    first = shop.champion()
    shop.champion()
    shop.move_alias("trial", first)
    for reference in ("shop/1", "shop@trial"):
        found = ready(shop, reference)
        assert (found.numbers, found.default_version, found.labels) == ((1,), 1, {})


def test_an_unblessed_version_is_served_by_its_number_when_asked(shop: Shop, export: None) -> None:
    shop.version(blessing="NOT_BLESSED")
    with pytest.raises(RegistryError, match="may not be served"):
        ready(shop, "shop/1")
    request = DeployRequest("shop/1", unblessed=True)
    assert prepare(shop.settings, request, print).deployment.default_version == 1
    registry = shop.promoter.registry
    with pytest.raises(ConfigError, match="the champion is always blessed"):
        wanted_versions(shop.settings, registry, "shop", unblessed=True, say=print)


def test_the_configuration_is_kept_with_the_model(shop: Shop, export: None) -> None:
    shop.champion()
    settings, client = shop.settings, shop.client
    assert read_deployment(settings, client, "shop") == DeploymentSection()
    section = DeploymentSection(target="docker", replicas=3, cpu=0.5)  # type: ignore[arg-type]
    keep_deployment(settings, client, "shop", section)
    assert read_deployment(settings, client, "shop") == section
    prepared = prepare(settings, DeployRequest("shop"), print)
    assert (prepared.target, prepared.deployment.config) == ("docker", section)
    assert prepare(settings, DeployRequest("shop", "gcs"), print).target == "gcs"


def test_a_damaged_configuration_says_what_to_do(shop: Shop, export: None) -> None:
    shop.champion()
    for text in ("", "{", "[]", '{"replicas": 0}', '{"host": "x"}'):
        shop.client.set_registered_model_tag("shop", DEPLOYMENT_TAG, text)
        with pytest.raises(RegistryError, match="how 'shop' is deployed failed") as caught:
            read_deployment(shop.settings, shop.client, "shop")
        assert "benison deploy PROJECT" in str(caught.value.next_step)
    with pytest.raises(RegistryError, match="how 'shop' is deployed failed"):
        ready(shop)


def test_a_project_gives_model_and_configuration(
    shop: Shop, tmp_path: Path, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    project = tmp_path / "project"
    project.mkdir()
    (project / "project.yaml").write_text(
        "name: shop\nmodule: m.py\ndata: {path: x.csv}\n"
        "training: {task: binary, label: y}\ndeployment: {target: local, rest_port: 8601}\n"
    )
    assert main(["deploy", str(project)]) == 0
    assert target.deployed[0].config.rest_port == 8601
    assert read_deployment(shop.settings, shop.client, "shop").rest_port == 8601
    out = capsys.readouterr().out
    assert "shop: running (local), versions 1 (stable, default)" in out
    assert "http://127.0.0.1:8501/v1/models/shop:predict" in out


def test_status_lists_what_was_deployed_from_here(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["deployment", "status"]) == 0
    assert "Nothing was deployed" in capsys.readouterr().out
    shop.champion()
    assert main(["deploy", "shop", "--json"]) == 0
    deployed = json.loads(capsys.readouterr().out)
    assert deployed == json.loads(json.dumps(asdict(target.status("shop"))))
    assert main(["deployment", "status"]) == 0
    table = capsys.readouterr().out
    for word in ("shop", "local", "running", "process 7", "1.5 min", "restarts: 2"):
        assert word in table
    assert main(["deployment", "status", "shop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["state"] == "running"


def test_reload_logs_and_stop_find_the_target(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    main(["deploy", "shop"])
    shop.champion()
    assert main(["deployment", "reload", "shop"]) == 0
    assert target.deployed[-1].default_version == 2
    capsys.readouterr()
    assert main(["deployment", "logs", "shop", "--lines", "3"]) == 0
    assert capsys.readouterr().out == "3 lines of shop\n"
    assert main(["deployment", "stop", "shop"]) == 0
    assert target.stopped == ["shop"]
    assert main(["deployment", "status", "shop"]) == 1  # for a script: it does not run


def test_of_several_targets_one_must_be_named(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    main(["deploy", "shop"])
    main(["deploy", "shop", "--target", "docker"])
    assert main(["deployment", "stop", "shop"]) == 2
    assert "--target docker or --target local" in capsys.readouterr().err
    assert main(["deployment", "stop", "shop", "--target", "docker"]) == 0
    assert main(["deployment", "stop", "shop", "--target", "gcs"]) == 2
    assert main(["deployment", "status", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])) == 2


def test_a_model_that_was_not_deployed_is_told_with_the_closest(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    main(["deploy", "shop"])
    for words in (["status", "shap"], ["stop", "shap"], ["logs", "shap"], ["reload", "shap"]):
        assert main(["deployment", *words]) == 2
        assert "did you mean 'shop'?" in capsys.readouterr().err


def test_render_writes_and_prints_and_applies_nothing(
    shop: Shop, target: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    assert main(["deploy", "shop", "--render", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "all.yaml").read_text() == "kind: shop\n"
    assert "kind: shop" in capsys.readouterr().out
    assert target.deployed == []
    assert main(["deployment", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_target_that_renders_nothing_says_so(
    shop: Shop, export: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    assert main(["deploy", "shop", "--target", "local", "--render", str(tmp_path)]) == 2
    assert "has nothing to render" in capsys.readouterr().err


def test_prune_is_for_files_alone(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    main(["deploy", "shop"])
    assert main(["deployment", "stop", "shop", "--prune", "2"]) == 2
    assert "Reading --prune failed" in capsys.readouterr().err


def test_a_target_that_cannot_be_asked_keeps_no_other_from_being_shown(
    shop: Shop,
    target: Recorder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def opened(name: str, place: Any) -> Recorder:
        if name == "docker":
            raise ServingError("No Docker engine answers")
        return target

    shop.champion()
    main(["deploy", "shop"])
    main(["deploy", "shop", "--target", "docker"])
    capsys.readouterr()
    monkeypatch.setattr("serving.targets.base.open_target", opened)
    assert main(["deployment", "status", "--json"]) == 0
    found = {one["target"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["local"]["state"] == "running"
    assert "No Docker engine answers" in found["docker"]["detail"]


def test_the_flow_deploys_as_the_command_does(
    shop: Shop, target: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging

    from flows import deploying

    monkeypatch.setattr(deploying, "get_run_logger", lambda: logging.getLogger("flow"))
    shop.champion()
    assert deploying.deploy.fn("shop") == asdict(target.status("shop"))
    assert deployer.known_deployments(deployer.place_of(shop.settings, print)) == {
        "shop": ("local",)
    }


def test_nothing_is_remembered_of_a_model_that_may_not_be_served(
    shop: Shop, target: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.version(blessing="NOT_BLESSED")
    assert main(["deploy", "shop/1"]) == 1
    assert "may not be served" in capsys.readouterr().err
    assert not (shop.settings.home / "deployments").exists()


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"target": "swarm"}, "target"),
        ({"rest_port": 70000}, "rest_port"),
        ({"rest_port": 8501, "grpc_port": 8501}, "are both 8501"),
        ({"replicas": 3, "max_replicas": 2}, "below replicas 3"),
        ({"cpu": "two"}, "cpu"),
        ({"memory": "2GB"}, "memory"),
        ({"image": "bad image"}, "image"),
        ({"host": "0.0.0.0"}, "host"),
        ({"batching": {"allowed_batch_sizes": [8, 4]}}, "must ascend"),
        ({"batching": {"allowed_batch_sizes": [8, 16]}}, "must end with max_batch_size, 64"),
    ],
)
def test_a_wrong_configuration_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DeploymentSection.model_validate(section)


def test_a_rejected_challenger_is_no_canary(shop: Shop, export: None) -> None:
    shop.champion()
    staged = shop.staged()
    shop.promoter.move(staged, Ask(Stage.REJECTED, "no", "someone"))
    assert ready(shop).labels == {"stable": 1}
