"""The product as a user has it: the command line in a process of its own, a small taxi project.

Nothing here reaches a network: proxies point at a closed port, and only loopback is exempt.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.pipeline import Request, cached_outcome, open_request, open_run, walk
from mlproject import chain
from mlproject.execution import PipelineRun
from mlproject.outcome import Outcome

REPOSITORY = Path(__file__).parents[2]
ROWS = 1_500
STEPS = tuple(step for step in chain.STEPS if step != "tune")  # the project tunes by hand
KEPT_VARIABLES = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
# Good enough to learn something from 1,000 rows in one epoch; thresholds to match.
SMALL = {
    "training": {
        "hyperparameters": {
            "epochs": 1,
            "batch_size": 32,
            "learning_rate": 0.01,
            "embedding_size": 4,
            "hidden_units": [16],
        }
    },
    "evaluation": {
        "slices": ["payment_type"],
        "value_thresholds": {"auc": {"min": 0.75}},
        "change_thresholds": {"auc": {"max_loss": 0.1}},
    },
}
SLEEPY = """

def _wait_if_told(name):
    import os
    import time
    from pathlib import Path

    marker = Path(os.environ.get("TAXI_WAIT_IN", "")) / name
    if "TAXI_WAIT_IN" in os.environ and marker.parent.is_dir() and not marker.exists():
        marker.touch()
        time.sleep(600)
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit code, standard output, standard error, wall seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @cached_property
    def outcome(self) -> dict[str, Any]:
        """What `--json` printed."""
        return dict(json.loads(self.out))

    def ran(self) -> list[str]:
        """The steps that were run and not cached."""
        return [step["name"] for step in self.outcome["steps"] if not step["cached"]]


class Running:
    """A command that runs, and the lines of its standard error so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL: no clean-up of its own."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def line(self, start: str, timeout_s: float = 90) -> str:
        """The rest of the first line that starts with a text, waited for."""

        def found() -> str | None:
            lines = list(self.lines)
            ended = self.process.poll() is not None and not self._reader.is_alive()
            assert not ended or any(line.startswith(start) for line in lines), "\n".join(lines)
            return next((line for line in lines if line.startswith(start)), None)

        return str(wait_until(found, timeout_s, f"a line {start!r}")).removeprefix(start)

    def _read(self) -> None:
        assert self.process.stderr
        with self.process.stderr as stream:
            for line in stream:
                self.lines.append(line.strip())


@dataclass(frozen=True)
class Product:
    """A home of the platform, a project and what else the environment says."""

    home: Path
    project: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    root: Path | None = None

    @property
    def pipeline_root(self) -> Path:
        return self.root or self.home / "pipeline"

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.home / 'mlflow.db'}"

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a user with a new account, offline."""
        user, temporary = self.home.parent / "user", self.home.parent / "tmp"
        for folder in (user, temporary):
            folder.mkdir(exist_ok=True)
        closed = "http://127.0.0.1:9"
        return {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY / "src"),
            "HOME": str(user),
            "TMPDIR": str(temporary),
            "BENISON_HOME": str(self.home),
            "http_proxy": closed,
            "https_proxy": closed,
            "no_proxy": "127.0.0.1,localhost",
            **self.variables,
            **more,
        }

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli", *args]

    def run(self, *args: str, **variables: str) -> Done:
        """Runs a command to its end."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(*args),
            cwd=self.home.parent,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def train(self, *options: str, **variables: str) -> Done:
        """Runs `benison train PROJECT --json`."""
        return self.run("train", str(self.project), "--json", *options, **variables)

    def start(self, *args: str, **variables: str) -> Running:
        """Starts a command; use it in a `with`, which kills what has not ended."""
        return Running(
            subprocess.Popen(
                self.command(*args),
                cwd=self.home.parent,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def configure(self, **sections: Any) -> None:
        """Changes `project.yaml`: mappings are merged, other values replaced."""
        file = self.project / "project.yaml"
        values = _merged(yaml.safe_load(file.read_text(encoding="utf-8")), sections)
        file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    def edit_module(self, old: str, new: str) -> None:
        """Replaces a text that stands once in the module file."""
        file = self.project / "taxi.py"
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def edit_function(self, name: str, statement: str) -> None:
        """Puts a statement first in the body of a function of the module file."""
        file = self.project / "taxi.py"
        text = file.read_text(encoding="utf-8")
        before, found, after = text.partition(f"\ndef {name}(")
        line, quotes, body = after.partition('"""')
        doc, closing, rest = body.partition('"""')
        assert found, f"no function {name} in {file}"
        assert quotes, f"{name} has no docstring"
        file.write_text(
            f"{before}{found}{line}{quotes}{doc}{closing}\n    {statement}{rest}", encoding="utf-8"
        )

    def wait_in(self, *functions: str) -> None:
        """Lets functions of the module wait, once, where TAXI_WAIT_IN names a folder."""
        for name in functions:
            self.edit_function(name, f"_wait_if_told('{name}')")
        file = self.project / "taxi.py"
        file.write_text(file.read_text(encoding="utf-8") + SLEEPY, encoding="utf-8")

    def published(self) -> set[str]:
        """`<step>/<fingerprint>` of everything under the pipeline root, whole or half-written."""
        return {f"{folder.parent.name}/{folder.name}" for folder in self.pipeline_root.glob("*/*")}

    def versions(self) -> list[Any]:
        """The versions of the registered model."""
        return list(self.mlflow().search_model_versions("name='taxi'"))

    def champion(self) -> int | None:
        """The champion's version."""
        from mlflow.exceptions import MlflowException

        try:
            return int(self.mlflow().get_model_version_by_alias("taxi", "champion").version)
        except MlflowException:
            return None

    def mlflow(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri, self.tracking_uri)

    def runs(self, status: str = "", parent: str = "", step: str = "") -> list[Any]:
        """The MLflow runs of the project, filtered; the model's ledger is none of them."""
        client = self.mlflow()
        experiment = client.get_experiment_by_name("taxi")
        if experiment is None:
            return []
        runs = client.search_runs([experiment.experiment_id], max_results=1_000)
        return [
            run
            for run in runs
            if run.data.tags.get("benison.step") != "ledger"
            and (not status or run.info.status == status)
            and (not parent or run.data.tags.get("mlflow.parentRunId") == parent)
            and (not step or run.data.tags.get("benison.step") == step)
        ]

    def processes(self) -> list[str]:
        """Command lines of the processes that live in this home."""
        import psutil

        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("BENISON_HOME") == str(self.home):
                    found.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return found


