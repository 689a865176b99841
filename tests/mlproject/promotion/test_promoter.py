"""Each change of a stage: done, refused with its reasons, and what cannot be judged.

`any_model` stands in MLflow, on each of its stores.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import pytest
from tests.mlproject.promotion.conftest import NOON, Model, memory_model

from mlproject.errors import RegistryError, TrackingError
from mlproject.promotion.asks import Ask, RefusedTransitionError
from mlproject.promotion.entries import Move
from mlproject.promotion.findings import BY_HAND
from mlproject.promotion.stages import Stage
from mlproject.promotion.standing import Standing, champion_at
from mlproject.registry import BLESSING_TAG, VersionInfo
from mlproject.registry.projection import ALERT_TAG, MLFLOW_STAGES, POLICY_TAG


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model on a stand-in for MLflow's client: for what MLflow has no part in."""
    return memory_model(monkeypatch)


STAGING, PRODUCTION, ARCHIVED = Stage.STAGING, Stage.PRODUCTION, Stage.ARCHIVED
SHADOW, CANARY, REJECTED, BACK = Stage.SHADOW, Stage.CANARY, Stage.REJECTED, Stage.ROLLED_BACK
DAY_S = 86_400.0


def refused(call: Callable[[], object], model: Model) -> str:
    """The reasons of a call that is refused, and changes nothing."""
    before = model.state()
    with pytest.raises(RefusedTransitionError) as raised:
        call()
    assert model.state() == before
    assert raised.value.received
    assert raised.value.expected
    return str(raised.value)


def test_a_version_goes_from_stage_to_stage(any_model: Model) -> None:
    first, second = any_model.version(), any_model.version()
    any_model.move(first, STAGING)
    assert any_model.check().challenger == first.version
    any_model.move(first, PRODUCTION)
    any_model.move(second, STAGING, SHADOW, CANARY)
    standing = any_model.check()
    assert (standing.champion, standing.challenger) == (first.version, second.version)
    any_model.clock.forward(DAY_S)
    ask = Ask(PRODUCTION, "better on every slice", "ann", {"evaluation_run": "e1"})
    entry = any_model.promoter.move(second, ask)
    assert entry == any_model.promoter.history(any_model.name)[-1]
    assert (entry.number, entry.event, entry.version) == (6, "transition", second.version)
    assert entry.moves == (
        Move(second.version, CANARY, PRODUCTION),
        Move(first.version, PRODUCTION, ARCHIVED),
    )
    assert (entry.who, entry.why) == ("ann", "better on every slice")
    assert entry.evidence == {"evaluation_run": "e1"}
    assert any_model.aliases() == {"champion": second.version, "previous": first.version}
    any_model.check()
    history = any_model.promoter.history(any_model.name)
    assert champion_at(history, NOON) == first.version
    assert champion_at(history, any_model.clock.now) == second.version


def test_what_is_there_already_is_not_done_again(any_model: Model) -> None:
    version = any_model.champion()
    before = any_model.state()
    any_model.move(version, PRODUCTION)
    assert any_model.state() == before


@pytest.mark.parametrize("blessing", ["NOT_BLESSED", "UNKNOWN", ""])
def test_an_unblessed_version_is_refused(model: Model, blessing: str) -> None:
    version = model.version(blessing)
    text = refused(lambda: model.move(version, STAGING, override="I know"), model)
    assert f"its blessing is {blessing or 'missing'}" in text
    assert "from none it may go to staging, rejected" in text


@pytest.mark.parametrize("infra", ["INFRA_NOT_BLESSED", ""])
def test_a_version_that_no_server_loaded_is_refused(model: Model, infra: str) -> None:
    version = model.version(infra=infra)
    assert "its trial in a server" in refused(lambda: model.move(version, STAGING), model)


def test_an_illegal_step_is_refused_with_the_legal_ones(model: Model) -> None:
    version = model.version()
    text = refused(lambda: model.move(version, PRODUCTION), model)
    assert "Received: stage none. Expected: from none only: staging, rejected" in text


