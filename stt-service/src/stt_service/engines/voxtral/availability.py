"""Polls whether a transcription server is up and serves its model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from service_kit.errors import AtCapacity, PeerFailed

from stt_service.engines.voxtral.client import ModelMissing, TranscriptionClient

log = logging.getLogger(__name__)

# Poll interval while the server starts, and timeout of one poll.
START_POLL_S = 0.5
POLL_TIMEOUT_S = 5.0
# Poll interval after the server was available once.
WATCH_POLL_S = 2.0


async def wait_until_available(client: TranscriptionClient, model: str, until_s: float) -> None:
    """Wait until the server lists `model`; `until_s` is a deadline in loop time.

    Raises `PeerFailed` or `AtCapacity` at the deadline, `ModelMissing` when the server has other models.
    """
    logged = False
    while True:
        try:
            models = await client.list_models(POLL_TIMEOUT_S)
        except (AtCapacity, PeerFailed) as error:
            if asyncio.get_running_loop().time() + START_POLL_S >= until_s:
                raise
            if not logged:
                log.info("waiting for the transcription server", extra={"reason": str(error)})
                logged = True
        else:
            if model not in models:
                raise ModelMissing("stt.model_missing", f"the server has {', '.join(models)}, but not {model!r}")
            return
        await asyncio.sleep(START_POLL_S)


async def watch_availability(client: TranscriptionClient, model: str) -> AsyncGenerator[str]:
    """Yield why the server is unavailable, at every change; "" when it is available again.

    The server counts as available at the start.
    """
    last = ""
    while True:
        await asyncio.sleep(WATCH_POLL_S)
        try:
            reason = "" if model in await client.list_models(POLL_TIMEOUT_S) else f"the server has no {model!r}"
        except (AtCapacity, PeerFailed) as error:
            reason = error.message
        if bool(reason) != bool(last):
            last = reason
            yield reason
