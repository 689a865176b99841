"""Bytes in JSON: `{"b64": "<base64>"}`."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from serving.model_server.status import invalid


def is_base64(value: Any) -> bool:
    """Whether a JSON value stands for bytes: an object with the one key `b64` and a text."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def from_base64(value: dict[str, str]) -> bytes:
    """The bytes that an object of `is_base64` stands for; padding may be left out.

    Raises:
        StatusError: INVALID_ARGUMENT when it is no base64.
    """
    text = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as err:
        raise invalid("Unable to base64 decode") from err