def test_the_verdict_counts_as_it_is_now(model: Model) -> None:
    """The caller may have read the version days ago."""
    version = model.version()
    model.move(version, STAGING)
    number = str(version.version)
    model.client.set_model_version_tag(model.name, number, BLESSING_TAG, "NOT_BLESSED")
    text = refused(lambda: model.move(version, PRODUCTION), model)
    assert "its blessing is NOT_BLESSED" in text
    model.client.set_model_version_tag(model.name, number, BLESSING_TAG, "BLESSED")
    stale = VersionInfo(model.name, version.version, {}, None)
    model.move(stale, PRODUCTION)
    model.check()


def test_the_champion_must_be_the_one_that_it_was_compared_with(model: Model) -> None:
    second = model.version()
    model.move(second, STAGING)
    champion = model.champion()
    text = refused(lambda: model.move(second, PRODUCTION, compared_with=None), model)
    assert f"champion {champion.version}; the candidate was compared with None" in text
    refused(lambda: model.move(second, PRODUCTION, compared_with=second.version), model)
    model.move(second, PRODUCTION, compared_with=champion.version)
    assert model.check().champion == second.version


def test_a_rollout_is_asked_for_where_the_policy_says_so(any_model: Model) -> None:
    first, second = any_model.version(), any_model.version()
    any_model.policy(rollout="required")
    any_model.move(first, STAGING, PRODUCTION)  # nothing to roll out against
    any_model.move(second, STAGING)
    text = refused(lambda: any_model.move(second, PRODUCTION), any_model)
    assert "it had no rollout" in text
    any_model.move(second, CANARY)
    any_model.promoter.record_rollout(second, "PASSED", "r1", "no worse in 1,000 requests")
    any_model.move(second, PRODUCTION)
    any_model.check()


def test_setting_a_version_aside_is_no_way_round_the_policy(model: Model) -> None:
    model.champion()
    version = model.version()
    model.policy(rollout="required", approval="required")
    model.move(version, STAGING, ARCHIVED)
    text = refused(lambda: model.move(version, PRODUCTION), model)
    assert "it had no rollout" in text
    assert "no person has approved it" in text


def test_a_former_champion_needs_no_second_rollout(model: Model) -> None:
    first, second = model.champion(), model.champion()
    model.policy(rollout="required", approval="required")
    model.move(first, PRODUCTION)
    assert model.check().champions == (first.version,)
    assert model.standing().stage(second.version) is ARCHIVED


@pytest.mark.parametrize("verdict", ["FAILED", "UNKNOWN", ""])
def test_a_rollout_that_did_not_pass_rejects(model: Model, verdict: str) -> None:
    version = model.version()
    model.move(version, STAGING, CANARY)
    entry = model.promoter.record_rollout(version, verdict, "r1", "slower")
    assert entry.evidence == {"verdict": verdict, "rollout_run": "r1"}
    assert model.check().stage(version.version) is REJECTED
    model.move(version, STAGING)  # judged anew
    assert model.standing().rollouts == {}


def test_a_failed_rollout_of_the_champion_is_written_and_moves_nothing(model: Model) -> None:
    version = model.champion()
    model.promoter.record_rollout(version, "FAILED", "r1", "late")
    assert model.check().champion == version.version


def test_an_override_is_recorded(model: Model) -> None:
    model.champion()
    version = model.version()
    model.policy(rollout="required")
    model.move(version, STAGING)
    model.move(version, PRODUCTION, override="the champion answers nothing")
    entry = model.promoter.history(model.name)[-1]
    assert entry.evidence["override"] == "the champion answers nothing"


def test_rolling_back(any_model: Model) -> None:
    versions = [any_model.champion() for _ in range(3)]
    one, two, three = (v.version for v in versions)
    entry = any_model.promoter.rollback(any_model.name, "wrong tips", who="bob")
    assert (entry.event, entry.version, entry.who) == ("rollback", two, "bob")
    assert entry.moves == (Move(three, PRODUCTION, BACK), Move(two, ARCHIVED, PRODUCTION))
    assert any_model.check().previous == one
    assert "expected" not in refused(
        lambda: any_model.promoter.rollback(any_model.name, "again", to=three), any_model
    )
    any_model.promoter.rollback(any_model.name, "again", to=one)
    assert any_model.check().champions == (one,)
    text = refused(lambda: any_model.promoter.rollback(any_model.name, "more"), any_model)
    assert f"champion {one}, and none before it" in text


