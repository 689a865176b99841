"""The part of a Kubernetes API that a deployment asks, over HTTP, with the published schemas.

It stores objects, refuses what the schemas refuse, rolls a Deployment at once, and says of one
whose pods ask for a broken version that it made no progress. What a service is asked through the
API it hands to a model server.
"""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import kubernetes_validate
import yaml

KUBERNETES = "1.37"
Object = dict[str, Any]


class FakeCluster:
    """A cluster of one namespace.

    Attributes:
        calls: Method and path of every call, in order.
        objects: Path -> object.
        broken: Versions that do not load.
        server: REST URL of the model server behind every service.
        refuses: A kind that may not be applied.
        pods: What there is of pods; none has a log.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.objects: dict[str, Object] = {}
        self.broken: set[int] = set()
        self.server = ""
        self.refuses = ""
        self.pods: list[Object] = []
        self.token = "a-token"
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Ends it."""
        self._http.shutdown()
        self._http.server_close()

    def kubeconfig(self, folder: Path) -> Path:
        """A kubeconfig for it."""
        file = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [
                {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "models"}}
            ],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": self.token}}],
        }
        file.write_text(yaml.safe_dump(config))
        return file

    def kinds(self) -> list[str]:
        """The kinds of the objects that there are."""
        return sorted(entry["kind"] for entry in self.objects.values())

    def of_kind(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [entry for entry in self.objects.values() if entry["kind"] == kind]

    def apply(self, path: str, wanted: Object) -> Object:
        """Stores an object that the schemas allow."""
        if wanted["kind"] != "InferenceService":
            kubernetes_validate.validate(wanted, KUBERNETES, strict=True)
        before = self.objects.get(path, {})
        metadata = dict(wanted["metadata"], managedFields=[{"manager": "benison"}])
        metadata["generation"] = before.get("metadata", {}).get("generation", 0) + 1
        found = {**wanted, "metadata": metadata}
        found["status"] = self._status(found)
        self.objects[path] = found
        return found

    def _status(self, entry: Object) -> Object:
        generation = entry["metadata"]["generation"]
        if entry["kind"] == "InferenceService":
            ready = {"type": "Ready", "status": "True"}
            url = "http://taxi.models.example.com"
            return {"observedGeneration": generation, "conditions": [ready], "url": url}
        if entry["kind"] != "Deployment":
            return {}
        replicas = entry["spec"].get("replicas", 1)
        (container,) = entry["spec"]["template"]["spec"]["containers"]
        champion = int(container["readinessProbe"]["httpGet"]["path"].split("/")[5])
        if champion in self.broken:
            message = f"ReplicaSet {entry['metadata']['name']} has timed out progressing."
            late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": message}
            return {"observedGeneration": generation, "conditions": [late], "replicas": replicas}
        counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), replicas)
        return {"observedGeneration": generation, **counts}


def _handler(cluster: FakeCluster) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, *arguments: object) -> None:
            pass

        def _answer(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            cluster.calls.append((self.command, url.path))
            if self.headers.get("Authorization") != f"Bearer {cluster.token}":
                return self._send(401, {"message": "Unauthorized"})
            if "/proxy/" in url.path:
                return self._proxy(url.path.partition("/proxy")[2], body)
            if url.path.endswith("/log"):
                return self._send(400, {"message": "the container is waiting to start"})
            return self._object(url.path, query, body)

        def _object(self, path: str, query: dict[str, str], body: bytes) -> None:
            if self.command == "PATCH" and cluster.refuses and cluster.refuses.encode() in body:
                return self._send(403, {"message": "forbidden"})
            if self.command == "PATCH":
                assert self.headers["Content-Type"] == "application/apply-patch+yaml"
                assert query == {"fieldManager": "benison", "force": "true"}
                try:
                    return self._send(200, cluster.apply(path, yaml.safe_load(body)))
                except kubernetes_validate.ValidationError as err:
                    return self._send(422, {"message": f"invalid: {err}"})
            if path.endswith("/pods"):
                return self._send(200, {"items": cluster.pods})
            if "labelSelector" in query:
                wanted = dict(pair.split("=") for pair in query["labelSelector"].split(","))
                found = [
                    entry
                    for place, entry in cluster.objects.items()
                    if place.rpartition("/")[0] == path
                    and wanted.items() <= entry["metadata"].get("labels", {}).items()
                ]
                return self._send(200, {"items": found})
            if path not in cluster.objects:
                return self._send(404, {"message": f"{path} not found"})
            if self.command == "DELETE":
                return self._send(200, cluster.objects.pop(path))
            return self._send(200, cluster.objects[path])

        def _proxy(self, path: str, body: bytes) -> None:
            request = urllib.request.Request(cluster.server + path, data=body or None)
            try:
                with urllib.request.urlopen(request) as answer:
                    self._send(answer.status, json.load(answer))
            except urllib.error.HTTPError as err:
                self._send(err.code, json.load(err))

        def _send(self, status: int, value: Any) -> None:
            data = value.encode() if isinstance(value, str) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
