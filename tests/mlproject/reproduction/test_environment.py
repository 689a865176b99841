"""The environment that a training records."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from mlproject.reproduction.environment import (
    ENVIRONMENT_TAG,
    environment,
    environment_tag,
    read_environment,
)


def test_it_names_versions_processor_devices_and_replicas() -> None:
    found = environment()
    assert found["tensorflow"] == version("tensorflow")
    assert found["keras"] == version("keras")
    assert int(found["cores"]) >= 1
    assert (found["gpus"], found["replicas"]) == ("none", "1")
    assert found["cpu"]


@pytest.mark.parametrize(
    ("config", "replicas"),
    [
        ('{"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}}', "3"),
        ("", "1"),
        ("no json", "1"),
        ("[]", "1"),
    ],
)
def test_workers_are_counted_from_tf_config(
    monkeypatch: pytest.MonkeyPatch, config: str, replicas: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", config)
    assert environment("multi_worker")["replicas"] == replicas


def test_the_tag_is_read_back() -> None:
    tag = environment_tag()
    assert read_environment(tag) == environment()
    assert json.loads(tag[ENVIRONMENT_TAG])["python"]