def test_rolling_back_skips_nothing_between(model: Model) -> None:
    one, two, three = (model.champion().version for _ in range(3))
    model.promoter.rollback(model.name, "both are wrong", to=one)
    standing = model.check()
    assert (standing.champion, standing.previous) == (one, None)
    assert standing.stage(two) is ARCHIVED
    assert standing.stage(three) is BACK


def test_rolling_back_to_what_was_never_in_production_is_refused(model: Model) -> None:
    model.champion()
    version = model.version()
    model.move(version, STAGING)
    text = refused(lambda: model.promoter.rollback(model.name, "x", to=version.version), model)
    assert "one of the earlier champions: none" in text


def test_rolling_back_to_a_version_that_lost_its_blessing_is_refused(model: Model) -> None:
    first = model.champion()
    model.champion()
    number = str(first.version)
    model.client.set_model_version_tag(model.name, number, BLESSING_TAG, "NOT_BLESSED")
    text = refused(lambda: model.promoter.rollback(model.name, "x"), model)
    assert "its blessing is NOT_BLESSED" in text


def test_a_policy_may_make_production_wait_for_a_person(any_model: Model) -> None:
    version = any_model.version()
    any_model.policy(approval="required")
    any_model.move(version, STAGING)
    text = refused(lambda: any_model.move(version, PRODUCTION), any_model)
    assert "no person has approved it" in text
    refused(lambda: any_model.promoter.approve(version, "fine"), any_model)  # nobody asked
    ask = Ask(PRODUCTION, "better", "ann", {"evaluation_run": "e1"})
    request = any_model.promoter.request(version, ask)
    assert request.event == "requested"
    assert request.deadline is not None
    assert (request.deadline - any_model.clock.now).total_seconds() == DAY_S
    assert any_model.promoter.request(version, ask) == request  # one is enough
    assert any_model.check().champion is None
    entry = any_model.promoter.approve(version, "looks right", "bob")
    assert entry.evidence == {
        "evaluation_run": "e1",
        "approval": "bob: looks right",
        "request": str(request.number),
    }
    assert any_model.check().champion == version.version
    refused(lambda: any_model.promoter.approve(version, "again"), any_model)


def test_a_person_may_say_no(model: Model) -> None:
    version = model.version()
    model.policy(approval="required")
    model.move(version, STAGING)
    model.promoter.request(version, Ask(PRODUCTION, "better", "ann"))
    model.move(version, REJECTED, who="bob")
    standing = model.check()
    assert standing.requests == {}
    refused(lambda: model.promoter.approve(version, "after all"), model)


def test_nobody_is_asked_about_what_lacks_more_than_an_approval(model: Model) -> None:
    model.champion()
    version = model.version()
    model.policy(approval="required", rollout="required")
    model.move(version, STAGING)
    ask = Ask(PRODUCTION, "better", "ann")
    text = refused(lambda: model.promoter.request(version, ask), model)
    assert "it had no rollout" in text
    assert "no person" not in text


def test_an_override_holds_from_the_request_to_the_approval(model: Model) -> None:
    model.champion()
    version = model.version()
    model.policy(approval="required", rollout="required")
    model.move(version, STAGING)
    model.promoter.request(version, Ask(PRODUCTION, "better", "ann", override="an incident"))
    entry = model.promoter.approve(version, "yes", "bob")
    assert entry.evidence["override"] == "an incident"
    assert model.check().champion == version.version


@pytest.mark.parametrize("known", [True, False])
def test_an_approval_is_of_a_comparison_with_the_champion(model: Model, known: bool) -> None:
    champion = model.champion().version if known else None
    version, other = model.version(), model.version()
    model.move(version, STAGING)
    model.move(other, STAGING)
    ask = Ask(PRODUCTION, "better", "ann", compared_with=999)
    text = refused(lambda: model.promoter.request(version, ask), model)
    assert "compared with 999" in text
    model.promoter.request(version, Ask(PRODUCTION, "better", "ann", compared_with=champion))
    model.move(other, PRODUCTION)
    text = refused(lambda: model.promoter.approve(version, "yes"), model)
    assert f"compared with {champion}" in text


def test_an_archived_version_goes_to_staging_before_it_is_asked_for(model: Model) -> None:
    version = model.version()
    model.policy(approval="required")
    model.move(version, STAGING, ARCHIVED)
    ask = Ask(PRODUCTION, "after all", "ann")
    assert "--to staging" in refused(lambda: model.promoter.request(version, ask), model)


