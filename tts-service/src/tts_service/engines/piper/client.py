"""Piper's HTTP server (`python -m piper.http_server`): what it has, and what it says.

It answers a phrase with one WAV file, whole; and with its default voice, without a word, where it lacks the one named.
"""

from __future__ import annotations

import asyncio
import io
import json
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

Floats = NDArray[np.float32]

# A minute of speech has 2.6 MB; the list of voices holds the whole configuration of each, some 10 KB.
MAX_RESPONSE_BYTES = 16 * 1024 * 1024
# Piper's own way to name voices. The server mangles other names in its list ("anton" becomes "ant").
_NAME = re.compile(r"([a-z]{2})_[A-Z]{2,4}-\w+-(?:x_low|low|medium|high)")
# Two brackets would begin a run of phonemes.
_PHONEMES_FOLLOW = re.compile(r"\[(?=\[)")
_RATES_HZ = range(8000, 48_001)


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice of the server's, by its own name."""

    name: str
    # ISO 639-1.
    language: str
    # What a phrase is stretched by when it is spoken as the voice's makers meant it.
    length_scale: float


class PiperClient:
    """One server; owns its connections. Every failure is a `PeerFailed` or `AtCapacity` with a code of its own."""

    def __init__(self, url: str, connect_s: float, max_concurrent: int) -> None:
        self._slots = asyncio.Semaphore(max_concurrent)
        self._client = httpx.AsyncClient(
            base_url=url,
            # Whole answers have a deadline.
            timeout=httpx.Timeout(None, connect=connect_s),
            limits=httpx.Limits(max_connections=None),
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def list_voices(self, timeout_s: float) -> list[PiperVoice]:
        """The voices that the server has, those apart that it cannot be asked for by name."""
        async with _deadline(timeout_s):
            page = await self._request("GET", "voices", None)
        listed = _parse_json(page)
        return [
            _parse_voice(name, match[1], config) for name, config in listed.items() if (match := _NAME.fullmatch(name))
        ]

    async def synthesize(self, voice: PiperVoice, text: str, pace: float, timeout_s: float) -> tuple[int, Floats]:
        """One phrase: its rate in Hz, and its samples. Cancelling closes the connection."""
        plain = _PHONEMES_FOLLOW.sub("[ ", text)
        request = {"text": plain, "voice": voice.name, "length_scale": voice.length_scale / pace}
        async with _deadline(timeout_s), self._slots:
            answer = await self._request("POST", "synthesize", request)
        return _parse_wav(answer)

    async def _request(self, method: str, path: str, body: object) -> bytes:
        request = self._client.build_request(method, path, json=body, headers=tracing.headers())
        try:
            response = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise PeerFailed("tts.server_unreachable", f"no speech server: {_reason(error)}") from error
        try:
            answer = await _read_body(response)
        finally:
            await response.aclose()
        if response.status_code != HTTPStatus.OK:
            raise _status_error(response.status_code)
        return answer


async def _read_body(response: httpx.Response) -> bytes:
    answer = bytearray()
    try:
        async for chunk in response.aiter_raw():
            answer += chunk
            if len(answer) > MAX_RESPONSE_BYTES:
                raise _garbled_error("an answer without end")
    except httpx.HTTPError as error:
        raise PeerFailed("tts.connection_lost", f"the speech server broke off: {_reason(error)}") from error
    return bytes(answer)


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
        raise _garbled_error(f"the voice {name!r} without a configuration") from error


def _parse_wav(answer: bytes) -> tuple[int, Floats]:
    try:
        with wave.open(io.BytesIO(answer)) as clip:
            form = clip.getnchannels(), clip.getsampwidth()
            if form != (1, SAMPLE_BYTES) or clip.getframerate() not in _RATES_HZ:
                raise _garbled_error(f"speech of a form that is not known: {clip.getparams()}")
            return clip.getframerate(), to_float(clip.readframes(clip.getnframes()))
    # Lengths beyond the file are a `RuntimeError` to the library, half a sample is a `ValueError`.
    except (wave.Error, EOFError, RuntimeError, ValueError) as error:
        raise _garbled_error(f"what is no WAV file: {answer[:40]!r}") from error


def _parse_json(page: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(page)
    except ValueError as error:
        raise _garbled_error(f"what is no JSON: {page[:40]!r}") from error
    if not isinstance(value, dict):
        raise _garbled_error("a list of voices that is none")
    return cast("dict[str, Any]", value)


def _status_error(status: int) -> AnchorError:
    message = f"the speech server answered with HTTP {status}"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return AtCapacity("tts.server_busy", message)
    return PeerFailed(
        "tts.server_failed" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "tts.server_refused", message
    )


def _garbled_error(what: str) -> PeerFailed:
    return PeerFailed("tts.server_garbled", f"the speech server sent {what}")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
