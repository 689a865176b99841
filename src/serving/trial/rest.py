"""Asks a server of a trial over REST. Imports httpx at the top, and no TensorFlow."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import numpy as np

from serving.model_server.signature import DEFAULT_SIGNATURE
from serving.trial.values import POLL_S, REQUEST_TIMEOUT_S, Arrays, TrialServer, not_blessed


class RestAsker:
    """Asks over REST, in the column format.

    Args:
        rest_url: The server's base URL.
        model: The model's name.
    """

    api = "REST"

    def __init__(self, rest_url: str, model: str) -> None:
        self._url = f"{rest_url}/v1/models/{model}"
        # A proxy from the environment must not stand between this machine and itself.
        self._http = httpx.Client(timeout=REQUEST_TIMEOUT_S, trust_env=False)

    def wait_until_available(self, server: TrialServer, deadline: float) -> None:
        """Waits until the model answers.

        Args:
            server: Whom.
            deadline: On the monotonic clock.

        Raises:
            TrialEnded: It did not load, the server ended, or time ran out.
        """
        while time.monotonic() < deadline:
            death = server.death()
            if death:
                raise not_blessed(f"the server ended while it loaded the model: {death}")
            status = self._status()
            if status.get("state") == "AVAILABLE":
                return
            error = status.get("status", {}).get("error_message", "")
            if status.get("state") == "END" and error:
                raise not_blessed(f"the server did not load the model: {error}")
            time.sleep(POLL_S)
        raise not_blessed("the model did not answer in the time that it may take to start")

    def ask(self, inputs: Arrays) -> Any:
        """The outputs for one request: by name, or the only one."""
        columns = {name: _as_json(array) for name, array in inputs.items()}
        body = json.dumps({"signature_name": DEFAULT_SIGNATURE, "inputs": columns})
        try:
            response = self._http.post(f"{self._url}:predict", content=body)
        except httpx.TimeoutException as err:
            raise not_blessed(f"no answer over REST within {REQUEST_TIMEOUT_S:g} s") from err
        except httpx.HTTPError as err:
            raise not_blessed(f"no answer over REST: {err or type(err).__name__}") from err
        try:
            answer = json.loads(response.content)
        except ValueError:
            answer = None
        if response.status_code != 200 or not isinstance(answer, dict) or "outputs" not in answer:
            raise not_blessed(f"REST status {response.status_code}: {response.text[:300]}")
        return answer["outputs"]

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def _status(self) -> dict[str, Any]:
        try:
            answer = self._http.get(self._url).json()
            return dict(answer["model_version_status"][0])
        except (httpx.HTTPError, ValueError, LookupError, TypeError):  # not up yet
            return {}


def _as_json(array: np.ndarray) -> Any:
    """An array as nested lists, bytes as `{"b64": ...}`."""
    if array.dtype.kind not in "OSU":
        return array.tolist()
    flat = [{"b64": base64.b64encode(_bytes(item)).decode()} for item in array.ravel()]
    nested: list[Any] = flat
    for size in reversed(array.shape[1:]):
        nested = [nested[start : start + size] for start in range(0, len(nested), size)]
    return nested


def _bytes(item: Any) -> bytes:
    return item.encode() if isinstance(item, str) else bytes(item)