def test_what_nobody_approves_in_time_is_rejected(any_model: Model) -> None:
    late, later = any_model.version(), any_model.version()
    any_model.policy(approval="required", approval_timeout_s=60.0)
    for version in (late, later):
        any_model.move(version, STAGING)
        any_model.promoter.request(version, Ask(PRODUCTION, "better", "ann"))
        any_model.clock.forward(30.0)
    any_model.clock.forward(-0.001)
    assert any_model.promoter.settle(any_model.name) == ()
    any_model.clock.forward(0.001)
    text = refused_after_settling(any_model, late)
    assert "no open request" in text
    standing = any_model.check()
    assert standing.stage(late.version) is REJECTED
    assert set(standing.requests) == {later.version}
    any_model.clock.forward(30.0)
    (found,) = any_model.promoter.settle(any_model.name)
    assert (found.kind, found.version) == ("expired", later.version)
    entry = any_model.promoter.history(any_model.name)[-1]
    assert (entry.event, entry.who) == ("transition", "benison")
    assert entry.why == "nobody approved it until 2026-03-01T12:01:30+00:00"


def refused_after_settling(model: Model, version: VersionInfo) -> str:
    with pytest.raises(RefusedTransitionError) as raised:
        model.promoter.approve(version, "too late")
    return str(raised.value)


def test_the_champion_before_the_ledger_is_adopted_with_its_previous(any_model: Model) -> None:
    versions = [any_model.version() for _ in range(3)]
    any_model.by_hand("previous", versions[0].version)
    any_model.by_hand("champion", versions[1].version)
    (found,) = any_model.promoter.settle(any_model.name)
    assert (found.kind, found.version) == ("taken_over", versions[1].version)
    standing = any_model.check()
    assert standing.champions == (versions[0].version, versions[1].version)
    assert any_model.events() == ["adopted"]
    any_model.move(versions[2], STAGING, PRODUCTION)
    any_model.promoter.rollback(any_model.name, "x")
    any_model.promoter.rollback(any_model.name, "x")
    assert any_model.check().champion == versions[0].version


def test_any_first_call_adopts_the_champion(model: Model) -> None:
    champion, version = model.version(), model.version()
    model.by_hand("champion", champion.version)
    model.promoter.record_rollout(version, "PASSED", "r1", "fine")
    assert model.check().champion == champion.version


def test_what_others_made_champion_unblessed_is_left_alone_until_a_version_moves(
    model: Model,
) -> None:
    foreign, version = model.version(""), model.version()
    model.by_hand("champion", foreign.version)
    assert model.promoter.settle(model.name) == ()
    assert model.aliases() == {"champion": foreign.version}
    assert model.tags() == {}
    model.move(version, STAGING)
    model.check()
    assert f"{model.name}/{foreign.version} is champion no longer" in model.tags()[ALERT_TAG]


def test_a_blessed_version_that_was_promoted_by_hand_is_taken_over(any_model: Model) -> None:
    first, second = any_model.champion(), any_model.version()
    any_model.move(second, STAGING)
    any_model.by_hand("champion", second.version)
    (found,) = any_model.promoter.settle(any_model.name)
    assert (found.kind, found.version) == ("taken_over", second.version)
    entry = any_model.promoter.history(any_model.name)[-1]
    assert (entry.event, entry.who) == ("out_of_band", BY_HAND)
    assert any_model.check().previous == first.version
    assert ALERT_TAG not in any_model.tags()
    any_model.by_hand("champion", first.version)  # back again
    any_model.promoter.settle(any_model.name)
    standing = any_model.check()
    assert (standing.champion, standing.stage(second.version)) == (first.version, BACK)


