"""What a function of the module file reaches, as a hash: the part of a fingerprint that is code.

The hash covers the function, every top-level statement that it reaches by name, every top-level
statement that may change something it reaches, and whole files of the project's folder that the
reached code imports. So a change of the model's code leaves the hash of `preprocessing_fn`, and
with it the cached transform, as it was. Where reading cannot tell, more counts and not less: a
function reached too many costs a run, one too few would serve a stale artifact.

Libraries are taken as they are: their decorators and base classes are trusted to change nothing
of the module file. Files that are no Python, and code outside the project's folder, do not count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable

from mlproject.user_module import ModuleSource, files_digest, sibling_files

# With one of these in reach, the reached names cannot be read from the text.
_DYNAMIC_NAMES = frozenset(
    {"__builtins__", "__import__", "eval", "exec", "getattr", "globals", "locals", "vars"}
)
_DYNAMIC_MODULES = frozenset({"builtins", "importlib", "inspect", "pkgutil", "runpy"})
_DYNAMIC_ATTRIBUTES = frozenset({"__dict__", "__globals__", "_getframe", "modules"})
_INERT = (ast.Constant, ast.Name, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.expr_context)
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Assignment = ast.Assign | ast.AnnAssign | ast.AugAssign


def reach_digest(source: ModuleSource, roots: tuple[str, ...]) -> str:
    """A hash of everything in the file that some of its functions reach.

    Args:
        source: The parsed file.
        roots: Top-level function names to start from.

    Returns:
        20 hex digits; equal when neither the functions nor what they reach has changed.
        Comments and layout do not count.
    """
    folder = source.path.parent
    file = _File(source)
    reached = file.reach(roots)
    if file.stars or any(_is_dynamic(statement) for statement in reached):
        reached = source.tree.body
    try:
        parts = [ast.dump(statement) for statement in reached]
    except RecursionError:  # an expression of hundreds of terms
        parts = [source.text]
    parts.append(files_digest(sibling_files(reached, folder), folder))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


class _File:
    """The top-level statements of a module file, by the names they bind."""

    def __init__(self, source: ModuleSource) -> None:
        self._folder = source.path.parent
        self._statements = [s for s in source.tree.body if not _does_nothing(s)]
        self.stars = any(
            isinstance(node, ast.ImportFrom) and any(a.name == "*" for a in node.names)
            for node in ast.walk(source.tree)
        )
        self._binding: dict[str, list[ast.stmt]] = {}
        for statement in self._statements:
            for name in _bound_names(statement) or ():
                self._binding.setdefault(name, []).append(statement)
        used = {name for statement in self._statements for name in _names(statement)}
        self._always = [s for s in self._statements if self._always_counts(s, used)]

    def reach(self, roots: Iterable[str]) -> list[ast.stmt]:
        """The statements that the roots reach, or that may change what they reach, in order."""
        names = self._closure(set(roots) | {n for s in self._always for n in _names(s)})
        counted = {id(statement) for statement in self._always}
        while True:
            changeable = {name for name in names if self._may_change(name)}
            more = [
                statement
                for statement in self._statements
                if id(statement) not in counted
                and not (
                    names.isdisjoint(_bound_names(statement) or ())
                    and changeable.isdisjoint(self._closure(self._runs(statement)))
                )
            ]
            if not more:
                return [s for s in self._statements if id(s) in counted]
            counted |= {id(statement) for statement in more}
            names |= self._closure({n for s in more for n in _names(s)})

    def _closure(self, names: Iterable[str]) -> set[str]:
        """The names, and all that the statements binding them name in turn."""
        seen: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name not in seen:
                seen.add(name)
                for statement in self._binding.get(name, ()):
                    queue.extend(_names(statement) - seen)
        return seen

    def _always_counts(self, statement: ast.stmt, used: set[str]) -> bool:
        """True for what binds no name, and for imports that are there for what they do."""
        bound = _bound_names(statement)
        if bound is None:
            return True
        if not isinstance(statement, ast.Import | ast.ImportFrom):
            return False
        siblings = sibling_files([statement], self._folder)
        return used.isdisjoint(bound) or any(map(_has_effects, siblings.values()))

    def _may_change(self, name: str) -> bool:
        """False for a library, and for a name bound once to a literal that nothing can change."""
        statements = self._binding.get(name, [])
        if len(statements) == 1 and isinstance(statements[0], ast.Assign | ast.AnnAssign):
            return not _is_literal(statements[0].value)
        return any(self._is_own(statement) for statement in statements)

    def _is_own(self, statement: ast.stmt) -> bool:
        imports = isinstance(statement, ast.Import | ast.ImportFrom)
        return not imports or bool(sibling_files([statement], self._folder))

    def _runs(self, statement: ast.stmt) -> set[str]:
        """The names in what a definition runs at once, and could change things through."""
        if isinstance(statement, _Assignment):
            parts = [statement.value, getattr(statement, "annotation", None)]
            if isinstance(statement, ast.AugAssign) or any(map(_acts, parts)):
                return _names(statement)
            return set()
        if isinstance(statement, _Function):
            args = statement.args
            if self._reshaped(statement.decorator_list):
                return _names(statement)
            parts = [*args.defaults, *args.kw_defaults]
            parts += [node for node in ast.walk(args) if isinstance(node, ast.Call)]
            return {name for part in parts if part and _acts(part) for name in _names(part)}
        if isinstance(statement, ast.ClassDef):
            keywords = [keyword.value for keyword in statement.keywords]
            if self._reshaped([*statement.decorator_list, *statement.bases, *keywords]):
                return _names(statement)
            return {name for inner in statement.body for name in self._runs(inner)}
        if isinstance(statement, ast.Import | ast.ImportFrom) or _does_nothing(statement):
            return set()
        return _names(statement)  # inside a class

    def _reshaped(self, expressions: list[ast.expr]) -> bool:
        """True where a decorator or base class may run code of the project's own."""
        names = {name for expression in expressions for name in _names(expression)}
        own = any(self._is_own(s) for name in names for s in self._binding.get(name, ()))
        return own or any(isinstance(n, ast.Lambda) for e in expressions for n in ast.walk(e))


