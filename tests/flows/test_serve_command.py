"""`benison serve` while its alias moves: files that were changed change nothing that is served."""

from __future__ import annotations

import io
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flows.serve_command import _follow
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import (
    BLESSING_TAG,
    INFRA_TAG,
    MODEL_DIGEST_TAG,
    SAVED_MODEL,
    TRAIN_RUN_TAG,
    Column,
    Registration,
    Registry,
)
from mlproject.settings import Settings, read_settings
from serving.client import predict_rest
from serving.model_server.server import ModelServer
from serving.steps import export_registered


class Shop:
    """Two registered versions of a model that adds 1, or 2; the first is served."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        from mlproject.tracking import Tracker

        self.settings, self.registry = settings, Registry(settings)
        tracker = Tracker(settings, "adder")
        self.client = tracker.client
        run = tracker.start_run("pipeline", {})
        for number in (1, 2):
            registration = Registration(
                name="adder",
                saved_model=save_adder(folder / str(number) / SAVED_MODEL, number),
                keras_model=None,
                evidence={},
                columns=(Column("x", "float"),),
                output="float",
                sample={"x": 0.0},
                run_id=run,
                tags={
                    TRAIN_RUN_TAG: str(number),
                    BLESSING_TAG: "BLESSED",
                    INFRA_TAG: "INFRA_BLESSED",
                },
                description="",
            )
            self.registry.register(registration)
        self.point(1)
        base_path = export_registered(
            self.registry, self.registry.resolve("adder"), settings.serving_root
        ).parent
        self.server = ModelServer(
            {"adder": base_path}, rest_port=0, grpc_port=0, pinned_versions={"adder": 1}
        )

    def point(self, number: int) -> None:
        """Makes a version champion."""
        promoter = Promoter(self.settings, self.registry)
        version = self.registry.resolve(f"adder/{number}")
        if promoter.standing("adder").stage(number) is Stage.NONE:
            promoter.move(version, Ask(Stage.STAGING, "blessed"))
        promoter.move(version, Ask(Stage.PRODUCTION, "wanted"))

    def answer(self) -> float:
        return float(predict_rest(self.server.rest_url, "adder", [{"x": 10.0}])[0])

    def stored(self) -> Path:
        """The second version's files in the artifact store."""
        source = self.client.get_model_version("adder", "2").source
        models = self.settings.artifact_root / "adder" / "models"
        return models / source.removeprefix("models:/") / "artifacts" / "artifacts" / SAVED_MODEL

    @contextmanager
    def following(self) -> Iterator[io.StringIO]:
        """`benison serve adder`, from the first version on; what it prints."""
        said, stop = io.StringIO(), threading.Event()
        version = self.registry.resolve("adder")
        args = ("adder", self.registry, self.settings, self.server, version, stop, 0.05, said)
        thread = threading.Thread(target=_follow, args=args)
        thread.start()
        try:
            yield said
        finally:
            stop.set()
            thread.join(30)


def save_adder(folder: Path, number: int) -> Path:
    import tensorflow as tf

    spec = tf.TensorSpec([None], tf.float32, name="x")
    add = tf.function(lambda x: {"predictions": x + float(number)}, input_signature=[spec])
    tf.saved_model.save(tf.Module(), str(folder), signatures=add.get_concrete_function())
    return folder


def wait_for(said: io.StringIO, text: str) -> None:
    end = time.monotonic() + 30
    while text not in said.getvalue():
        assert time.monotonic() < end, said.getvalue()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "BENISON_SERVING_ROOT"):
            patch.delenv(name, raising=False)
        shop = Shop(read_settings({"BENISON_HOME": str(home)}, home), home / "models")
    with shop.server as server:
        server.wait_until_available(60)
        yield shop


@pytest.fixture
def shop(opened: Shop) -> Iterator[Shop]:
    """The shop with its second version undamaged and nowhere exported."""
    kept = opened.stored().with_name("kept")
    shutil.copytree(opened.stored(), kept)
    digest = opened.registry.resolve("adder/2").tags[MODEL_DIGEST_TAG]
    yield opened
    shutil.rmtree(opened.stored(), ignore_errors=True)
    kept.rename(opened.stored())
    opened.client.set_model_version_tag("adder", "2", MODEL_DIGEST_TAG, digest)
    opened.point(1)
    opened.server.set_version("adder", 1)
    shutil.rmtree(opened.settings.serving_root / "adder" / "2", ignore_errors=True)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def changed_in_the_store(shop: Shop) -> None:
    flip(shop.stored() / "saved_model.pb")


def added_in_the_store(shop: Shop) -> None:
    (shop.stored() / "assets").mkdir(exist_ok=True)
    (shop.stored() / "assets" / "more").touch()


def lost_in_the_store(shop: Shop) -> None:
    (shop.stored() / "fingerprint.pb").unlink()


def gone_from_the_store(shop: Shop) -> None:
    shutil.rmtree(shop.stored())


def changed_where_it_is_exported(shop: Shop) -> None:
    version = shop.registry.resolve("adder/2")
    exported = export_registered(shop.registry, version, shop.settings.serving_root)
    flip(exported / "saved_model.pb")


def without_a_digest(shop: Shop) -> None:
    shop.client.delete_model_version_tag("adder", "2", MODEL_DIGEST_TAG)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed_in_the_store, "The saved_model of version 2 of 'adder' is not what was"),
        (added_in_the_store, "The saved_model of version 2 of 'adder' is not what was"),
        (lost_in_the_store, "The saved_model of version 2 of 'adder' is not what was"),
        (gone_from_the_store, "Fetching version 2 of 'adder' failed"),
        (changed_where_it_is_exported, "The exported version 2 of 'adder' is not what was"),
        (without_a_digest, "Version 2 of 'adder' cannot be deployed"),
    ],
)
def test_what_was_changed_is_not_swapped_in(
    damage: Callable[[Any], None], said: str, shop: Shop
) -> None:
    damage(shop)
    with shop.following() as printed:
        shop.point(2)
        wait_for(printed, f"adder/1 stays: {said}")
        assert shop.answer() == 11.0
    assert printed.getvalue().count(f"adder/1 stays: {said}") == 1
    assert "->" not in printed.getvalue()


def test_the_version_is_swapped_in_once_its_files_are_restored(shop: Shop) -> None:
    changed_in_the_store(shop)
    with shop.following() as printed:
        shop.point(2)
        wait_for(printed, "adder/1 stays")
        changed_in_the_store(shop)  # the same bit, back
        wait_for(printed, "adder: 1 -> 2")
        assert shop.answer() == 12.0
