"""The flows `approval` and `reconcile` at a real Prefect server, their forms sent by its API.

Without a runner: the flows run in this process, and a run that waits is paused, not suspended. The
process that `benison ui` starts has its own tests (test_reconciler_service.py).
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.flows.shop import Shop

from flows.cli import main
from flows.prefect_server import prefect_environment, start_own_server
from mlproject.promotion.asks import Ask
from mlproject.promotion.stages import Stage
from mlproject.settings import read_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WAIT_S = 60.0


@pytest.fixture(scope="module")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server of this module's own."""
    home = tmp_path_factory.mktemp("prefect")
    settings = read_settings({"BENISON_HOME": str(home)}, home)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in prefect_environment(settings).items():
            patch.setenv(name, value)
        server = start_own_server(settings)
        try:
            server.wait()
            yield server.url
        finally:
            server.stop()


@pytest.fixture
def client(prefect_url: str, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the server; flows and commands of the test use it too."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    with temporary_settings({PREFECT_API_URL: prefect_url}), get_client(sync_client=True) as made:
        yield made


class Running:
    """The flow `approval` in a thread; its last state."""

    def __init__(self, version: int, request: int, **parameters: Any) -> None:
        from flows.approval import approval

        self.state: Any = None

        def run() -> None:
            self.state = approval("shop", version, request, return_state=True, **parameters)

        self._thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
        self._thread.start()

    def ended(self) -> Any:
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the flow still runs"
        return self.state


def wait_for(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f"no {what}")


def paused(client: Any, name: str) -> Any:
    """The flow run of a name that waits with its form."""

    def found() -> Any:
        runs = [run for run in client.read_flow_runs() if run.name == name]
        waiting = [run for run in runs if run.state is not None and run.state.is_paused()]
        return waiting[0] if waiting and form_of(client, waiting[0]) else None

    return wait_for(found, f"flow run {name} that waits")


def form_of(client: Any, run: Any) -> Any:
    """The form's JSON schema; None while the run has not saved it."""
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    key = run.state.state_details.run_input_keyset["schema"]
    path = {"id": run.id, "key": key}
    try:
        return client.request("GET", "/flow_runs/{id}/input/{key}", path_params=path).json()
    except (ObjectNotFound, PrefectHTTPStatusError):
        return None


ANSWER = {"decision": "approve", "who": "ann", "reason": "it looks good"}


def test_the_form_approves(client: Any, shop: Shop) -> None:
    version, request = shop.requested()
    flow = Running(version.version, request.number)
    run = paused(client, "shop-1")
    form = form_of(client, run)
    assert set(form["properties"]) >= {"decision", "who", "reason"}
    assert set(form["required"]) == {"decision", "who", "reason"}
    assert form["properties"]["decision"]["enum"] == ["approve", "reject"]
    keyset = run.state.state_details.run_input_keyset
    path = {"id": run.id, "key": keyset["description"]}
    page = client.request("GET", "/flow_runs/{id}/input/{key}", path_params=path).json()
    for words in ("**shop**, version **1**", "blessing: BLESSED", "| auc | 0.75 |", "in MLflow]("):
        assert words in page
    assert client.resume_flow_run(run.id, ANSWER).status.value == "ACCEPT"
    state = flow.ended()
    assert (state.type.value, state.name) == ("COMPLETED", "Approved")
    assert shop.stage(version) is Stage.PRODUCTION
    last = shop.promoter.history("shop")[-1]
    assert (last.who, last.why) == ("ann", "it looks good")
    assert last.evidence["request"] == str(request.number)


def test_the_form_rejects(client: Any, shop: Shop) -> None:
    shop.champion()
    version, request = shop.requested()
    flow = Running(version.version, request.number)
    run = paused(client, "shop-2")
    client.resume_flow_run(run.id, {**ANSWER, "decision": "reject", "reason": "too slow"})
    assert flow.ended().name == "Rejected"
    assert shop.stage(version) is Stage.REJECTED
    assert shop.alias("champion") == 1
    assert shop.promoter.history("shop")[-1].why == "too slow"


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision": "maybe"},
        {"who": " "},
        {"reason": ""},
        {"who": "x" * 101},
        {"decision": None},
    ],
)
def test_a_form_that_says_nothing_is_not_taken(
    client: Any, shop: Shop, wrong: dict[str, Any]
) -> None:
    version, request = shop.requested()
    flow = Running(version.version, request.number)
    run = paused(client, "shop-1")
    assert client.resume_flow_run(run.id, {**ANSWER, **wrong}).status.value == "REJECT"
    assert shop.stage(version) is Stage.STAGING
    client.resume_flow_run(run.id, ANSWER)
    assert flow.ended().name == "Approved"


def test_nobody_answers_until_the_deadline(client: Any, shop: Shop) -> None:
    version, request = shop.requested(timeout_s=4)
    flow = Running(version.version, request.number)
    flow.ended()
    assert shop.stage(version) is Stage.REJECTED
    assert "nobody approved it" in shop.promoter.history("shop")[-1].why


def test_a_request_that_is_decided_already_ends_its_run_at_once(client: Any, shop: Shop) -> None:
    version, request = shop.requested()
    shop.promoter.approve(version, "from the command line", "bob")
    state = Running(version.version, request.number).ended()
    assert state.name == "Approved"
    assert "bob: from the command line" in state.message


def test_a_request_of_another_ledger_is_not_asked_about(client: Any, shop: Shop) -> None:
    version, request = shop.requested()
    state = Running(version.version, request.number, ledger="of another store").ended()
    assert state.type.value == "FAILED"
    assert "of another store" in state.message
    assert shop.stage(version) is Stage.STAGING


