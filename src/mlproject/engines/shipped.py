"""A function of the project's module file, on its way to a worker that lacks the file.

The module is loaded by path, under a name of our own, so that a pickle by reference means nothing
to another process. tf.Transform traces `preprocessing_fn` again in the workers: it must get there.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlproject.user_module import files_digest, load_module, read_module, sibling_files

_unpacked: dict[str, Path] = {}


class ShippedFunction:
    """A function of a module file, called like itself, that pickles with the module's files.

    Args:
        path: The module file.
        name: The function's name in it.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.__name__ = name

    def __call__(self, *args: Any) -> Any:
        return self._function()(*args)

    def __reduce__(self) -> tuple[Callable[..., ShippedFunction], tuple[Any, ...]]:
        folder = self._path.parent
        files = _files(self._path)
        shipped = {str(file.relative_to(folder)): content for file, content in files.items()}
        return _unpack, (str(self._path), self.__name__, files_digest(files, folder), shipped)

    def _function(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(load_module(read_module(self._path)), self.__name__)
        return function


def shipped(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """The function as one that pickles for every worker.

    Args:
        function: A function of the module file at its top level, or one of an installed module,
            which pickles as it is.
        path: The module file.
    """
    here = load_module(read_module(path))
    name = getattr(function, "__name__", "")
    return ShippedFunction(path, name) if getattr(here, name, None) is function else function


def _files(path: Path) -> dict[Path, bytes]:
    """The module file and those of its folder that it imports."""
    source = read_module(path)
    return {path: path.read_bytes(), **sibling_files([source.tree], path.parent)}


def _unpack(path: str, name: str, digest: str, files: dict[str, bytes]) -> ShippedFunction:
    """The function in this process: of the same file where it is here too, else of a copy."""
    here = Path(path)
    if here.is_file() and files_digest(_files(here), here.parent) == digest:
        return ShippedFunction(here, name)
    folder = _unpacked.get(digest)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="benison-module-"))  # of this user only
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for relative, content in files.items():
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            (folder / relative).write_bytes(content)
        _unpacked[digest] = folder
    return ShippedFunction(folder / here.name, name)
