"""Secrets that Benison makes for itself: random, kept in the home for its owner's eyes alone."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from mlproject.errors import ConfigError

SECRETS_FOLDER = "secrets"
WEBHOOK_SECRET = "webhook"
ENCRYPTION_KEY = "mlflow-webhook-encryption"  # with which MLflow's server keeps the webhook's


def kept_secret(home: Path, name: str) -> str:
    """A secret of this home: 32 random bytes in URL-safe base64; made if it is not there.

    Args:
        home: The platform's home.
        name: Of the file in `<home>/secrets/`.

    Raises:
        ConfigError: It cannot be kept, or others may read it.
    """
    file = home / SECRETS_FOLDER / name
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            _write(file, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        mode = file.stat().st_mode & 0o077
        text = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            "Keeping a secret failed", received=f"{file}: {err}", expected="a file to read"
        ) from err
    if mode or len(text) < 32:
        raise ConfigError(
            "Reading a secret failed",
            received=f"{file}: " + ("others may read it" if mode else "it is too short"),
            expected="32 random bytes with mode 0600",
            next_step="remove the file: a new one is made",
        )
    return text


def _write(file: Path, text: str) -> None:
    """Writes it in one move; of two processes, the first has it."""
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(text)
    try:
        os.link(aside, file)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
