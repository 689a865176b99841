"""`benison history`, `champion`, `promote` and `rollback`, on versions without a model."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.cli import main
from mlproject.blessing.verdict import INFRA_BLESSED
from mlproject.promotion.asks import Ask
from mlproject.promotion.promoter import Promoter
from mlproject.promotion.stages import Stage
from mlproject.registry.names import BLESSING_TAG, INFRA_TAG
from mlproject.sections import RegistrySection
from mlproject.settings import read_settings


class Model:
    """The registered model `taxi`: version 1 archived, 2 in production, 3 staged, 4 not blessed."""

    def __init__(self) -> None:
        self.promoter = Promoter(read_settings())

    def make(self) -> None:
        self.promoter.ledger.open("taxi")
        for blessing in ("BLESSED", "BLESSED", "BLESSED", "NOT_BLESSED"):
            self.promoter.registry.client.create_model_version(
                "taxi", "file:///none", tags={BLESSING_TAG: blessing, INFRA_TAG: INFRA_BLESSED}
            )
        for number in (1, 2, 3):
            version = self.promoter.registry.resolve(f"taxi/{number}")
            self.promoter.move(version, Ask(Stage.STAGING, f"reason {number}", "eva"))
            if number < 3:
                self.promoter.move(version, Ask(Stage.PRODUCTION, f"go {number}", "eva"))

    @property
    def aliases(self) -> dict[str, int]:
        return dict(self.promoter.projection.read("taxi").aliases)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("promoted") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENISON_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        Model().make()
    return home


@pytest.fixture
def model(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    shutil.copytree(home, tmp_path / "home")
    monkeypatch.setenv("BENISON_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Model()


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command: exit code, standard output, standard error."""

    def run(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_history_tells_who_did_what_and_why(model: Model, say: Say) -> None:
    code, out, _ = say("history", "taxi")
    assert code == 0
    heads = [line for line in out.splitlines() if re.match(r" +\d+  ", line)]
    assert [re.sub(r"^ +(\d+)  \S+ \S+  ", r"\1 ", head) for head in heads] == [
        "1 transition  1: none -> staging  by eva",
        "2 transition  1: staging -> production  by eva",
        "3 transition  2: none -> staging  by eva",
        "4 transition  2: staging -> production, 1: production -> archived  by eva",
        "5 transition  3: none -> staging  by eva",
    ]
    assert "reason 1" in out
    _, out, _ = say("history", "taxi/1", "--json")
    assert [entry["number"] for entry in json.loads(out)] == [1, 2, 4]


def test_the_champion_is_told_for_now_and_for_a_time(model: Model, say: Say) -> None:
    code, out, _ = say("champion", "taxi")
    assert code == 0
    assert out.startswith("taxi/2  in production since ")
    assert out.endswith("by eva: go 2\n")
    second, fourth = (model.promoter.history("taxi")[n].when for n in (1, 3))
    between = second + (fourth - second) / 2
    _, out, _ = say("champion", "taxi", "--at", between.isoformat(), "--json")
    assert json.loads(out)["version"] == 1
    assert json.loads(out)["since"]["why"] == "go 1"
    early = (second - timedelta(days=1)).astimezone(UTC).isoformat()
    code, _, err = say("champion", "taxi", "--at", early)
    assert code == 1
    assert "had no champion at" in err
    code, _, err = say("champion", "taxi", "--at", "yesterday")
    assert code == 2
    assert "yesterday" in err


def test_a_version_is_promoted_with_its_reason(model: Model, say: Say) -> None:
    code, out, _ = say("promote", "taxi/3", "--reason", "it is better", "--who", "ada")
    assert (code, out) == (0, "taxi/3 is in production; champion 3\n")
    assert model.aliases == {"champion": 3, "previous": 2}
    entry = model.promoter.history("taxi")[-1]
    assert (entry.who, entry.why) == ("ada", "it is better")


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("taxi/4", "--reason", "x"), 1, "from none only: staging, rejected"),
        (("taxi/4", "--to", "staging", "--reason", "x"), 1, "blessing is NOT_BLESSED"),
        (("taxi/3", "--to", "producton", "--reason", "x"), 1, "did you mean 'production'"),
        (("taxi/3", "--to", "archived", "--override", "--reason", "x"), 2, "--override"),
        (("taxi/9", "--reason", "x"), 1, "one of 1, 2, 3, 4"),
        (("tax/3", "--reason", "x"), 1, "did you mean 'taxi'"),
    ],
)
def test_what_may_not_be_promoted_is_refused_and_changes_nothing(
    argv: tuple[str, ...], code: int, told: str, model: Model, say: Say
) -> None:
    before = model.promoter.history("taxi")
    found, _, err = say("promote", *argv)
    assert (found, told in err) == (code, True), err
    assert model.promoter.history("taxi") == before
    assert model.aliases == {"champion": 2, "previous": 1, "challenger": 3}


