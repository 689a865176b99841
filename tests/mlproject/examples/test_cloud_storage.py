"""Objects of a bucket: against an emulator, and against servers that fail."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import resource
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlproject.errors import ConfigError, DataError, DataUnavailable, PlatformError, StorageError
from mlproject.examples import digests
from mlproject.examples.files_source import FilesSource
from mlproject.examples.google import bucket as bucket_module
from mlproject.examples.google.storage import find_objects
from mlproject.examples.ingest import ingest
from mlproject.examples.local_state import keep_in
from mlproject.examples.request import IngestRequest
from mlproject.examples.spans import Window

pytest.importorskip("gcp_storage_emulator", reason="install gcp-storage-emulator")

ROWS = "id,x\n" + "".join(f"{i},{i / 4}\n" for i in range(60))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home for copies and digests, an empty memory, and little patience."""
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(bucket_module, "GIVE_UP_AFTER_S", 1.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    keep_in(tmp_path / "home")
    yield tmp_path / "home"
    keep_in(None)


@pytest.fixture
def bucket(emulator: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket named "rides", as Google's library sees it."""
    from google.cloud import storage

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    urllib.request.urlopen(f"{emulator}/wipe", timeout=5).close()
    return storage.Client().create_bucket("rides")


def put(bucket: Any, **contents: str | bytes) -> None:
    for name, content in contents.items():
        bucket.blob(name).upload_from_string(content)


def names(source: str) -> list[str]:
    return [found.path.removeprefix("gs://rides/") for found in find_objects(source)]


def test_a_source_is_an_object_a_folder_or_a_glob(bucket: Any) -> None:
    keys = ["a.csv", "b.txt", "day/1.csv", "day/2.csv", "day/.tmp.csv", "day/deep/3.csv"]
    keys += ["day/.hidden/4.csv", "day/", "daylight.csv", "odd[1]*.csv"]
    put(bucket, **dict.fromkeys(keys, "x"))
    assert names("gs://rides/a.csv") == ["a.csv"]
    assert names("gs://rides") == ["a.csv", "b.txt", "daylight.csv", "odd[1]*.csv"]
    assert names("gs://rides/day") == names("gs://rides/day/") == ["day/1.csv", "day/2.csv"]
    assert names("gs://rides/day/*.csv") == ["day/1.csv", "day/2.csv"]
    assert names("gs://rides/*/?.csv") == ["day/1.csv", "day/2.csv"]
    assert names("gs://rides/day/[!1].csv") == ["day/2.csv"]
    assert names("gs://rides/**/*.csv") == [
        *("a.csv", "day/1.csv", "day/2.csv", "day/deep/3.csv"),
        *("daylight.csv", "odd[1]*.csv"),
    ]
    assert names("gs://rides/day/**") == ["day/1.csv", "day/2.csv", "day/deep/3.csv"]
    assert names("gs://rides/odd[1]*.csv") == ["odd[1]*.csv"]
    assert names("gs://rides/nothing") == names("gs://rides/nothing*") == []


def test_a_bucket_and_a_folder_make_the_same_examples_and_digest(
    bucket: Any, tmp_path: Path
) -> None:
    (tmp_path / "raw").mkdir()
    for name in ("one.csv", "two.csv"):
        (tmp_path / "raw" / name).write_text(ROWS)
        put(bucket, **{f"raw/{name}": ROWS})
    found = []
    for number, source in enumerate((str(tmp_path / "raw"), "gs://rides/raw")):
        (tmp_path / f"out{number}").mkdir()
        found.append(ingest(IngestRequest(source=source), tmp_path / f"out{number}"))
    assert found[0] == found[1]
    assert sum(rows for _, rows in found[1].splits) == 120


def test_spans_are_found_in_a_bucket(bucket: Any, tmp_path: Path) -> None:
    for span in (2, 9, 10):
        put(bucket, **{f"span-{span}/part.csv": ROWS})
    put(bucket, **{"span-x/part.csv": "not,a,span\n"})
    request = IngestRequest(source="gs://rides/span-{SPAN}/*.csv", window=Window(2))
    (tmp_path / "out").mkdir()
    examples = ingest(request, tmp_path / "out")
    assert [span.number for span in examples.spans] == [9, 10]
    assert sum(rows for _, rows in examples.splits) == 120


def test_another_run_fetches_nothing(bucket: Any, home: Path, monkeypatch: Any) -> None:
    put(bucket, **{"a.csv": ROWS})
    request = IngestRequest(source="gs://rides/a.csv")
    before = FilesSource(request).digest()
    monkeypatch.setattr(digests, "_known", {})
    monkeypatch.setattr(bucket_module.Bucket, "download", None)
    assert FilesSource(request).digest() == before
    assert find_objects("gs://rides/a.csv")[0].local().read_text() == ROWS


def copies(home: Path) -> list[Path]:
    return [path for path in (home / "fetched").rglob("*") if path.is_file()]


def test_a_replaced_object_is_fetched_anew_and_its_old_copy_removed(
    bucket: Any, home: Path
) -> None:
    put(bucket, **{"images/cat/1.png": b"old", "images/cat/2.png": b"two"})
    before = [found.digest() for found in find_objects("gs://rides/images/cat")]
    assert before[0] == hashlib.sha256(b"old").hexdigest()
    put(bucket, **{"images/cat/1.png": b"new"})
    one, two = find_objects("gs://rides/images/cat")
    assert one.digest() == hashlib.sha256(b"new").hexdigest()
    assert two.digest() == before[1]
    assert sorted(path.read_bytes() for path in copies(home)) == [b"new", b"two"]
    assert one.local().parent.name == "cat"  # the class of an image
    assert one.local().name == one.name == "1.png"


def test_an_object_replaced_while_it_is_read_fails_the_ingest(bucket: Any, tmp_path: Path) -> None:
    put(bucket, **{"a.csv": ROWS, "b.csv": ROWS})
    (tmp_path / "out").mkdir()
    replaced = []

    def replace(rows: int) -> None:
        if not replaced:
            replaced.append(rows)
            put(bucket, **{"b.csv": ROWS})

    with pytest.raises(DataError, match=r"changed while it was read.*'gs://rides/b.csv'"):
        ingest(IngestRequest(source="gs://rides/*.csv"), tmp_path / "out", replace)


def test_an_object_replaced_or_removed_before_it_is_fetched_is_told(bucket: Any) -> None:
    put(bucket, **{"a.csv": "old", "b.csv": "old"})
    a, b = find_objects("gs://rides")
    put(bucket, **{"a.csv": "a new one"})
    bucket.delete_blob("b.csv")
    with pytest.raises(DataError, match=r"changed while it was read.*replaced or removed"):
        a.digest()
    with pytest.raises(DataError, match=r"changed while it was read.*replaced or removed"):
        b.local()
    assert a.stamp() == (3, a.state.generation)  # as it was found
    assert a.stamp() != (3, a.state.generation)
    with pytest.raises(DataError, match=r"'gs://rides/b.csv' is gone"):
        b.stamp()


def test_an_object_stored_as_gzip_arrives_as_it_is_stored(bucket: Any, tmp_path: Path) -> None:
    blob = bucket.blob("a.csv.gz")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(ROWS.encode()))
    (tmp_path / "out").mkdir()
    examples = ingest(IngestRequest(source="gs://rides/a.csv.gz"), tmp_path / "out")
    assert sum(rows for _, rows in examples.splits) == 60


def test_an_empty_object_is_fetched(bucket: Any) -> None:
    put(bucket, **{"a.csv": b""})
    assert find_objects("gs://rides")[0].digest() == hashlib.sha256(b"").hexdigest()


def test_nothing_there_says_so(bucket: Any) -> None:
    put(bucket, **{"notes.txt": "x"})
    with pytest.raises(DataError, match=r"There is no bucket 'walks'"):
        find_objects("gs://walks/a.csv")
    with pytest.raises(DataError, match=r"no data.*'gs://rides/day/\*.csv'"):
        FilesSource(IngestRequest(source="gs://rides/day/*.csv"))
    with pytest.raises(DataError, match=r"holds no data files.*'notes.txt'"):
        FilesSource(IngestRequest(source="gs://rides"))
    for wrong in ("gs://", "gs:///a.csv", "gs://UPPER/a", "gs://a?b/c"):
        with pytest.raises(ConfigError, match="names no bucket"):
            find_objects(wrong)


def test_a_full_disk_is_a_storage_error_and_leaves_nothing(bucket: Any, home: Path) -> None:
    put(bucket, **{"a.csv": b"x" * 300_000})
    (found,) = find_objects("gs://rides")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(StorageError, match=r"cannot be written.*File too large.*BENISON_HOME"):
            found.local()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not copies(home)
    assert found.local().stat().st_size == 300_000


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], list[str]]]:
    """Starts a server that answers every GET in one way; gives the paths it was asked for."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> list[str]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                answer(self)

            def log_message(self, *args: object) -> None:
                """Says nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        port = servers[-1].server_address[1]
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        return asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def status(code: int, message: str = "no") -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (401, ConfigError, "no usable credentials.*gcloud auth"),
        (403, DataError, "may not be read.*Storage Object Viewer"),
        (400, DataError, "cannot be read"),
        (503, DataUnavailable, "cannot be reached.*503"),
        (429, DataUnavailable, "cannot be reached.*429"),
    ],
)
def test_refusals_are_told_apart(
    serve: Any, code: int, kind: type[PlatformError], message: str
) -> None:
    asked = serve(status(code))
    with pytest.raises(kind, match=message) as caught:
        find_objects("gs://rides/*.csv")
    assert type(caught.value) is kind
    assert asked[0].startswith("/storage/v1/b/rides/o/%2A.csv?")


