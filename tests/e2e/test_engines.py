"""A whole run whose statistics, analysis and applying go to two worker processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.e2e.conftest import Product, assert_one_clear_error
from tests.mlproject.test_engine_dask import DaskProcesses

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def transformed(product: Product, split: str) -> dict[str, list[object]]:
    (artifact,) = (product.pipeline_root / "transform").glob("[!.]*")
    return dict(pq.read_table(artifact / f"Split-{split}").to_pydict())


def test_a_cluster_gives_the_model_that_this_machine_gives(
    make_product: Callable[..., Product], tmp_path: Path
) -> None:
    here = make_product("here")
    done = here.train()
    assert done.code == 0, done.err + done.out
    cluster = DaskProcesses(tmp_path, 2)
    try:
        options = f"--runner=DaskRunner --dask_scheduler_file={cluster.address_file}"
        there = make_product(
            "there", BENISON_ENGINE="beam", BENISON_BEAM_OPTIONS=f"{options} --num_workers=2"
        )
        done = there.train()
        assert done.code == 0, done.err + done.out
    finally:
        cluster.stop()
    for split in ("train", "eval"):
        ours, other = transformed(here, split), transformed(there, split)
        assert list(ours) == list(other)
        for name, values in ours.items():
            assert other[name] == pytest.approx(values, rel=1e-6), name
    (run,) = there.runs(step="transform")
    assert run.data.params["engine"] == "beam: DaskRunner"
    assert str(cluster.address_file) not in done.err + done.out


def test_a_runner_that_does_not_exist_is_one_clear_error(product: Product) -> None:
    done = product.run(
        "train",
        str(product.project),
        BENISON_ENGINE="beam",
        BENISON_BEAM_OPTIONS="--runner=DaskRuner",
    )
    assert_one_clear_error(done, 2, "DaskRunner")
