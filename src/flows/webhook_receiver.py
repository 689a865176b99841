"""Takes MLflow's webhook on 127.0.0.1: a signed delivery about a model reconciles that model.

Nothing of a delivery is believed but the model's name, and only behind a good signature: what is
done with it is what the schedule does anyway, for one model and at once.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlproject.errors import RegistryError
from mlproject.registry.webhooks import (
    DELIVERY,
    OLDEST_S,
    is_signed,
    parse_delivery,
)

PATH = "/mlflow"
MOST_BYTES = 64 * 1024
MOST_REMEMBERED = 10_000  # deliveries of the last minutes, against a replay
logger = logging.getLogger("benison.webhook")


class Pending:
    """The models that wait to be reconciled, each once, in the order in which they came."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()

    def put(self, model: str) -> None:
        """Adds a model, if it does not wait already."""
        with self._lock:
            if model in self._waiting:
                return
            self._waiting.add(model)
        self._queue.put(model)

    def get(self) -> str:
        """Takes the first model; waits for one."""
        model = self._queue.get()
        with self._lock:
            self._waiting.discard(model)
        return model


class Receiver:
    """The receiver's state: its secret, what it took lately, what waits.

    Args:
        secret: What MLflow signs with.
        clock: Gives seconds since 1970.
    """

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self.pending = Pending()
        self._secret = secret
        self._clock = clock
        self._taken: dict[str, float] = {}

    def app(self) -> Starlette:
        """The web application: `POST /mlflow` and `GET /health`."""
        return Starlette(
            routes=[
                Route(PATH, self.take, methods=["POST"]),
                Route("/health", self.health, methods=["GET"]),
            ]
        )

    async def health(self, _request: Request) -> Response:
        """Says that it is well."""
        return PlainTextResponse("OK")

    async def take(self, request: Request) -> Response:
        """Takes one delivery.

        Returns:
            202 for one that is to be acted on; 200 for one about something else, or a second time;
            401 for a wrong signature or an old one, 413 for a long body, 400 for another text.
        """
        body = await _body(request)
        if body is None:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        now_s = self._clock()
        if not is_signed(self._secret, request.headers, body, now_s):
            logger.warning("a delivery without a good signature, or an old one, was refused")
            return _answer(HTTPStatus.UNAUTHORIZED)
        try:
            delivery = parse_delivery(request.headers, body)
        except RegistryError as err:
            logger.warning("%s", err)
            return _answer(HTTPStatus.BAD_REQUEST)
        if not self._is_new(request.headers[DELIVERY], now_s) or not delivery.matters:
            return _answer(HTTPStatus.OK)
        logger.info("%s: '%s' was changed in MLflow", delivery.model, delivery.what)
        self.pending.put(delivery.model)
        return _answer(HTTPStatus.ACCEPTED)

    def _is_new(self, delivery_id: str, now_s: float) -> bool:
        """Whether this delivery was not taken yet; one older than that is refused by its time."""
        # A timestamp may be ahead of this clock by as much as it may be behind.
        for known in [k for k, when in self._taken.items() if when < now_s - 2 * OLDEST_S]:
            del self._taken[known]
        if delivery_id in self._taken:
            return False
        while len(self._taken) >= MOST_REMEMBERED:
            del self._taken[next(iter(self._taken))]
        self._taken[delivery_id] = now_s
        return True


async def _body(request: Request) -> bytes | None:
    """The body, or None where it is longer than MLflow's are; no more than that is read."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _answer(status: HTTPStatus) -> Response:
    return PlainTextResponse(status.phrase, status)
