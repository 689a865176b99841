"""What TensorFlow Serving is started with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mlproject.sections.deployment import DeploymentSection
from serving.model_config import parse_proto
from serving.targets.base import DeployedVersion, Deployment, Place
from serving.targets.compose import compose_file
from serving.targets.docker import DockerTarget
from serving.targets.tf_serving_config import (
    config_files,
    served_by_tf_serving,
    server_flags,
    tf_serving_model,
)


def deployment(champion: int, *others: int, **config: object) -> Deployment:
    numbers = sorted({champion, *others})
    versions = tuple(DeployedVersion(n, Path(f"/srv/taxi/{n}"), f"{n:064d}") for n in numbers)
    labels = {"stable": champion} | ({"canary": max(others)} if others else {})
    section = DeploymentSection.model_validate(config)
    return Deployment("taxi", versions, champion, labels, section)


@pytest.mark.parametrize(
    ("champion", "others", "canary", "kept", "labels"),
    [
        (3, (), False, (3,), {"stable": 3}),
        (3, (2,), False, (2, 3), {"stable": 3, "canary": 2}),
        (3, (4,), False, (3,), {"stable": 3}),
        (3, (4,), True, (3, 4), {"stable": 3, "canary": 4}),
    ],
)
def test_nothing_newer_than_the_champion_is_loaded_unless_clients_ask_for_labels(
    champion: int,
    others: tuple[int, ...],
    canary: bool,
    kept: tuple[int, ...],
    labels: dict[str, int],
) -> None:
    found = served_by_tf_serving(deployment(champion, *others, canary=canary))
    assert (found.numbers, found.labels) == (kept, labels)


def test_the_files_of_a_start_name_the_versions_and_no_label_yet() -> None:
    files = config_files(
        deployment(3, 2, batching={"max_batch_size": 8, "allowed_batch_sizes": (2, 8)}), {}
    )
    (model,) = parse_proto(files["models.config"]).model_config_list.config
    assert (model.name, model.base_path) == ("taxi", "/models/taxi")
    assert list(model.model_version_policy.specific.versions) == [2, 3]
    assert dict(model.version_labels) == {}
    assert "max_batch_size { value: 8 }" in files["batching.config"]
    assert files["batching.config"].count("allowed_batch_sizes") == 2


def test_the_batching_file_is_one_that_the_model_server_reads(tmp_path: Path) -> None:
    from serving.model_server.batching_parameters import read_batching_parameters

    wanted = deployment(1, batching={"max_batch_size": 8, "num_batch_threads": 3})
    files = config_files(wanted, {})
    (tmp_path / "batching.config").write_text(files["batching.config"])
    read = read_batching_parameters(tmp_path / "batching.config")
    assert (read.max_batch_size, read.num_batch_threads) == (8, 3)


def test_flags_follow_the_section() -> None:
    assert "--enable_batching=true" not in server_flags(DeploymentSection())
    batched = server_flags(DeploymentSection.model_validate({"batching": {}, "warm_up": False}))
    assert "--enable_batching=true" in batched
    assert "--enable_model_warmup=false" in batched


def test_labels_are_written_for_versions_that_are_loaded() -> None:
    config = tf_serving_model("taxi", (3, 2), {"stable": 3})
    assert config.policy.versions == (2, 3)
    assert config.labels == {"stable": 3}


def test_a_compose_file_mounts_the_base_path_and_stays_on_this_machine() -> None:
    wanted = deployment(3, rest_port=9001, memory="512Mi", gpu=1)
    (service,) = yaml.safe_load(compose_file(wanted, "tensorflow/serving:2.16.1"))[
        "services"
    ].values()
    assert service["ports"] == ["127.0.0.1:9001:8501", "127.0.0.1:8500:8500"]
    assert "/srv/taxi:/models/taxi:ro" in service["volumes"]
    assert service["mem_limit"] == "512m"
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 1


def test_the_files_beside_a_compose_file_name_the_labels_too(tmp_path: Path) -> None:
    files = DockerTarget(Place(tmp_path, {})).render(deployment(3))
    (model,) = parse_proto(files["models.config"]).model_config_list.config
    assert dict(model.version_labels) == {"stable": 3}
    assert list(yaml.safe_load(files["compose.yaml"])["services"]) == ["taxi"]
    assert list(tmp_path.iterdir()) == []
