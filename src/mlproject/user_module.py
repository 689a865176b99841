"""The project's module file, with the files that it imports: parsed, checked, loaded, called.

What the person wrote may raise anything; it leaves here as a UserModuleError that names the line.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from mlproject.errors import (
    ConfigError,
    PlatformError,
    StorageError,
    UserModuleError,
    closest,
)

_GRAPH_NOISE = ("Graph execution error", "Detected at node", "<stack traces", 'File "')
_NO_SPACE = ("No space left on device", "Disk quota exceeded")
# Function -> the arguments it may take, each as the platform hands them over.
CONTRACT: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "preprocessing_fn": (("inputs",),),
    "run_fn": (("fn_args",),),
    "build_model": (("hyperparameters",), ("hyperparameters", "fn_args")),
    "tuner_fn": (("trial",),),
    "custom_metrics": ((),),
}
# One function of each group must be there.
NEEDED = (("preprocessing_fn",), ("run_fn", "build_model"))
T = TypeVar("T")
_PREFIX = "benison_user_"
_RUN_ANY_CODE = frozenset(
    {"__builtins__", "__import__", "builtins", "eval", "exec", "importlib", "pkgutil", "runpy"}
)
# What the parser raises for text that is no Python, or is nested beyond its limits.
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class ModuleSource:
    """The text of a module file, parsed and not run.

    Attributes:
        path: The file.
        text: Its content.
        tree: Its syntax tree.
    """

    path: Path
    text: str
    tree: ast.Module

    @property
    def digest(self) -> str:
        """Hash of the whole file (hex, 20 digits)."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:20]


def read_module(path: Path) -> ModuleSource:
    """Reads and parses a module file without running it.

    Raises:
        ConfigError: There is no such file.
        UserModuleError: The file is not Python.
    """
    try:
        text = importlib.util.decode_source(path.read_bytes())
    except FileNotFoundError as err:
        siblings = [p.name for p in path.parent.glob("*.py")]
        raise ConfigError(
            "Opening the module file failed",
            received=str(path),
            expected=f"a Python file; {closest(path.name, siblings)}",
            next_step="set `module` in project.yaml",
        ) from err
    except (OSError, UnicodeDecodeError, SyntaxError) as err:
        raise UserModuleError(f"Reading the module file {path} failed", received=str(err)) from err
    try:
        return ModuleSource(path, text, ast.parse(text, filename=str(path)))
    except _UNPARSABLE as err:
        line = f"line {err.lineno}: " if isinstance(err, SyntaxError) and err.lineno else ""
        raise UserModuleError(
            f"Parsing the module file {path.name} failed",
            received=line + (getattr(err, "msg", "") or str(err) or type(err).__name__),
            expected="Python that parses",
        ) from err


def check_contract(source: ModuleSource) -> None:
    """Checks that the module's functions are there and take what the platform hands them.

    Raises:
        UserModuleError: A function is missing, or takes other arguments.
    """
    functions = {n.name: n for n in source.tree.body if isinstance(n, ast.FunctionDef)}
    for group in NEEDED:
        if not any(name in functions for name in group):
            wanted = (f"`def {name}({_shown(CONTRACT[name][0])}):`" for name in group)
            raise UserModuleError(
                f"The module file {source.path.name} has no function "
                + " or ".join(f"'{name}'" for name in group),
                received="functions " + (", ".join(functions) or "(none)"),
                expected=" or ".join(wanted) + " at the top level",
                next_step="see examples/taxi/taxi.py",
            )
    for name, accepted in CONTRACT.items():
        node = functions.get(name)
        if node is not None and not any(accepts(node.args, len(names)) for names in accepted):
            raise UserModuleError(
                f"The function '{name}' of {source.path.name} has the wrong arguments",
                received=f"line {node.lineno}: def {name}({ast.unparse(node.args)})",
                expected=" or ".join(f"def {name}({_shown(names)})" for names in accepted),
            )


def accepts(args: ast.arguments, count: int) -> bool:
    """Whether a function can be called with so many positional arguments, and nothing else."""
    positional = len(args.posonlyargs) + len(args.args)
    needed = positional - len(args.defaults)
    keyword_only = [a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if not d]
    return needed <= count and (positional >= count or bool(args.vararg)) and not keyword_only


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names)


