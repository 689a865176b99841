"""The reconciler without Prefect: what is taken over, put back, exported, and never exported."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from tests.flows.shop import Shop

from flows.cli import main
from flows.reconciler import reconcile_model
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry import BLESSING_TAG


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """The shop, its versions with files."""
    shop.files = True
    return shop


def run(shop: Shop) -> list[str]:
    """Reconciles; the kinds of what was found."""
    done = reconcile_model(shop.promoter, shop.settings, shop.name)
    assert done.error == ""
    return [finding.kind for finding in done.findings]


def test_the_champion_is_exported_once(shop: Shop) -> None:
    shop.champion()
    done = reconcile_model(shop.promoter, shop.settings, shop.name)
    assert done.exported == shop.settings.serving_root / "shop" / "1"
    assert done.lines() == [f"shop/1 was exported to {done.exported}"]
    again = reconcile_model(shop.promoter, shop.settings, shop.name)
    assert (again.exported, again.lines(), again.champion) == (None, [], 1)


def test_an_unblessed_version_is_put_back_and_never_exported(shop: Shop) -> None:
    shop.champion()
    shop.files = False
    bad = shop.version(blessing="NOT_BLESSED")
    shop.move_alias("champion", bad)
    assert run(shop) == ["put_back"]
    assert shop.alias("champion") == 1
    assert shop.exported() == ["1"]
    assert run(shop) == []


def test_a_version_that_may_have_the_alias_is_taken_over_and_exported(shop: Shop) -> None:
    shop.champion()
    better = shop.staged()
    shop.move_alias("champion", better)
    assert run(shop) == ["taken_over"]
    assert shop.stage(better) is Stage.PRODUCTION
    assert shop.exported() == ["2"]
    assert shop.promoter.history("shop")[-1].event == "out_of_band"


def test_a_champion_whose_blessing_was_taken_away_is_not_exported(shop: Shop) -> None:
    champion = shop.champion()
    shop.client.set_model_version_tag("shop", str(champion.version), BLESSING_TAG, "NOT_BLESSED")
    done = reconcile_model(shop.promoter, shop.settings, "shop")
    assert "may not be served" in done.error
    assert shop.exported() == []


def test_a_champion_whose_files_are_gone_is_an_error_and_stops_nothing(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.champion()
    shutil.rmtree(shop.settings.artifact_root)
    assert main(["reconcile"]) == 1
    assert "shop: Fetching version 1 of 'shop' failed" in capsys.readouterr().out
    assert shop.exported() == []


def test_a_request_that_nobody_answered_is_rejected(shop: Shop) -> None:
    version, _ = shop.requested(timeout_s=60)
    assert run(shop) == []
    tomorrow = Promoter(shop.settings, clock=lambda: datetime.now(UTC) + timedelta(days=1))
    done = reconcile_model(tomorrow, shop.settings, "shop")
    assert [finding.kind for finding in done.findings] == ["expired"]
    assert shop.stage(version) is Stage.REJECTED


def test_the_command_says_what_was_done_and_how_it_ended(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile"]) == 0
    assert capsys.readouterr().out == "no model has a ledger\n"
    shop.champion()
    better, bad = shop.staged(), shop.version(blessing="NOT_BLESSED")
    assert main(["reconcile", "shop"]) == 0
    assert "shop/1 was exported" in capsys.readouterr().out
    assert main(["reconcile"]) == 0
    assert capsys.readouterr().out == "shop: in order, champion 1\n"
    shop.move_alias("champion", bad)
    assert main(["reconcile", "--json"]) == 3
    (told,) = json.loads(capsys.readouterr().out)
    assert told["findings"][0]["kind"] == "put_back"
    assert (told["champion"], told["exported"], told["error"]) == (1, None, None)
    shop.move_alias("champion", better)
    assert main(["reconcile"]) == 0
    assert "taken over" in capsys.readouterr().out


def test_a_model_without_a_ledger_is_left_alone(shop: Shop) -> None:
    version = shop.version(blessing="NOT_BLESSED")
    shop.move_alias("champion", version)
    assert main(["reconcile"]) == 0
    assert main(["reconcile", "shop"]) == 0
    assert shop.alias("champion") == 1
    assert shop.exported() == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["shoop"], 1, "shop"),
        (["--every", "0"], 2, "--every"),
        (["--every", "nan"], 2, "--every"),
    ],
)
def test_what_cannot_be_reconciled_is_said(
    shop: Shop, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    shop.version()
    assert main(["reconcile", *words]) == code
    assert said in capsys.readouterr().err


def test_two_reconcilers_at_once_agree(shop: Shop) -> None:
    """The second finds the entry of the first in its place, and looks again."""
    shop.champion()
    shop.move_alias("champion", shop.staged())
    other = Promoter(shop.settings)
    first = other.ledger.append
    raced: list[int] = []

    def race(name: str, entry: object, after: int) -> object:
        if not raced:
            raced.append(after)
            assert run(shop) == ["taken_over"]
        return first(name, entry, after=after)  # type: ignore[arg-type]

    other.ledger.append = race  # type: ignore[method-assign, assignment]
    done = reconcile_model(other, shop.settings, "shop")
    assert (done.error, done.champion, shop.alias("champion")) == ("", 2, 2)
    assert [e.event for e in shop.promoter.history("shop")].count("out_of_band") == 1


def test_what_was_promoted_by_the_platform_is_no_finding(shop: Shop) -> None:
    shop.champion()
    better = shop.staged()
    shop.promoter.move(better, Ask(Stage.PRODUCTION, "better"))
    assert run(shop) == []
    assert shop.exported() == ["2"]
