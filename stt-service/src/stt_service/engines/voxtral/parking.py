"""vLLM's sleep mode: moves the weights to host memory and drops the cache, which frees the GPU's memory.

The server offers these routes only with `--enable-sleep-mode` and `VLLM_SERVER_DEV_MODE=1`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
from service_kit.errors import PeerFailed, Unsupported

from stt_service.engines.voxtral.client import describe_error

# Sleeping copies the weights to host memory, waking copies them back.
TRANSITION_TIMEOUT_S = 60.0
STATUS_TIMEOUT_S = 5.0


class SleepStateUnknown(PeerFailed):
    """The server did not answer a sleep or wake request, so its state is unknown."""


class SleepModeClient:
    """Puts one server to sleep and wakes it; exiting the context closes its connections."""

    def __init__(self, url: str, api_key: str, connect_s: float) -> None:
        """`url` is the API's base URL, including the version; the sleep routes are beside `/v1`."""
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def is_asleep(self) -> bool:
        """Return whether the server is asleep; False without sleep mode. Raises `PeerFailed`."""
        try:
            response = await self._request("GET", "/is_sleeping", STATUS_TIMEOUT_S)
        except Unsupported:
            return False
        try:
            return response.json()["is_sleeping"] is True
        except (ValueError, KeyError, TypeError) as error:
            raise PeerFailed("stt.server_garbled", f"the server's sleep state is malformed: {error}") from error

    async def sleep(self) -> None:
        """Put the server to sleep. Raises `Unsupported` without sleep mode, `PeerFailed` on failure."""
        await self._request("POST", "/sleep", TRANSITION_TIMEOUT_S, level=1)

    async def wake(self) -> None:
        """Wake the server; on return it is ready. Raises like `sleep`."""
        await self._request("POST", "/wake_up", TRANSITION_TIMEOUT_S)

    async def _request(self, method: str, path: str, within_s: float, **query: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(within_s):
                response = await self._client.request(method, path, params=query)
        except TimeoutError as error:
            raise SleepStateUnknown("stt.server_slow", f"{path} took more than {within_s:g} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise PeerFailed("stt.server_unreachable", f"no transcription server: {describe_error(error)}") from error
        except httpx.HTTPError as error:
            raise SleepStateUnknown(
                "stt.connection_lost", f"the server disconnected: {describe_error(error)}"
            ) from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise Unsupported("stt.not_parkable", "the transcription server was started without sleep mode")
        if response.status_code != HTTPStatus.OK:
            raise PeerFailed("stt.server_refused", f"the server refused {path} with HTTP {response.status_code}")
        return response