def functions_of(source: ModuleSource, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some functions that the module file defines at its top level."""
    there = {n.name for n in source.tree.body if isinstance(n, ast.FunctionDef)}
    return tuple(name for name in names if name in there)


def load_module(source: ModuleSource) -> ModuleType:
    """Runs the module file, with its folder importable.

    It runs under a name that holds its hash and that of the files it imports, once a process.

    Raises:
        UserModuleError: The file raised, or tried to exit, while it was imported.
    """
    folder = source.path.parent
    siblings = sibling_files([source.tree], folder)
    name = f"{_PREFIX}{source.path.stem}_{source.digest}_{files_digest(siblings, folder)}"
    if name in sys.modules:
        return sys.modules[name]
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    _forget_siblings(siblings)
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(source.path))
    if spec is None:
        raise UserModuleError(f"Loading the module file {source.path} failed")
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(source.path)
    sys.modules[name] = module
    try:
        exec(compile(source.text, str(source.path), "exec"), module.__dict__)
    except (Exception, SystemExit) as err:
        del sys.modules[name]
        raise explain_user_error(err, source.path, "Importing the module file") from err
    return module


def call_user_function(function: Callable[..., T], path: Path, *args: object) -> T:
    """Calls a function of the module file, and says where it raised if it does.

    Raises:
        UserModuleError: The function raised, or tried to exit; the message names its file, line
            and error.
        PlatformError: What the platform itself raised below the function, as it is.
    """
    try:
        return function(*args)
    except PlatformError:
        raise
    except (Exception, SystemExit) as err:
        name = getattr(function, "__name__", repr(function))
        raise explain_user_error(err, path, f"The project's function '{name}'") from err


def explain_user_error(err: BaseException, path: Path, what: str) -> UserModuleError:
    """The error of a user's code as one UserModuleError that points at the user's line."""
    frames = traceback.extract_tb(err.__traceback__)
    own = [f for f in frames if Path(f.filename).parent == path.parent]
    where = f"{Path(own[-1].filename).name} line {own[-1].lineno}: {own[-1].line}" if own else ""
    lines = [line.strip() for line in str(err).splitlines()]
    # A TensorFlow error begins with where in the graph it was; what it was comes after.
    lines = [line for line in lines if line and not line.startswith(_GRAPH_NOISE)]
    return UserModuleError(
        f"{what} failed",
        received="; ".join(p for p in (where, f"{type(err).__name__}: {' '.join(lines[:3])}") if p),
        next_step="mend the module file; `--verbose` shows the whole traceback",
    )


@contextlib.contextmanager
def translate_full_disk(doing: str) -> Iterator[None]:
    """Turns what TensorFlow, Beam and the module file raise on a full disk into a StorageError.

    Args:
        doing: What is done, for the message.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as err:
        said = _full_disk(err)
        if said is None:
            raise
        raise StorageError(
            f"{doing} failed: the disk is full",
            received=said,
            expected="room for the step's files; nothing was published",
            next_step="free space, or set BENISON_PIPELINE_ROOT to a larger disk, then run again: "
            "finished steps are kept",
        ) from err


def _full_disk(err: BaseException | None) -> str | None:
    """What an error, or one that it came from, says of a full disk; None if none does."""
    seen: set[int] = set()
    while err is not None and id(err) not in seen:
        seen.add(id(err))
        # A UserModuleError would say to mend the module file; what it came from says the rest.
        text = "" if isinstance(err, UserModuleError) else str(err)
        lines = [line.strip() for line in text.splitlines()]
        said = [line for line in lines if any(mark in line for mark in _NO_SPACE)]
        # Beam, TensorFlow and HDF5 have the system's words in their text, and no errno.
        if said or (isinstance(err, OSError) and err.errno in (errno.ENOSPC, errno.EDQUOT)):
            return (said or lines or [""])[0][:300]
        err = err.__cause__ or (None if err.__suppress_context__ else err.__context__)
    return None


def sibling_files(nodes: Iterable[ast.AST], folder: Path) -> dict[Path, bytes]:
    """The files of the folder that some code imports, at any depth, and those import in turn.

    Args:
        nodes: Parsed code.
        folder: The project's folder. Where a module is imported by a computed name, all of its
            Python files count.

    Returns:
        File -> content; a package with all of its files.
    """
    found: dict[Path, bytes] = {}
    queue = _imported(nodes, folder)
    while queue:
        file = queue.pop()
        if file not in found:
            found[file] = _read_bytes(file)
            with contextlib.suppress(*_UNPARSABLE):  # importing it will say so
                queue += _imported([ast.parse(found[file])], folder)
    return dict(sorted(found.items()))


def files_digest(files: Mapping[Path, bytes], folder: Path) -> str:
    """A hash of files' names and contents (hex, 20 digits)."""
    lines = [f"{f.relative_to(folder)}:{hashlib.sha256(c).hexdigest()}" for f, c in files.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]


def _imported(nodes: Iterable[ast.AST], folder: Path) -> list[Path]:
    """The files of the folder's modules and packages that code imports by name."""
    modules: set[str] = set()
    for node in (n for top in nodes for n in ast.walk(top)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").partition(".")[0]
            modules |= {base} if base else {alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and node.id in _RUN_ANY_CODE:
            modules.add(node.id)
    if modules & _RUN_ANY_CODE:
        return [*folder.glob("*.py"), *folder.glob("*/*.py")]
    packages = [file for name in modules - {""} for file in (folder / name).rglob("*.py")]
    return [*packages, *(f for name in modules if (f := folder / f"{name}.py").is_file())]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise UserModuleError(f"Reading the file {path} failed", received=str(err)) from err


def _forget_siblings(files: Iterable[Path]) -> None:
    """Has the next import read these files again; a long-lived process may hold older ones."""
    stale = {str(file) for file in files}
    for name, module in tuple(sys.modules.items()):
        if getattr(module, "__file__", None) in stale and not name.startswith(_PREFIX):
            del sys.modules[name]
    importlib.invalidate_caches()
