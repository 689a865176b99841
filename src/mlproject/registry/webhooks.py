"""The webhook by which an MLflow server tells of aliases and tags that were changed in it.

A server delivers `POST <url>` with a JSON body and three headers. Its signature is
`v1,` + base64(HMAC-SHA256(secret, "<delivery id>.<timestamp>.<body>")).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlproject.errors import RegistryError
from mlproject.registry.names import (
    BLESSING_TAG,
    CHALLENGER_ALIAS,
    CHAMPION_ALIAS,
    INFRA_TAG,
    PREVIOUS_ALIAS,
    STAGE_TAG,
)
from mlproject.settings import Settings
from mlproject.tracking import translate_mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.webhook import Webhook

SIGNATURE, TIMESTAMP, DELIVERY = "X-MLflow-Signature", "X-MLflow-Timestamp", "X-MLflow-Delivery-Id"
WEBHOOK_NAME = "benison-reconciler"
EVENTS = (
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)
OLDEST_S = 300.0  # of a delivery: MLflow tries again for some seconds only
PAGE = 100
WATCHED = {CHAMPION_ALIAS, CHALLENGER_ALIAS, PREVIOUS_ALIAS, BLESSING_TAG, INFRA_TAG, STAGE_TAG}


@dataclass(frozen=True)
class Delivery:
    """What a server says has changed.

    Attributes:
        id: The delivery's own id; a second try has the same.
        model: The registered model.
        what: The alias or tag that was changed.
    """

    id: str
    model: str
    what: str

    @property
    def matters(self) -> bool:
        """Whether it is about something that Benison sets."""
        return self.what in WATCHED


def register_webhook(settings: Settings, url: str, secret: str) -> str:
    """Makes the server tell `url`; one webhook of this name, however often it is asked.

    Args:
        settings: With the tracking URI of the server, not of its database: the server keeps the
            secret with a key that it alone has.
        url: Where the receiver listens.
        secret: What both sides sign with.

    Returns:
        The webhook's id.

    Raises:
        TrackingError: The server has no webhooks, or refuses the URL.
    """
    with translate_mlflow_errors("Registering the webhook with MLflow", settings):
        from mlflow import MlflowClient

        # Not `connect`: this process, and those it starts, keep to the store they have.
        client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
        known = [hook for hook in _all(client) if hook.name == WEBHOOK_NAME]
        for double in known[1:]:
            client.delete_webhook(double.webhook_id)
        wanted: dict[str, Any] = {"url": url, "events": list(EVENTS), "secret": secret}
        if known:
            hook = client.update_webhook(known[0].webhook_id, status="ACTIVE", **wanted)
        else:
            words = "Tells Benison's reconciler of aliases and tags that were changed in MLflow."
            hook = client.create_webhook(WEBHOOK_NAME, description=words, **wanted)
    return str(hook.webhook_id)


def _all(client: MlflowClient) -> list[Webhook]:
    found: list[Webhook] = []
    token: str | None = None
    while True:
        page = client.list_webhooks(max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def sign(secret: str, delivery_id: str, timestamp: str, body: bytes) -> str:
    """The signature that MLflow gives a delivery."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def is_signed(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> bool:
    """Whether a delivery comes from who knows the secret, and is not old.

    Args:
        secret: The shared secret.
        headers: The request's headers; names without regard to case, as starlette has them.
        body: The body's bytes.
        now_s: The time now, in seconds since 1970.
    """
    delivery_id, timestamp = headers.get(DELIVERY, ""), headers.get(TIMESTAMP, "")
    given = headers.get(SIGNATURE, "")
    wanted = sign(secret, delivery_id, timestamp, body)
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        return False
    is_number = timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12
    return is_number and bool(delivery_id) and abs(now_s - int(timestamp)) <= OLDEST_S


def parse_delivery(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Reads a signed delivery.

    Raises:
        RegistryError: It is no delivery about a model's alias or tag.
    """
    try:
        data = json.loads(body)["data"]
        what = data["alias"] if "alias" in data else data["key"]
        delivery = Delivery(headers[DELIVERY], data["name"], what)
        if not isinstance(delivery.model, str) or not isinstance(what, str) or not delivery.model:
            raise TypeError("a name and an alias or key are texts")
    except (ValueError, KeyError, TypeError) as err:
        raise RegistryError(
            "Reading a webhook's delivery failed",
            received=body[:200].decode(errors="replace"),
            expected="an alias or a tag of a model version, as MLflow tells of it",
        ) from err
    return delivery
