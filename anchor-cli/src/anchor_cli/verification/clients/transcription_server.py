"""vLLM's own routes: a transcription that is cancelled, the requests under way, and the sleep mode."""

from __future__ import annotations

import asyncio
import io
import time
import wave
from http import HTTPStatus

import httpx
from service_kit.audio import MICROPHONE
from service_kit.errors import PeerFailed

_MODEL = "voxtral"
_RUNNING = "vllm:num_requests_running"
_POLL_S = 0.02
_TIMEOUT_S = 30.0
# Sleeping copies the weights to host memory, waking copies them back.
_SLEEP_TIMEOUT_S = 120.0


class TranscriptionServer:
    """The server at `url`, without the version."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def time_cancel(self, pcm: bytes) -> float:
        """Begin a transcription, break it off, and return the seconds until the server no longer works on it.

        Raises `PeerFailed` (`verify.not_cancelled`) when the request never runs, or does not end.
        """
        async with httpx.AsyncClient(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as http:
            asking = asyncio.create_task(self._transcribe(http, pcm))
            try:
                await self._wait_for(http, running=True, asking=asking)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
            cancelled_s = time.monotonic()
            await self._wait_for(http, running=False)
            return time.monotonic() - cancelled_s

    async def has_sleep_mode(self) -> bool:
        """Whether it can be put to sleep."""
        async with httpx.AsyncClient(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as http:
            return (await http.get("/is_sleeping")).status_code == HTTPStatus.OK

    async def sleep(self) -> None:
        """Move its weights to host memory. Raises `PeerFailed` (`verify.sleep_failed`)."""
        await self._post("/sleep?level=1")

    async def wake(self) -> None:
        """Move them back. Raises `PeerFailed` (`verify.sleep_failed`)."""
        await self._post("/wake_up")

    async def _post(self, path: str) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=_SLEEP_TIMEOUT_S, trust_env=False) as http:
            try:
                (await http.post(path)).raise_for_status()
            except httpx.HTTPError as error:
                raise PeerFailed("verify.sleep_failed", f"{path}: {error or type(error).__name__}") from error

    async def _transcribe(self, http: httpx.AsyncClient, pcm: bytes) -> None:
        form = {"model": _MODEL, "language": "en", "temperature": "0", "stream": "true"}
        async with http.stream(
            "POST", "/v1/audio/transcriptions", data=form, files={"file": ("clip.wav", wav_bytes(pcm), "audio/wav")}
        ) as response:
            async for _ in response.aiter_lines():
                pass

    async def _wait_for(
        self, http: httpx.AsyncClient, *, running: bool, asking: asyncio.Task[None] | None = None
    ) -> None:
        until_s = time.monotonic() + _TIMEOUT_S
        while (await self._running(http) > 0) is not running:
            if asking is not None and asking.done():
                raise PeerFailed("verify.not_cancelled", "the transcription ended before it could be cancelled")
            if time.monotonic() > until_s:
                state = "did not begin" if running else "did not end"
                raise PeerFailed("verify.not_cancelled", f"the request {state} within {_TIMEOUT_S:g} s")
            await asyncio.sleep(_POLL_S)

    async def _running(self, http: httpx.AsyncClient) -> float:
        """Requests that the server works on, by its metrics."""
        lines = (await http.get("/metrics")).text.splitlines()
        values = [float(line.split()[-1]) for line in lines if line.startswith(_RUNNING)]
        if not values:
            raise PeerFailed("verify.no_metrics", f"the server at {self._url} has no metric {_RUNNING}")
        return sum(values)


def wav_bytes(pcm: bytes) -> bytes:
    """A WAV file of PCM16 mono at 16 kHz."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, MICROPHONE.rate_hz, 0, "NONE", ""))
        file.writeframes(pcm)
    return made.getvalue()
