"""Reads streamed responses of model servers over HTTP line by line, with timeouts and a maximum line length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import httpx
from service_kit.errors import AnchorError, AtCapacity, PeerFailed
from service_kit.observability import tracing
from service_kit.parsing.documents import parse_json
from service_kit.safe_text import escape_control

# A line contains one token and a little JSON; Ollama's last line has a few hundred bytes.
MAX_LINE_BYTES = 65_536
# No server is waited for longer; `ORCHESTRATOR_LLM_FIRST_TOKEN_S` is the bound of a reply.
MAX_FIRST_TOKEN_S = 120.0
# How long the end of a finished reply may take.
_DRAIN_S = 0.05
# Maximum number of bytes read from an error response.
_MAX_ERROR_BODY_BYTES = 4096
# Of its text, what is quoted.
_MAX_ERROR_TEXT_CHARS = 1_000


def http_client(url: str, connect_s: float, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """Create a client of the model server at `url`, without the environment's proxies; the caller closes it."""
    return httpx.AsyncClient(
        base_url=url,
        # Compression would delay tokens until a block is full.
        headers={"Accept-Encoding": "identity", **(headers or {})},
        # The read timeout depends on the position in the reply: see `ResponseLines`.
        timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
        trust_env=False,
    )


class HttpModel:
    """Base of the models on HTTP servers: closes the client when the context ends."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()


class ResponseLines:
    """The lines of one streamed response."""

    def __init__(self, chunks: AsyncIterator[bytes], first_token_deadline_s: float, between_tokens_s: float) -> None:
        self._chunks = chunks
        self._first_token_deadline_s = first_token_deadline_s
        self._between_tokens_s = between_tokens_s
        self._has_first_token = False
        self.is_finished = False
        self._buffer = b""

    def mark_first_token(self) -> None:
        """Record the first token: from now on, the timeout between tokens applies."""
        self._has_first_token = True

    def mark_finished(self) -> None:
        """Record that the model finished the reply, whether or not the server says more."""
        self.is_finished = True

    async def drain(self) -> None:
        """Read what follows the reply, if it comes at once, so that the connection can be used again."""
        with suppress(httpx.HTTPError, TimeoutError):
            async with asyncio.timeout(_DRAIN_S):
                while await anext(self._chunks, None) is not None:
                    pass

    async def read_line(self) -> bytes | None:
        """Read the next line without its terminator, or an unterminated last line; None at the end."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise PeerFailed("llm.garbled", f"the model server sent a line of more than {MAX_LINE_BYTES} bytes")
            chunk = await self._read_chunk()
            if chunk is None:
                line, self._buffer = self._buffer, b""
                return line or None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def _read_chunk(self) -> bytes | None:
        deadline_s = (
            asyncio.get_running_loop().time() + self._between_tokens_s
            if self._has_first_token
            else self._first_token_deadline_s
        )
        try:
            async with asyncio.timeout_at(deadline_s):
                return await anext(self._chunks, None)
        except TimeoutError as error:
            raise _silence_error(self._has_first_token) from error
        except httpx.HTTPError as error:
            raise PeerFailed(
                "llm.connection_lost", f"lost the connection to the model server: {_error_reason(error)}"
            ) from error


@asynccontextmanager
async def stream_response(
    client: httpx.AsyncClient, path: str, body: Mapping[str, object], first_token_s: float, between_tokens_s: float
) -> AsyncGenerator[ResponseLines]:
    """Post `body` and stream the response; leaving the context closes the connection, which stops the server's work.

    Raises `PeerFailed` when the server is unreachable, silent or returns an error, `AtCapacity` when it is full.
    """
    deadline_s = asyncio.get_running_loop().time() + first_token_s
    request = client.build_request("POST", path, json=body, headers=tracing.headers())
    response = await _send_request(client, request, deadline_s)
    try:
        if response.status_code != HTTPStatus.OK:
            raise await _http_error(response, deadline_s)
        async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
            yield ResponseLines(chunks, deadline_s, between_tokens_s)
    finally:
        await response.aclose()


