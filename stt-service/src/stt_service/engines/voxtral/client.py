"""HTTP client for OpenAI's audio transcriptions API, as served by vLLM."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx
from service_kit.audio import MICROPHONE, SAMPLE_BYTES
from service_kit.errors import AnchorError, AtCapacity, PeerFailed
from service_kit.observability import tracing
from service_kit.parsing.documents import parse_json

# Limits on one event line, which holds a few words and a little JSON, and on an error page.
MAX_LINE_BYTES = 65_536
MAX_PAGE_BYTES = 65_536
# The server closes connections that are idle for 5 s. Ours close earlier, so that no request meets a closing one.
KEEPALIVE_S = 2
# Token limit of a transcript: above the fastest speech; only repetition loops are longer.
TOKENS_PER_S = 16
MIN_TOKENS = 16
_DATA = b"data:"
_DONE = b"[DONE]"


class ModelMissing(PeerFailed):
    """The server is available but does not have the model."""

    retryable = False


class TranscriptionClient:
    """Client of one server; owns its connections. All errors are `PeerFailed` or `AtCapacity`, each with its code."""

    def __init__(self, url: str, model: str, api_key: str, connect_s: float) -> None:
        self._model = model
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {api_key}"} if api_key else {})},
            # `list_models` and `transcribe` limit the time of a whole response.
            timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
            limits=httpx.Limits(keepalive_expiry=KEEPALIVE_S),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def list_models(self, within_s: float) -> list[str]:
        """Return the names of the server's models. Raises `PeerFailed` or `AtCapacity`."""
        async with response_deadline(within_s):
            try:
                response = await self._client.get("models")
            except httpx.HTTPError as error:
                raise _unreachable(error) from error
        if response.status_code != HTTPStatus.OK:
            raise _refusal(response.status_code, response.content)
        try:
            return [str(model["id"]) for model in _parsed(response.content)["data"]]
        except (KeyError, TypeError) as error:
            raise _malformed(response.content) from error

    async def transcribe(self, pcm: bytes, language: str, within_s: float, stop_when: Callable[[str], bool]) -> str:
        """Return the text of a clip; `language` is ISO 639-1 or empty.

        Returns early once `stop_when` is true for the text so far. Cancelling closes the connection, which also stops
        the server's work. Raises `PeerFailed` or `AtCapacity`.
        """
        seconds = MICROPHONE.ms_of(len(pcm)) / 1000
        form = {
            "model": self._model,
            "response_format": "json",
            "temperature": "0.0",
            "stream": "true",
            "max_completion_tokens": str(MIN_TOKENS + int(TOKENS_PER_S * seconds)),
            **({"language": language} if language else {}),
        }
        file = {"file": ("speech.wav", _wav(pcm), "audio/wav")}
        async with response_deadline(within_s), self._post(form, file) as response:
            text = ""
            async for line in _lines(response):
                if line == _DONE:
                    return text
                text += _delta(line)
                if stop_when(text):
                    return text
        raise PeerFailed("stt.connection_lost", "the transcription server's response is incomplete")

    @asynccontextmanager
    async def _post(self, form: dict[str, str], file: dict[str, Any]) -> AsyncGenerator[httpx.Response]:
        request = self._client.build_request(
            "POST", "audio/transcriptions", data=form, files=file, headers=tracing.headers()
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx.PoolTimeout as error:
            raise AtCapacity("stt.server_busy", "all connections to the transcription server are in use") from error
        except httpx.HTTPError as error:
            raise _unreachable(error) from error
        try:
            if response.status_code != HTTPStatus.OK:
                raise _refusal(response.status_code, await _page(response))
            yield response
        finally:
            await response.aclose()


@asynccontextmanager
async def response_deadline(within_s: float) -> AsyncGenerator[None]:
    """Limit the block to `within_s` seconds. Raises `PeerFailed` when the server takes longer."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError as error:
        raise PeerFailed("stt.server_slow", f"the transcription server took more than {within_s:g} s") from error


async def _lines(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the data of the response's server-sent events; skips empty lines and comments."""
    buffer = b""
    async for chunk in _chunks(response):
        *lines, buffer = (buffer + chunk).split(b"\n")
        if len(buffer) > MAX_LINE_BYTES:
            raise _malformed(buffer)
        for line in lines:
            if line.startswith(_DATA):
                yield line.removeprefix(_DATA).strip()
            elif line.strip() and not line.startswith(b":"):
                raise _malformed(line)


async def _chunks(response: httpx.Response) -> AsyncGenerator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    except httpx.HTTPError as error:
        raise PeerFailed(
            "stt.connection_lost", f"the transcription server disconnected: {describe_error(error)}"
        ) from error


async def _page(response: httpx.Response) -> bytes:
    page = b""
    async for chunk in _chunks(response):
        page += chunk
        if len(page) >= MAX_PAGE_BYTES:
            break
    return page


def _delta(line: bytes) -> str:
    """Return the new words of one event; the last event may have none."""
    event = _parsed(line)
    if "error" in event:
        raise PeerFailed("stt.server_failed", f"the transcription server failed: {_error_text(event)}")
    try:
        return "".join(str(choice["delta"].get("content") or "") for choice in event["choices"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _malformed(line) from error


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value: object = parse_json(line)
    except ValueError as error:
        raise _malformed(line) from error
    if not isinstance(value, dict):
        raise _malformed(line)
    return cast("dict[str, Any]", value)


def _refusal(status: int, page: bytes) -> AnchorError:
    """Return the error for an HTTP status other than 200."""
    message = f"the transcription server refused with HTTP {status}: {_page_text(page)}"
    match status:
        case HTTPStatus.NOT_FOUND:
            return ModelMissing("stt.model_missing", message)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            return AtCapacity("stt.server_busy", message)
        case _:
            return PeerFailed("stt.server_refused", message)


def _page_text(page: bytes) -> str:
    try:
        return _error_text(_parsed(page))
    except PeerFailed:
        return page[:200].decode(errors="replace").strip() or "no reason given"


def _error_text(event: dict[str, Any]) -> str:
    error = event.get("error", event)
    return str(cast("dict[str, object]", error).get("message", error) if isinstance(error, dict) else error)


def _malformed(line: bytes) -> PeerFailed:
    return PeerFailed("stt.server_garbled", f"the transcription server sent a malformed event: {line[:80]!r}")


def _unreachable(error: httpx.HTTPError) -> PeerFailed:
    return PeerFailed("stt.server_unreachable", f"no transcription server: {describe_error(error)}")


def describe_error(error: Exception) -> str:
    """Return the error's text, or its type's name if it has none."""
    return str(error) or type(error).__name__


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(SAMPLE_BYTES)
        clip.setframerate(MICROPHONE.rate_hz)
        clip.writeframes(pcm)
    return file.getvalue()
