"""Answers `/health` with the reason while there is no model, so that the mesh starts without it and can say why."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# How long a client may take to send its request, in seconds.
_REQUEST_TIMEOUT_S = 5.0


class FailureServer(ThreadingHTTPServer):
    """An HTTP server on 127.0.0.1 that answers every request with status 503 and `reason`."""

    daemon_threads = True

    def __init__(self, port: int, reason: str) -> None:
        self.body = json.dumps(
            {
                "status": "failed",
                "reason": reason,
                "error": {"code": 503, "message": reason, "type": "unavailable_error"},
            }
        ).encode()
        super().__init__(("127.0.0.1", port), _FailureHandler)


class _FailureHandler(BaseHTTPRequestHandler):
    """Sends the server's body for GET and POST."""

    timeout = _REQUEST_TIMEOUT_S
    server: FailureServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def _send_reason(self) -> None:
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    do_GET: Callable[[Any], None] = _send_reason
    do_POST: Callable[[Any], None] = _send_reason

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: the orchestrator asks every few seconds."""