@pytest.mark.parametrize("words", [(), ("--reason", " ")])
def test_nobody_promotes_without_a_reason(words: tuple[str, ...], model: Model, say: Say) -> None:
    with pytest.raises(SystemExit) as ended:
        say("promote", "taxi/3", *words)
    assert ended.value.code == 2


def test_where_a_rollout_is_required_only_an_override_does_without(model: Model, say: Say) -> None:
    model.promoter.projection.set_policy("taxi", RegistrySection(rollout="required"))
    code, _, err = say("promote", "taxi/3", "--reason", "hurry")
    assert code == 1
    assert "it had no rollout" in err
    code, _, _ = say("promote", "taxi/3", "--reason", "hurry", "--override")
    assert code == 0
    assert model.promoter.history("taxi")[-1].evidence["override"] == "hurry"


def test_where_a_person_must_approve_promote_asks_for_it(model: Model, say: Say) -> None:
    model.promoter.projection.set_policy("taxi", RegistrySection(approval="required"))
    code, out, _ = say("promote", "taxi/3", "--reason", "please")
    assert code == 0
    assert out.startswith("taxi/3 waits for approval until ")
    assert "benison approve taxi/3" in out
    assert model.aliases["champion"] == 2
    assert set(model.promoter.standing("taxi").requests) == {3}


def test_a_rollback_is_one_command_and_tells_how_long_it_took(model: Model, say: Say) -> None:
    began = datetime.now(UTC)
    code, out, _ = say("rollback", "taxi", "--reason", "wrong", "--url", "http://127.0.0.1:9")
    assert code == 0
    said = re.match(r"taxi: 2 -> 1   in the registry after (\d+\.\d\d) s\n", out)
    assert said is not None
    assert float(said[1]) <= (datetime.now(UTC) - began).total_seconds()
    assert "No server of it answers at http://127.0.0.1:9" in out
    assert model.aliases == {"champion": 1, "challenger": 3}
    entry = model.promoter.history("taxi")[-1]
    assert (entry.event, entry.why) == ("rollback", "wrong")
    ledger = model.promoter.ledger.run_id("taxi")
    (logged,) = model.promoter.registry.client.get_metric_history(ledger, "rollback_s")
    assert (logged.step, f"{logged.value:.2f}") == (entry.number, said[1])


def test_a_rollback_waits_for_the_server_to_answer_with_the_version(
    model: Model, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both versions are loaded all the time: the one that answers counts."""
    defaults, asked = ["2", "2", "1"], []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers["Authorization"])
            if self.path == "/v1/models/taxi":
                states = [{"version": n, "state": "AVAILABLE"} for n in ("2", "1")]
                answer: dict[str, object] = {"model_version_status": states}
            else:
                assert self.path == "/v1/models/taxi/metadata"
                answer = {"model_spec": {"name": "taxi", "version": defaults.pop(0)}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("BENISON_SERVING_TOKEN", "secret")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        code, out, _ = say("rollback", "taxi", "--reason", "wrong", "--url", url)
        server.shutdown()
    assert code == 0
    assert defaults == []
    assert asked == ["Bearer secret"] * 4
    assert f"{url} answers with version 1 after" in out
    ledger = model.promoter.ledger.run_id("taxi")
    assert model.promoter.registry.client.get_metric_history(ledger, "rollback_served_s")


def test_a_rollback_with_nothing_to_go_back_to_is_refused(model: Model, say: Say) -> None:
    for to in ("3", "4", "2"):
        code, _, err = say("rollback", "taxi", "--to", to, "--reason", "wrong")
        assert code == 1
        assert "one of the earlier champions: 1" in err
    assert say("rollback", "taxi", "--reason", "wrong", "--url", "http://127.0.0.1:9")[0] == 0
    code, _, err = say("rollback", "taxi", "--reason", "wrong")
    assert code == 1
    assert "none before it" in err


def test_an_unknown_model_names_the_closest(model: Model, say: Say) -> None:
    for command in (("history", "tax"), ("champion", "tax"), ("rollback", "tax", "--reason", "x")):
        code, _, err = say(*command)
        assert (code, "taxi" in err) == (1, True), err
