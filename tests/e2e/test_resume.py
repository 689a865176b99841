"""A run that is killed: the next one goes on from the last finished step and cleans up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.e2e.conftest import STEPS, Pipeline, Product, Running, assert_one_clear_error, wait_until

pytestmark = pytest.mark.e2e


def before(step: str) -> list[str]:
    return list(STEPS[: STEPS.index(step)])


@contextmanager
def waiting_in(product: Product, function: str) -> Iterator[Running]:
    """A run that waits in a function of the module; killed with SIGKILL at the end."""
    folder = product.home.parent / "waiting"
    folder.mkdir(exist_ok=True)
    with product.start("train", str(product.project), TAXI_WAIT_IN=str(folder)) as running:
        wait_until(
            lambda: (folder / function).exists() or running.process.poll() is not None,
            120,
            f"waiting in {function}",
        )
        assert running.process.poll() is None, "\n".join(running.lines)
        assert [p for p in product.processes() if "prefect" in p], "a run has its own server"
        yield running


def kill_after(product: Product, step: str, delay_s: float) -> None:
    """Runs the pipeline until a step is done, and some seconds more, then SIGKILL."""
    with product.start("train", str(product.project)) as running:
        running.line(f"✓ {step}")
        time.sleep(delay_s)
        assert running.process.poll() is None, "\n".join(running.lines)
        running.kill()


def finished_steps(product: Product) -> list[str]:
    """The steps with a whole artifact, in order; asserts that what is under a root is one."""
    folders = {path for path in product.pipeline_root.glob("*/*") if path.name[0] != "."}
    assert all((folder / "artifact.json").is_file() for folder in folders)
    names = {folder.parent.name for folder in folders}
    return [step for step in STEPS if step in names]


def assert_nothing_runs(product: Product) -> None:
    wait_until(lambda: not product.processes(), 20, "the end of every process of the run")


def assert_clean(product: Product) -> None:
    """No orphan: neither folders nor MLflow runs."""
    assert [name for name in product.published() if "/." in name] == []
    assert product.runs(status="RUNNING") == []


def test_a_run_killed_in_training_goes_on_from_there(
    product: Product, in_process: Callable[[Product], Pipeline]
) -> None:
    """Until it is killed, no other run is let in."""
    product.wait_in("run_fn")
    with waiting_in(product, "run_fn") as running:
        published = product.published()
        for command in ("train", "step ingest"):
            done = product.run(*command.split(), str(product.project))
            assert_one_clear_error(
                done, 1, "Another run is using the pipeline root", f"pid {running.process.pid}"
            )
            assert done.seconds < 8, "refused before anything heavy is started"
        assert product.published() == published
    assert_nothing_runs(product)
    assert finished_steps(product) == before("train")
    assert {run.info.run_name for run in product.runs(status="RUNNING")} == {
        "train",
        "taxi pipeline",
    }
    outcome = in_process(product).run()
    assert outcome.status == "blessed"
    assert [step.name for step in outcome.steps if step.cached] == before("train")
    assert_clean(product)
    assert {run.info.run_name for run in product.runs(status="KILLED")} == {
        "train",
        "taxi pipeline",
    }
    assert len(product.versions()) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_again_and_again_still_ends_blessed(product: Product) -> None:
    """Killed by the command line's user in transform, train, evaluate and register, in turn."""
    product.wait_in("preprocessing_fn", "run_fn")
    with waiting_in(product, "preprocessing_fn"):
        pass
    assert_nothing_runs(product)
    assert finished_steps(product) == before("transform")

    with waiting_in(product, "run_fn"):
        pass
    assert_nothing_runs(product)
    assert finished_steps(product) == before("train")

    kill_after(product, "train", 0.2)
    assert_nothing_runs(product)
    assert finished_steps(product) == before("evaluate")
    assert product.versions() == []

    kill_after(product, "bless", 0.3)
    assert_nothing_runs(product)
    assert finished_steps(product)[: len(before("register"))] == before("register")

    done = product.train()
    assert done.code == 0, done.err
    # Which of the last steps the kill came in is a matter of milliseconds.
    assert done.ran()
    assert set(done.ran()) <= {"register", "export", "serve"}
    assert_clean(product)
    assert len(product.versions()) == 1
    assert product.champion() == 1
    # One pipeline run for each kill, and the step that each was in.
    killed = [run.info.run_name for run in product.runs(status="KILLED")]
    assert killed.count("taxi pipeline") == 4
    assert {"transform", "train", "evaluate"} <= set(killed)
    assert product.train().ran() == []