def test_a_dead_network_is_told_in_time_and_not_in_silence(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://{}:{}".format(*probe.getsockname()))
    began = time.monotonic()
    with pytest.raises(DataUnavailable, match=r"cannot be reached.*refused.*tried for 1 s"):
        find_objects("gs://rides/*.csv")
    assert time.monotonic() - began < 10
    assert "gs://rides does not answer" in caplog.text


def test_without_credentials_the_way_to_get_them_is_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no usable credentials.*GOOGLE_APPLICATION_CREDENTIALS"):
        find_objects("gs://rides/*.csv")


def an_object(content: bytes, body: bytes, cut: bool = False, key: str = "a.csv") -> Answer:
    """Lists one object of `content`, and sends `body` for it."""
    import google_crc32c

    crc32c = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
    item = {"name": key, "size": str(len(content)), "generation": "7", "crc32c": crc32c}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if "alt=media" in handler.path:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body) + (1000 if cut else 0)))
            handler.end_headers()
            handler.wfile.write(body)
            handler.close_connection = True
            return
        found = json.dumps(item if "/o/" in handler.path else {"items": [item]}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(found)))
        handler.end_headers()
        handler.wfile.write(found)

    return answer


def test_the_generation_that_was_found_is_what_is_asked_for(serve: Any) -> None:
    asked = serve(an_object(b"whole", b"whole"))
    assert find_objects("gs://rides/a.csv")[0].local().read_bytes() == b"whole"
    assert "ifGenerationMatch=7" in asked[-1]


