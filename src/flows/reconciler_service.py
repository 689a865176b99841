"""The process that `benison ui` runs beside its servers: flows that are due, and the webhook.

    python -m flows.reconciler_service --mlflow-url http://127.0.0.1:5000 --every-s 30

It serves the deployments `reconcile/benison` (on a schedule), `approval/benison` and
`deploy/benison`, and reconciles a model at once when MLflow's webhook tells of it. Without a
webhook the schedule alone does it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import uvicorn
from prefect import serve
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import PrefectException
from prefect.types.entrypoint import EntrypointType

from flows.approval import approval
from flows.deploying import deploy
from flows.kept_secret import WEBHOOK_SECRET, kept_secret
from flows.prefect_server import free_port
from flows.reconciling import reconcile
from flows.webhook_receiver import PATH, Pending, Receiver
from mlproject.errors import PlatformError
from mlproject.registry.webhooks import register_webhook
from mlproject.settings import Settings, read_settings

NAME = "benison"
HOST = "127.0.0.1"
QUERY_S = 3
MOST_AT_ONCE = 4
logger = logging.getLogger("benison.reconciler")


def main() -> int:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mlflow-url", default="", help="the server to take webhooks from")
    parser.add_argument("--every-s", type=float, default=30.0)
    args = parser.parse_args()
    _log_to_standard_error()
    settings = read_settings()
    if args.mlflow_url:
        receive(settings, args.mlflow_url)
    serve_flows(args.every_s)
    return 0


def _log_to_standard_error() -> None:
    """Shows this service's own words; Prefect has set up its loggers, and the root's, before."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s | %(levelname)s | %(name)s - %(message)s"))
    own = logging.getLogger("benison")
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    own.propagate = False


def receive(settings: Settings, mlflow_url: str) -> None:
    """Starts the receiver in threads of this process, and registers it with the MLflow server."""
    secret = kept_secret(settings.home, WEBHOOK_SECRET)
    receiver = Receiver(secret)
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(receiver.app(), host=HOST, port=port, log_level="warning", lifespan="off")
    )
    threading.Thread(target=server.run, name="webhook", daemon=True).start()
    url = f"http://{HOST}:{port}{PATH}"

    def act() -> None:
        register(replace(settings, tracking_uri=mlflow_url), url, secret)
        work(receiver.pending)

    threading.Thread(target=act, name="webhook-work", daemon=True).start()


def register(settings: Settings, url: str, secret: str) -> None:
    """Registers the receiver; where the server has no webhooks, a note in the log says so."""
    try:
        hook = register_webhook(settings, url, secret)
    except PlatformError as err:
        logger.warning("no webhook, the schedule alone reconciles: %s", err)
    else:
        logger.info("MLflow tells %s of what changes (webhook %s)", url, hook)


def work(pending: Pending) -> None:
    """Reconciles the models that come, one after another, for ever."""
    while True:
        model = pending.get()
        try:
            state: Any = reconcile([model], return_state=True)
            logger.info("%s: %s %s", model, state.name, state.message or "")
        except (PlatformError, PrefectException, httpx.HTTPError) as err:
            logger.warning("%s: the schedule will do it: %s", model, err)


def serve_flows(every_s: float) -> None:
    """Registers the deployments, and runs what is due, each in a process of its own."""
    deployments: list[Any] = [
        reconcile.to_deployment(
            NAME,
            interval=timedelta(seconds=every_s),
            # After a pause what has piled up is one round, not a hundred.
            concurrency_limit=ConcurrencyLimitConfig(
                limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
            ),
            description="Makes MLflow and the serving root follow the ledgers.",
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        approval.to_deployment(
            NAME,
            description="Asks a person whether a version may go to production.",
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        deploy.to_deployment(
            NAME,
            description="Brings what is served of a model to what the registry says.",
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    ]
    serve(*deployments, print_starting_message=False, limit=MOST_AT_ONCE, query_seconds=QUERY_S)


if __name__ == "__main__":
    sys.exit(main())
