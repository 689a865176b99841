"""Writes a copied version into its target, in steps that another call finds again.

    run "copied from ..."     params, metrics, tags and data sets of the run that made the model
    MLflow's model            its files; READY once they came back as they were sent
    the version               made last: who sees it finds its files

Each is looked for before it is made, so a copy that was killed is taken up where it stopped. Of two
that copy the same version at once, the one that made the lower number has it.

Imports MLflow when it is called. The target's store is in force meanwhile (`stores.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlproject.errors import RegistryError
from mlproject.registry.copy_run import (
    Place,
    copies_of,
    fail_run,
    find_copy,
    origin_tags,
    write_run,
)
from mlproject.registry.copy_source import ML_MODEL, Described, Files, download_model
from mlproject.registry.integrity import model_digest
from mlproject.registry.names import BASE_TAG, BASELINE_TAG, STAGE_TAG
from mlproject.registry.values import VersionInfo
from mlproject.tracking import TAG, Tracker
from mlproject.tracking.names import MAX_VERSION_TAG_CHARS, mlflow_tags

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

AT_SOURCE = f"{TAG}at_source."  # a number of the source's registry, which means nothing here


def write_copy(
    place: Place, described: Described, files: Files, say: Callable[[str], None]
) -> VersionInfo:
    """Writes the run, MLflow's model and the version.

    Args:
        place: Where.
        described: What is copied.
        files: Its files; the `MLmodel` among them is changed to name its new run and model.
        say: Takes a line for each thing that is done.

    Returns:
        The version, which stands in no stage yet.

    Raises:
        RegistryError: What the target keeps is not what was sent.
        TrackingError: MLflow does not answer, or says no.
    """
    experiment = _experiment(place)
    run_id = write_run(place, described, experiment)
    say(f"run {run_id}: 'copied from {described.address}'")
    try:
        model = _write_model(place, described, files, run_id, experiment, say)
        return _write_version(place, described, run_id, model)
    except BaseException as err:
        fail_run(place, run_id, err)
        raise


def _experiment(place: Place) -> str:
    """The model's experiment.

    Raises:
        RegistryError: Nobody has said where its artifacts are to lie.
    """
    settings, client = place.store.settings, place.promoter.registry.client
    with place.translate("Opening the MLflow experiment"):
        known = client.get_experiment_by_name(place.name)
        if known is None and place.artifacts:
            root = place.artifacts.rstrip("/")
            client.create_experiment(place.name, artifact_location=f"{root}/{place.name}")
    if known is None and not (
        place.artifacts or place.store.is_server or settings.tracking_is_local
    ):
        raise RegistryError(
            f"Copying to {place.store.shown} failed: nobody has said where the files go",
            received=f"a database, with no server before it and no experiment '{place.name}'",
            expected="--artifacts with a folder or URI that all who use the model can read",
        )
    return Tracker(settings, place.name).experiment_id


def _write_model(
    place: Place,
    described: Described,
    files: Files,
    run_id: str,
    experiment: str,
    say: Callable[[str], None],
) -> str:
    """MLflow's model with its files; returns its id."""
    from mlflow.entities import LoggedModelOutput

    client = place.promoter.registry.client
    with place.translate("Writing MLflow's model"):
        for left in client.search_logged_models(
            [experiment], filter_string=f"source_run_id = '{run_id}'"
        ):
            if str(left.status) == "READY":
                say("its files are there from an earlier try")
                return str(left.model_id)
            client.delete_logged_model(left.model_id)
        model = client.create_logged_model(
            experiment,
            place.name,
            run_id,
            tags=origin_tags(described),
            params=dict(described.params),
            model_type=described.model_type,
        )
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
        _readdress(files.folder / ML_MODEL, run_id, model)
        client.log_model_artifacts(model.model_id, str(files.folder))
    _check_sent(place, model, files)
    check_seen(place, model)
    with place.translate("Writing MLflow's model"):
        client.finalize_logged_model(model.model_id, "READY")
    say(f"{files.count} files sent, and read back: they are the same")
    return str(model.model_id)


def _readdress(file: Path, run_id: str, model: LoggedModel) -> None:
    """Lets an `MLmodel` file name the run and the model that it belongs to now."""
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as err:
        raise _no_ml_model(f"{type(err).__name__}: {err}") from err
    if not isinstance(content, dict) or "flavors" not in content:
        raise _no_ml_model("no mapping with the flavors of a model")
    content |= {
        "artifact_path": model.artifact_location,
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": run_id,
    }
    file.write_text(yaml.safe_dump(content, default_flow_style=False), encoding="utf-8")


