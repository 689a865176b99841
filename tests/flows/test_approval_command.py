"""`benison approve`, `reject` and `approvals` with no Prefect server anywhere."""

from __future__ import annotations

import json

import pytest
from tests.flows.shop import Shop

from flows.cli import main
from flows.prefect_server import free_port
from mlproject.promotion.stages import Stage


def test_a_version_that_waits_is_listed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approvals"]) == 0
    assert capsys.readouterr().out == "nothing waits for approval\n"
    version, entry = shop.requested()
    assert main(["approvals", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["model"], told["version"], told["number"]) == ("shop", 1, entry.number)
    assert told["who"] == entry.who
    assert main(["approvals"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["VERSION", "ASKED", "BY", "UNTIL", "WHY"]
    assert row.startswith("shop/1")
    assert row.endswith("it is better")
    assert shop.stage(version) is Stage.STAGING


def test_an_approval_takes_the_version_to_production(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    version, request = shop.requested()
    assert main(["approve", "shop/1", "--who", "ann", "--reason", "looks good"]) == 0
    out = capsys.readouterr().out
    assert "shop/1 is production: ann: looks good" in out
    assert "Champion 1" in out
    assert "Prefect" not in out
    assert shop.stage(version) is Stage.PRODUCTION
    last = shop.promoter.history("shop")[-1]
    assert last.evidence["approval"] == "ann: looks good"
    assert last.evidence["request"] == str(request.number)
    assert main(["approvals"]) == 0
    assert capsys.readouterr().out == "nothing waits for approval\n"


def test_a_rejection_leaves_the_champion(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.champion()
    version, request = shop.requested()
    assert main(["reject", "shop/2", "--who", "bob", "--reason", "too slow"]) == 0
    assert "shop/2 is rejected: bob: too slow" in capsys.readouterr().out
    assert shop.stage(version) is Stage.REJECTED
    assert shop.alias("champion") == 1
    last = shop.promoter.history("shop")[-1]
    assert (last.who, last.evidence["request"]) == ("bob", str(request.number))


def test_a_version_that_does_not_wait_cannot_be_approved(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    version = shop.staged()
    assert main(["approve", "shop/1", "--reason", "now"]) == 1
    assert "no open request" in capsys.readouterr().err
    assert shop.stage(version) is Stage.STAGING
    assert main(["reject", "shop/1", "--reason", "no"]) == 0
    assert shop.stage(version) is Stage.REJECTED


@pytest.mark.parametrize("words", [["approve", "shop/1"], ["reject", "shop/1", "--reason", " "]])
def test_a_decision_without_a_reason_is_none(shop: Shop, words: list[str]) -> None:
    version, _ = shop.requested()
    with pytest.raises(SystemExit):
        main(words)
    assert shop.stage(version) is Stage.STAGING


def test_a_prefect_server_that_does_not_answer_stops_no_decision(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version, _ = shop.requested()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert main(["approve", "shop/1", "--reason", "looks good"]) == 0
    assert "its flow run was not told (The Prefect server does not answer" in (
        capsys.readouterr().out
    )
    assert shop.stage(version) is Stage.PRODUCTION


def test_a_request_whose_time_is_over_cannot_be_approved(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    version, _ = shop.requested(timeout_s=0.001)
    assert main(["approvals"]) == 0
    assert "(over)" in capsys.readouterr().out
    assert main(["approve", "shop/1", "--reason", "late"]) == 1
    assert "no open request" in capsys.readouterr().err
    assert shop.stage(version) is Stage.REJECTED
    assert "nobody approved it" in shop.promoter.history("shop")[-1].why
