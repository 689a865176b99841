"""The studies' database: beside MLflow's, never on top of it; real SQLite and real PostgreSQL."""

from __future__ import annotations

import dataclasses
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import pytest

from mlproject.errors import ConfigError, TrackingError, TrackingUnavailable
from mlproject.sections import TuningSection
from mlproject.settings import Settings
from mlproject.tracking import Tracker
from mlproject.tuning.storage import FILE, SCHEMA, open_storage, storage_url
from mlproject.tuning.study import open_study

SECTION = TuningSection()


def with_storage(settings: Settings, url: str) -> Settings:
    return dataclasses.replace(settings, tuning_storage=url)


def use(settings: Settings) -> list[int]:
    """Adds a trial to a study of that database; the numbers of its trials."""
    study = open_study(open_storage(settings), "taxi", SECTION, new=False)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    return [trial.number for trial in study.trials]


def test_the_url_follows_the_settings(settings: Settings) -> None:
    own = f"sqlite:///{settings.home / FILE}"
    assert storage_url(settings) == own
    far = dataclasses.replace(settings, tracking_uri="http://mlflow:5000")
    assert storage_url(far) == own
    database = dataclasses.replace(settings, tracking_uri="postgresql://host/mlflow")
    assert storage_url(database) == "postgresql://host/mlflow"
    assert storage_url(with_storage(database, "mysql://host/x")) == "mysql://host/x"


def test_sqlite_studies_lie_beside_mlflow_and_both_work(settings: Settings) -> None:
    tracker = Tracker(settings, "taxi")
    assert use(settings) == [0]
    assert use(settings) == [0, 1]
    assert tracker.start_run("after", {})
    with sqlite3.connect(settings.home / "mlflow.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "studies" not in tables


def test_mlflows_own_sqlite_file_is_refused_and_left_as_it_is(settings: Settings) -> None:
    Tracker(settings, "taxi")
    with pytest.raises(ConfigError, match="another program's tables") as caught:
        open_storage(with_storage(settings, settings.tracking_uri))
    assert "of MLflow" in str(caught.value.received)
    with sqlite3.connect(settings.home / "mlflow.db") as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "studies" not in tables
    assert Tracker(settings, "taxi").start_run("after", {})


def test_tables_of_another_optuna_are_refused(settings: Settings) -> None:
    use(settings)
    with sqlite3.connect(settings.home / FILE) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99'")
    with pytest.raises(TrackingError, match="Opening the tuning study's database failed") as caught:
        open_storage(settings)
    assert "optuna storage upgrade" in str(caught.value.next_step)


@pytest.mark.parametrize("url", ["no url", "oracle+nothing://user:secret@host/x", "://secret"])
def test_a_url_that_is_none_is_a_config_error_without_its_text(
    url: str, settings: Settings
) -> None:
    with pytest.raises(ConfigError, match="Opening the tuning study's database failed") as caught:
        open_storage(with_storage(settings, url))
    assert "secret@" not in str(caught.value)
    assert caught.value.next_step == "set BENISON_TUNING_STORAGE"


def test_a_file_that_is_no_database_is_said(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, but long enough to look at" * 20)
    with pytest.raises(TrackingUnavailable, match="Opening the tuning study's database failed"):
        open_storage(with_storage(settings, f"sqlite:///{tmp_path / 'text.db'}"))


def test_a_database_that_does_not_answer_is_said_without_the_password(settings: Settings) -> None:
    url = "postgresql://user:s3cr3t@127.0.0.1:9/x"
    with pytest.raises(TrackingUnavailable) as caught:
        open_storage(with_storage(settings, url))
    assert "127.0.0.1:9" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def tables(url: str, schema: str) -> set[str]:
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [schema]
            )
            return {name for (name,) in cursor.fetchall()}
    finally:
        connection.close()


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.parametrize("first", ["mlflow", "optuna"])
def test_postgres_holds_both_in_schemas_of_their_own(
    first: str, database: str, settings: Settings
) -> None:
    """Whoever comes first: neither refuses the other's revision."""
    shared = dataclasses.replace(settings, tracking_uri=database)
    if first == "mlflow":
        Tracker(shared, "taxi")
    assert use(shared) == [0]
    assert Tracker(shared, "taxi").start_run("run", {})
    assert use(shared) == [0, 1]
    assert Tracker(shared, "taxi").start_run("after", {})
    assert {"studies", "trials", "alembic_version"} <= tables(database, SCHEMA)
    assert {"runs", "alembic_version"} <= tables(database, "public")
    assert "studies" not in tables(database, "public")


@pytest.mark.postgres
def test_processes_that_open_a_new_postgres_database_at_once_all_can(
    database: str, settings: Settings
) -> None:
    code = (
        "import dataclasses, sys\n"
        "from mlproject.settings import read_settings\n"
        "from mlproject.tuning.storage import open_storage\n"
        "settings = dataclasses.replace(read_settings(), tuning_storage=sys.argv[1])\n"
        "open_storage(settings)\n"
    )
    command = [sys.executable, "-c", code, database]
    started = [
        subprocess.Popen(command, env={"PYTHONPATH": ":".join(sys.path)}, cwd=settings.home)
        for _ in range(3)
    ]
    assert [process.wait(timeout=90) for process in started] == [0, 0, 0]


@pytest.mark.postgres
def test_options_of_the_url_are_kept(database: str, settings: Settings) -> None:
    url = f"{database}?options={quote('-c application_name=tuner')}"
    storage = open_storage(with_storage(settings, url))
    with storage.engine.connect() as connection:
        said = connection.exec_driver_sql("SHOW application_name").scalar()
        path = connection.exec_driver_sql("SHOW search_path").scalar()
    assert (said, path) == ("tuner", SCHEMA)


@pytest.mark.postgres
def test_a_user_without_the_right_to_make_a_schema_is_told(
    database: str, settings: Settings, postgres: Any
) -> None:
    postgres.execute("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'r3ad'")
    url = f"postgresql://reader:r3ad@127.0.0.1:{postgres.port}/{database.rpartition('/')[2]}"
    with pytest.raises(TrackingError) as caught:
        open_storage(with_storage(settings, url))
    assert "permission denied" in str(caught.value)
    assert "r3ad" not in str(caught.value)


@pytest.mark.postgres
def test_a_postgres_server_that_goes_away_is_a_transient_error(
    database: str, settings: Settings, postgres: Any
) -> None:
    from mlproject.tuning.storage import translate_storage_errors

    remote = with_storage(settings, database)
    study = open_study(open_storage(remote), "taxi", SECTION, new=False)
    postgres.stop()
    try:
        with (
            pytest.raises(TrackingUnavailable) as caught,
            translate_storage_errors("Writing to the tuning study", database),
        ):
            study.optimize(lambda _: 1.0, n_trials=1)
    finally:
        postgres.start()
    assert "w@rd" not in str(caught.value)
    assert "w%40rd" not in str(caught.value)
    assert optuna.study.get_all_study_names(open_storage(remote)) == ["taxi"]
