"""What the target `local` remembers of a deployment: `deployment.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlproject.whole_file import write_whole
from serving.model_config import ModelConfig
from serving.targets.json_record import read_json_record
from serving.targets.local_ports import dialable
from serving.targets.rollout import specific

RECORD = "deployment.json"


@dataclass(frozen=True)
class LocalRecord:
    """A deployment on this machine.

    Attributes:
        host: The address that the server listens on.
        rest_port, grpc_port: Its ports.
        config: The configuration in force.
        refused: Why versions that were wanted are not served.
        serves: Whether it was deployed and not stopped.
    """

    host: str
    rest_port: int
    grpc_port: int
    config: ModelConfig
    refused: tuple[str, ...] = ()
    serves: bool = False

    @property
    def rest_url(self) -> str:
        """Where its REST API is asked."""
        return f"http://{dialable(self.host)}:{self.rest_port}"

    @property
    def grpc_address(self) -> str:
        """Where its gRPC API is asked."""
        return f"{dialable(self.host)}:{self.grpc_port}"

    def with_config(self, config: ModelConfig, refused: tuple[str, ...] = ()) -> LocalRecord:
        """The same with another configuration in force."""
        return replace(self, config=config, refused=refused, serves=True)

    def write(self, folder: Path) -> None:
        """Writes it, as a whole or not at all."""
        config = self.config
        value = {
            "host": self.host,
            "rest_port": self.rest_port,
            "grpc_port": self.grpc_port,
            "model": config.name,
            "base_path": config.base_path,
            "versions": list(config.policy.versions),
            "labels": dict(config.labels),
            "default_version": config.default_version,
            "refused": list(self.refused),
            "serves": self.serves,
        }
        write_whole(folder / RECORD, json.dumps(value, indent=1))


def read_record(folder: Path) -> LocalRecord | None:
    """Reads what was deployed; None where nothing was.

    Raises:
        ServingError: The file is damaged.
    """
    return read_json_record(folder / RECORD, _parse)


def _parse(value: Mapping[str, Any]) -> LocalRecord:
    config = ModelConfig(
        name=value["model"],
        base_path=value["base_path"],
        policy=specific(tuple(value["versions"])),
        labels=dict(value["labels"]),
        default_version=value["default_version"],
    )
    return LocalRecord(
        host=value["host"],
        rest_port=int(value["rest_port"]),
        grpc_port=int(value["grpc_port"]),
        config=config,
        refused=tuple(value["refused"]),
        serves=bool(value["serves"]),
    )
