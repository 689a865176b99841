"""What a pipeline's registration leads to, by policy and by what a person said before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlproject.blessing.verdict import INFRA_BLESSED
from mlproject.errors import RegistryError
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.registered import Promoted, promote_registered
from mlproject.promotion.stages import Stage
from mlproject.registry import VersionInfo
from mlproject.registry.names import BLESSING_TAG, INFRA_TAG
from mlproject.sections import RegistrySection
from mlproject.settings import Settings, read_settings


class Pipeline:
    """Registers versions of `taxi`, and promotes them as the step does."""

    def __init__(self, settings: Settings) -> None:
        self.promoter = Promoter(settings)
        self.promoter.ledger.open("taxi")

    def register(self, blessing: str = "BLESSED") -> VersionInfo:
        made = self.promoter.registry.client.create_model_version(
            "taxi", "file:///none", tags={BLESSING_TAG: blessing, INFRA_TAG: INFRA_BLESSED}
        )
        return self.promoter.registry.resolve(f"taxi/{made.version}")

    def promote(
        self, version: VersionInfo, compared_with: int | None = None, **policy: str
    ) -> Promoted:
        section = RegistrySection.model_validate(policy)
        evidence = {"pipeline_run": "run"}
        return promote_registered(
            self.promoter, version, section, evidence, "BLESSED", compared_with=compared_with
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty MLflow store; making its tables takes seconds."""
    home = tmp_path_factory.mktemp("registered")
    Promoter(read_settings({"BENISON_HOME": str(home)}))
    return home


@pytest.fixture
def pipeline(store: Path, tmp_path: Path) -> Pipeline:
    shutil.copytree(store, tmp_path / "home")
    return Pipeline(read_settings({"BENISON_HOME": str(tmp_path / "home")}))


def test_a_blessed_version_goes_to_production_at_once(pipeline: Pipeline) -> None:
    one, two = pipeline.register(), pipeline.register()
    assert pipeline.promote(one) == Promoted(Stage.PRODUCTION, None, "")
    assert pipeline.promote(two, compared_with=1) == Promoted(Stage.PRODUCTION, 1, "")
    entries = pipeline.promoter.history("taxi")
    assert [entry.event for entry in entries] == ["transition"] * 4
    assert dict(entries[-1].evidence) == {"pipeline_run": "run"}
    assert pipeline.promote(two, compared_with=1) == Promoted(Stage.PRODUCTION, 1, "")
    assert pipeline.promoter.history("taxi") == entries


def test_what_is_not_blessed_stays_out(pipeline: Pipeline) -> None:
    with pytest.raises(RegistryError, match="may not go to staging"):
        pipeline.promote(pipeline.register("NOT_BLESSED"))
    assert pipeline.promoter.history("taxi") == ()


def test_a_champion_that_changed_during_the_run_is_not_replaced(pipeline: Pipeline) -> None:
    one, two, three = (pipeline.register() for _ in range(3))
    pipeline.promote(one)
    pipeline.promote(two, compared_with=1)
    with pytest.raises(RegistryError, match="the champion changed during the run"):
        pipeline.promote(three, compared_with=1)
    standing = pipeline.promoter.standing("taxi")
    assert (standing.champion, standing.stage(3)) == (2, Stage.STAGING)
    assert pipeline.promote(three, compared_with=2).stage is Stage.PRODUCTION


def test_the_first_version_needs_no_rollout_and_later_ones_wait_for_theirs(
    pipeline: Pipeline,
) -> None:
    one, two = pipeline.register(), pipeline.register()
    assert pipeline.promote(one, rollout="required").stage is Stage.PRODUCTION
    waiting = pipeline.promote(two, compared_with=1, rollout="required")
    assert (waiting.stage, "rollout" in waiting.waiting) == (Stage.STAGING, True)
    pipeline.promoter.record_rollout(two, "PASSED", "rollout run", "all metrics held")
    moved = pipeline.promoter.move(two, Ask(Stage.PRODUCTION, "passed"))
    assert moved.moves[0].after is Stage.PRODUCTION


def test_a_version_waits_for_a_person_once(pipeline: Pipeline) -> None:
    one = pipeline.register()
    waiting = pipeline.promote(one, approval="required")
    assert waiting.stage is Stage.STAGING
    assert "benison approve taxi/1" in waiting.waiting
    again = pipeline.promote(one, approval="required")
    assert again == waiting
    assert [e.event for e in pipeline.promoter.history("taxi")] == ["transition", "requested"]


@pytest.mark.parametrize("stage", [Stage.REJECTED, Stage.ROLLED_BACK])
def test_what_a_person_refused_is_not_taken_up_again_by_itself(
    stage: Stage, pipeline: Pipeline
) -> None:
    one, two = pipeline.register(), pipeline.register()
    pipeline.promote(one)
    if stage is Stage.REJECTED:
        pipeline.promoter.move(two, Ask(stage, "it smells", "eva"))
    else:
        pipeline.promote(two, compared_with=1)
        pipeline.promoter.rollback("taxi", "it smells", who="eva")
    left = pipeline.promote(two, compared_with=1)
    assert left.stage is stage
    assert "it smells (eva)" in left.waiting
    assert pipeline.promoter.standing("taxi").champion == 1


def test_weights_of_an_archived_version_are_promoted_anew(pipeline: Pipeline) -> None:
    one, two = pipeline.register(), pipeline.register()
    pipeline.promote(one)
    pipeline.promote(two, compared_with=1)
    assert pipeline.promote(one, compared_with=2) == Promoted(Stage.PRODUCTION, 2, "")
    assert pipeline.promoter.standing("taxi").champions == (2, 1)
