"""The module file: parsed and checked without running it, loaded, called; its errors by line."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from mlproject.errors import ConfigError, DataError, StorageError, UserModuleError
from mlproject.user_module import (
    ModuleSource,
    call_user_function,
    check_contract,
    load_module,
    read_module,
    translate_full_disk,
)

BUILD = "def preprocessing_fn(inputs): pass\ndef build_model(hyperparameters): pass\n"
CONTRACT = "def preprocessing_fn(inputs):\n    return inputs\n\ndef run_fn(fn_args):\n    pass\n"


def module(folder: Path, text: str, name: str = "taxi.py") -> ModuleSource:
    (folder / name).write_text(text)
    return read_module(folder / name)


def test_reading_does_not_run_the_file(tmp_path: Path) -> None:
    source = module(tmp_path, "import gone\nraise SystemExit(3)\n")
    assert source.text.startswith("import gone")


def test_the_digest_is_of_the_whole_text(tmp_path: Path) -> None:
    before = module(tmp_path, CONTRACT).digest
    assert module(tmp_path, CONTRACT).digest == before
    assert module(tmp_path, CONTRACT + "# a comment\n").digest != before


def test_a_missing_file_names_the_closest(tmp_path: Path) -> None:
    (tmp_path / "taxi.py").write_text(CONTRACT)
    with pytest.raises(ConfigError, match=r"did you mean 'taxi\.py'\?"):
        read_module(tmp_path / "taxy.py")
    with pytest.raises(ConfigError, match="there are none yet"):
        read_module(tmp_path / "gone" / "taxy.py")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"def f(:\n", "line 1: invalid syntax"),
        (b"x = 1\n\n  y = 2\n", "line 3: unexpected indent"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = " + b"(" * 5000, "too many nested parentheses"),
        (b"x = " + b"-" * 9000 + b"1", "MemoryError"),
        (b"x = " + b"1+" * 20_000 + b"1", "recursion"),
        (b"x = 'caf\xe9'\n", "encoding"),
        (b"# coding: klingon\n", "unknown encoding"),
    ],
    ids=["syntax", "indent", "null", "brackets", "depth", "terms", "encoding", "cookie"],
)
def test_a_file_that_is_no_python_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "taxi.py").write_bytes(content)
    with pytest.raises(UserModuleError) as caught:
        read_module(tmp_path / "taxi.py")
    assert message in str(caught.value)
    assert "taxi.py" in str(caught.value)


def test_a_folder_is_no_module_file(tmp_path: Path) -> None:
    with pytest.raises(UserModuleError, match="Is a directory"):
        read_module(tmp_path)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfx = 'caf\xc3\xa9'\r\n", b"# coding: latin-1\nx = 'caf\xe9'\n"]
)
def test_a_file_is_decoded_as_python_does(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "taxi.py").write_bytes(content)
    assert load_module(read_module(tmp_path / "taxi.py")).x == "café"


@pytest.mark.parametrize(
    "text",
    [
        CONTRACT,
        "def preprocessing_fn(x): pass\ndef run_fn(args): pass\n",
        "def preprocessing_fn(inputs, config=None): pass\ndef run_fn(*args): pass\n",
        "def preprocessing_fn(inputs, /): pass\ndef run_fn(fn_args, *, verbose=False): pass\n",
        "def preprocessing_fn(inputs=None): pass\ndef run_fn(fn_args, **more): pass\n",
        "@decorated\ndef preprocessing_fn(inputs): pass\ndef run_fn(fn_args): pass\n",
        BUILD,
        BUILD.replace("hyperparameters)", "hyperparameters, fn_args)"),
        BUILD.replace("hyperparameters)", "*anything)"),
        BUILD + "def run_fn(fn_args): pass\n",
        BUILD + "def tuner_fn(trial): pass\ndef custom_metrics(): pass\n",
        BUILD + "def custom_metrics(thresholds=(0.5,)): pass\n",
    ],
)
def test_functions_that_take_what_the_platform_hands_them(tmp_path: Path, text: str) -> None:
    check_contract(module(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no function 'preprocessing_fn'. Received: functions (none)"),
        ("def preprocessing_fn(inputs): pass\n", "no function 'run_fn'"),
        (
            "def run_fn(fn_args): pass\n",
            "no function 'preprocessing_fn'. Received: functions run_fn",
        ),
        (CONTRACT.replace("def run_fn", "async def run_fn"), "no function 'run_fn'"),
        ("class A:\n  def preprocessing_fn(inputs): pass\n  def run_fn(a): pass\n", "no function"),
        (CONTRACT.replace("inputs)", ")"), "line 1: def preprocessing_fn()"),
        (CONTRACT.replace("inputs)", "inputs, schema)"), "def preprocessing_fn(inputs, schema)"),
        (CONTRACT.replace("fn_args)", "*, fn_args)"), "line 4: def run_fn(*, fn_args)"),
        (CONTRACT.replace("fn_args)", "fn_args, *, rate)"), "def run_fn(fn_args, *, rate)"),
        (CONTRACT.replace("fn_args)", "**fn_args)"), "def run_fn(**fn_args)"),
        (
            "def preprocessing_fn(inputs): pass\n",
            "Expected: `def run_fn(fn_args):` or `def build_model(hyperparameters):`",
        ),
        (BUILD.replace("hyperparameters)", ")"), "line 2: def build_model()"),
        (BUILD.replace("hyperparameters)", "a, b, c)"), "def build_model(a, b, c)"),
        (BUILD + "def run_fn(): pass\n", "line 3: def run_fn()"),
        (BUILD + "def tuner_fn(): pass\n", "line 3: def tuner_fn(). Expected: def tuner_fn(trial)"),
        (BUILD + "def tuner_fn(trial, space): pass\n", "def tuner_fn(trial, space)"),
        (BUILD + "def custom_metrics(labels): pass\n", "def custom_metrics(labels)"),
    ],
)
def test_functions_that_break_the_contract(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserModuleError) as caught:
        check_contract(module(tmp_path, text))
    assert message in str(caught.value)
    assert "taxi.py" in str(caught.value)


def test_the_last_definition_of_a_function_is_the_one_that_counts(tmp_path: Path) -> None:
    text = CONTRACT + "def run_fn(a, b): pass\n"
    with pytest.raises(UserModuleError, match=r"line 6: def run_fn\(a, b\)"):
        check_contract(module(tmp_path, text))


def test_a_module_is_loaded_once_for_the_same_text(tmp_path: Path) -> None:
    first = load_module(module(tmp_path, CONTRACT + "TOKEN = object()\n"))
    assert load_module(read_module(tmp_path / "taxi.py")) is first
    second = load_module(module(tmp_path, CONTRACT + "TOKEN = 1\n"))
    assert second is not first
    assert sys.modules[second.__name__] is second


def test_a_sibling_that_changed_is_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "sibling_alpha.py").write_text("SCALE = 2\n")
    text = "def scale():\n    from sibling_alpha import SCALE\n    return SCALE\n"
    assert load_module(module(tmp_path, text)).scale() == 2
    (tmp_path / "sibling_alpha.py").write_text("SCALE = 2 + 1\n")
    assert load_module(read_module(tmp_path / "taxi.py")).scale() == 3


def test_a_package_that_changed_is_loaded_again(tmp_path: Path) -> None:
    package = tmp_path / "package_beta"
    package.mkdir()
    (package / "__init__.py").write_text("from package_beta.inner import SCALE\n")
    (package / "inner.py").write_text("SCALE = 2\n")
    text = "import package_beta\nSCALE = package_beta.SCALE\n"
    assert load_module(module(tmp_path, text)).SCALE == 2
    (package / "inner.py").write_text("SCALE = 2 + 1\n")
    assert load_module(read_module(tmp_path / "taxi.py")).SCALE == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 / 0", "taxi.py line 2: 1 / 0; ZeroDivisionError: division by zero"),
        ("import gone_module", "ModuleNotFoundError: No module named 'gone_module'"),
        ("raise SystemExit(0)", "taxi.py line 2: raise SystemExit(0); SystemExit: 0"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise RecursionError", "taxi.py line 2: raise RecursionError"),
    ],
)
def test_a_module_that_raises_says_at_which_line(tmp_path: Path, line: str, message: str) -> None:
    source = module(tmp_path, f"X = 1\n{line}\n")
    for _ in range(2):  # not half-loaded the second time
        with pytest.raises(UserModuleError) as caught:
            load_module(source)
        assert message in str(caught.value)
    assert not any(source.digest in name for name in sys.modules)


def test_an_interrupt_while_a_module_loads_is_an_interrupt(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_module(module(tmp_path, "raise KeyboardInterrupt\n"))


def test_a_sibling_that_raises_says_at_which_line(tmp_path: Path) -> None:
    (tmp_path / "sibling_gamma.py").write_text("X = 1\nY = X / 0\n")
    with pytest.raises(UserModuleError, match=r"sibling_gamma\.py line 2: Y = X / 0"):
        load_module(module(tmp_path, "import sibling_gamma\n"))


def test_a_sibling_with_a_syntax_error_is_named(tmp_path: Path) -> None:
    (tmp_path / "sibling_delta.py").write_text("def f(:\n")
    with pytest.raises(UserModuleError, match=r"sibling_delta\.py, line 1"):
        load_module(module(tmp_path, "import sibling_delta\n"))


def test_a_function_that_raises_says_at_which_line(tmp_path: Path) -> None:
    loaded = load_module(module(tmp_path, "def run_fn(a):\n    b = a + 1\n    return b\n"))
    assert call_user_function(loaded.run_fn, tmp_path / "taxi.py", 1) == 2
    with pytest.raises(UserModuleError) as caught:
        call_user_function(loaded.run_fn, tmp_path / "taxi.py", "x")
    assert "The project's function 'run_fn' failed" in str(caught.value)
    assert "taxi.py line 2: b = a + 1; TypeError: " in str(caught.value)
    assert isinstance(caught.value.__cause__, TypeError)


def test_a_function_that_exits_does_not_end_the_run_as_a_success(tmp_path: Path) -> None:
    loaded = load_module(module(tmp_path, "def run_fn(a):\n    raise SystemExit(0)\n"))
    with pytest.raises(UserModuleError, match="SystemExit: 0"):
        call_user_function(loaded.run_fn, tmp_path / "taxi.py", 1)


def test_what_is_no_function_is_a_user_error_too(tmp_path: Path) -> None:
    loaded = load_module(module(tmp_path, CONTRACT + "run_fn = None\n"))
    with pytest.raises(UserModuleError, match="not callable"):
        call_user_function(loaded.run_fn, tmp_path / "taxi.py", 1)


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    text = "def run_fn(a):\n    raise ValueError('\\n'.join(map(str, range(100))))\n"
    with pytest.raises(UserModuleError) as caught:
        call_user_function(load_module(module(tmp_path, text)).run_fn, tmp_path / "taxi.py", 1)
    assert "ValueError: 0 1 2. Next" in str(caught.value)


def _wrapped(err: Exception) -> None:
    try:
        raise err
    except Exception as cause:
        raise RuntimeError("a worker failed") from cause


@pytest.mark.parametrize(
    ("err", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "/data/x"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (
            RuntimeError("Traceback:\n  ResourceExhausted: /tmp/a; No space left on device\n"),
            "/tmp/a",
        ),
    ],
    ids=["system", "quota", "text"],
)
def test_a_full_disk_is_a_storage_error_however_deep_it_stands(err: Exception, said: str) -> None:
    for fail in (lambda: _wrapped(err), lambda: call_user_function(_wrapped, Path("a.py"), err)):
        full = pytest.raises(StorageError, match="Training failed: the disk is full")
        with full as caught, translate_full_disk("Training"):
            fail()
        assert said in str(caught.value.received)
        assert "mend the module" not in str(caught.value)
        assert "BENISON_PIPELINE_ROOT" in str(caught.value.next_step)


def test_what_the_platform_raises_below_a_function_is_kept(tmp_path: Path) -> None:
    def run_fn(_: object) -> None:
        raise DataError("Reading the training rows failed")

    with pytest.raises(DataError, match="Reading the training rows failed"):
        call_user_function(run_fn, tmp_path / "taxi.py", 1)


def test_other_errors_pass_the_full_disks_translation() -> None:
    with pytest.raises(UserModuleError), translate_full_disk("Training"):
        call_user_function(_wrapped, Path("a.py"), OSError(errno.EACCES, "Permission denied"))
