"""A local model server that answers TensorFlow Serving's REST and gRPC APIs.

`ModelServer` runs it inside a process; `python -m serving.model_server` runs it on its own.
TensorFlow, gRPC and the web framework are imported when a server starts, never before.
"""

from serving.model_server.server import ModelServer

__all__ = ["ModelServer"]
