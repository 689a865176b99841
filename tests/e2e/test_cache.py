"""What runs again after which change, and what a run with nothing to do costs."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from tests.e2e.conftest import STEPS, Pipeline, Product, Recorder, Trained

pytestmark = pytest.mark.e2e

ALL = list(STEPS)
FROM_TRAIN = ALL[ALL.index("train") :]


@pytest.fixture
def pipeline(trained: Trained, in_process: Callable[[Product], Pipeline]) -> Pipeline:
    """A pipeline with nothing left to run; each test changes one thing."""
    pipeline = in_process(trained.product)
    if pipeline.settled() is None:
        pipeline.run()
    assert pipeline.settled() is not None
    return pipeline


def ran(pipeline: Pipeline, **options: object) -> list[str]:
    """The steps that a run does not take from the cache; it must end blessed."""
    outcome = pipeline.run(**options)
    assert outcome.status == "blessed", outcome.reasons
    return [step.name for step in outcome.steps if not step.cached]


def test_a_second_run_runs_nothing_and_says_so(trained: Trained, recorder: Recorder) -> None:
    before = trained.product.published()
    done = trained.product.train(**recorder.variables)
    assert done.code == 0, done.err
    assert done.ran() == []
    assert done.outcome["status"] == "blessed"
    assert done.outcome["version"] == trained.product.champion()
    assert {s["reason"] for s in done.outcome["steps"]} == {
        "nothing that determines it has changed"
    }
    assert done.outcome["sample"]["prediction"]
    assert trained.product.published() == before
    heavy = {"tensorflow", "keras", "tensorflow_data_validation", "apache_beam", "prefect"}
    assert recorder.imported() & heavy == set()
    assert "mlflow" in recorder.imported()
    assert done.seconds < 25  # a run that trains takes more CPU seconds than that


def test_the_summary_of_a_second_run_names_the_reason(trained: Trained) -> None:
    done = trained.product.run("train", str(trained.product.project))
    assert done.code == 0, done.err
    assert "BLESSED" in done.out
    assert "Nothing was run" in done.out
    assert "benison predict taxi" in done.out
    assert "= train" in done.err


def test_a_changed_model_runs_from_train(pipeline: Pipeline) -> None:
    pipeline.product.edit_function("run_fn", "changed = 'the model'")
    assert ran(pipeline) == FROM_TRAIN
    assert pipeline.settled() is not None


def test_a_changed_preprocessing_runs_from_transform(pipeline: Pipeline) -> None:
    pipeline.product.edit_function("preprocessing_fn", "changed = 'the features'")
    assert ran(pipeline) == ALL[ALL.index("transform") :]


def test_a_comment_in_the_module_runs_nothing(pipeline: Pipeline) -> None:
    file = pipeline.product.project / "taxi.py"
    file.write_text("# A remark.\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert pipeline.settled() is not None


def test_a_changed_threshold_runs_from_bless(pipeline: Pipeline) -> None:
    pipeline.product.configure(evaluation={"value_thresholds": {"auc": {"min": 0.7}}})
    assert ran(pipeline) == ALL[ALL.index("bless") :]


def test_a_changed_sample_is_noted_and_asked_without_another_version(pipeline: Pipeline) -> None:
    champion = pipeline.product.champion()
    pipeline.product.configure(serving={"sample": {"trip_miles": 9.5}})
    assert ran(pipeline) == ["register", "export", "serve"]
    assert pipeline.product.champion() == champion


def test_from_a_step_runs_it_and_all_after_it(pipeline: Pipeline) -> None:
    assert ran(pipeline, from_step="evaluate") == ALL[ALL.index("evaluate") :]


@pytest.mark.slow
def test_force_runs_everything(pipeline: Pipeline) -> None:
    assert ran(pipeline, force=True) == ALL
    assert pipeline.settled() is not None


@pytest.mark.slow
def test_new_rows_run_everything_that_reads_them(pipeline: Pipeline) -> None:
    file = pipeline.product.project / "data" / "trips.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-1]), encoding="utf-8")
    # The reviewed schema does not depend on the data.
    assert ran(pipeline) == [step for step in ALL if step != "schema"]


def test_a_deleted_export_is_made_again(pipeline: Pipeline) -> None:
    version = pipeline.product.champion()
    shutil.rmtree(pipeline.product.home / "serving" / "taxi" / str(version))
    assert ran(pipeline) == ["export", "serve"]
    assert pipeline.settled() is not None
    assert pipeline.product.champion() == version


def test_a_deleted_version_is_registered_and_exported_again(pipeline: Pipeline) -> None:
    deleted = pipeline.product.champion()
    pipeline.product.mlflow().delete_model_version("taxi", str(deleted))
    again = ran(pipeline)
    assert again[-3:] == ["register", "export", "serve"]
    # A model that was judged against a champion is judged anew where there is none.
    assert again[:-3] in ([], ["evaluate", "bless"])
    champion = pipeline.product.champion()
    assert champion not in (None, deleted)
    assert (pipeline.product.home / "serving" / "taxi" / str(champion)).is_dir()
    assert pipeline.settled() is not None


def test_an_unknown_step_is_a_usage_error(trained: Trained) -> None:
    done = trained.product.run("train", str(trained.product.project), "--from", "evaluat")
    assert done.code == 2
    assert "did you mean 'evaluate'?" in done.err
    assert "Traceback" not in done.err