@pytest.mark.parametrize(
    ("blessing", "stage", "policy", "reason"),
    [
        ("NOT_BLESSED", None, {}, "its blessing is NOT_BLESSED"),
        ("", None, {}, "its blessing is missing"),
        ("BLESSED", None, {}, "from none it may only go to"),
        ("BLESSED", REJECTED, {}, "from rejected it may only go to staging"),
        ("BLESSED", STAGING, {"approval": "required"}, "no person has approved it"),
        ("BLESSED", STAGING, {"rollout": "required"}, "it had no rollout"),
    ],
)
def test_what_may_not_be_champion_is_put_back(
    model: Model, blessing: str, stage: Stage | None, policy: dict[str, str], reason: str
) -> None:
    champion, version = model.champion(), model.version(blessing)
    model.policy(**policy)
    if stage is not None:
        model.move(version, stage)
    model.by_hand("champion", version.version)
    (found,) = model.promoter.settle(model.name)
    assert found.kind == "put_back"
    assert reason in found.text
    assert model.check().champion == champion.version
    entry = model.promoter.history(model.name)[-1]
    assert (entry.event, entry.version, entry.moves) == ("put_back", version.version, ())
    assert entry.evidence == {"alias": "champion", "moved_to": str(version.version)}
    assert reason in model.tags()[ALERT_TAG]
    assert model.promoter.settle(model.name) == ()


def test_what_was_done_by_hand_is_settled_before_anything_else(model: Model) -> None:
    champion, version, other = model.champion(), model.version("NOT_BLESSED"), model.version()
    model.by_hand("champion", version.version)
    model.promoter.record_rollout(other, "PASSED", "r1", "fine")
    assert model.events()[-2:] == ["put_back", "rollout"]
    assert model.check().champion == champion.version


@pytest.mark.parametrize("alias", ["challenger", "previous"])
def test_the_other_aliases_follow_from_the_stages(model: Model, alias: str) -> None:
    first, _, waiting = model.champion(), model.champion(), model.version()
    model.move(waiting, STAGING)
    model.by_hand(alias, first.version if alias == "challenger" else waiting.version)
    (found,) = model.promoter.settle(model.name)
    assert (found.kind, found.alias) == ("put_back", alias)
    model.check()
    model.by_hand(alias, None)
    model.promoter.settle(model.name)
    model.check()


def test_a_champion_whose_alias_was_deleted_gets_it_back(model: Model) -> None:
    champion = model.champion()
    model.by_hand("champion", None)
    (found,) = model.promoter.settle(model.name)
    assert "would leave nothing to serve" in found.text
    assert model.check().champion == champion.version


