"""A streamed answer of a model server over HTTP, line by line: every wait has a deadline, every line a length."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, cast

import httpx
from service_kit.errors import AnchorError, AtCapacity, PeerFailed
from service_kit.observability import tracing

# A line holds one token and a little JSON; the last one of Ollama a few hundred bytes.
MAX_LINE_BYTES = 65_536
# How much of an error page is read.
_MAX_REFUSAL_BYTES = 4096


def http_client(url: str, connect_s: float, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """A client for the model server at `url`; the caller closes it. Proxies of the environment are not for it."""
    return httpx.AsyncClient(
        base_url=url,
        # Compressed tokens would wait for each other.
        headers={"Accept-Encoding": "identity", **(headers or {})},
        # How long reading may take depends on where in the reply we are: see `AnswerLines`.
        timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
        trust_env=False,
    )


class HttpModel:
    """What the models behind HTTP servers have in common: connections that live as long as the context."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()


class AnswerLines:
    """The lines of one answer, as they come."""

    def __init__(self, chunks: AsyncIterator[bytes], answers_until_s: float, between_s: float) -> None:
        self._chunks = chunks
        self._answers_until_s = answers_until_s
        self._between_s = between_s
        self._answering = False
        self._buffer = b""

    def answering(self) -> None:
        """The first token has come: from now on, what counts is the time between lines."""
        self._answering = True

    async def read(self) -> bytes | None:
        """The next line without its end, or None at the end of the answer; an unfinished last line counts."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise PeerFailed("llm.garbled", f"the model server sent a line of more than {MAX_LINE_BYTES} bytes")
            chunk = await self._chunk()
            if chunk is None:
                line, self._buffer = self._buffer, b""
                return line or None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def _chunk(self) -> bytes | None:
        until_s = asyncio.get_running_loop().time() + self._between_s if self._answering else self._answers_until_s
        try:
            async with asyncio.timeout_at(until_s):
                return await anext(self._chunks, None)
        except TimeoutError as error:
            raise _silent(self._answering) from error
        except httpx.HTTPError as error:
            raise PeerFailed("llm.connection_lost", f"the model server broke off: {_reason(error)}") from error


@asynccontextmanager
async def stream_response(
    client: httpx.AsyncClient, path: str, body: Mapping[str, object], first_token_s: float, between_s: float
) -> AsyncGenerator[AnswerLines]:
    """Post `body` and read the answer; leaving the context closes the connection, which ends the server's work.

    Raises `PeerFailed` when the server cannot be reached, is silent or refuses, `AtCapacity` when it is full.
    """
    until_s = asyncio.get_running_loop().time() + first_token_s
    request = client.build_request("POST", path, json=body, headers=tracing.headers())
    response = await _response(client, request, until_s)
    try:
        if response.status_code != HTTPStatus.OK:
            raise await _refusal(response, until_s)
        async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
            yield AnswerLines(chunks, until_s, between_s)
    finally:
        await response.aclose()


async def post_and_check(client: httpx.AsyncClient, path: str, within_s: float) -> None:
    """Raise `AnchorError` unless a server answers at `path`, be it that there is nothing."""
    until_s = asyncio.get_running_loop().time() + within_s
    response = await _response(client, client.build_request("GET", path), until_s)
    try:
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise await _refusal(response, until_s)
    finally:
        await response.aclose()


async def post_json(client: httpx.AsyncClient, path: str, within_s: float) -> dict[str, Any]:
    """Get a small JSON object. Raises `PeerFailed` when the server is away, slow, refuses or sends something else."""
    until_s = asyncio.get_running_loop().time() + within_s
    response = await _response(client, client.build_request("GET", path), until_s)
    try:
        if response.status_code != HTTPStatus.OK:
            raise await _refusal(response, until_s)
        return parsed(await _page(response, until_s, MAX_LINE_BYTES))
    finally:
        await response.aclose()


async def _response(client: httpx.AsyncClient, request: httpx.Request, until_s: float) -> httpx.Response:
    try:
        async with asyncio.timeout_at(until_s):
            return await client.send(request, stream=True)
    except TimeoutError as error:
        raise _silent(answering=False) from error
    except httpx.PoolTimeout as error:
        raise AtCapacity("llm.busy", "every connection to the model server is in use") from error
    except httpx.HTTPError as error:
        raise PeerFailed("llm.unreachable", f"no model server at {request.url}: {_reason(error)}") from error


async def _refusal(response: httpx.Response, until_s: float) -> AnchorError:
    """What a status other than 200 means. The model's absence is told by `ModelMissing`."""
    try:
        page = await _page(response, until_s, _MAX_REFUSAL_BYTES)
    except PeerFailed as error:
        page = f"and then {error.message}".encode()
    message = f"HTTP {response.status_code}: {_error_text(page)}"
    match response.status_code:
        case HTTPStatus.NOT_FOUND:
            return ModelMissing("llm.model_missing", message)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return AtCapacity("llm.busy", message)
        case _:
            return PeerFailed("llm.refused", message)


async def _page(response: httpx.Response, until_s: float, max_bytes: int) -> bytes:
    """The body, or so much of it."""
    page = b""
    try:
        async with asyncio.timeout_at(until_s):
            async for chunk in response.aiter_bytes():
                page += chunk
                if len(page) >= max_bytes:
                    break
    except (TimeoutError, httpx.HTTPError) as error:
        raise PeerFailed("llm.connection_lost", f"the model server broke off: {_reason(error)}") from error
    return page[:max_bytes]


class ModelMissing(PeerFailed):
    """The server is well but does not have the model."""

    retryable = False


def parsed(line: bytes) -> dict[str, Any]:
    """The JSON object that `line` is. Raises `PeerFailed` when it is none."""
    try:
        value: object = json.loads(line)
    except ValueError as error:
        raise PeerFailed("llm.garbled", f"the model server sent a line that is not JSON: {line[:80]!r}") from error
    if not isinstance(value, dict):
        raise PeerFailed("llm.garbled", f"the model server sent {line[:80]!r} where an object belongs")
    return cast("dict[str, Any]", value)


def error_message(error: object) -> str:
    """The words in an `error` field, which is a string with Ollama and an object with OpenAI's servers."""
    if isinstance(error, dict):
        return str(cast("dict[str, object]", error).get("message", error))
    return str(error)


def _error_text(page: bytes) -> str:
    try:
        return error_message(parsed(page)["error"])
    except (PeerFailed, KeyError):
        return page.decode(errors="replace").strip() or "no reason given"


def _silent(answering: bool) -> PeerFailed:
    stage = "stopped in mid-reply" if answering else "sent no token in time"
    return PeerFailed("llm.silent", f"the language model {stage}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
