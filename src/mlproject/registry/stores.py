"""Two MLflow stores in one process, each with its own credentials.

MLflow keeps the tracking URI, the registry URI and the credentials in globals and in the
environment, and reads them in the middle of calls that were given a URI: `models:/NAME/7` is looked
up in the global registry. So one store at a time is in force, for all that is done with it.

| variable | meaning |
| --- | --- |
| `BENISON_TO_USERNAME`, `BENISON_TO_PASSWORD` | of the target; they may stand in its URI, too |
| `BENISON_TO_TOKEN` | a bearer token instead |
| `BENISON_TO_SERVER_CERT_PATH`, ... | what `MLFLOW_TRACKING_...` is for the source |

None of the source's is sent to the target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote

from mlproject.errors import ConfigError
from mlproject.settings import Settings
from mlproject.tracking import shown_uri

TO = "BENISON_TO_"
MLFLOW = "MLFLOW_TRACKING_"
CREDENTIALS = (
    "USERNAME",
    "PASSWORD",
    "TOKEN",
    "AUTH",
    "AWS_SIGV4",
    "INSECURE_TLS",
    "SERVER_CERT_PATH",
    "CLIENT_CERT_PATH",
)
URIS = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql")
FORMS = "sqlite:////folder/mlflow.db, postgresql://host/database, http://host or https://host"


@dataclass(frozen=True)
class ModelStore:
    """An MLflow store that models are copied from or to.

    Attributes:
        settings: The platform's settings, for this store.
        credentials: `MLFLOW_TRACKING_...` variables that hold while it is in force; others of
            CREDENTIALS are not set then.
    """

    settings: Settings
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Its URI without what is secret in it."""
        return shown_uri(self.settings.tracking_uri)

    @property
    def is_server(self) -> bool:
        """Whether a server stands before it."""
        return self.settings.tracking_uri.startswith(("http://", "https://"))

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Makes it the store that MLflow means; the one before it comes back at the end."""
        from mlflow import (
            get_registry_uri,
            get_tracking_uri,
            set_registry_uri,
            set_tracking_uri,
        )

        names = (*URIS, *(f"{MLFLOW}{name}" for name in CREDENTIALS))
        before = {name: os.environ.get(name) for name in names}
        uris = get_tracking_uri(), get_registry_uri()
        try:
            _set_environment({name: self.credentials.get(name) for name in names[len(URIS) :]})
            set_tracking_uri(self.settings.tracking_uri)
            set_registry_uri(self.settings.tracking_uri)
            yield
        finally:
            set_tracking_uri(uris[0])
            set_registry_uri(uris[1])
            _set_environment(before)


def source_store(settings: Settings, environ: Mapping[str, str] | None = None) -> ModelStore:
    """The store of MLFLOW_TRACKING_URI.

    Args:
        settings: The platform's settings.
        environ: Variables; the process's by default.
    """
    env = os.environ if environ is None else environ
    names = [f"{MLFLOW}{name}" for name in CREDENTIALS]
    return ModelStore(settings, {name: env[name] for name in names if env.get(name)})


def target_store(
    to: str, settings: Settings, environ: Mapping[str, str] | None = None
) -> ModelStore:
    """The store that is copied to.

    Args:
        to: Its tracking URI.
        settings: The platform's settings on this machine.
        environ: Variables; the process's by default.

    Raises:
        ConfigError: It is no URI that can be copied to, or half of its credentials is missing.
    """
    env = os.environ if environ is None else environ
    scheme, slashes, _ = to.partition("://")
    kind = scheme.partition("+")[0].lower()
    if not slashes or kind not in (*SERVERS, *DATABASES):
        raise _no_target(to, FORMS)
    given = {f"{MLFLOW}{name}": env[TO + name] for name in CREDENTIALS if env.get(TO + name)}
    if kind == "sqlite":
        return ModelStore(_of_file(to, settings))
    uri, user, password = _without_user(to)
    if user is not None:
        given |= {f"{MLFLOW}USERNAME": user, f"{MLFLOW}PASSWORD": password}
    user, password = given.get(f"{MLFLOW}USERNAME"), given.get(f"{MLFLOW}PASSWORD", "")
    if bool(user) != bool(password) and kind in SERVERS:
        raise ConfigError(
            "Reading the target's credentials failed",
            received="a user name without a password" if user else "a password without a user name",
            expected=f"{TO}USERNAME and {TO}PASSWORD, or both in the URI",
        )
    if kind == "postgresql":  # MLflow takes them from the URI alone
        if user:
            secret = f":{quote(password, safe='')}" if password else ""
            uri = uri.replace("://", f"://{quote(user, safe='')}{secret}@", 1)
        given = {}
    return ModelStore(_elsewhere(settings, uri), given)


def _of_file(to: str, settings: Settings) -> Settings:
    """Settings of a SQLite store; its artifacts lie beside it, as those of a home do."""
    path = re.sub(r"^sqlite(\+\w+)?:///", "", to, flags=re.IGNORECASE).partition("?")[0]
    if path in ("", ":memory:") or path.startswith("sqlite"):
        raise _no_target(to, "sqlite:///file.db, or sqlite:////folder/file.db for a whole path")
    file = Path(path).absolute()
    if not file.parent.is_dir() or file.is_dir():
        raise _no_target(to, f"a file in a folder that exists; {file} is none")
    elsewhere = _elsewhere(settings, f"sqlite:///{file}")
    return replace(elsewhere, home=file.parent, artifact_root=file.parent / "mlartifacts")


def _elsewhere(settings: Settings, uri: str) -> Settings:
    # Those two are ids of the source's store.
    return replace(settings, tracking_uri=uri, mlflow_run_id=None, mlflow_experiment_id=None)


def _without_user(uri: str) -> tuple[str, str | None, str]:
    """A URI, and the user and password that stood in it: up to the last @, as in `shown_uri`."""
    scheme, _, rest = uri.partition("://")
    before, at, host = rest.rpartition("@")
    user, _, password = before.partition(":")
    bare = f"{scheme.lower()}://{host}"
    return (bare, unquote(user), unquote(password)) if at else (bare, None, "")


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _no_target(to: str, expected: str) -> ConfigError:
    return ConfigError(
        "A model cannot be copied there", received=f"--to {shown_uri(to)}", expected=expected
    )
