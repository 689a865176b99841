"""The project's module file: checked without running it, hashed by what a function reaches, loaded.

The hash of a function covers the function, every top-level statement of the file that it reaches
by name, and whole sibling files of the project's folder that the reached code imports. So a
change of the model's code leaves the hash of `preprocessing_fn`, and with it the cached transform,
as it was. Where static reading cannot tell (`eval`, `globals`, a star import), the whole file
counts.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from mlproject.errors import ConfigError, UserModuleError, closest

CONTRACT = {"preprocessing_fn": "inputs", "run_fn": "fn_args"}
_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars", "getattr", "__import__"})
T = TypeVar("T")
_Defs = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as err:
        siblings = [p.name for p in path.parent.glob("*.py")]
        raise ConfigError(
            "Opening the module file failed",
            received=str(path),
            expected=f"a Python file; {closest(path.name, siblings)}",
            next_step="set `module` in project.yaml",
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise UserModuleError(f"Reading the module file {path} failed", received=str(err)) from err
    try:
        return ModuleSource(path, text, ast.parse(text, filename=str(path)))
    except SyntaxError as err:
        raise UserModuleError(
            f"Parsing the module file {path.name} failed",
            received=f"line {err.lineno}: {err.msg}",
            expected="Python that parses",
        ) from err


def check_contract(source: ModuleSource) -> None:
    """Checks that the module's functions are there and take what the platform hands them.

    Raises:
        UserModuleError: A function is missing, or takes other arguments.
    """
    functions = {n.name: n for n in source.tree.body if isinstance(n, ast.FunctionDef)}
    for name, argument in CONTRACT.items():
        if name not in functions:
            raise UserModuleError(
                f"The module file {source.path.name} has no function '{name}'",
                received="functions " + (", ".join(functions) or "(none)"),
                expected=f"`def {name}({argument}):` at the top level",
                next_step="see examples/taxi/taxi.py",
            )
        args = functions[name].args
        positional = [*args.posonlyargs, *args.args]
        needed = len(positional) - len(args.defaults)
        keyword_only = [a for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if not d]
        if needed > 1 or not (positional or args.vararg) or keyword_only:
            raise UserModuleError(
                f"The function '{name}' of {source.path.name} has the wrong arguments",
                received=f"line {functions[name].lineno}: def {name}({ast.unparse(args)})",
                expected=f"def {name}({argument})",
            )


def reach_digest(source: ModuleSource, roots: tuple[str, ...]) -> str:
    """A hash of everything in the file that some of its functions reach.

    Args:
        source: The parsed file.
        roots: Top-level function names to start from.

    Returns:
        20 hex digits; equal when neither the functions nor what they reach has changed.
        Comments and layout do not count.
    """
    reached = _reached_statements(source.tree, roots)
    names = {n for statement in reached for n in _names(statement)}
    stars = any(
        isinstance(s, ast.ImportFrom) and any(a.name == "*" for a in s.names)
        for s in source.tree.body
    )
    if names & _DYNAMIC or stars:
        reached = list(source.tree.body)
    parts = [ast.dump(statement) for statement in reached]
    for sibling in _siblings(reached, source.path.parent):
        parts.append(f"{sibling.name}:{_tree_digest(sibling, source.path.parent, set())}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def load_module(source: ModuleSource) -> ModuleType:
    """Runs the module file under a name that holds its hash, with its folder importable.

    Raises:
        UserModuleError: The file raised while it was imported.
    """
    name = f"benison_user_{source.path.stem}_{source.digest}"
    if name in sys.modules:
        return sys.modules[name]
    folder = str(source.path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_loader(name, loader=None, origin=str(source.path))
    if spec is None:
        raise UserModuleError(f"Loading the module file {source.path} failed")
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(source.path)
    sys.modules[name] = module
    try:
        exec(compile(source.text, str(source.path), "exec"), module.__dict__)
    except Exception as err:  # noqa: BLE001 - a user's code may raise anything
        del sys.modules[name]
        raise explain_user_error(err, source.path, "Importing the module file") from err
    return module


def call_user_function(function: Callable[..., T], path: Path, *args: object) -> T:
    """Calls a function of the module file, and says where it raised if it does.

    Raises:
        UserModuleError: The function raised; the message names its file, line and error.
    """
    try:
        return function(*args)
    except Exception as err:  # noqa: BLE001 - a user's code may raise anything
        raise explain_user_error(err, path, f"The project's function '{function.__name__}'") from err


def explain_user_error(err: BaseException, path: Path, what: str) -> UserModuleError:
    """The error of a user's code as one UserModuleError that points at the user's line."""
    frames = traceback.extract_tb(err.__traceback__)
    own = [f for f in frames if Path(f.filename).parent == path.parent]
    where = f"{Path(own[-1].filename).name} line {own[-1].lineno}: {own[-1].line}" if own else ""
    lines = str(err).strip().splitlines()
    return UserModuleError(
        f"{what} failed",
        received="; ".join(p for p in (where, f"{type(err).__name__}: {' '.join(lines[:3])}") if p),
        next_step="mend the module file; `--verbose` shows the whole traceback",
    )


def _reached_statements(tree: ast.Module, roots: tuple[str, ...]) -> list[ast.stmt]:
    """The top-level statements that the roots reach, in file order.

    Statements that bind no name (calls, conditions, loops) always count: they may change anything.
    """
    bound: dict[str, list[ast.stmt]] = {}
    always: list[ast.stmt] = []
    for statement in tree.body:
        names = _bound_names(statement)
        if names is None:
            if not _is_docstring(statement):
                always.append(statement)
        else:
            for name in names:
                bound.setdefault(name, []).append(statement)
    queue = list(roots) + [n for statement in always for n in _names(statement)]
    reached: set[int] = {id(s) for s in always}
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for statement in bound.get(name, []):
            if id(statement) not in reached:
                reached.add(id(statement))
                queue.extend(_names(statement))
    return [s for s in tree.body if id(s) in reached]


def _bound_names(statement: ast.stmt) -> list[str] | None:
    """The names that a simple definition binds, or None for any other statement."""
    if isinstance(statement, _Defs):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).partition(".")[0] for a in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = [node for target in targets for node in ast.walk(target)]
        if any(isinstance(node, ast.Subscript | ast.Attribute) for node in nodes):
            return None  # changes an object that some other name holds
        return [node.id for node in nodes if isinstance(node, ast.Name)]
    return None


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _siblings(statements: list[ast.stmt], folder: Path) -> list[Path]:
    """Files and packages of the folder that the statements import, at any depth of the code."""
    modules: set[str] = set()
    for node in (n for statement in statements for n in ast.walk(statement)):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (node.module or "").partition(".")[0]
            modules |= {base} if base else {alias.name for alias in node.names}
    candidates = [p for m in sorted(modules - {""}) for p in (folder / f"{m}.py", folder / m)]
    return [p for p in candidates if p.is_file() or (p / "__init__.py").is_file()]


def _tree_digest(path: Path, folder: Path, seen: set[Path]) -> str:
    """Hash of a sibling file or package, and of the siblings it imports in turn."""
    if path in seen:
        return ""
    seen.add(path)
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    parts = []
    for file in files:
        source = read_module(file)
        parts.append(f"{file.relative_to(folder)}:{source.digest}")
        parts.extend(_tree_digest(s, folder, seen) for s in _siblings(source.tree.body, folder))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