@pytest.mark.parametrize("body", [b"wrong", b"whol"], ids=["changed", "short"])
def test_damage_on_the_way_is_noticed(serve: Any, home: Path, body: bytes) -> None:
    serve(an_object(b"whole", body))
    with pytest.raises(DataUnavailable, match=r"'gs://rides/a.csv' arrived damaged"):
        find_objects("gs://rides/a.csv")[0].local()
    assert not copies(home)


def test_a_download_that_breaks_off_is_unavailable(serve: Any, home: Path) -> None:
    serve(an_object(b"whole", b"wh", cut=True))
    with pytest.raises(DataUnavailable, match=r"'gs://rides/a.csv'"):
        find_objects("gs://rides/a.csv")[0].local()
    assert not copies(home)


@pytest.mark.parametrize(
    "key",
    [
        *("../../../escape.csv", "a/../b.csv", "é ü%2F.csv", "a\nb.csv", "\0.csv"),
        *("/absolute.csv", "//x//y.csv", f"{'long/' * 150}end.csv", "y" * 900 + ".csv"),
    ],
    ids=range(9),
)
def test_hostile_names_stay_inside_the_folder_of_copies(serve: Any, home: Path, key: str) -> None:
    serve(an_object(b"whole", b"whole", key=key))
    copy = find_objects("gs://rides/")[0].local()
    assert copy.read_bytes() == b"whole"
    assert (home / "fetched" / "rides").resolve() in list(copy.resolve().parents)[2:4]
    assert copy.suffix == ".csv"
