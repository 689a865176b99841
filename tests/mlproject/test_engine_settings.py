"""The engine's settings: from two variables, with no value of an option shown anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlproject.engines.settings import LOCAL, EngineSettings, read_engine_settings
from mlproject.errors import ConfigError
from mlproject.settings import read_settings

SECRET = "tcp://user:hunter2@10.1.2.3:8786"
DASK = f"--runner=DaskRunner --dask_client_address={SECRET}"


def beam(options: str) -> EngineSettings:
    return read_engine_settings(
        {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": options}, "/shared/temp"
    )


@pytest.mark.parametrize("env", [{}, {"BENISON_ENGINE": ""}, {"BENISON_ENGINE": "local"}])
def test_the_engine_is_local_by_default(env: dict[str, str]) -> None:
    assert read_engine_settings(env, "/t") is LOCAL
    assert LOCAL.is_local
    assert LOCAL.label == "local"


def test_the_options_are_split_as_a_shell_splits_them() -> None:
    settings = beam("--runner FlinkRunner --flink_master=h:1 --job_name 'two words'")
    assert settings.runner_options == (
        *("--runner", "FlinkRunner", "--flink_master=h:1"),
        *("--job_name", "two words"),
    )
    assert not settings.is_local
    assert settings.label == "beam: FlinkRunner"
    assert settings.temp_dir == "/shared/temp"
    assert settings.workers == 0


def test_workers_and_the_temporary_folder_are_beams_own_options() -> None:
    settings = beam(f"{DASK} --num_workers=3 --temp_location=gs://bucket/temp")
    assert (settings.workers, settings.temp_dir) == (3, "gs://bucket/temp")


def test_the_label_of_a_runners_class_is_its_name() -> None:
    assert beam("--runner=my.package.SomeRunner").label == "beam: SomeRunner"


def test_no_option_is_shown(tmp_path: Path) -> None:
    settings = read_settings({"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": DASK}, tmp_path)
    assert settings.engine.runner_options[1].endswith(SECRET)
    for shown in (repr(settings), str(settings), settings.engine.label):
        assert "hunter2" not in shown
        assert "10.1.2.3" not in shown


def test_the_temporary_folder_is_by_default_in_the_pipeline_root(tmp_path: Path) -> None:
    env = {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": DASK, "BENISON_PIPELINE_ROOT": "root"}
    assert read_settings(env, tmp_path).engine.temp_dir == str(tmp_path / "root" / "engine-temp")
    assert read_settings({}, tmp_path).engine is LOCAL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"BENISON_ENGINE": "bean"}, "did you mean 'beam'?"),
        ({"BENISON_ENGINE": "dask"}, "one of beam, local"),
        ({"BENISON_ENGINE": "beam"}, "has no runner"),
        ({"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": "--project=p"}, "has no runner"),
        ({"BENISON_BEAM_OPTIONS": DASK}, "set BENISON_ENGINE=beam"),
        ({"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": "--runner='x"}, "no command line"),
        (
            {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": f"{DASK} --num_workers=hunter2"},
            "--num_workers (invalid int value)",
        ),
        (
            {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": f"{DASK} --num_workers=-1"},
            "--num_workers (negative)",
        ),
        (
            {"BENISON_ENGINE": "beam", "BENISON_BEAM_OPTIONS": "--runner"},
            "--runner (expected one argument)",
        ),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(env: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_engine_settings(env, "/t")
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
