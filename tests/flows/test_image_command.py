"""`benison image build`: what the command makes of a registered model, on a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docker_engine import run_engine
from tests.flows.shop import Shop

from flows.cli import main

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.fixture(scope="module")
def docker_host() -> Iterator[str]:
    yield from run_engine()


def test_an_image_holds_champion_and_previous_under_the_name_it_is_given(
    shop: Shop,
    docker_host: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import docker

    monkeypatch.setenv("DOCKER_HOST", docker_host)
    shop.files = True
    shop.champion()
    shop.champion()
    shop.staged()
    file = tmp_path / "out" / "shop.tar"
    assert (
        main(["image", "build", "shop", "--tag", "here/shop", "--save", str(file), "--json"]) == 0
    )
    built = json.loads(capsys.readouterr().out)
    assert (built["tag"], built["versions"]) == ("here/shop:latest", [1, 2])
    client = docker.DockerClient(base_url=docker_host)
    labels = client.images.get("here/shop:latest").labels
    assert (labels["benison.model"], labels["benison.versions"]) == ("shop", "1,2")
    assert set(json.loads(labels["benison.model_digests"])) == {"1", "2"}
    client.images.remove("here/shop:latest")
    (loaded,) = client.images.load(file.read_bytes())
    assert loaded.tags == ["here/shop:latest"]
    client.close()
    assert main(["image", "build", "shop/1"]) == 0
    assert "benison/shop:1: versions 1, " in capsys.readouterr().out


def test_an_image_on_a_base_that_cannot_be_had_is_an_error(
    shop: Shop,
    docker_host: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    shop.files = True
    shop.champion()
    assert main(["image", "build", "shop", "--base", "nowhere.invalid/serving:1"]) == 1
    assert "nowhere.invalid/serving:1 could not be had" in capsys.readouterr().err
