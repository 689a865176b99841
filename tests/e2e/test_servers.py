"""Against real servers: `prefect server` and `mlflow server`, and a schedule that they keep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import STEPS, Product, wait_until

from flows.prefect_server import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Servers:
    """Running servers, and a product that uses them."""

    prefect: str
    mlflow: str
    product: Product

    def ask(self, path: str, **body: Any) -> Any:
        """One answer of Prefect's API."""
        answer = httpx.post(f"{self.prefect}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def flow_runs(self) -> list[dict[str, Any]]:
        return list(self.ask("/flow_runs/filter", sort="START_TIME_ASC"))

    def task_runs(self, flow_run: dict[str, Any]) -> list[dict[str, Any]]:
        chosen = {"id": {"any_": [flow_run["id"]]}}
        runs = self.ask("/task_runs/filter", flow_runs=chosen, sort="EXPECTED_START_TIME_ASC")
        return list(runs)


@pytest.fixture(scope="module")
def servers(
    make_product: Callable[..., Product], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    prefect, mlflow = free_port(), free_port()
    product = make_product(
        "with-servers",
        PREFECT_API_URL=f"http://127.0.0.1:{prefect}/api",
        MLFLOW_TRACKING_URI=f"http://127.0.0.1:{mlflow}",
    )
    environment = {
        **product.environment(),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI", "BENISON_HOME"):
        del environment[name]
    python = [sys.executable, "-m"]
    first = [*python, "prefect", "server", "start", "--port", str(prefect), "--no-ui"]
    second = [*python, "mlflow", "server", "--port", str(mlflow), "--workers", "1"]
    second += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    second += ["--artifacts-destination", str(folder / "mlartifacts")]
    with server(first, environment, folder), server(second, environment, folder):
        urls = (f"http://127.0.0.1:{prefect}/api/health", f"http://127.0.0.1:{mlflow}/health")
        for url in urls:
            wait_until(lambda url=url: answers(url), 120, url)
        yield Servers(
            product.variables["PREFECT_API_URL"], product.variables["MLFLOW_TRACKING_URI"], product
        )


@contextmanager
def server(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A server process; its whole group is ended."""
    with open(folder / f"{command[2]}.log", "wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def states(servers: Servers, flow_run: dict[str, Any]) -> dict[str, str]:
    """Task -> the name of its state, once all are in."""
    tasks = wait_until(
        lambda: found if len(found := servers.task_runs(flow_run)) == len(STEPS) else None,
        20,
        "every task run at the server",
    )
    return {task["name"]: task["state_name"] for task in tasks}


@pytest.fixture(scope="module")
def first_run(servers: Servers) -> dict[str, Any]:
    """The outcome of the first run over the servers."""
    done = servers.product.train()
    assert done.code == 0, done.err
    return done.outcome


def test_the_run_stands_at_both_servers(servers: Servers, first_run: dict[str, Any]) -> None:
    from mlflow import MlflowClient

    (flow_run,) = servers.flow_runs()
    assert (flow_run["name"], flow_run["state_name"]) == ("taxi", "Blessed")
    assert flow_run["state_type"] == "COMPLETED"
    assert states(servers, flow_run) == dict.fromkeys(STEPS, "Completed")
    client = MlflowClient(servers.mlflow, servers.mlflow)
    run = client.get_run(first_run["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert first_run["mlflow_run_url"].startswith(servers.mlflow)
    assert client.get_model_version_by_alias("taxi", "champion").version == "1"
    # The artifacts went through the server: its folder is not the run's.
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert not (servers.product.home / "mlflow.db").exists()
    assert not (servers.product.home / "prefect" / "prefect.db").exists()


def test_cached_steps_show_as_cached(servers: Servers, first_run: dict[str, Any]) -> None:
    servers.product.configure(serving={"sample": {"trip_miles": 7.5}})
    done = servers.product.train()
    assert (done.code, done.ran()) == (0, ["register", "export", "serve"]), done.err
    assert first_run["version"] == done.outcome["version"]
    flow_run = servers.flow_runs()[-1]
    ran = dict.fromkeys(done.ran(), "Completed")
    assert states(servers, flow_run) == {**dict.fromkeys(STEPS, "Cached"), **ran}


def test_the_model_is_served_from_the_server_s_artifacts(
    servers: Servers, first_run: dict[str, Any]
) -> None:
    import shutil

    (exported,) = servers.product.home.glob("serving-*")  # one base path for each MLflow store
    shutil.rmtree(exported)
    done = servers.product.run("serve", "taxi", "--once", "--port", "0", "--grpc-port", "0")
    assert done.code == 0, done.err
    assert '"version": 1' in done.out


def test_a_schedule_materialises_runs_and_runs_them(
    servers: Servers, first_run: dict[str, Any]
) -> None:
    """Guards the pins of sqlalchemy and fastapi: with newer ones no scheduled run ever appears."""
    assert servers.product.train().code == 0
    known = {run["id"] for run in servers.flow_runs()}
    command = ("schedule", str(servers.product.project), "--cron", "* * * * *")
    with servers.product.start(*command) as runner:

        def deployment() -> Any:
            found = servers.ask("/deployments/filter")
            return found[0] if found else None

        kept = wait_until(deployment, 60, "the deployment")
        assert kept["name"] == "taxi"
        (schedule,) = kept["schedules"]
        assert schedule["schedule"]["cron"] == "* * * * *"
        assert schedule["schedule"]["timezone"] == "UTC"
        assert schedule["active"]
        chosen = {"deployment_id": {"any_": [kept["id"]]}}

        def scheduled() -> list[dict[str, Any]]:
            return list(servers.ask("/flow_runs/filter", flow_runs=chosen))

        runs = wait_until(lambda: found if len(found := scheduled()) > 1 else None, 120, "runs")
        assert all(run["auto_scheduled"] for run in runs)
        assert {run["parameters"]["project"] for run in runs} == {str(servers.product.project)}
        ended = wait_until(
            lambda: [run for run in scheduled() if run["state_type"] == "COMPLETED"],
            150,
            "a scheduled run that has ended",
        )
        assert ended[0]["state_name"] == "Blessed"
        assert ended[0]["id"] not in known
        assert set(states(servers, ended[0]).values()) == {"Cached"}
        runner.process.send_signal(signal.SIGINT)
        assert runner.process.wait(30) in (0, 130), "\n".join(runner.lines)
        assert "Traceback" not in "\n".join(runner.lines)
    wait_until(lambda: not servers.product.processes(), 30, "the end of the runner's processes")