def _bound_names(statement: ast.stmt) -> list[str] | None:
    """The names that a simple definition binds, or None for any other statement."""
    nodes = list(ast.walk(statement))
    inner = [node.target.id for node in nodes if isinstance(node, ast.NamedExpr)]
    inner += [name for node in nodes if isinstance(node, ast.Global) for name in node.names]
    if isinstance(statement, _Function | ast.ClassDef):
        return [statement.name, *inner]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [(a.asname or a.name).partition(".")[0] for a in statement.names]
    if isinstance(statement, _Assignment):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = [node for target in targets for node in ast.walk(target)]
        if any(isinstance(node, ast.Subscript | ast.Attribute) for node in nodes):
            return None  # changes an object that some other name holds
        return [*inner, *(node.id for node in nodes if isinstance(node, ast.Name))]
    return None


def _names(node: ast.AST) -> set[str]:
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found.union(*(n.names for n in ast.walk(node) if isinstance(n, ast.Global)))


def _acts(expression: ast.expr | None) -> bool:
    """True where evaluating may call something: all but names, literals, displays, lambdas."""
    if expression is None or isinstance(expression, ast.Lambda):
        return False
    if not isinstance(expression, _INERT):
        return not _is_literal(expression)
    children = (n for n in ast.iter_child_nodes(expression) if isinstance(n, ast.expr))
    return any(_acts(child) for child in children)


def _is_literal(expression: ast.expr | None) -> bool:
    """True for numbers, texts, and tuples and sums of them."""
    allowed = ast.Constant | ast.Tuple | ast.UnaryOp | ast.BinOp
    nodes = ast.walk(expression) if expression else ()
    return all(
        isinstance(n, allowed | ast.expr_context | ast.operator | ast.unaryop) for n in nodes
    )


def _does_nothing(statement: ast.stmt) -> bool:
    """True for docstrings and for the part that runs only where the file is the program."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If) and not statement.orelse:
        return ast.unparse(statement.test) == "__name__ == '__main__'"
    return isinstance(statement, ast.Pass)


def _has_effects(content: bytes) -> bool:
    """True where importing a file does more than bind names, so far as can be seen."""
    try:
        body = ast.parse(content).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return any(not _does_nothing(s) and _bound_names(s) is None for s in body)


def _is_dynamic(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in _DYNAMIC_NAMES | _DYNAMIC_MODULES:
            return True
        if isinstance(node, ast.Attribute) and node.attr in _DYNAMIC_ATTRIBUTES:
            return True
        if isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in _DYNAMIC_MODULES:
                return True
            if any(alias.name in _DYNAMIC_ATTRIBUTES for alias in node.names):
                return True
        if isinstance(node, ast.Import) and any(
            alias.name.partition(".")[0] in _DYNAMIC_MODULES for alias in node.names
        ):
            return True
    return False
