"""The Docker engine: reached, its errors translated, its images found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlproject.errors import ConfigError, ServingError

if TYPE_CHECKING:
    from docker import DockerClient

TIMEOUT_S = 120
_ON_THIS_MACHINE = ("http+docker://", "npipe://")


@dataclass(frozen=True)
class Image:
    """An image of an engine.

    Attributes:
        id: What the engine knows it by; a tag may move on, this does not.
        name: With the digest of its registry, where it came from one: fit for `deployment.image`.
    """

    id: str
    name: str


@contextmanager
def engine(environ: Mapping[str, str], *, anywhere: bool = False) -> Iterator[DockerClient]:
    """A client of the engine that `DOCKER_HOST` names, or of this machine's.

    Args:
        environ: Environment variables, as the `docker` command reads them.
        anywhere: Also an engine of another machine, which cannot see this one's folders.

    Raises:
        ServingError: No engine answers.
        ConfigError: It is on another machine.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(environment=dict(environ), timeout=TIMEOUT_S)
    except DockerException as err:
        raise _no_engine(environ, err) from err
    try:
        try:
            client.ping()
        except (DockerException, OSError) as err:
            raise _no_engine(environ, err) from err
        if not anywhere and not client.api.base_url.startswith(_ON_THIS_MACHINE):
            raise ConfigError(
                "The Docker engine is not on this machine, where the model lies",
                received=f"DOCKER_HOST={environ.get('DOCKER_HOST', '')}",
                expected="an engine behind a Unix socket",
                next_step="run `benison deploy` there, or bake an image: `benison image build`",
            )
        yield client
    finally:
        client.close()


def resolve_image(client: DockerClient, name: str, say: Callable[[str], None]) -> Image:
    """An image, fetched where the engine has it not.

    Args:
        client: The engine.
        name: `repository:tag`, or `repository@sha256:...`.
        say: Takes a line of progress.

    Raises:
        ServingError: It is neither there nor to be had.
    """
    from docker.errors import DockerException, ImageNotFound

    try:
        try:
            image = client.images.get(name)
        except ImageNotFound:
            say(f"fetching the image {name}")
            image = client.images.pull(name)
    except DockerException as err:
        raise ServingError(
            f"The image {name} could not be had",
            received=reason(err),
            expected="an image on the engine, or in a registry that it reaches",
            next_step=f"docker pull {name}, docker load, or another deployment.image",
        ) from err
    digests = image.attrs.get("RepoDigests") or []
    return Image(image.id, name if "@" in name or not digests else digests[0])


@contextmanager
def translate_docker_errors(doing: str) -> Iterator[None]:
    """Makes the engine's errors a ServingError.

    Args:
        doing: What failed, should it fail ("Deploying 'taxi' in Docker failed").
    """
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as err:
        raise ServingError(
            doing, received=reason(err), next_step="see `docker ps --all` and the engine's log"
        ) from err


def reason(err: Exception) -> str:
    """What an engine's error says, in one line."""
    return " ".join(str(getattr(err, "explanation", None) or err).split())[:500]


def port_is_taken(err: Exception) -> bool:
    """Whether a container was not started for a port that somebody else has."""
    return any(words in reason(err) for words in ("already allocated", "already in use"))


def _no_engine(environ: Mapping[str, str], err: Exception) -> ServingError:
    return ServingError(
        "No Docker engine answers",
        received=f"DOCKER_HOST={environ.get('DOCKER_HOST') or '(unset)'}: {reason(err)}",
        next_step="start Docker, or deploy with --target local",
    )
