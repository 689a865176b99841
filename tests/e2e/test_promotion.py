"""From a blessed version to production with a person between, and what is done by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.conftest import Pipeline, Product

from mlproject.promotion.promoter import Promoter
from mlproject.registry import BLESSING_TAG
from mlproject.settings import read_settings

pytestmark = pytest.mark.e2e


def exported(product: Product) -> set[str]:
    return {folder.name for folder in Path(product.home / "serving" / "taxi").glob("[0-9]*")}


def test_nothing_is_served_but_what_a_person_has_approved(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    product.configure(registry={"approval": "required"})
    pipeline = in_process(product)
    waiting = pipeline.run()
    assert (waiting.status, waiting.exit_code) == ("staged", 0)
    assert "benison approve taxi/1" in waiting.waiting
    assert (product.champion(), exported(product)) == (None, set())
    settled = pipeline.settled()
    assert settled is not None
    assert settled.status == "staged"

    approved = product.run("approve", "taxi/1", "--reason", "looks right")
    assert approved.code == 0, approved.err
    assert product.champion() == 1
    assert pipeline.settled() is None
    served = pipeline.run()
    assert served.status == "blessed"
    ran = [step.name for step in served.steps if not step.cached]
    assert ran == ["register", "export", "serve"]
    assert exported(product) == {"1"}

    client = product.mlflow()
    bad = client.create_model_version("taxi", "file:///none", tags={BLESSING_TAG: "NOT_BLESSED"})
    client.set_registered_model_alias("taxi", "champion", bad.version)
    assert pipeline.settled() is not None
    assert (product.champion(), exported(product)) == (1, {"1"})
    last = Promoter(read_settings()).history("taxi")[-1]
    assert (last.event, last.version) == ("put_back", int(bad.version))
    assert "its blessing is NOT_BLESSED" in last.why
