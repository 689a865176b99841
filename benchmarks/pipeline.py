"""What does a whole pipeline cost? CPU and wall seconds by step, peak memory, a cached re-run.

    python benchmarks/pipeline.py --data trips.csv                   # a file
    python benchmarks/pipeline.py --data data.csv --eval-rows f.txt  # eval = the rows listed
    python benchmarks/pipeline.py --rows 1000000                     # generated rows

Each run is `benison train` in a process of its own over an empty home, so the figures hold every
process of the run: interpreter, imports, the embedded Prefect server, MLflow's store. CPU seconds
of a step are those of the pipeline's process; what no step accounts for stands in `rest`. Memory
is the sum of the resident sets of the process tree, sampled every 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
TAXI = REPOSITORY / "examples" / "taxi"


@dataclass
class Run:
    """One measured run.

    Attributes:
        wall_s: Wall seconds from start to exit.
        cpu_s: User and system seconds of the whole process tree.
        peak_gib: Peak of the tree's resident memory, GiB.
        steps: Step -> wall and CPU seconds.
        outcome: What `benison train --json` printed.
    """

    wall_s: float
    cpu_s: float
    peak_gib: float
    steps: dict[str, tuple[float, float]] = field(default_factory=dict)
    outcome: dict[str, object] = field(default_factory=dict)


def measure(command: list[str], environment: dict[str, str]) -> Run:
    """Runs a command and measures its process tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            try:
                root = psutil.Process(process.pid)
                tree = [root, *root.children(recursive=True)]
                peak = max(peak, sum(p.memory_info().rss for p in tree))
            except psutil.Error:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, errors = process.communicate()
    done.set()
    watcher.join()
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 3, 4):
        sys.exit(f"the run failed with exit code {process.returncode}:\n{errors}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    outcome = json.loads(output.strip().splitlines()[-1])
    steps = {
        s["name"]: (0.0, 0.0) if s["cached"] else (s["seconds"], s["cpu_seconds"])
        for s in outcome["steps"]
    }
    return Run(wall, cpu, peak / 2**30, steps, outcome)


def make_project(folder: Path, epochs: int) -> Path:
    """A copy of the taxi project with another number of epochs."""
    project = folder / "taxi"
    shutil.copytree(TAXI, project, ignore=shutil.ignore_patterns("data", "__pycache__"))
    config = yaml.safe_load((project / "project.yaml").read_text(encoding="utf-8"))
    config["training"]["hyperparameters"]["epochs"] = epochs
    (project / "project.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return project


def data_options(args: argparse.Namespace, folder: Path) -> list[str]:
    """The `--data` options; rows are generated or divided first if asked for."""
    data = args.data
    if args.rows:
        data = folder / "trips.csv"
        command = [sys.executable, str(TAXI / "generate.py"), "--rows", str(args.rows)]
        subprocess.run([*command, "--seed", "1", "--out", str(data)], check=True)
    if not args.eval_rows:
        return ["--data", str(data)]
    header, *rows = Path(data).read_text(encoding="utf-8").splitlines()
    listed = {int(line) for line in Path(args.eval_rows).read_text().split()}
    options = []
    for split in ("train", "eval"):
        picked = [row for i, row in enumerate(rows) if (i in listed) == (split == "eval")]
        file = folder / f"{split}.csv"
        file.write_text("\n".join([header, *picked]) + "\n", encoding="utf-8")
        options += ["--data", f"{split}={file}"]
    return options


def show(title: str, run: Run) -> None:
    """Prints a run as a table."""
    print(f"\n{title}\n{'step':<12}{'wall s':>9}{'CPU s':>9}")
    for name, (wall, cpu) in run.steps.items():
        print(f"{name:<12}{wall:>9.2f}{cpu:>9.2f}")
    rest = run.cpu_s - sum(cpu for _, cpu in run.steps.values())
    print(f"{'rest':<12}{'':>9}{rest:>9.2f}   start, imports, Prefect's server, MLflow's store")
    print(f"{'whole tree':<12}{run.wall_s:>9.2f}{run.cpu_s:>9.2f}   peak {run.peak_gib:.2f} GiB")


def main() -> None:
    """Measures a first and a cached run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="a file of taxi trips")
    source.add_argument("--rows", type=int, help="generate this many rows")
    parser.add_argument("--eval-rows", type=Path, help="zero-based numbers of the eval rows")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--home", type=Path, help="a home to use again (default: an empty one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = make_project(folder, args.epochs)
        options = data_options(args, folder)
        environment = {**os.environ, "BENISON_HOME": str(args.home or folder / "home")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "flows.cli", "train", str(project), "--json", *options]
        first = measure(command, environment)
        show("first run", first)
        cached = measure(command, environment)
        show("cached re-run", cached)
    metrics = first.outcome["metrics"]
    print(f"\n{first.outcome['status']}: {metrics}")
    figures = {
        n: {k: v for k, v in asdict(r).items() if k != "outcome"}
        for n, r in (("first", first), ("cached", cached))
    }
    print(json.dumps({**figures, "metrics": metrics}))


if __name__ == "__main__":
    main()
