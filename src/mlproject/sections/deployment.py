"""`deployment`: how and where the model is served. Hosts and secrets come from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from mlproject.sections.section import Section

QUANTITY = r"^[0-9]+(\.[0-9]+)?$"
MEMORY = r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)$"
IMAGE = r"^$|^[a-z0-9][A-Za-z0-9._/:@-]*$"
MAX_PORT = 65_535


class BatchingSection(Section):
    """Dynamic batching: requests that come together are run as one (TensorFlow Serving's names)."""

    max_batch_size: int = Field(64, gt=0, description="Most rows that are run at once.")
    batch_timeout_micros: int = Field(
        1_000, ge=0, description="Most microseconds that a batch waits to be filled."
    )
    max_enqueued_batches: int = Field(
        100, gt=0, description="Batches that may wait; more requests are refused (UNAVAILABLE)."
    )
    num_batch_threads: int = Field(2, gt=0, description="Batches that are run at the same time.")
    allowed_batch_sizes: tuple[int, ...] = Field(
        (),
        description="Sizes that a batch is padded to, ascending; the last is `max_batch_size`. "
        "Empty: any size.",
    )
    pad_variable_length_inputs: bool = Field(
        False, description="Pad inputs whose other dimensions differ, so that they share a batch."
    )

    @model_validator(mode="after")
    def _sizes(self) -> BatchingSection:
        sizes = self.allowed_batch_sizes
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[0] < 1):
            raise ValueError(f"allowed_batch_sizes must ascend from 1 or more, got {list(sizes)}")
        if sizes and sizes[-1] != self.max_batch_size:
            raise ValueError(
                f"allowed_batch_sizes must end with max_batch_size, {self.max_batch_size}, "
                f"got {sizes[-1]}"
            )
        return self


class DeploymentSection(Section):
    """`benison deploy`. It is kept with the registered model, for all who deploy it."""

    target: Literal["local", "docker", "kubernetes", "gcs"] = Field(
        "local",
        description="`local`: the embedded server, supervised on this machine; `docker`: "
        "TensorFlow Serving in a container; `kubernetes`: in a cluster; `gcs`: files for servers "
        "that watch a base path.",
    )
    rest_port: int = Field(
        0, ge=0, le=MAX_PORT, description="REST port; 0: a free one, which is kept from then on."
    )
    grpc_port: int = Field(
        0, ge=0, le=MAX_PORT, description="gRPC port; 0: a free one, which is kept from then on."
    )
    image: str = Field(
        "",
        pattern=IMAGE,
        description="Image of TensorFlow Serving, best with its digest; empty: the target's own.",
    )
    replicas: int = Field(1, gt=0, description="Servers in the cluster, at least (kubernetes).")
    max_replicas: int = Field(
        0, ge=0, description="Most servers under load (kubernetes); 0: `replicas`, no scaling."
    )
    cpu: str = Field("1", pattern=QUANTITY, description="CPU cores of each server.")
    memory: str = Field("2Gi", pattern=MEMORY, description="Memory of each server: `512Mi`, `2Gi`.")
    gpu: int = Field(0, ge=0, description="GPUs of each server.")
    warm_up: bool = Field(
        True, description="Run the model's warm-up requests before a version takes over."
    )
    keep_previous: bool = Field(
        True, description="Keep the champion before loaded, so that a rollback loads nothing."
    )
    kserve: bool = Field(
        False, description="A KServe InferenceService of the champion instead (kubernetes)."
    )
    canary: bool = Field(
        False,
        description="Load the challenger beside the champion, as label `canary`, in TensorFlow "
        "Serving too (docker, kubernetes). There the newest version answers requests that name "
        "neither version nor label: let clients ask for the label `stable` first.",
    )
    start_timeout_s: float = Field(
        180.0, gt=0, description="Most seconds until a new version answers."
    )
    batching: BatchingSection | None = Field(None, description="Left out: no batching.")

    @field_validator("cpu", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return f"{value:g}" if is_number else value

    @model_validator(mode="after")
    def _bounds(self) -> DeploymentSection:
        if self.rest_port and self.rest_port == self.grpc_port:
            raise ValueError(f"rest_port and grpc_port are both {self.rest_port}")
        if self.max_replicas and self.max_replicas < self.replicas:
            raise ValueError(f"max_replicas {self.max_replicas} is below replicas {self.replicas}")
        return self
