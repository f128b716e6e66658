from __future__ import annotations

import asyncio

import httpx
from tts_service.app import build
from tts_service.settings import TtsSettings


async def test_service_starts_lists_its_voices_and_stops() -> None:
    service = build(TtsSettings(grpc_port=0, http_port=0, log_level="ERROR"))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while not service.health.ready:
            await asyncio.sleep(0.01)
        info = (await http.get(f"http://127.0.0.1:{service.http_port}/info")).json()
    stop.set()
    await running
    assert info["engine"]["name"] == "espeak"
    spoken = {language for voice in info["voices"] for language in voice["languages"]}
    assert spoken == {"en", "es", "fr", "pt", "hi", "de", "nl", "it"}
