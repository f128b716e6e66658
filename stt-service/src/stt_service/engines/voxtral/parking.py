"""vLLM's sleep: weights go to the host's memory, the cache is dropped, and the GPU's memory is free.

The server has these routes only in sleep mode (`--enable-sleep-mode`) with `VLLM_SERVER_DEV_MODE=1`.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx
from service_kit.errors import PeerFailed, Unsupported

from stt_service.engines.voxtral.client import reason_of

# Sleeping copies the weights once over the bus, waking copies them back.
MOVES_WITHIN_S = 60.0
ANSWERS_WITHIN_S = 5.0


class MayHaveMoved(PeerFailed):
    """The server was told, but did not say whether it has done so."""


class ServerSleep:
    """Puts one server to sleep and wakes it; owns its connections while the context lasts."""

    def __init__(self, url: str, api_key: str, connect_s: float) -> None:
        """`url` is that of the API, up to and including the version; the routes stand beside it."""
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
        """Whether it sleeps; one without sleep mode never does. Raises `PeerFailed`."""
        try:
            response = await self._ask("GET", "/is_sleeping", ANSWERS_WITHIN_S)
        except Unsupported:
            return False
        try:
            return response.json()["is_sleeping"] is True
        except (ValueError, KeyError, TypeError) as error:
            raise PeerFailed("stt.server_garbled", f"the server does not say whether it sleeps: {error}") from error

    async def sleep(self) -> None:
        """Put it to sleep. Raises `Unsupported` without sleep mode, `PeerFailed` when it fails."""
        await self._ask("POST", "/sleep", MOVES_WITHIN_S, level=1)

    async def wake(self) -> None:
        """Wake it; it can work when this returns. Raises as `sleep`."""
        await self._ask("POST", "/wake_up", MOVES_WITHIN_S)

    async def _ask(self, method: str, path: str, within_s: float, **query: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(within_s):
                response = await self._client.request(method, path, params=query)
        except TimeoutError as error:
            raise MayHaveMoved("stt.server_slow", f"{path} took more than {within_s:g} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise PeerFailed("stt.server_unreachable", f"no transcription server: {reason_of(error)}") from error
        except httpx.HTTPError as error:
            raise MayHaveMoved("stt.connection_lost", f"the server broke off: {reason_of(error)}") from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise Unsupported("stt.not_parkable", "the transcription server was started without sleep mode")
        if response.status_code != HTTPStatus.OK:
            raise PeerFailed("stt.server_refused", f"the server refused {path} with HTTP {response.status_code}")
        return response
