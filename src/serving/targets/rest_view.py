"""What a server says of a model over TensorFlow Serving's REST API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mlproject.errors import ServingError
from serving.targets.rollout import AVAILABLE, VersionState

TIMEOUT_S = 30.0  # a server that loads a large model may be slow


class RestView:
    """Asks a server for the states of a model's versions.

    Args:
        url: Its REST URL.
        token: The bearer token that it asks for; empty for none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def states(self, model: str) -> dict[int, VersionState]:
        """The versions that the server knows; none where it does not know the model.

        Raises:
            ServingError: No server answers, or it wants another token.
        """
        answer = self._get(model, "")
        return {
            int(entry["version"]): VersionState(
                str(entry["state"]), str(entry.get("status", {}).get("error_message", ""))
            )
            for entry in (answer or {}).get("model_version_status", [])
        }

    def default_version(self, model: str) -> int | None:
        """The version that answers when none is named."""
        answer = self._get(model, "/metadata")
        number = (answer or {}).get("model_spec", {}).get("version")
        return int(number) if number else None

    def label_version(self, model: str, label: str) -> int | None:
        """The version of a label; None where the server does not know it."""
        answer = self._get(model, f"/labels/{quote(label, safe='')}")
        found = (answer or {}).get("model_version_status", [])
        return int(found[0]["version"]) if found else None

    def labels(self, model: str, names: tuple[str, ...]) -> dict[str, int]:
        """Those of some labels that the server knows."""
        found = {name: self.label_version(model, name) for name in names}
        return {name: version for name, version in found.items() if version is not None}

    def available(self, model: str) -> tuple[int, ...]:
        """The versions that answer."""
        states = self.states(model)
        return tuple(sorted(n for n, now in states.items() if now.state == AVAILABLE))

    def _get(self, model: str, rest: str) -> dict[str, Any] | None:
        import httpx

        url = f"{self.url}/v1/models/{quote(model, safe='')}{rest}"
        try:
            # No proxy of the environment stands between this machine and itself. Certificates,
            # which plain HTTP does not need, would be read anew at each question.
            checked = url.lower().startswith("https:")
            answer = httpx.get(
                url, headers=self._headers, timeout=TIMEOUT_S, trust_env=False, verify=checked
            )
            value: Mapping[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as err:
            raise ServingError(
                "The model server does not answer",
                received=f"{url}: {type(err).__name__}",
                expected="a server with TensorFlow Serving's REST API",
            ) from err
        if answer.status_code in (401, 403):
            raise ServingError(
                "The model server wants another token",
                received=f"{url}: status {answer.status_code}",
                expected="BENISON_SERVING_TOKEN as it was when the server was started",
                next_step="set it; to change it, `benison deployment stop`, then deploy again",
            )
        return dict(value) if answer.is_success else None
