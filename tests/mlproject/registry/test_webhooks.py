"""The webhook at MLflow: signed as MLflow signs, and registered once."""

from __future__ import annotations

import pytest

from mlproject.errors import TrackingError
from mlproject.registry.webhooks import EVENTS, WEBHOOK_NAME, register_webhook, sign
from mlproject.settings import Settings

URL = "http://127.0.0.1:9/mlflow"


def test_the_signature_is_mlflows() -> None:
    from mlflow.webhooks.delivery import _generate_hmac_signature

    body = '{"entity": "model_version_alias", "data": {"name": "t\u00e4xi"}}'
    wanted = _generate_hmac_signature("secret", "one", "1800000000", body)
    assert sign("secret", "one", "1800000000", body.encode()) == wanted


def test_registering_again_changes_the_one_there_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
    foreign = client.create_webhook("somebody", URL, ["registered_model.created"])
    first = register_webhook(settings, URL, "secret")
    assert register_webhook(settings, f"{URL}/2", "another") == first
    hooks = {hook.name: hook for hook in client.list_webhooks()}
    assert set(hooks) == {"somebody", WEBHOOK_NAME}
    assert hooks["somebody"].webhook_id == foreign.webhook_id
    assert hooks[WEBHOOK_NAME].url == f"{URL}/2"
    assert {str(event) for event in hooks[WEBHOOK_NAME].events} == set(EVENTS)


def test_a_server_that_refuses_the_address_is_told_in_one_line(settings: Settings) -> None:
    with pytest.raises(TrackingError, match="Registering the webhook with MLflow failed"):
        register_webhook(settings, URL, "secret")
