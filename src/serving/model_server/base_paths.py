"""Opens the base paths of models, on disk and in the cloud."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from serving.model_config import ModelConfig
from serving.model_server.served_model import ServedModel
from serving.model_server.status import invalid, not_found
from serving.model_server.version_folders import LocalSource, Source


class BasePaths:
    """Opens base paths.

    Args:
        cache_dir: Where versions from the cloud are copied to; None is a temporary folder, which
            `close` removes.
    """

    def __init__(self, cache_dir: Path | None) -> None:
        self._cache_dir = cache_dir
        self._own_cache: Path | None = None

    def open(self, base_path: str) -> Source:
        """Opens one; it need not be there yet."""
        if "://" not in base_path:
            return LocalSource(Path(base_path))
        from serving.model_server.cloud_versions import CloudSource

        cache = self._cache_dir
        if cache is None:
            self._own_cache = self._own_cache or Path(tempfile.mkdtemp(prefix="benison-models-"))
            cache = self._own_cache
        return CloudSource(base_path, cache)

    def open_new(
        self, configs: Iterable[ModelConfig], models: Mapping[str, ServedModel]
    ) -> dict[str, Source]:
        """Opens those of models that are new or moved; they must be there.

        Args:
            configs: The models to serve.
            models: Those that are served now, by name.

        Returns:
            The base paths by model.

        Raises:
            StatusError: INVALID_ARGUMENT for a base path that is not there, NOT_FOUND for a new
                model without a version.
        """
        sources = {}
        for config in configs:
            served = models.get(config.name)
            if served and served.config and served.config.base_path == config.base_path:
                continue
            source = self.open(config.base_path)
            found = source.find()
            if found is None:
                raise invalid(
                    f"Could not find base path {config.base_path} for servable {config.name}"
                )
            if not found and served is None:
                raise not_found(
                    f"Unable to find a numerical version path for servable {config.name} at: "
                    f"{config.base_path}"
                )
            sources[config.name] = source
        return sources

    def close(self) -> None:
        """Removes what was copied to a temporary folder."""
        if self._own_cache is not None:
            shutil.rmtree(self._own_cache, ignore_errors=True)
