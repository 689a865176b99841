"""What a function reaches: no change that may alter it is missed, and others do not count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlproject.reach import reach_digest
from mlproject.user_module import read_module

BASE = '''
"""A module."""
import tensorflow as tf

DENSE = ("a", "b")
SIZES = {"a": 1}
HIDDEN = [64]

def _scale(x):
    return x * len(SIZES)

def preprocessing_fn(inputs):
    return {name: _scale(inputs[name]) for name in DENSE}

def _model():
    return tf.keras.Sequential(HIDDEN)

def run_fn(fn_args):
    return _model()
'''


def digest(folder: Path, text: str, root: str = "preprocessing_fn") -> str:
    folder.mkdir(exist_ok=True)
    (folder / "taxi.py").write_text(text)
    return reach_digest(read_module(folder / "taxi.py"), (root,))


SAME: dict[str, tuple[str, str]] = {
    "run_fn": ("return _model()", "return _model() or None"),
    "what run_fn calls": ("Sequential(HIDDEN)", "Model(HIDDEN)"),
    "a constant of the model": ("[64]", "[64, 32]"),
    "a comment": ("DENSE =", "# what is dense\nDENSE ="),
    "the docstring of the module": ("A module.", "The module."),
    "blank lines and brackets": ('DENSE = ("a", "b")', '\n\nDENSE = (\n    "a",\n    "b",\n)'),
    "a new function": ("def run_fn", "def unused():\n    pass\n\ndef run_fn"),
    "a new constant": ("def run_fn", "RATE = 0.1\n\ndef run_fn"),
    "a new class": (
        "def run_fn",
        "class Cross(tf.keras.Layer):\n    def call(self, x): return _scale(x)\n\ndef run_fn",
    ),
    "a registered class": (
        "def run_fn",
        "@tf.keras.saving.register_keras_serializable()\nclass Cross(tf.keras.Layer):\n"
        "    def call(self, x): return _scale(SIZES)\n\ndef run_fn",
    ),
    "a constant made of a constant": ("def run_fn", "WIDTH = len(DENSE) * 2\n\ndef run_fn"),
    "the part that runs as a program": (
        "def run_fn",
        "if __name__ == '__main__':\n    print(run_fn(SIZES))\n\ndef run_fn",
    ),
}

CHANGED: dict[str, tuple[str, str]] = {
    "the function": ("inputs[name]", "inputs.get(name)"),
    "what it calls": ("x * len", "x + len"),
    "a constant it uses": ('"b")', '"c")'),
    "a constant of what it calls": ('{"a": 1}', '{"a": 2}'),
    "an import it needs": ("def _scale(x):\n", "import math as len\ndef _scale(x):\n"),
    "a default": ("def _scale(x):", "def _scale(x, y=DENSE):"),
    "a second binding": ("def _scale", 'DENSE = ("z",)\n\ndef _scale'),
    "a tuple of bindings": ("HIDDEN = [64]", "HIDDEN, DENSE = [64], ()"),
    "an augmented binding": ("HIDDEN = [64]", 'HIDDEN = [64]\nDENSE += ("c",)'),
    "a binding with a type": ("HIDDEN = [64]", "HIDDEN = [64]\nDENSE: tuple = ()"),
    "a binding inside an expression": ("HIDDEN = [64]", "HIDDEN = [DENSE := ()]"),
    "a binding in an if": ("HIDDEN = [64]", "HIDDEN = [64]\nif HIDDEN:\n    DENSE = ()"),
    "a function in an if": ("HIDDEN = [64]", "if tf:\n    def _scale(x): return 1\nHIDDEN = []"),
    "a binding in a loop": ("HIDDEN = [64]", "for DENSE in ((), ('a',)):\n    pass\nHIDDEN = []"),
    "a binding in a with": ("HIDDEN = [64]", "with tf as DENSE:\n    pass\nHIDDEN = []"),
    "a deletion": ("HIDDEN = [64]", "HIDDEN = [64]\ndel SIZES['a']"),
    "an item": ("HIDDEN = [64]", 'HIDDEN = [64]\nSIZES["b"] = 3'),
    "an item of an item": ("HIDDEN = [64]", 'HIDDEN = [64]\nSIZES["b"], X = 3, 4'),
    "an item, augmented": ("HIDDEN = [64]", 'HIDDEN = [64]\nSIZES["a"] += 3'),
    "an attribute": ("HIDDEN = [64]", "HIDDEN = [64]\ntf.cast = None"),
    "a call": ("HIDDEN = [64]", "HIDDEN = [64]\nSIZES.update(b=3)"),
    "a call whose result is kept": ("HIDDEN = [64]", "HIDDEN = SIZES.update(b=3)"),
    "a call whose result is thrown away": ("HIDDEN = [64]", "HIDDEN = 1\n_ = SIZES.pop('a')"),
    "a call through another name": ("HIDDEN = [64]", "HIDDEN = SIZES\nX = HIDDEN.update(b=3)"),
    "an augmented alias": ("HIDDEN = [64]", "HIDDEN = SIZES\nHIDDEN |= {'b': 3}"),
    "a call of a function that changes it": (
        "HIDDEN = [64]",
        "def _grow():\n    SIZES.update(b=3)\n\nHIDDEN = _grow()",
    ),
    "a call of a function that rebinds it": (
        "HIDDEN = [64]",
        "def _grow():\n    global DENSE\n    DENSE = ()\n\nHIDDEN = _grow()",
    ),
    "a function that may rebind it": (
        "HIDDEN = [64]",
        "def later():\n    global DENSE\n    DENSE = ()\n\nHIDDEN = []",
    ),
    "a comprehension that changes it": (
        "HIDDEN = [64]",
        "HIDDEN = [SIZES.setdefault(k, 1) for k in 'xyz']",
    ),
    "a decorator of the project's own": (
        "def run_fn",
        "def _own(f):\n    SIZES[f.__name__] = f\n    return f\n\n@_own\ndef run_fn",
    ),
    "a default that changes it": ("def run_fn(fn_args)", "def run_fn(fn_args, x=SIZES.pop('a'))"),
    "a class that changes it": ("HIDDEN = [64]", "class A:\n    X = SIZES.pop('a')\nHIDDEN = []"),
    "a class that changes it in passing": (
        "HIDDEN = [64]",
        "class A:\n    SIZES.clear()\nHIDDEN = []",
    ),
    "a class with a base that changes it": (
        "HIDDEN = [64]",
        "class B:\n    def __init_subclass__(cls): SIZES.clear()\n\nclass A(B): pass\nHIDDEN = []",
    ),
    "an import for what it does": ("HIDDEN = [64]", "import tensorflow_text\nHIDDEN = [64]"),
    "an annotation of the future": ('"""A module."""', "from __future__ import annotations"),
    "a star import": ("HIDDEN = [64]", "from math import *\nHIDDEN = [64]"),
    "a star import in a try": (
        "HIDDEN = [64]",
        "try:\n    from math import *\nexcept ImportError:\n    pass\nHIDDEN = [64]",
    ),
    "another order": (
        "HIDDEN = [64]\n\ndef _scale(x):\n    return x * len(SIZES)\n",
        "def _scale(x):\n    return x * len(SIZES)\n\nSIZES = dict(SIZES)\n",
    ),
}


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_the_function_does_not_reach_leaves_its_digest(
    tmp_path: Path, old: str, new: str
) -> None:
    assert old in BASE
    assert digest(tmp_path, BASE.replace(old, new)) == digest(tmp_path, BASE)


@pytest.mark.parametrize(("old", "new"), CHANGED.values(), ids=CHANGED)
def test_what_the_function_reaches_changes_its_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in BASE
    assert digest(tmp_path, BASE.replace(old, new)) != digest(tmp_path, BASE)


def test_each_function_has_a_digest_of_its_own(tmp_path: Path) -> None:
    changed = BASE.replace("[64]", "[32]")
    assert digest(tmp_path, BASE, "run_fn") != digest(tmp_path, changed, "run_fn")
    assert digest(tmp_path, BASE, "run_fn") != digest(tmp_path, BASE)
    changed = BASE.replace('"b")', '"c")')
    assert digest(tmp_path, BASE, "run_fn") == digest(tmp_path, changed, "run_fn")


def test_the_digest_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    assert digest(tmp_path / "a", BASE) == digest(tmp_path / "b", BASE)


# Each is code before `preprocessing_fn` and its body, with OLD where the change is.
DEEP: dict[str, tuple[str, str]] = {
    "a class's method": ("class A:\n    def go(self): return OLD", "A().go()"),
    "a class's base": ("class B:\n    x = OLD\nclass A(B): pass", "A.x"),
    "a class's attribute": ("class A:\n    x = [OLD]", "A.x"),
    "a nested function": ("def a():\n    def b(): return OLD\n    return b", "a()()"),
    "a lambda": ("a = lambda x: x + OLD", "a(1)"),
    "a table of functions": ("def a(): return OLD\nTABLE = {'a': a}", "TABLE['a']()"),
    "a default": ("N = OLD\ndef a(x=N): return x", "a()"),
    "a default by name": ("N = OLD\ndef a(*, x=N): return x", "a()"),
    "an f-string": ("N = OLD\ndef a(): return f'{N:>{N}}'", "a()"),
    "a comprehension": ("N = OLD\nM = [N for _ in range(3)]", "M"),
    "an alias of a type": ("Batch = list[OLD]\ndef a(x: Batch): return x", "a([])"),
    "a decorator": ("def d(f):\n    return lambda: OLD\n@d\ndef a(): pass", "a()"),
    "an argument of a decorator": (
        "def d(n):\n    return lambda f: n\n@d(OLD)\ndef a(): pass",
        "a",
    ),
    "a try": ("try:\n    import gone\nexcept ImportError:\n    gone = OLD", "gone"),
    "an if": ("if True:\n    N = OLD\nelse:\n    N = 0", "N"),
    "a while": ("N = 0\nwhile N < OLD:\n    N += 1", "N"),
    "a match": ("match OLD:\n    case N: pass", "N"),
    "a global": ("def s():\n    global N\n    N = OLD\ns()", "N"),
    "a global set by a chain": ("def s():\n    global N\n    N = OLD\ndef t(): s()\n_ = t()", "N"),
    "a registry of functions": (
        "R = {}\ndef r(f):\n    R[f.__name__] = f\n    return f\n@r\ndef a(): return OLD",
        "R['a']()",
    ),
    "a registry of classes": (
        "class B:\n    R = []\n    def __init_subclass__(cls): B.R.append(cls)\n"
        "class A(B):\n    x = OLD",
        "B.R[0].x",
    ),
    "a registry with a library's decorator": (
        "import functools\n@functools.singledispatch\ndef a(x): return 0\n"
        "@a.register\ndef _(x: int): return OLD",
        "a(1)",
    ),
    "a registry filled by an assignment": (
        "R = []\ndef a(): return OLD\n_ = R.append(a)",
        "R[0]()",
    ),
    "an alias of a list": ("R = [1]\nS = R\nS += [OLD]", "R"),
    "a list in a list": ("R = [1]\nS = [R]\n_ = S[0].append(OLD)", "R"),
    "a generator": ("I = iter(range(9))\nJ = [next(I) for _ in range(OLD)]", "next(I)"),
    "an unpacked generator": ("I = iter(range(9))\nJ = [*zip(range(OLD), I)]", "next(I)"),
    "an operator of a class": (
        "class A:\n    n = 0\n    def __add__(self, x): A.n += x\na = A()\nb = a + OLD",
        "A.n",
    ),
    "a missing key": (
        "import collections\nD = collections.defaultdict(int)\nx = D[OLD]",
        "list(D)",
    ),
    "an attribute of a function": ("def a(): return a.x\na.x = OLD", "a()"),
    "a shuffled list": ("import random\nL = [1, 2]\nx = random.Random(OLD).shuffle(L)", "L"),
    "eval": ("N = OLD", "eval('N')"),
    "eval through an alias": ("N = OLD\nrun = eval", "run('N')"),
    "globals": ("N = OLD", "globals()['N']"),
    "vars": ("N = OLD\nimport sys", "vars(sys.modules[__name__])['N']"),
    "getattr": ("N = OLD\nimport sys", "getattr(sys.modules[__name__], 'N')"),
    "the modules of sys": ("N = OLD\nimport sys", "sys.modules[__name__].N"),
    "the modules of sys, by name": ("N = OLD\nfrom sys import modules as m", "m[__name__].N"),
    "a function's globals": ("N = OLD\ndef a(): pass", "a.__globals__['N']"),
    "a module's dictionary": ("N = OLD\nimport taxi", "taxi.__dict__['N']"),
    "builtins": ("N = OLD\nimport builtins", "builtins.eval('N')"),
    "itself": ("N = OLD", "__import__('taxi').N"),
}


@pytest.mark.parametrize(("before", "result"), DEEP.values(), ids=DEEP)
def test_a_change_is_seen_however_it_is_reached(tmp_path: Path, before: str, result: str) -> None:
    text = f"{before}\n\ndef preprocessing_fn(inputs):\n    return {result}\n"
    first = digest(tmp_path, text.replace("OLD", "3"))
    assert digest(tmp_path, text.replace("OLD", "4")) != first
    assert digest(tmp_path, text.replace("OLD", "3")) == first


SIBLINGS: dict[str, tuple[dict[str, str], str]] = {
    "an import": ({"near.py": "N = OLD"}, "import near\ndef preprocessing_fn(i): return near.N"),
    "an import under another name": (
        {"near.py": "N = OLD"},
        "import near as n\ndef preprocessing_fn(i): return n.N",
    ),
    "a name from it": (
        {"near.py": "N = OLD"},
        "from near import N as M\ndef preprocessing_fn(i): return M",
    ),
    "an import inside the function": (
        {"near.py": "N = OLD"},
        "def preprocessing_fn(i):\n    from near import N\n    return N",
    ),
    "an import inside a helper": (
        {"near.py": "N = OLD"},
        "def h():\n    import near\n    return near.N\ndef preprocessing_fn(i): return h()",
    ),
    "an import in a try": (
        {"near.py": "N = OLD"},
        "try:\n    from near import N\nexcept ImportError:\n    N = 1\n"
        "def preprocessing_fn(i): return N",
    ),
    "a sibling of the sibling": (
        {"near.py": "from far import N", "far.py": "N = OLD"},
        "import near\ndef preprocessing_fn(i): return near.N",
    ),
    "a sibling inside a function of the sibling": (
        {"near.py": "def n():\n    import far\n    return far.N", "far.py": "N = OLD"},
        "import near\ndef preprocessing_fn(i): return near.n()",
    ),
    "siblings in a circle": (
        {"near.py": "import far\nN = 1", "far.py": "import near\nM = OLD"},
        "import near\ndef preprocessing_fn(i): return near.far.M",
    ),
    "a package": (
        {"pack/__init__.py": "", "pack/inner/__init__.py": "", "pack/inner/deep.py": "N = OLD"},
        "import pack.inner.deep\ndef preprocessing_fn(i): return pack.inner.deep.N",
    ),
    "a folder without __init__": (
        {"pack/near.py": "N = OLD"},
        "from pack.near import N\ndef preprocessing_fn(i): return N",
    ),
    "a sibling of a package": (
        {"pack/__init__.py": "import far", "far.py": "N = OLD"},
        "import pack\ndef preprocessing_fn(i): return pack.far.N",
    ),
    "a sibling imported by name": (
        {"near.py": "N = OLD"},
        "import importlib\ndef preprocessing_fn(i): return importlib.import_module('ne' + 'ar').N",
    ),
    "a sibling imported by name, otherwise": (
        {"near.py": "N = OLD"},
        "from importlib import import_module as load\n"
        "def preprocessing_fn(i): return load('ne' + 'ar').N",
    ),
    "a sibling imported by name by a sibling": (
        {"near.py": "far = __import__('f' + 'ar')", "far.py": "N = OLD"},
        "import near\ndef preprocessing_fn(i): return near.far.N",
    ),
    "a star import": (
        {"near.py": "N = OLD"},
        "from near import *\ndef preprocessing_fn(i): return N",
    ),
    "a star import of what is changed": (
        {"near.py": "L = []"},
        "from near import *\n_ = L.append(OLD)\ndef preprocessing_fn(i): return L",
    ),
    "an import for what it does": (
        {"near.py": "import far\nfar.L.append(OLD)", "far.py": "L = []"},
        "import near\nimport far\ndef preprocessing_fn(i): return far.L",
    ),
    "a used import that does something": (
        {"near.py": "import far\nfar.L.append(OLD)\nX = 1", "far.py": "L = []"},
        "import near\nimport far\ndef preprocessing_fn(i): return far.L\n"
        "def run_fn(a): return near.X",
    ),
    "a used import of one that does something": (
        {
            "near.py": "import mid\nX = 1",
            "mid.py": "import far\nfar.L[:] = [OLD]",
            "far.py": "L = []",
        },
        "import near\nimport far\ndef preprocessing_fn(i): return far.L\n"
        "def run_fn(a): return near.X",
    ),
    "a call through the sibling": (
        {"near.py": "L = []"},
        "import near\n_ = near.L.append(OLD)\ndef preprocessing_fn(i): return near.L",
    ),
    "a file in another encoding": (
        {"near.py": "# coding: latin-1\nN = 'é', OLD"},
        "import near\ndef preprocessing_fn(i): return near.N",
    ),
    "a file that does not parse yet": (
        {"near.py": "N = = OLD"},
        "def preprocessing_fn(i):\n    import near\n    return near.N",
    ),
    "a file that imports the module file": (
        {"near.py": "from taxi import run_fn as r"},
        "import near\ndef preprocessing_fn(i): return near.r(1)\ndef run_fn(a): return OLD",
    ),
}


@pytest.mark.parametrize(("files", "text"), SIBLINGS.values(), ids=SIBLINGS)
def test_a_change_in_a_file_beside_is_seen(
    tmp_path: Path, files: dict[str, str], text: str
) -> None:
    def write(value: str) -> str:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            encoding = "latin-1" if "latin-1" in content else "utf-8"
            (tmp_path / name).write_text(content.replace("OLD", value), encoding=encoding)
        return digest(tmp_path, text.replace("OLD", value) + "\n")

    first = write("3")
    assert write("4") != first
    assert write("3") == first


def test_a_file_that_only_run_fn_imports_does_not_count(tmp_path: Path) -> None:
    text = (
        "import model\nfrom features import scale\n"
        "def preprocessing_fn(inputs): return scale(inputs)\n"
        "def run_fn(fn_args): return model.build()\n"
    )
    (tmp_path / "shared.py").write_text("LABEL = 'x'\n")
    (tmp_path / "features.py").write_text("from shared import LABEL\ndef scale(x): return LABEL\n")
    (tmp_path / "model.py").write_text("from shared import LABEL\ndef build(): return 1\n")
    (tmp_path / "notes.py").write_text("")
    before = digest(tmp_path, text), digest(tmp_path, text, "run_fn")
    (tmp_path / "model.py").write_text("from shared import LABEL\ndef build(): return 2\n")
    (tmp_path / "notes.py").write_text("X = 1")
    after = digest(tmp_path, text), digest(tmp_path, text, "run_fn")
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_a_file_that_cannot_be_parsed_does_not_stop_the_digest_of_others(tmp_path: Path) -> None:
    (tmp_path / "scratch.py").write_text("not python")
    text = "import importlib\ndef preprocessing_fn(i): return importlib.import_module(i)\n"
    assert len(digest(tmp_path, text)) == 20


def test_an_expression_of_hundreds_of_terms_has_a_digest(tmp_path: Path) -> None:
    text = "N = " + "+".join(["1"] * 900) + "\ndef preprocessing_fn(i): return N\n"
    first = digest(tmp_path, text)
    assert digest(tmp_path, text.replace("1\n", "2\n", 1)) != first


def test_the_example_keeps_its_transform_while_its_model_changes(tmp_path: Path) -> None:
    taxi = Path(__file__).parents[2] / "examples" / "taxi" / "taxi.py"
    text = taxi.read_text(encoding="utf-8")
    model = text.replace("relu", "tanh").replace("optimizers.Adam", "optimizers.SGD")
    assert model != text
    assert digest(tmp_path, model) == digest(tmp_path, text)
    assert digest(tmp_path, model, "run_fn") != digest(tmp_path, text, "run_fn")
    features = text.replace("BUCKETS = 10\n", "BUCKETS = 12\n")
    assert features != text
    assert digest(tmp_path, features) != digest(tmp_path, text)


NAMES = st.sampled_from([f"f{i}" for i in range(6)])
CALLS = st.lists(st.lists(NAMES, max_size=3), min_size=6, max_size=6)


def reachable(calls: list[list[str]], start: int) -> set[int]:
    seen: set[int] = set()
    queue = [start]
    while queue:
        index = queue.pop()
        if index not in seen:
            seen.add(index)
            queue += [int(name[1]) for name in calls[index]]
    return seen


@settings(max_examples=60, deadline=None)
@given(CALLS, st.integers(0, 5), st.sampled_from(["def", "lambda", "list", "class"]))
def test_the_digest_changes_exactly_with_what_is_called(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[str]], changed: int, kind: str
) -> None:
    def text(change: bool) -> str:
        lines = []
        for index, called in enumerate(calls):
            body = ", ".join(
                [*called, str(index), *(["'new'"] if change and index == changed else [])]
            )
            lines.append(
                {
                    "def": f"def f{index}(): return ({body},)",
                    "lambda": f"f{index} = lambda: ({body},)",
                    "list": f"f{index} = lambda: [{body}]",
                    "class": f"class f{index}:\n    def go(self): return ({body},)",
                }[kind]
            )
        return "\n".join(lines) + "\n"

    folder = tmp_path_factory.mktemp("graph")
    before, after = digest(folder, text(False), "f0"), digest(folder, text(True), "f0")
    assert (before != after) == (changed in reachable(calls, 0))
