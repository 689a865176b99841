"""A model baked into an image: TensorFlow Serving with its versions and its configuration."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlproject.artifacts import translate_os_errors
from mlproject.errors import ServingError
from serving.targets.base import Deployment
from serving.targets.docker_engine import engine, resolve_image, translate_docker_errors
from serving.targets.docker_spec import MODEL_LABEL, docker_name, image_of
from serving.targets.tf_serving_config import (
    CONFIG_ROOT,
    MODELS_ROOT,
    config_files,
    served_by_tf_serving,
    server_flags,
)

if TYPE_CHECKING:
    from docker import DockerClient

VERSIONS_LABEL, DIGEST_LABEL = "benison.versions", "benison.model_digests"


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built.

    Attributes:
        tag: Its name.
        id: What the engine knows it by.
        base: The image below it, with its digest where it has one.
        versions: The versions in it.
        size_bytes: All its layers.
    """

    tag: str
    id: str
    base: str
    versions: tuple[int, ...]
    size_bytes: int


def default_tag(deployment: Deployment) -> str:
    """`benison/<model>:<champion>`, in the letters that a repository's name may have."""
    return f"benison/{docker_name(deployment.model.lower())}:{deployment.default_version}"


def build_image(
    deployment: Deployment,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    tag: str = "",
    save: Path | None = None,
) -> BuiltImage:
    """Builds an image that serves a deployment with nothing mounted.

    Args:
        deployment: The desired state; `config.image` is the image below.
        environ: Environment variables: `DOCKER_HOST`, of any machine.
        say: Takes a line of progress.
        tag: The image's name, `latest` where it has no tag; empty for `default_tag`.
        save: Write the image to this file too, as `docker save` does; `docker load` reads it.

    Raises:
        ServingError: No engine answers, the image below cannot be had, or the build failed.
        StorageError: The file cannot be written.
    """
    wanted = served_by_tf_serving(deployment)
    tag = tag or default_tag(wanted)
    if ":" not in tag.rpartition("/")[2]:
        tag = f"{tag}:latest"
    with (
        translate_docker_errors(f"Building the image {tag} failed"),
        engine(environ, anywhere=True) as client,
        tempfile.TemporaryFile() as context,
    ):
        below = resolve_image(client, image_of(wanted), say)
        say(f"{tag}: versions {', '.join(map(str, wanted.numbers))} on {below.name}")
        _write_context(context, wanted, below.id)
        context.seek(0)
        image_id = _build(client, context, tag)
        image = client.images.get(image_id)
        if save is not None:
            _save(image.save(named=tag), save)
            say(f"{save}: load it with `docker load --input {save}`")
        size = int(image.attrs["Size"])
    return BuiltImage(tag, image_id, below.name, wanted.numbers, size)


def _write_context(file: IO[bytes], wanted: Deployment, below: str) -> None:
    """The build's folder as a tar, without times and owners, so that layers are found again."""
    files = config_files(wanted, wanted.labels)
    texts = {f"config/{name}": text for name, text in files.items()}
    texts["Dockerfile"] = _dockerfile(wanted, below)
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, text in sorted(texts.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
        for version in sorted(wanted.versions, key=lambda v: v.number):
            tar.add(version.folder, f"models/{version.number}", filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o644
    return entry


def _dockerfile(wanted: Deployment, below: str) -> str:
    digests = {str(version.number): version.digest for version in wanted.versions}
    labels = {
        MODEL_LABEL: wanted.model,
        VERSIONS_LABEL: ",".join(map(str, wanted.numbers)),
        DIGEST_LABEL: json.dumps(digests, separators=(",", ":")),
    }
    lines = [f"FROM {below}"]
    lines.append(f"COPY {json.dumps(['models', f'{MODELS_ROOT}/{wanted.model}'])}")
    lines.append(f"COPY {json.dumps(['config', CONFIG_ROOT])}")
    lines += [f"LABEL {name}={_quoted(value)}" for name, value in labels.items()]
    lines.append(f"ENV MODEL_NAME={_quoted(wanted.model)} MODEL_BASE_PATH={MODELS_ROOT}")
    lines.append(f"CMD {json.dumps(server_flags(wanted.config))}")
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """A value as a Dockerfile takes it word for word."""
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")


def _build(client: DockerClient, context: IO[bytes], tag: str) -> str:
    """Builds from a tar; the image's id."""
    failed, image_id = "", ""
    answers = client.api.build(
        fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True
    )
    for answer in answers:
        failed = answer.get("error", failed)
        image_id = answer.get("aux", {}).get("ID", image_id)
    if failed:
        raise ServingError(f"Building the image {tag} failed", received=failed.strip())
    return image_id or str(client.images.get(tag).id)


def _save(chunks: Iterator[bytes], path: Path) -> None:
    """Writes aside and renames: nobody loads half of an image."""
    aside = path.with_name(f".{path.name}.part")
    with translate_os_errors("Saving the image", path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(aside, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
