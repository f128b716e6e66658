"""The life of the process: verify the model, load it, serve until SIGTERM, end when the server stops answering."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import sys
import threading
import time

from pydantic import ValidationError
from pydantic_settings import SettingsError
from service_kit.errors import EngineFailed
from service_kit.observability.logging import configure_logging
from service_kit.setting_problems import setting_problems_line

from llm_service.failure_server import FailureServer
from llm_service.llama_server import find_model, start_server
from llm_service.settings import LlmServiceSettings

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The server answers `/health` while it computes; without an answer for three checks in a row, it hangs.
CHECK_INTERVAL_S = 10.0
_CHECK_TIMEOUT_S = 5.0
_MAX_MISSED = 3


def main() -> None:
    """Run the process; it ends with status 0 after SIGTERM, 1 for invalid settings or a server that hangs."""
    try:
        settings = LlmServiceSettings()
    except (ValidationError, SettingsError) as error:
        sys.exit(f"service could not start: {setting_problems_line(error)}")
    configure_logging("llm", settings.log_level, settings.log_format)
    # Before the server creates its threads, which inherit the mask: the signals are awaited here.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    os.nice(settings.niceness)
    sys.exit(run(settings))


def run(settings: LlmServiceSettings) -> int:
    """Serve until a stop signal, which the caller has blocked; return the exit status."""
    started_s = time.monotonic()
    try:
        model = find_model(settings)
        server = start_server(settings, model)
    except EngineFailed as error:
        # Not an exit: the supervisor would restart the process again and again, with the same result.
        log.error("the local language model does not run", extra={"code": error.code, "reason": error.message})
        return _serve_failure(settings, f"{error.code}: {error.message}")
    log.info(
        "service ready",
        extra={
            "model": model.name,
            "address": server.listening_address,
            "threads": settings.thread_count,
            "after_s": round(time.monotonic() - started_s, 1),
        },
    )
    status = wait_while_healthy(int(server.listening_address.rpartition(":")[2]))
    # The server's threads may be in the middle of a reply: the process ends with them.
    logging.shutdown()
    os._exit(status)


def wait_while_healthy(port: int, interval_s: float = CHECK_INTERVAL_S) -> int:
    """Wait for a stop signal, and return 0; return 1 when the server on `port` stops answering."""
    missed = 0
    while signal.sigtimedwait(_STOP_SIGNALS, interval_s) is None:
        missed = 0 if _answers(port) else missed + 1
        if missed >= _MAX_MISSED:
            log.error("the model server does not answer; ending the process", extra={"port": port})
            return 1
    return 0


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CHECK_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _serve_failure(settings: LlmServiceSettings, reason: str) -> int:
    try:
        server = FailureServer(settings.http_port, reason)
    except OSError as error:
        log.error("port is taken", extra={"port": settings.http_port, "reason": str(error)})
        return 1
    threading.Thread(target=server.serve_forever, name="failure", daemon=True).start()
    signal.sigwait(_STOP_SIGNALS)
    server.shutdown()
    return 0
