"""Waiting for a server that may still be loading its model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from service_kit.errors import AtCapacity, PeerFailed

from stt_service.engines.voxtral.client import ModelMissing, TranscriptionClient

log = logging.getLogger(__name__)

# How often a server that is starting is asked whether it is there, and how long it may think about that.
ASKED_EVERY_S = 0.5
ANSWERS_WITHIN_S = 5.0
# How often a server that was there is asked whether it still is.
WATCHED_EVERY_S = 2.0


async def wait_until_available(client: TranscriptionClient, model: str, until_s: float) -> None:
    """Return once the server lists `model`; `until_s` is loop time.

    Raises `PeerFailed` or `AtCapacity` when the server does not come in time, `ModelMissing` when it has other models.
    """
    said = False
    while True:
        try:
            models = await client.models(ANSWERS_WITHIN_S)
        except (AtCapacity, PeerFailed) as error:
            if asyncio.get_running_loop().time() + ASKED_EVERY_S >= until_s:
                raise
            if not said:
                log.info("waited for the transcription server", extra={"reason": str(error)})
                said = True
        else:
            if model not in models:
                raise ModelMissing("stt.model_missing", f"the server has {', '.join(models)}, but not {model!r}")
            return
        await asyncio.sleep(ASKED_EVERY_S)


async def watch_availability(client: TranscriptionClient, model: str) -> AsyncGenerator[str]:
    """Why the server cannot be asked, whenever that changes, beginning with one that can; empty when it can again."""
    known = ""
    while True:
        await asyncio.sleep(WATCHED_EVERY_S)
        try:
            reason = "" if model in await client.models(ANSWERS_WITHIN_S) else f"the server has no {model!r}"
        except (AtCapacity, PeerFailed) as error:
            reason = error.message
        if bool(reason) != bool(known):
            known = reason
            yield reason