def test_a_hand_that_is_gone_a_moment_later_was_another_process(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion, version = model.champion(), model.version()
    model.move(version, STAGING)
    model.by_hand("champion", version.version)
    before = model.promoter.history(model.name)
    monkeypatch.setattr(time, "sleep", lambda _: model.by_hand("champion", champion.version))
    assert model.promoter.settle(model.name) == ()
    assert model.promoter.history(model.name) == before


def test_versions_that_were_deleted_in_mlflow_stop_nothing(any_model: Model) -> None:
    one, two, three = (any_model.champion() for _ in range(3))
    delete = any_model.client.delete_model_version
    delete(any_model.name, str(two.version))  # `previous`
    any_model.promoter.settle(any_model.name)
    assert any_model.aliases() == {"champion": three.version, "previous": one.version}
    text = refused(
        lambda: any_model.promoter.rollback(any_model.name, "x", to=two.version), any_model
    )
    assert f"one of the earlier champions: {one.version}" in text
    any_model.promoter.rollback(any_model.name, "x")
    assert any_model.aliases() == {"champion": one.version}
    delete(any_model.name, str(one.version))  # the champion
    (found,) = any_model.promoter.settle(any_model.name)
    assert "was deleted in MLflow" in found.text
    assert "was deleted in MLflow" in any_model.tags()[ALERT_TAG]
    assert any_model.standing().champion is None
    assert any_model.aliases() == {}
    any_model.champion()
    with pytest.raises(RegistryError, match="no such version"):
        any_model.move(two, STAGING)


@pytest.mark.parametrize("made", [True, False])
def test_an_unknown_model_has_no_history_and_cannot_move(
    named_model: Callable[[str], Model], made: bool
) -> None:
    known = named_model(f"penguins-{made}")
    known.champion()
    model = named_model(f"pengiuns-{made}")
    if made:
        model.client.create_registered_model(model.name)
    assert model.promoter.history(model.name) == ()
    assert model.standing() == Standing()
    assert model.promoter.settle(model.name) == ()
    version = VersionInfo(model.name, 1, {BLESSING_TAG: "BLESSED"}, None)
    for call in (
        lambda: model.move(version, STAGING),
        lambda: model.promoter.rollback(model.name, "x"),
        lambda: model.promoter.rollback(model.name, "x", to=3),
        lambda: model.promoter.request(version, Ask(PRODUCTION, "x")),
        lambda: model.promoter.approve(version, "x"),
        lambda: model.promoter.record_rollout(version, "PASSED", "r", "x"),
    ):
        with pytest.raises(RegistryError) as raised:
            call()
        assert "did you mean 'pe" in (raised.value.expected or "")
    registered = {m.name for m in model.client.search_registered_models()}
    assert (model.name in registered) == made


@pytest.mark.parametrize(
    "name",
    [
        "taxi's",
        'the "taxi"',
        "出租车 🚕",
        "latest",
        "champion",
        "v1",
        "a@champion",
        "%2e",
        " taxi ",
    ],
)
def test_models_of_odd_names(named_model: Callable[[str], Model], name: str) -> None:
    model = named_model(name)
    first = model.champion()
    assert model.check().champion == first.version
    with pytest.raises(RegistryError):
        model.move(VersionInfo(name, 99, {}, None), STAGING)


@pytest.mark.parametrize("name", ["a/b", "a:b", "", "..", 'it\'s "both"'])
def test_names_that_mlflow_does_not_take(named_model: Callable[[str], Model], name: str) -> None:
    model = named_model(name)
    assert model.promoter.history(name) == ()
    with pytest.raises((RegistryError, TrackingError)):
        model.move(VersionInfo(name, 1, {}, None), STAGING)
    with pytest.raises((RegistryError, TrackingError)):
        model.promoter.rollback(name, "x")


@pytest.mark.parametrize("policy", ["{", "[]", '{"rollout": "maybe"}', '{"unknown": 1}', ""])
def test_a_damaged_policy_stops_promotion(model: Model, policy: str) -> None:
    champion, version = model.champion(), model.version()
    model.client.set_registered_model_tag(model.name, POLICY_TAG, policy)
    with pytest.raises(RegistryError, match="Reading the policy"):
        model.move(version, STAGING)
    assert model.aliases() == {"champion": champion.version}


@pytest.mark.parametrize("projected", ["0", "999", "-1", "many"])
def test_what_mlflow_shows_is_written_again(model: Model, projected: str) -> None:
    first, second = model.champion(), model.champion()
    for version in (first, second):
        model.client.delete_model_version_tag(model.name, str(version.version), "benison.stage")
    model.client.set_registered_model_tag(model.name, "benison.projected", projected)
    assert model.promoter.settle(model.name) == ()
    model.check()


def test_a_clock_that_is_set_back_does_not_turn_history_round(model: Model) -> None:
    model.champion()
    model.clock.forward(-3_600.0)
    model.champion()
    times = [entry.when for entry in model.promoter.history(model.name)]
    assert times == sorted(times)


def test_mlflow_still_has_the_deprecated_stages_that_are_mirrored(any_model: Model) -> None:
    """Where MLflow removes `transition_model_version_stage`, this fails: take
    `registry.mirror_stages` out then, with what it is documented by.
    """
    assert hasattr(any_model.client, "transition_model_version_stage"), (
        "MLflow removed its stages: remove registry.mirror_stages"
    )
    first, second = any_model.version(), any_model.version()
    any_model.move(first, STAGING)
    assert stages(any_model) == {first.version: "None", second.version: "None"}
    any_model.policy(mirror_stages=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # nothing of it reaches the user
        any_model.move(first, PRODUCTION)
    assert stages(any_model) == {first.version: "Production", second.version: "None"}
    any_model.move(second, STAGING)
    assert stages(any_model)[second.version] == "Staging"
    any_model.move(second, PRODUCTION)
    assert stages(any_model) == {first.version: "Archived", second.version: "Production"}
    any_model.promoter.rollback(any_model.name, "x")
    assert stages(any_model) == {first.version: "Production", second.version: "Archived"}
    any_model.check()


def stages(model: Model) -> dict[int, str]:
    found = model.client.search_model_versions(f"name='{model.name}'")
    return {int(version.version): str(version.current_stage) for version in found}


def test_every_stage_has_one_of_mlflows() -> None:
    assert set(MLFLOW_STAGES) == set(Stage)
    assert set(MLFLOW_STAGES.values()) == {"None", "Staging", "Production", "Archived"}
