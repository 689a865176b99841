"""The plan for many rows: computed from unit costs, and the one in the document is current."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale_plan() -> ModuleType:
    """The benchmark's module."""
    spec = importlib.util.spec_from_file_location(
        "benchmark_scale_plan", ROOT / "benchmarks" / "scale_plan.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def costs(scale_plan: ModuleType) -> object:
    """Round unit costs, to be computed with by hand."""
    return scale_plan.UnitCosts(
        ingest_rows_per_cpu_s=1_000,
        rows_per_cpu_s={"statistics": 500, "analysis": 250, "applying": 1_000},
        driver_s={"statistics": 2.0, "analysis": 2.0, "applying": 2.0},
        driver_s_per_bundle=0.5,
        start_s=60,
        worker_gib=2,
        driver_gib=4,
        example_bytes=10,
        transformed_bytes=90,
        storage_gb_per_s=1,
        busy=0.5,
        usd_per_vcpu_hour=1,
        usd_per_gib_hour=0.5,
    )


def test_a_plan_by_hand(scale_plan: ModuleType, costs: object) -> None:
    made = scale_plan.plan(1_000_000, 2, costs)
    # 2,000, 4,000 and 1,000 s of work on two vCPUs that are busy half the time, and for each step
    # 2 s of the driver and half a second for each of 8 bundles.
    assert {step: minutes * 60 for step, minutes in made.step_min.items()} == pytest.approx(
        {"start": 60, "statistics": 2_006, "analysis": 4_006, "applying": 1_006}
    )
    assert made.cluster_min * 60 == pytest.approx(7_078)
    assert made.ingest_min * 60 == pytest.approx(1_000)
    assert made.cpu_hours * 3600 == pytest.approx(7_000 + 3 * 6 + 1_000 + 2 * 60)
    assert made.cluster_gib == 2 * 2 + 4
    assert made.storage_gb == pytest.approx(0.1)
    # Two vCPUs with 2 GiB each at 1 + 1 USD, and the driver at 1 + 2 USD, which also ingests.
    assert made.usd == pytest.approx((2 * 7_078 * 2 + (7_078 + 1_000) * 3) / 3600)


def test_the_storage_bounds_what_more_workers_can_do(scale_plan: ModuleType, costs: object) -> None:
    slow = replace(costs, storage_gb_per_s=0.00001)  # type: ignore[type-var]
    made = scale_plan.plan(1_000_000, 1_000, slow)
    driver_s = 2 + 4_000 * 0.5
    assert made.step_min["statistics"] * 60 == pytest.approx(1_000 + driver_s)
    assert made.step_min["applying"] * 60 == pytest.approx(10_000 + driver_s)


def test_the_plan_in_the_document_is_the_one_that_is_computed(scale_plan: ModuleType) -> None:
    table = scale_plan.table(1e9, (8, 32, 128))
    assert table in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")


def test_bundles_are_cut_as_the_plan_says(scale_plan: ModuleType) -> None:
    from mlproject.engines.dask_runner import BUNDLES_PER_THREAD

    assert scale_plan.BUNDLES_PER_VCPU == BUNDLES_PER_THREAD