def _merged(values: Any, changes: Any) -> Any:
    if not isinstance(values, dict) or not isinstance(changes, dict):
        return changes
    merged = {**values, **{n: _merged(values.get(n), v) for n, v in changes.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Waits until a condition gives something true, and returns that."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {timeout_s:.0f} s")


def assert_one_clear_error(done: Done, code: int, *words: str) -> None:
    """The exit code, one line that says what is wrong, and no traceback."""
    assert done.code == code, done.err or done.out
    assert "Traceback" not in done.err + done.out
    lines = [line for line in done.err.splitlines() if line.startswith("benison ")]
    assert len(lines) == 1, done.err
    for word in words:
        assert word in lines[0], lines[0]


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small taxi project over its own rows; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("generated") / "taxi"
    shutil.copytree(
        REPOSITORY / "examples" / "taxi", folder, ignore=shutil.ignore_patterns("data", "__*")
    )
    out = folder / "data" / "trips.csv"
    generator = [sys.executable, str(folder / "generate.py"), "--rows", str(ROWS), "--seed", "1"]
    subprocess.run([*generator, "--out", str(out)], check=True, capture_output=True)
    product = Product(folder, folder)
    product.configure(evaluation=None)  # the example's own thresholds are for 15,000 rows
    product.configure(**SMALL)
    return folder


@pytest.fixture(scope="session")
def make_product(
    generated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Product]:
    """Makes a product with an empty home and a copy of the small taxi project."""

    def make(name: str = "product", **variables: str) -> Product:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(generated, folder / "taxi")
        return Product(folder / "home", folder / "taxi", variables)

    return make


@pytest.fixture
def product(make_product: Callable[..., Product]) -> Product:
    """A product of one test."""
    return make_product()


@dataclass(frozen=True)
class Trained:
    """A product whose pipeline has run once, from nothing, through the command line."""

    product: Product
    done: Done
    champion: int | None


@pytest.fixture(scope="session")
def trained(make_product: Callable[..., Product]) -> Trained:
    """One whole run. Whoever trains on it leaves a project whose every step is cached."""
    product = make_product("trained")
    done = product.train()
    assert done.code == 0, done.err + done.out
    return Trained(product, done, product.champion())


class Pipeline:
    """A product driven in this process, where TensorFlow is imported once; without Prefect."""

    def __init__(self, product: Product) -> None:
        self.product = product

    def request(self, **options: Any) -> Request:
        return Request(str(self.product.project), **options)

    def run(self, **options: Any) -> Outcome:
        """Runs the pipeline as the flow does."""
        with open_run(self.request(**options)) as run:
            return walk(run, PipelineRun.run_step)

    def settled(self) -> Outcome | None:
        """The outcome where nothing has to run."""
        return cached_outcome(open_request(self.request()))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[Product], Pipeline]:
    """Drives a product in this process."""

    def enter(product: Product) -> Pipeline:
        product.environment()
        for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "BENISON_SERVING_ROOT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("BENISON_HOME", str(product.home))
        for name, value in product.variables.items():
            monkeypatch.setenv(name, value)
        return Pipeline(product)

    return enter


class Recorder:
    """Has Python write down, as each process ends, which modules it has imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "sitecustomize.py").write_text(
            "import atexit, json, os, sys\n"
            "def _record():\n"
            f"    name = os.path.join({str(folder)!r}, f'{{os.getpid()}}.json')\n"
            "    with open(name, 'w') as file:\n"
            "        json.dump({'command': sys.argv, 'modules': sorted(sys.modules)}, file)\n"
            "atexit.register(_record)\n",
            encoding="utf-8",
        )

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that switch it on."""
        return {"PYTHONPATH": f"{self.folder}:{REPOSITORY / 'src'}"}

    def imported(self) -> set[str]:
        """Top-level modules that any process of the product imported so far."""
        files = list(self.folder.glob("*.json"))
        assert files, "no process wrote its modules down"
        modules = [json.loads(file.read_text(encoding="utf-8"))["modules"] for file in files]
        return {name.partition(".")[0] for names in modules for name in names}


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Records what the processes of a test import."""
    return Recorder(tmp_path)


@pytest.fixture(scope="session", autouse=True)
def _bytecode_is_written() -> Iterator[None]:
    """Importing TensorFlow without it costs 8 s more; some machines switch it off."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    yield
    sys.dont_write_bytecode = before
