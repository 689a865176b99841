"""The webhook's receiver: what is signed and new is acted on, everything else is not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from flows.webhook_receiver import MOST_BYTES, PATH, Pending, Receiver
from mlproject.registry.webhooks import DELIVERY, OLDEST_S, SIGNATURE, TIMESTAMP, sign

SECRET, NOW_S = "a secret of the test", 1_800_000_000.0


class Mlflow:
    """Sends as MLflow does; counts what the receiver would reconcile."""

    def __init__(self) -> None:
        self.now_s = NOW_S
        self.receiver = Receiver(SECRET, lambda: self.now_s)

    def ask(self, method: str, path: str, **sent: Any) -> int:
        """The status of the answer to a request."""

        async def ask() -> int:
            transport = httpx.ASGITransport(self.receiver.app())
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return (await client.request(method, path, **sent)).status_code

        return asyncio.run(ask())

    def send(
        self,
        data: Any,
        *,
        delivery: str = "one",
        timestamp: str = str(int(NOW_S)),
        secret: str = SECRET,
        signature: str | None = None,
    ) -> int:
        body = data if isinstance(data, bytes) else json.dumps({"data": data}).encode()
        headers = {
            DELIVERY: delivery,
            TIMESTAMP: timestamp,
            SIGNATURE: sign(secret, delivery, timestamp, body) if signature is None else signature,
        }
        return self.ask("POST", PATH, content=body, headers=headers)

    def pending(self) -> list[str]:
        """The models that wait, in their order."""
        found = []
        while self.receiver.pending._waiting:
            found.append(self.receiver.pending.get())
        return found


ALIAS = {"name": "taxi", "alias": "champion", "version": "2"}


@pytest.fixture
def mlflow() -> Mlflow:
    return Mlflow()


def test_a_signed_delivery_reconciles_its_model(mlflow: Mlflow) -> None:
    assert mlflow.send(ALIAS) == 202
    assert mlflow.pending() == ["taxi"]


def test_a_model_waits_once(mlflow: Mlflow) -> None:
    codes = [mlflow.send(ALIAS, delivery=str(number)) for number in range(5)]
    codes.append(mlflow.send({**ALIAS, "name": "digits"}, delivery="6"))
    assert set(codes) == {202}
    assert mlflow.pending() == ["taxi", "digits"]


@pytest.mark.parametrize(
    "changed",
    [
        {"secret": "another"},
        {"signature": ""},
        {"signature": "v1,"},
        {"timestamp": str(int(NOW_S - OLDEST_S - 1))},
        {"timestamp": str(int(NOW_S + OLDEST_S + 1))},
        {"timestamp": ""},
        {"timestamp": "now"},
        {"timestamp": "9" * 400},
        {"delivery": ""},
    ],
)
def test_a_wrong_signature_and_another_time_are_refused(
    mlflow: Mlflow, changed: dict[str, str]
) -> None:
    assert mlflow.send(ALIAS, **changed) == 401
    assert mlflow.pending() == []


def test_a_signature_for_another_body_is_refused(mlflow: Mlflow) -> None:
    body = json.dumps({"data": ALIAS}).encode()
    signature = sign(SECRET, "one", str(int(NOW_S)), body)
    assert mlflow.send({**ALIAS, "name": "digits"}, signature=signature) == 401
    assert mlflow.pending() == []


def test_a_delivery_that_comes_again_is_taken_once(mlflow: Mlflow) -> None:
    assert mlflow.send(ALIAS) == 202
    assert mlflow.pending() == ["taxi"]
    mlflow.now_s += OLDEST_S
    assert mlflow.send(ALIAS) == 200
    assert mlflow.pending() == []
    mlflow.now_s += 1
    assert mlflow.send(ALIAS) == 401


@pytest.mark.parametrize(
    "data",
    [
        {"name": "taxi", "alias": "my_own", "version": "2"},
        {"name": "taxi", "key": "team", "value": "x", "version": "2"},
    ],
)
def test_what_benison_does_not_set_changes_nothing(mlflow: Mlflow, data: dict[str, str]) -> None:
    assert mlflow.send(data) == 200
    assert mlflow.pending() == []


def test_a_blessing_that_was_changed_by_hand_is_looked_at(mlflow: Mlflow) -> None:
    assert mlflow.send({"name": "taxi", "key": "blessing", "value": "BLESSED"}) == 202
    assert mlflow.pending() == ["taxi"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": {"name": "taxi"}}',
        b'{"data": {"name": 3, "alias": "champion"}}',
        b'{"data": {"name": "", "alias": "champion"}}',
        b'{"data": {"name": "taxi", "alias": ["champion"]}}',
    ],
)
def test_a_signed_body_that_says_nothing_is_refused(mlflow: Mlflow, body: bytes) -> None:
    assert mlflow.send(body) == 400
    assert mlflow.pending() == []


def test_a_long_body_is_not_read(mlflow: Mlflow) -> None:
    assert mlflow.send(b" " * MOST_BYTES) == 400
    assert mlflow.send(b" " * (MOST_BYTES + 1)) == 413


def test_there_is_nothing_else_to_ask(mlflow: Mlflow) -> None:
    assert mlflow.ask("GET", "/health") == 200
    assert mlflow.ask("GET", PATH) == 405
    assert mlflow.ask("GET", "/") == 404


def test_a_model_that_changes_while_it_is_reconciled_waits_again() -> None:
    pending = Pending()
    pending.put("taxi")
    assert pending.get() == "taxi"
    pending.put("taxi")
    assert pending.get() == "taxi"