async def check_reachable(client: httpx.AsyncClient, path: str, timeout_s: float) -> None:
    """Get `path` and discard the response. Raises `AnchorError` for no response or a status of 500 or above."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    response = await _send_request(client, client.build_request("GET", path), deadline_s)
    try:
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise await _http_error(response, deadline_s)
    finally:
        await response.aclose()


async def get_json(client: httpx.AsyncClient, path: str, timeout_s: float) -> dict[str, Any]:
    """Get a small JSON object. Raises `AnchorError` for no response, a status other than 200, or other content."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    response = await _send_request(client, client.build_request("GET", path), deadline_s)
    try:
        if response.status_code != HTTPStatus.OK:
            raise await _http_error(response, deadline_s)
        return parse_object(await _read_body(response, deadline_s, MAX_LINE_BYTES))
    finally:
        await response.aclose()


async def _send_request(client: httpx.AsyncClient, request: httpx.Request, deadline_s: float) -> httpx.Response:
    try:
        async with asyncio.timeout_at(deadline_s):
            return await client.send(request, stream=True)
    except TimeoutError as error:
        raise _silence_error(has_first_token=False) from error
    except httpx.PoolTimeout as error:
        raise AtCapacity("llm.busy", "every connection to the model server is in use") from error
    except httpx.HTTPError as error:
        raise PeerFailed("llm.unreachable", f"no model server at {request.url}: {_error_reason(error)}") from error


async def _http_error(response: httpx.Response, deadline_s: float) -> AnchorError:
    """Return the error for a status other than 200; `ModelMissing` for 404."""
    try:
        body = await _read_body(response, deadline_s, _MAX_ERROR_BODY_BYTES)
    except PeerFailed as error:
        body = f"and then {error.message}".encode()
    message = f"HTTP {response.status_code}: {_error_text(body)}"
    match response.status_code:
        case HTTPStatus.NOT_FOUND:
            return ModelMissing("llm.model_missing", message)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return AtCapacity("llm.busy", message)
        case _:
            return PeerFailed("llm.refused", message)


async def _read_body(response: httpx.Response, deadline_s: float, max_bytes: int) -> bytes:
    """Read the body, up to `max_bytes`."""
    body = b""
    try:
        async with asyncio.timeout_at(deadline_s):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= max_bytes:
                    break
    except (TimeoutError, httpx.HTTPError) as error:
        raise PeerFailed(
            "llm.connection_lost", f"lost the connection to the model server: {_error_reason(error)}"
        ) from error
    return body[:max_bytes]


class ModelMissing(PeerFailed):
    """The server is reachable but does not have the model."""

    retryable = False


def parse_object(line: bytes) -> dict[str, Any]:
    """Parse a line as a JSON object. Raises `PeerFailed` when it is not one."""
    try:
        value: object = parse_json(line)
    except ValueError as error:
        raise PeerFailed("llm.garbled", f"the model server sent a line that is not JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise PeerFailed("llm.garbled", f"the model server sent {line[:80]!r} instead of an object")
    return cast("dict[str, Any]", value)


def error_message(error: object) -> str:
    """Return the text of an `error` field, which is a string from Ollama and an object from OpenAI's servers.

    On one line, and its beginning only: servers send pages.
    """
    text = cast("dict[str, object]", error).get("message", error) if isinstance(error, dict) else error
    return escape_control(str(text)[:_MAX_ERROR_TEXT_CHARS])


def _error_text(body: bytes) -> str:
    try:
        return error_message(parse_object(body)["error"])
    except (PeerFailed, KeyError):
        return error_message(body.decode(errors="replace").strip() or "no reason given")


def _silence_error(has_first_token: bool) -> PeerFailed:
    problem = "stopped within the reply" if has_first_token else "sent no token in time"
    return PeerFailed("llm.silent", f"the language model {problem}")


def _error_reason(error: Exception) -> str:
    return str(error) or type(error).__name__
