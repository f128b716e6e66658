"""Asking a server of others over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import httpx
from service_kit.errors import PeerFailed

from gpu_monitor.memory.self_report import Ask, SelfReport


@asynccontextmanager
async def opened(url: str, path: str, read: Callable[[bytes], SelfReport]) -> AsyncGenerator[Ask]:
    """Asks for `path` below `url`; what `read` refuses with `ValueError` counts as no answer."""
    # No time limit of its own: who asks has one.
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113

        async def ask() -> SelfReport:
            try:
                answer = await client.get(url.rstrip("/") + path)
                return read(answer.raise_for_status().content)
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise PeerFailed("gpu.self_report_failed", f"{url}{path}: {error!r}") from error

        yield ask
