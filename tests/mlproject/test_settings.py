"""The settings of a machine: from the environment, at the edge, creating nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproject.errors import ConfigError
from mlproject.settings import find_home, read_settings


def test_without_variables_everything_is_under_a_new_home_here(tmp_path: Path) -> None:
    settings = read_settings({}, tmp_path)
    home = tmp_path / ".benison"
    assert settings.home == home
    assert settings.pipeline_root == home / "pipeline"
    assert settings.serving_root == home / "serving"
    assert settings.tracking_uri == f"sqlite:///{home}/mlflow.db"
    assert settings.artifact_root == home / "mlartifacts"
    assert settings.tracking_is_local
    assert settings.prefect_api_url is None
    assert settings.mlflow_run_id is None
    assert list(tmp_path.iterdir()) == []


def test_the_nearest_home_upward_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".benison").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_home(tmp_path / "a" / "b") == tmp_path / ".benison"
    (tmp_path / "a" / ".benison").mkdir()
    assert find_home(tmp_path / "a" / "b") == tmp_path / "a" / ".benison"


def test_a_file_of_that_name_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / ".benison").write_text("")
    assert find_home(tmp_path / "a") == tmp_path / "a" / ".benison"


def test_variables_win(tmp_path: Path) -> None:
    (tmp_path / ".benison").mkdir()
    settings = read_settings(
        {
            "BENISON_HOME": "h",
            "BENISON_PIPELINE_ROOT": "/p",
            "BENISON_SERVING_ROOT": "s",
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "PREFECT_API_URL": "http://prefect:4200/api",
            "MLFLOW_RUN_ID": "run",
            "MLFLOW_EXPERIMENT_ID": "7",
        },
        tmp_path,
    )
    assert settings.home == tmp_path / "h"
    assert settings.pipeline_root == Path("/p")
    assert settings.serving_root == tmp_path / "s"
    assert settings.tracking_uri == "http://mlflow:5000"
    assert not settings.tracking_is_local
    assert settings.prefect_api_url == "http://prefect:4200/api"
    assert (settings.mlflow_run_id, settings.mlflow_experiment_id) == ("run", "7")


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    names = ["BENISON_HOME", "BENISON_PIPELINE_ROOT", "BENISON_SERVING_ROOT"]
    names += ["MLFLOW_TRACKING_URI", "PREFECT_API_URL", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"]
    assert read_settings(dict.fromkeys(names, ""), tmp_path) == read_settings({}, tmp_path)


@pytest.mark.parametrize("name", ["HOME", "PIPELINE_ROOT", "SERVING_ROOT"])
def test_a_root_may_be_a_file_uri_and_no_other(tmp_path: Path, name: str) -> None:
    variable = f"BENISON_{name}"
    settings = read_settings({variable: f"file://{tmp_path}/x"}, tmp_path)
    assert getattr(settings, name.lower()) == tmp_path / "x"
    with pytest.raises(ConfigError) as caught:
        read_settings({variable: "gs://bucket/x"}, tmp_path)
    assert variable in str(caught.value)
    assert "Received: gs://bucket/x" in str(caught.value)


def test_the_process_is_read_where_nothing_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENISON_HOME", "from_environment")
    assert read_settings().home == tmp_path / "from_environment"
