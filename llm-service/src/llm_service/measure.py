"""`python -m llm_service.measure`: how fast the local language model answers on this machine, as JSON on stdout.

`{"local-llm": {"first_token_s": .., "tokens_per_s": ..}}`: from a question to the first token of its answer over a
passage that was prepared before, the restoring of the passage included, and the tokens of the answer after the first
one. Median of the questions. It runs the server of the service, with its settings, on a free port of the loopback.
Ends with status 1 and the reason on stderr when the model is not there or does not load.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from service_kit.engines.machine_profile import ModelSpeed
from service_kit.errors import EngineFailed, PeerFailed

from llm_service.llama_server import find_model, start_server
from llm_service.settings import MODEL, LlmServiceSettings

ROW = "local-llm"
# As long as a passage of the knowledge folder, with the instructions of the orchestrator's prompt.
_PASSAGE = (
    "Notes on the harbour ferry: The ferry crosses the bay between the fish market and the old lighthouse. "
    "It leaves every twenty minutes from six in the morning until half past ten at night, and once an hour on Sundays. "
    "The crossing takes twelve minutes. A ticket costs two euros, and children under seven travel free. "
    "Bicycles may come aboard outside the rush hours, at most eight at a time. "
    "In a strong west wind the ferry stops, and a bus drives around the bay instead, which takes forty minutes. "
    "The two boats were built in 1987 and have run on batteries since their repair four years ago.\n\n"
    "You answer questions about these notes, aloud. Answer with one short, complete sentence that says only what the "
    "notes say."
)
_QUESTIONS = (
    "How often does the ferry leave on a weekday?",
    "What happens when there is a strong west wind?",
    "When were the two boats built, and what do they run on?",
)
_MAX_TOKENS = 48
_FILE = "measured.slot"
# Deadline of one request.
_TIMEOUT_S = 60.0


def installed_engines() -> list[str]:
    """The model's row, if its runtime is installed and its file is there."""
    settings = LlmServiceSettings()
    model = settings.model_path or settings.models_dir / MODEL
    return [ROW] if model.exists() and find_spec("xllamacpp") is not None else []


def measure(address: str) -> ModelSpeed:
    """Measure the server at `address`, an http URL. Raises `PeerFailed`, `OSError`."""
    _ask(address, "", 1)
    _act_on_slot(address, "save")
    first_s: list[float] = []
    tokens_per_s: list[float] = []
    for question in _QUESTIONS:
        asked_s = time.monotonic()
        _act_on_slot(address, "restore")
        times_s = _ask(address, question, _MAX_TOKENS)
        first_s.append(times_s[0] - asked_s)
        if len(times_s) > 1:
            tokens_per_s.append((len(times_s) - 1) / (times_s[-1] - times_s[0]))
    if not tokens_per_s:
        raise PeerFailed("llm.garbled", "the model answers with one token only")
    return ModelSpeed(round(statistics.median(first_s), 4), round(statistics.median(tokens_per_s), 2))


def _ask(address: str, question: str, max_tokens: int) -> Sequence[float]:
    """Ask about the passage; return when each token came, on the monotonic clock, at least one."""
    messages = [{"role": "system", "content": _PASSAGE}, {"role": "user", "content": question}]
    options = {"stream": True, "temperature": 0, "max_tokens": max_tokens, "cache_prompt": True, "id_slot": 0}
    connection, response = _post(address, "/v1/chat/completions", {"messages": messages, **options})
    try:
        times_s = [time.monotonic() for line in response if _has_text(line)]
    finally:
        connection.close()
    if not times_s:
        raise PeerFailed("llm.garbled", "the model answers without a token")
    return times_s


def _has_text(line: bytes) -> bool:
    """Whether a line of the stream carries a token's text."""
    if not line.startswith(b"data: {"):
        return False
    try:
        choices: Any = json.loads(line.removeprefix(b"data: "))["choices"]
        return bool(choices and choices[0]["delta"].get("content"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise PeerFailed("llm.garbled", f"the model server streams {line[:80]!r}") from error


def _act_on_slot(address: str, action: str) -> None:
    connection, response = _post(address, f"/slots/0?action={action}", {"filename": _FILE})
    try:
        response.read()
    finally:
        connection.close()


def _post(address: str, path: str, body: object) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=_TIMEOUT_S)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != http.HTTPStatus.OK:
        reason = response.read(200).decode("utf-8", "replace")
        connection.close()
        raise PeerFailed("llm.refused", f"HTTP {response.status}: {reason}")
    return connection, response


def main() -> None:
    """Print the speed as JSON."""
    settings = LlmServiceSettings()
    os.nice(settings.niceness)
    status = 0
    with tempfile.TemporaryDirectory(prefix="anchor-llm-") as folder:
        # No key: the server lives for this measurement only.
        changes = {"http_port": 0, "cache_dir": Path(folder), "api_key": type(settings.api_key)("")}
        settings = settings.model_copy(update=changes)
        try:
            server = start_server(settings, find_model(settings))
            speed = measure(server.listening_address)
        except (EngineFailed, PeerFailed, OSError, http.client.HTTPException) as error:
            print(error, file=sys.stderr)  # noqa: T201
            status = 1
        else:
            print(json.dumps({ROW: asdict(speed)}))  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    # The server's threads do not end by themselves.
    os._exit(status)


if __name__ == "__main__":
    main()