def _no_ml_model(received: str) -> RegistryError:
    return RegistryError(
        f"Reading the {ML_MODEL} file of the version failed",
        received=received[:200],
        expected="the file that MLflow wrote",
    )


def _check_sent(place: Place, model: LoggedModel, files: Files) -> None:
    """Fetches what was sent, and compares it with what was to be sent."""
    with tempfile.TemporaryDirectory() as folder:
        doing = f"Reading back what was sent to {place.store.shown}"
        back = download_model(place.store, model.model_uri, Path(folder), doing)
        if model_digest(back) == model_digest(files.folder):
            return
    place.promoter.registry.client.delete_logged_model(model.model_id)
    raise RegistryError(
        f"Copying to {place.store.shown} failed: what lies there is not what was sent",
        received="files with another digest",
        expected=f"the {files.count} files of the version; no version was made",
        next_step="look at the target's artifact store, then copy again",
    )


def check_seen(place: Place, model: LoggedModel) -> None:
    """Asks a server that keeps artifacts in a folder whether it sees what was written there.

    Who copies writes to such a folder himself, and it may be one of another machine.

    Raises:
        RegistryError: The server does not see it.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request, verify_rest_response
    from mlflow.utils.uri import is_local_uri

    if not place.store.is_server or not is_local_uri(model.artifact_location):
        return
    endpoint = f"/api/2.0/mlflow/logged-models/{model.model_id}/artifacts/directories"
    with place.translate("Asking the server for the model's files"):
        creds = get_default_host_creds(place.store.settings.tracking_uri)
        answer = verify_rest_response(http_request(creds, endpoint, "GET"), endpoint)
        if ML_MODEL in {file["path"] for file in answer.json().get("files", ())}:
            return
        place.promoter.registry.client.delete_logged_model(model.model_id)
    raise RegistryError(
        f"Copying to {place.store.shown} failed: the server does not see the files",
        received=f"{model.artifact_location}, which is a folder of this machine here",
        expected="a folder that both machines have; no version was made",
        next_step="let the server keep the artifacts (`mlflow server --artifacts-destination`), or "
        "give --artifacts for a new experiment; and delete that folder here",
    )


def _write_version(place: Place, described: Described, run_id: str, model_id: str) -> VersionInfo:
    promoter, name = place.promoter, place.name
    client = promoter.registry.client
    promoter.ledger.open(name)  # which makes the registered model
    with place.translate(f"Making a version of '{name}'"):
        there = client.get_registered_model(name).tags
        for tag, text in described.model_tags.items():
            if tag not in there:
                client.set_registered_model_tag(name, tag, text)
        made = client.create_model_version(
            name,
            source=f"models:/{model_id}",
            run_id=run_id,
            tags=_version_tags(place, described),
            description=described.description,
            model_id=model_id,
        )
    version = VersionInfo(name, int(made.version), dict(made.tags or {}), run_id)
    first = find_copy(place, described) or version
    if first.version != version.version:
        _give_way(place, version, first, model_id)
    return first


def _give_way(place: Place, version: VersionInfo, first: VersionInfo, model_id: str) -> None:
    """Takes a version away that somebody else had made a moment before."""
    client = place.promoter.registry.client
    with place.translate(f"Giving way to version {first.version} of '{first.name}'"):
        client.delete_model_version(version.name, str(version.version))
        if client.get_model_version(first.name, str(first.version)).model_id != model_id:
            client.delete_logged_model(model_id)
        if version.run_id and first.run_id != version.run_id:
            client.set_terminated(version.run_id, "KILLED")


def _version_tags(place: Place, described: Described) -> dict[str, str]:
    tags = {
        name: value
        for name, value in described.version.tags.items()
        if name != STAGE_TAG and not name.startswith("mlflow.")
    }
    model = described.address.rpartition("/")[0]
    for name in (BASE_TAG, BASELINE_TAG):
        number = tags.get(name)
        if number:
            there = copies_of(place, f"{model}/{number}", None)
            tags[name] = str(there[0].version) if there else ""
            tags[f"{AT_SOURCE}{name.removeprefix(TAG)}"] = number
    tags |= origin_tags(described)
    return mlflow_tags(tags, MAX_VERSION_TAG_CHARS)