def test_a_number_that_is_no_request_fails(client: Any, shop: Shop) -> None:
    version, _ = shop.requested()
    assert Running(version.version, 99).ended().type.value == "FAILED"


@pytest.mark.parametrize(("word", "name"), [("approve", "Approved"), ("reject", "Rejected")])
def test_a_decision_on_the_command_line_ends_the_run_that_waits(
    client: Any, shop: Shop, word: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy()
    version, request = shop.requested()
    ledger = shop.promoter.ledger.run_id("shop")
    with tagged(ledger, request.number):
        flow = Running(version.version, request.number, ledger=ledger)
        paused(client, "shop-1")
    assert main([word, "shop/1", "--who", "bob", "--reason", "seen"]) == 0
    assert "Prefect  flow run shop-1 goes on, and ends" in capsys.readouterr().out
    state = flow.ended()
    assert state.name == name
    assert "bob: seen" in state.message
    assert [e.event for e in shop.promoter.history("shop")][-2:] == ["requested", "transition"]


def test_each_request_has_one_run(client: Any, shop: Shop) -> None:
    from flows.approval_runs import keep_approval_runs

    deploy()
    version, request = shop.requested()
    kept = keep_approval_runs(client, shop.promoter, "shop")
    assert (kept.opened, kept.unserved) == ((version.version,), ())
    assert keep_approval_runs(client, shop.promoter, "shop").opened == ()
    (run,) = runs_of(client, shop)
    assert run.parameters["request"] == request.number
    assert {f"request:{request.number}", "model:shop", "version:1"} <= set(run.tags)
    # A run that crashed asks nobody any more: another one does.
    from prefect.states import Crashed

    client.set_flow_run_state(run.id, Crashed(), force=True)
    assert keep_approval_runs(client, shop.promoter, "shop").opened == (1,)
    assert keep_approval_runs(client, shop.promoter, "shop").opened == ()
    assert len(runs_of(client, shop)) == 2


def test_two_reconcilers_at_once_make_one_run(client: Any, shop: Shop) -> None:
    from flows import approval_runs

    deploy()
    shop.requested()
    read = approval_runs._runs
    looked: list[Any] = []

    def race(asked: Any, tags: list[str], **how: Any) -> Any:
        found = read(asked, tags, **how)
        if not looked:
            looked.append(tags)
            approval_runs.keep_approval_runs(client, shop.promoter, "shop")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval_runs, "_runs", race)
        approval_runs.keep_approval_runs(client, shop.promoter, "shop")
    assert len(runs_of(client, shop)) == 1


def test_the_reconciler_ends_the_run_of_a_request_that_is_over(client: Any, shop: Shop) -> None:
    from flows.reconciling import reconcile

    deploy()
    version, request = shop.requested(timeout_s=25)
    ledger = shop.promoter.ledger.run_id("shop")
    with tagged(ledger, request.number):
        flow = Running(version.version, request.number, ledger=ledger)
        paused(client, "shop-1")
    # Decided where nobody tells the run: by the platform's code alone.
    shop.promoter.move(version, Ask(Stage.REJECTED, "the data was wrong", "eve"))
    state: Any = reconcile(["shop"], return_state=True)
    assert state.is_completed(), state.message
    ended = flow.ended()
    assert (ended.name, "eve: the data was wrong" in ended.message) == ("Rejected", True)


def test_a_run_of_a_request_that_came_meanwhile_is_left_to_wait(client: Any, shop: Shop) -> None:
    """The reconciler has read the ledger before the request stood there, and sees its run."""
    from flows.approval_runs import keep_approval_runs
    from mlproject.promotion.standing import Standing

    deploy()
    version, request = shop.requested()
    ledger = shop.promoter.ledger.run_id("shop")
    with tagged(ledger, request.number):
        flow = Running(version.version, request.number, ledger=ledger)
        run = paused(client, "shop-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop.promoter, "standing", lambda name: Standing())
        assert keep_approval_runs(client, shop.promoter, "shop").ended == 0
    assert shop.stage(version) is Stage.STAGING
    client.resume_flow_run(run.id, ANSWER)
    assert flow.ended().name == "Approved"


def test_the_flow_reconciles_and_says_so_in_its_state(client: Any, shop: Shop) -> None:
    from flows.reconciling import reconcile

    shop.files = True
    shop.champion()
    first: Any = reconcile(return_state=True)
    assert (first.name, shop.exported()) == ("Changed", ["1"])
    shop.move_alias("champion", shop.version(blessing="NOT_BLESSED"))
    second: Any = reconcile(return_state=True)
    assert (second.name, second.type.value) == ("PutBack", "COMPLETED")
    assert "NOT_BLESSED" in second.message
    assert shop.exported() == ["1"]
    third: Any = reconcile(return_state=True)
    assert (third.name, third.message) == ("InOrder", "")
    unknown: Any = reconcile(["shoop"], return_state=True)
    assert unknown.type.value == "FAILED"


def deploy() -> None:
    """The deployment of the flow `approval`, as the service makes it; nothing runs it."""
    from flows.approval import approval

    made: Any = approval.to_deployment("benison")
    made.apply()


def tagged(ledger: str | None, request: int) -> Any:
    """Flow runs that are started in it carry the tags of an approval run."""
    from prefect import tags

    return tags("approval", f"ledger:{ledger}", f"request:{request}")


def runs_of(client: Any, shop: Shop) -> list[Any]:
    ledger = f"ledger:{shop.promoter.ledger.run_id('shop')}"
    return [run for run in client.read_flow_runs() if ledger in run.tags]
