from __future__ import annotations

import asyncio

import httpx
import pytest
from service_kit.settings import ModelSet
from tts_service.app import build
from tts_service.settings import TtsSettings


@pytest.mark.parametrize(("models", "name"), [("minimal", "espeak"), ("default", "espeak+hibari")])
async def test_service_starts_lists_its_voices_and_stops(models: ModelSet, name: str) -> None:
    service = build(TtsSettings(grpc_port=0, http_port=0, log_level="ERROR", models=models, kokoro="off"))
    stop = asyncio.Event()
    running = asyncio.create_task(service.run(stop))
    async with asyncio.timeout(60), httpx.AsyncClient() as http:
        while not service.health.ready:
            await asyncio.sleep(0.01)
        info = (await http.get(f"http://127.0.0.1:{service.http_port}/info")).json()
        health = (await http.get(f"http://127.0.0.1:{service.http_port}/health")).json()
    stop.set()
    await running
    assert info["engine"]["name"] == name
    # Neither is a degradation.
    assert not health.get("degraded")
    spoken = {language for voice in info["voices"] for language in voice["languages"]}
    assert spoken == {"en", "es", "fr", "pt", "hi", "de", "nl", "it"}
