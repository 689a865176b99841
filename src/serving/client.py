"""Ask a model server for predictions over TensorFlow Serving's REST API.

A model takes every raw feature on each request; `serving.rows` tells what stands for those that
a row leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from mlproject.errors import ServingError, closest
from serving.rows import InputSpec, complete_row, fill_up, shorten

if TYPE_CHECKING:
    import httpx

__all__ = ["InputSpec", "complete_row", "input_specs", "predict_rest"]

ROWS_PER_REQUEST = 1_000
CHARACTERS_PER_REQUEST = 16_000_000

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def predict_rest(
    base_url: str,
    model: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    version: int | None = None,
    signature_name: str = "serving_default",
    timeout_s: float = 30.0,
    ignore_unknown: bool = False,
    token: str = "",
) -> list[Any]:
    """Get a prediction for each row.

    Args:
        base_url: The server's REST URL, `http://127.0.0.1:8501`.
        model: The model's name on the server.
        rows: The raw features by name; features left out, or None, are sent as missing.
        version: The model version, or None for the one that the server serves.
        signature_name: The signature to call.
        timeout_s: The time each request may take.
        ignore_unknown: Leave out features that the model does not know, instead of refusing them.
        token: The bearer token that the server asks for; empty for none.

    Returns:
        One prediction per row: a value, or a dict by output name when there are several outputs.

    Raises:
        ServingError: The server is not there or refused, or a row does not fit the model.
    """
    import httpx

    if not rows:
        return []
    base = base_url.rstrip("/")
    url = f"{base}/v1/models/{quote(model, safe='')}"
    if version is not None:
        url += f"/versions/{version}"
    # A proxy from the environment must not stand between this machine and itself.
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    trusts = not _is_loopback(base)
    with httpx.Client(timeout=timeout_s, trust_env=trusts, headers=headers) as http:
        metadata = _request(http, "GET", f"{url}/metadata", model)
        inputs = input_specs(metadata, signature_name)
        if ignore_unknown:
            rows = [{n: v for n, v in row.items() if n in inputs} for row in rows]
        predictions: list[Any] = []
        for start in range(0, len(rows), ROWS_PER_REQUEST):
            chunk = rows[start : start + ROWS_PER_REQUEST]
            instances = [
                complete_row(row, inputs, where=f"Row {start + number}")
                for number, row in enumerate(chunk)
            ]
            fill_up(instances, inputs)
            for body, count in _requests(instances, signature_name):
                answer = _request(http, "POST", f"{url}:predict", model, body)
                predictions.extend(_predictions(answer, count, base))
    return predictions


def input_specs(metadata: Mapping[str, Any], signature_name: str) -> dict[str, InputSpec]:
    """Read a signature's inputs from a server's answer to `/metadata`.

    Raises:
        ServingError: The model has no such signature, or the answer is not a model's metadata.
    """
    try:
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        names = [name for name in signatures if not name.startswith("__")]
        if signature_name not in names:
            raise ServingError(
                "Finding the model's signature failed",
                received=f"'{signature_name}'",
                expected=closest(signature_name, names),
            )
        return {
            name: InputSpec(info["dtype"], _row_shape(info["tensor_shape"]))
            for name, info in signatures[signature_name]["inputs"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise ServingError(
            "Reading the model's metadata failed",
            received=shorten(metadata),
            expected="TensorFlow Serving's metadata with a signature_def",
            next_step="check that the URL is a model server's",
        ) from err


def _requests(
    instances: Sequence[Mapping[str, Any]], signature_name: str
) -> Iterator[tuple[str, int]]:
    """Rows in order as the bodies of requests that no server finds too large, and their number."""
    parts: list[list[str]] = [[]]
    size = 0
    for instance in instances:
        # Python's own writer: it knows NaN, which the missing-value convention needs.
        text = json.dumps(instance)
        size += len(text)
        if parts[-1] and size > CHARACTERS_PER_REQUEST:
            parts.append([])
            size = len(text)
        parts[-1].append(text)
    for part in parts:
        rows = ", ".join(part)
        yield (
            f'{{"signature_name": {json.dumps(signature_name)}, "instances": [{rows}]}}',
            len(part),
        )


def _predictions(answer: Mapping[str, Any], rows: int, base: str) -> list[Any]:
    predictions = answer.get("predictions")
    if not isinstance(predictions, list) or len(predictions) != rows:
        raise ServingError(
            f"The model server at {base} gave no prediction for some rows",
            received=f"{len(predictions) if isinstance(predictions, list) else 'no'} predictions",
            expected=f"{rows} predictions",
        )
    return predictions


def _is_loopback(url: str) -> bool:
    try:
        return urlsplit(url).hostname in _LOOPBACK
    except ValueError:  # not a URL: the request will say so
        return False


def _row_shape(tensor_shape: Mapping[str, Any]) -> tuple[int, ...] | None:
    if tensor_shape.get("unknown_rank"):
        return None
    return tuple(int(dim["size"]) for dim in tensor_shape.get("dim", []))[1:]


def _request(
    http: httpx.Client, method: str, url: str, model: str, body: str | None = None
) -> dict[str, Any]:
    import httpx

    try:
        response = http.request(method, url, content=body)
    except httpx.TimeoutException as err:
        raise ServingError(
            f"The model server did not answer in time at {url}",
            received=str(err) or type(err).__name__,
            next_step="give it more time, or send fewer rows",
        ) from err
    except (httpx.HTTPError, httpx.InvalidURL) as err:
        raise ServingError(
            f"No model server answers at {url}",
            received=str(err),
            expected="a running model server",
            next_step=f"start one with: benison serve {model}",
        ) from err
    try:
        answer = json.loads(response.content)
    except ValueError:
        answer = None
    if response.status_code == 200 and isinstance(answer, dict):
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    raise ServingError(
        f"The model server refused {method} {url} with status {response.status_code}",
        received=str(error) if error else shorten(response.text),
        next_step=f"is it the right server? benison serve {model} starts one"
        if response.status_code == 404 or error is None
        else None,
    )
