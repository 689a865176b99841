"""Which models a server serves: TensorFlow Serving's `ModelServerConfig`, as plain values.

    model_config_list {
      config {
        name: "taxi"
        base_path: "/models/taxi"
        model_platform: "tensorflow"
        model_version_policy { specific { versions: 3 versions: 4 } }
        version_labels { key: "stable" value: 3 }
      }
    }

The local model server reads it, and the deployment targets write it for TensorFlow Serving. What
is wrong in one is said in TensorFlow Serving's own words (its server_core.cc), in
`ConfigError.failed`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlproject.errors import ConfigError

logger = logging.getLogger(__name__)

PLATFORM = "tensorflow"
_TYPE_TENSORFLOW = 1
_LOOKS_LIKE = 'model_config_list { config { name: "m" base_path: "/models/m" ... } }'


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are loaded.

    Attributes:
        kind: `latest` loads the newest, `all` every one, `specific` those that are named.
        num_versions: How many the policy `latest` loads.
        versions: What the policy `specific` loads.
    """

    kind: Literal["latest", "all", "specific"] = "latest"
    num_versions: int = 1
    versions: tuple[int, ...] = ()

    def chosen(self, on_disk: Iterable[int]) -> tuple[int, ...]:
        """The versions to load out of those on disk, the newest first."""
        newest_first = sorted(on_disk, reverse=True)
        if self.kind == "latest":
            return tuple(newest_first[: max(self.num_versions, 1)])
        if self.kind == "specific":
            return tuple(version for version in newest_first if version in self.versions)
        return tuple(newest_first)


@dataclass(frozen=True)
class ModelConfig:
    """One served model.

    Attributes:
        name: The model's name in requests.
        base_path: An absolute folder or a `gs://` address, with one numeric folder per version.
        policy: Which versions are loaded.
        labels: Names of versions that requests may use, such as `stable`.
        default_version: Which loaded version answers when a request names none; None is the
            newest. It has no place in TensorFlow Serving's proto and is lost in it.
    """

    name: str
    base_path: str
    policy: VersionPolicy = VersionPolicy()
    labels: Mapping[str, int] = field(default_factory=dict)
    default_version: int | None = None


def model_config(name: str, base_path: Path, pinned_version: int | None = None) -> ModelConfig:
    """A model in a folder: its newest version, or a chosen one.

    Args:
        name: The model's name in requests.
        base_path: The folder with one numeric folder per version.
        pinned_version: The version to serve instead of the newest.
    """
    policy = VersionPolicy()
    if pinned_version is not None:
        policy = VersionPolicy("specific", versions=(pinned_version,))
    return ModelConfig(name, str(Path(base_path).absolute()), policy, {}, pinned_version)


def read_model_configs(path: Path) -> tuple[ModelConfig, ...]:
    """Reads a file with a `ModelServerConfig` in text form, as `--model_config_file` takes it.

    Args:
        path: The file.

    Returns:
        The models in the file's order; none for an empty file.

    Raises:
        ConfigError: The file cannot be read, is no `ModelServerConfig`, or names a model that
            cannot be served.
    """
    return from_proto(read_proto(path))


def read_proto(path: Path) -> Any:
    """Reads the `ModelServerConfig` of a file.

    Raises:
        ConfigError: The file cannot be read, or is no `ModelServerConfig` in text form.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(
            f"Reading the model config file {path} failed",
            received=str(err),
            expected="a ModelServerConfig in text form",
            next_step="give the path of such a file in --model_config_file",
        ) from err
    return parse_proto(text, str(path))


def parse_proto(text: str, where: str = "the text") -> Any:
    """Reads a `ModelServerConfig` in text form.

    Args:
        text: The text.
        where: Where it came from, for the error.

    Returns:
        The message.

    Raises:
        ConfigError: The text is no `ModelServerConfig`.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    try:
        return text_format.Parse(text, ModelServerConfig())
    except text_format.ParseError as err:
        raise ConfigError(
            f"Invalid protobuf file: '{where}'",
            received=f"Error parsing text-format tensorflow.serving.ModelServerConfig: {err}",
            expected=_LOOKS_LIKE,
        ) from err


