"""What `benison serve` serves: a settled alias, and a blessed version."""

from __future__ import annotations

import pytest
from tests.flows.shop import Shop

from flows.cli import main
from flows.serve_guard import resolve_guarded, settle_and_resolve
from mlproject.errors import ConfigError, RegistryError
from mlproject.registry import VersionInfo


def resolve(shop: Shop, reference: str, *, unblessed: bool = False) -> VersionInfo:
    registry = shop.promoter.registry
    return resolve_guarded(shop.settings, registry, reference, unblessed=unblessed)


@pytest.mark.parametrize("reference", ["shop", "shop@champion"])
def test_an_alias_that_was_moved_by_hand_is_settled_first(shop: Shop, reference: str) -> None:
    shop.champion()
    shop.move_alias("champion", shop.version(blessing="NOT_BLESSED"))
    assert resolve(shop, reference).version == 1
    better = shop.staged()
    shop.move_alias("champion", better)
    assert settle_and_resolve(shop.settings, shop.promoter.registry, reference).version == 3


@pytest.mark.parametrize("blessing", ["NOT_BLESSED", "NOT_JUDGED", ""])
def test_a_version_that_is_not_blessed_is_not_served(shop: Shop, blessing: str) -> None:
    shop.version(blessing=blessing)
    with pytest.raises(RegistryError, match="Version 1 of 'shop' may not be served"):
        resolve(shop, "shop/1")
    shop.move_alias("champion", shop.promoter.registry.resolve("shop/1"))
    with pytest.raises(RegistryError, match="Version 1 of 'shop' may not be served"):
        resolve(shop, "shop")
    shop.move_alias("trial", shop.promoter.registry.resolve("shop/1"))
    with pytest.raises(RegistryError, match="Version 1 of 'shop' may not be served"):
        resolve(shop, "shop@trial")


def test_a_trial_of_an_unblessed_version_is_asked_for_by_its_number(shop: Shop) -> None:
    shop.version(blessing="NOT_BLESSED")
    assert resolve(shop, "shop/1", unblessed=True).version == 1


@pytest.mark.parametrize("reference", ["shop", "shop@champion"])
def test_no_option_makes_an_unblessed_version_champion(shop: Shop, reference: str) -> None:
    shop.champion()
    with pytest.raises(ConfigError, match="the champion is always blessed"):
        resolve(shop, reference, unblessed=True)


def test_the_command_refuses_before_it_loads(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.version(blessing="NOT_BLESSED")
    assert main(["serve", "shop/1", "--once"]) == 1
    assert "may not be served" in capsys.readouterr().err
    assert shop.exported() == []
