"""HTTP client of Piper's server (`python -m piper.http_server`).

The server responds to a phrase with one whole WAV file. For a voice that it does not have, it silently uses its
default voice.
"""

from __future__ import annotations

import asyncio
import io
import re
import wave
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httpx
import numpy as np
from numpy.typing import NDArray
from service_kit.audio import SAMPLE_BYTES, to_float
from service_kit.errors import AnchorError, AtCapacity, PeerFailed
from service_kit.observability import tracing
from service_kit.parsing.documents import parse_json

Floats = NDArray[np.float32]

# A minute of speech has 2.6 MB; the voice list holds the whole configuration of each voice, about 10 KB.
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
# Piper's naming scheme. The server mangles other names in its list ("anton" becomes "ant").
_NAME = re.compile(r"([a-z]{2})_[A-Z]{2,4}-\w+-(?:x_low|low|medium|high)")
# Piper reads text after two brackets as phonemes.
_PHONEMES_FOLLOW = re.compile(r"\[(?=\[)")
_RATES_HZ = range(8000, 48_001)


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice of the server, by the server's name."""

    name: str
    # ISO 639-1 code.
    language: str
    # The voice's default `length_scale`: stretches a phrase, 2 is half as fast.
    length_scale: float


class PiperClient:
    """The client of one server; owns its connections. Raises `PeerFailed` or `AtCapacity` with distinct codes.

    At most `max_concurrent` phrases are requested at a time; more wait within their timeout.
    """

    def __init__(self, url: str, connect_s: float, max_concurrent: int) -> None:
        self._slots = asyncio.Semaphore(max_concurrent)
        self._client = httpx.AsyncClient(
            base_url=url,
            # `_deadline` limits each whole response.
            timeout=httpx.Timeout(None, connect=connect_s),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def list_voices(self, timeout_s: float) -> list[PiperVoice]:
        """The server's voices, without those whose name the server mangles."""
        async with _deadline(timeout_s):
            page = await self._request("GET", "voices", None)
        listed = _parse_json(page)
        return [
            _parse_voice(name, match[1], config) for name, config in listed.items() if (match := _NAME.fullmatch(name))
        ]

    async def synthesize(self, voice: PiperVoice, text: str, pace: float, timeout_s: float) -> tuple[int, Floats]:
        """Synthesise one phrase; return its sample rate and its samples. Cancelling closes the connection."""
        plain = _PHONEMES_FOLLOW.sub("[ ", text)
        request = {"text": plain, "voice": voice.name, "length_scale": voice.length_scale / pace}
        async with _deadline(timeout_s), self._slots:
            body = await self._request("POST", "synthesize", request)
        return _parse_wav(body)

    async def _request(self, method: str, path: str, body: object) -> bytes:
        request = self._client.build_request(method, path, json=body, headers=tracing.headers())
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise PeerFailed("tts.server_unreachable", f"speech server unreachable: {_reason(error)}") from error
        try:
            content = await _read_body(response)
        finally:
            await response.aclose()
        if response.status_code != HTTPStatus.OK:
            raise _status_error(response.status_code)
        return content


async def _read_body(response: httpx.Response) -> bytes:
    content = bytearray()
    try:
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > MAX_RESPONSE_BYTES:
                raise _garbled_error(f"more than {MAX_RESPONSE_BYTES} bytes")
    except httpx.HTTPError as error:
        raise PeerFailed("tts.connection_lost", f"connection to the speech server lost: {_reason(error)}") from error
    return bytes(content)


@asynccontextmanager
async def _deadline(timeout_s: float) -> AsyncGenerator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise PeerFailed("tts.server_slow", f"the speech server took more than {timeout_s:g} s") from error


def _parse_voice(name: str, language: str, config: object) -> PiperVoice:
    try:
        inference = cast("Mapping[str, Any]", config).get("inference", {})
        return PiperVoice(name, language, float(inference.get("length_scale", 1.0)))
    except (AttributeError, TypeError, ValueError) as error:
        raise _garbled_error(f"no valid configuration of the voice {name!r}") from error


def _parse_wav(body: bytes) -> tuple[int, Floats]:
    try:
        with wave.open(io.BytesIO(body)) as clip:
            form = clip.getnchannels(), clip.getsampwidth()
            if form != (1, SAMPLE_BYTES) or clip.getframerate() not in _RATES_HZ:
                raise _garbled_error(f"an unknown audio format: {clip.getparams()}")
            return clip.getframerate(), to_float(clip.readframes(clip.getnframes()))
    # The library raises `RuntimeError` for lengths beyond the file; half a sample raises `ValueError`.
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:
        raise _garbled_error(f"an invalid WAV file: {body[:40]!r}") from error


def _parse_json(page: bytes) -> dict[str, Any]:
    try:
        value: object = parse_json(page)
    except ValueError as error:
        raise _garbled_error(f"invalid JSON: {page[:40]!r}") from error
    if not isinstance(value, dict):
        raise _garbled_error("a voice list that is not an object")
    return cast("dict[str, Any]", value)


def _status_error(status: int) -> AnchorError:
    message = f"the speech server responded with HTTP {status}"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return AtCapacity("tts.server_busy", message)
    return PeerFailed(
        "tts.server_failed" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "tts.server_refused", message
    )


def _garbled_error(content: str) -> PeerFailed:
    return PeerFailed("tts.server_garbled", f"the speech server sent {content}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