def from_proto(message: Any) -> tuple[ModelConfig, ...]:
    """The models of a `ModelServerConfig`.

    Args:
        message: The message.

    Returns:
        The models, in its order; none where it sets nothing.

    Raises:
        ConfigError: It holds a custom config, or models that cannot be served together.
    """
    if message.WhichOneof("config") == "custom_model_config":
        raise ConfigError(
            "Missing custom_model_config_loader in ServerCore Options",
            received="custom_model_config",
            expected=_LOOKS_LIKE,
        )
    configs = tuple(_model(config) for config in message.model_config_list.config)
    check(configs)
    return configs


def check(configs: Iterable[ModelConfig]) -> None:
    """Checks that one server can serve these models.

    Raises:
        ConfigError: A name is missing or given twice, or a base path is not absolute.
    """
    names: set[str] = set()
    for config in configs:
        if not config.name:
            raise ConfigError(
                "Illegal to list a model without a name in config list",
                received=f'name: "" base_path: "{config.base_path}"',
                expected="a name, which requests use",
            )
        if config.name in names:
            raise ConfigError(
                f"Illegal to list model {config.name} multiple times in config list",
                next_step="give each model a name of its own",
            )
        names.add(config.name)
        if "://" not in config.base_path and not config.base_path.startswith("/"):
            raise ConfigError(
                f"Expected model {config.name} to have an absolute path or URI; "
                f"got base_path()={config.base_path}"
            )


def to_proto(configs: Iterable[ModelConfig]) -> Any:
    """The `ModelServerConfig` of some models, whose list is set even where there are none."""
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    message = ModelServerConfig()
    message.model_config_list.SetInParent()
    for config in configs:
        entry = message.model_config_list.config.add(
            name=config.name, base_path=config.base_path, model_platform=PLATFORM
        )
        policy, kind = entry.model_version_policy, config.policy.kind
        if kind == "latest":
            policy.latest.num_versions = config.policy.num_versions
        elif kind == "specific":
            policy.specific.versions.extend(config.policy.versions)
        else:
            policy.all.SetInParent()
        for label, version in config.labels.items():
            entry.version_labels[label] = version
    return message


def to_text(configs: Iterable[ModelConfig]) -> str:
    """Some models as a text that `--model_config_file` takes, the same for the same models."""
    from google.protobuf import text_format

    return str(text_format.MessageToString(to_proto(configs), as_utf8=True))


def _model(config: Any) -> ModelConfig:
    _check_platform(config)
    if config.HasField("logging_config"):
        logger.warning("%s: logging_config is ignored; use the server's access log", config.name)
    return ModelConfig(
        name=config.name,
        base_path=config.base_path,
        policy=_policy(config.model_version_policy),
        labels=dict(sorted(config.version_labels.items())),
    )


def _policy(policy: Any) -> VersionPolicy:
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return VersionPolicy("all")
    if kind == "specific":
        return VersionPolicy("specific", versions=tuple(dict.fromkeys(policy.specific.versions)))
    return VersionPolicy("latest", num_versions=max(policy.latest.num_versions, 1))


def _check_platform(config: Any) -> None:
    if config.model_type:
        if config.model_platform:
            raise ConfigError(
                "Illegal setting both ModelServerConfig::model_type (deprecated) "
                "and ModelServerConfig::model_platform.",
                next_step=f"leave model_type out of model {config.name}",
            )
        if config.model_type != _TYPE_TENSORFLOW:
            raise ConfigError(
                f"ModelServerConfig::model_type choice {config.model_type} not supported.",
                expected=f'model_platform: "{PLATFORM}"',
            )
        return
    if not config.model_platform:
        raise ConfigError(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) "
            "nor ModelServerConfig::model_platform.",
            next_step=f'add model_platform: "{PLATFORM}" to model {config.name}',
        )
    if config.model_platform != PLATFORM:
        raise ConfigError(
            f"Model {config.name} requests unsupported platform {config.model_platform}",
            expected=f'model_platform: "{PLATFORM}"',
        )
