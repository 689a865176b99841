"""`benison ui` with its reconciler: real servers, a webhook, and forms that processes wait for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flows.conftest import OUTSIDE
from tests.flows.shop import Shop

from flows.prefect_server import free_port
from mlproject.promotion.stages import Stage
from mlproject.registry.webhooks import WEBHOOK_NAME
from mlproject.settings import read_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WAIT_S = 240.0


class Platform:
    """A running `benison ui` over a shop of its own."""

    def __init__(self, home: Path, folder: Path, mlflow: int, prefect: int) -> None:
        from mlflow import MlflowClient

        self.shop = Shop(read_settings({"BENISON_HOME": str(home)}, home), folder)
        self.shop.files = True
        self.log = home / "logs" / "reconciler-server.log"
        self.api = f"http://127.0.0.1:{prefect}/api"
        url = f"http://127.0.0.1:{mlflow}"
        self.client = MlflowClient(url, url)
        self.environment = {
            **{n: v for n, v in os.environ.items() if n not in (*OUTSIDE, "PREFECT_API_URL")},
            "BENISON_HOME": str(home),
        }

    def ask(self, path: str, **body: Any) -> Any:
        """One answer of Prefect's API."""
        answer = httpx.post(f"{self.api}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def approval_run(self, version: int) -> Any:
        runs = self.ask("/flow_runs/filter", flow_runs={"tags": {"all_": ["approval"]}})
        found = [run for run in runs if run["name"] == f"shop-{version}"]
        assert len(found) <= 1, found
        return found[0] if found else None

    def suspended(self, version: int) -> Any:
        """The run that waits for a decision on a version, its form saved and its process gone."""

        def found() -> Any:
            run = self.approval_run(version)
            return run if run and run["state_name"] == "Suspended" else None

        return wait_for(found, f"a form for version {version}", self.log)

    def ended(self, version: int) -> Any:
        def found() -> Any:
            run = self.approval_run(version)
            return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None

        return wait_for(found, f"the end of the run for version {version}", self.log)


def wait_for(found: Callable[[], Any], what: str, log: Path) -> Any:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"no {what}; {log.read_text() if log.exists() else 'no log'}")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    mlflow, prefect = free_port(), free_port()
    made = Platform(home, tmp_path_factory.mktemp("models"), mlflow, prefect)
    command = [sys.executable, "-m", "flows.cli", "ui", "--mlflow-port", str(mlflow)]
    command += ["--prefect-port", str(prefect), "--reconcile-s", "3600"]
    made.shop.champion()
    process = subprocess.Popen(
        command, env=made.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        # The schedule is an hour: what happens within seconds, the webhook has brought about.
        wait_for(lambda: made.log.exists() and "MLflow tells" in made.log.read_text(), "", made.log)
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()
            if process.stdout:
                process.stdout.close()


def reconciled(platform: Platform) -> None:
    """Runs the deployment `reconcile/benison` now, as its button in Prefect's pages does."""
    answer = httpx.get(f"{platform.api}/deployments/name/reconcile/benison", timeout=30)
    platform.ask(f"/deployments/{answer.json()['id']}/create_flow_run")


def test_an_alias_that_was_moved_in_mlflow_is_put_back_within_seconds(platform: Platform) -> None:
    shop = platform.shop
    bad = shop.version(blessing="NOT_BLESSED")
    platform.client.set_registered_model_alias("shop", "champion", str(bad.version))
    began = time.monotonic()
    wait_for(lambda: shop.alias("champion") == 1, "champion 1", platform.log)
    seconds = time.monotonic() - began
    assert seconds < 60, seconds
    assert str(bad.version) not in shop.exported()

    def told() -> Any:
        chosen = {"event": {"prefix": ["benison.alias"]}}
        return platform.ask("/events/filter", filter=chosen)["events"]

    (event,) = wait_for(told, "the event", platform.log)
    assert event["event"] == "benison.alias.put_back"
    assert event["resource"]["prefect.resource.id"] == "benison.model.shop"
    assert shop.promoter.history("shop")[-1].event == "put_back"


def test_a_version_in_order_is_taken_over_and_exported(platform: Platform) -> None:
    shop = platform.shop
    better = shop.staged()
    platform.client.set_registered_model_alias("shop", "champion", str(better.version))
    wait_for(lambda: shop.stage(better) is Stage.PRODUCTION, "takeover", platform.log)
    wait_for(lambda: str(better.version) in shop.exported(), "export", platform.log)


def test_a_suspended_run_goes_on_when_the_form_is_sent(platform: Platform) -> None:
    shop = platform.shop
    version, request = shop.requested()
    reconciled(platform)
    run = platform.suspended(version.version)
    assert run["parameters"]["request"] == request.number
    answer = {"decision": "approve", "who": "ann", "reason": "better on every slice"}
    platform.ask(f"/flow_runs/{run['id']}/resume", run_input=answer)
    assert platform.ended(version.version)["state_name"] == "Approved"
    assert shop.stage(version) is Stage.PRODUCTION
    last = [e for e in shop.promoter.history("shop") if e.event == "transition"][-1]
    assert (last.who, last.why) == ("ann", "better on every slice")


def test_the_command_line_ends_a_suspended_run(platform: Platform) -> None:
    shop = platform.shop
    version, _ = shop.requested()
    reconciled(platform)
    platform.suspended(version.version)
    command = [sys.executable, "-m", "flows.cli", "reject", f"shop/{version.version}"]
    done = subprocess.run(
        [*command, "--who", "bob", "--reason", "too slow"],
        env=platform.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"flow run shop-{version.version} goes on, and ends" in done.stdout
    assert shop.stage(version) is Stage.REJECTED
    run = platform.ended(version.version)
    assert run["state_name"] == "Rejected"
    assert "bob: too slow" in run["state"]["message"]


def test_the_webhook_refuses_what_mlflow_did_not_sign(platform: Platform) -> None:
    (hook,) = [h for h in platform.client.list_webhooks() if h.name == WEBHOOK_NAME]
    body = json.dumps({"data": {"name": "shop", "alias": "champion", "version": "1"}})
    assert httpx.post(hook.url, content=body, timeout=30).status_code == 401
    assert platform.client.test_webhook(hook.webhook_id).response_status in (200, 202)
