"""Watchers of captions that do not read, send floods, or have no key."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import httpx
import pytest
from responses import wait_closed, wait_for_message
from websockets.asyncio.client import connect

pytestmark = pytest.mark.e2e

WATCHERS = 8
STRANGERS = 200
MIB = 2**20


async def test_watchers_neither_delay_a_session_nor_grow_the_memory(mesh) -> None:
    watch_url = f"ws://127.0.0.1:{mesh.http_port}/ws/captions"
    start = {"type": "session_start", "language": "en", "turn_detection": "TURN_DETECTION_MANUAL"}
    async with mesh.serving_bystander(), AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(mesh.audio_url))
        await client.send(json.dumps(start))
        ticket = (await wait_for_message(client, "session_started"))["ticket"]
        async with httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
            key = (await http.post(f"/conversation/{ticket}/watch")).json()["watch_key"]
        with mesh.measure_cost(f"{WATCHERS} watchers that do not read, {STRANGERS} without a key") as cost:
            for _ in range(WATCHERS):
                # Its receive window is soon full.
                watcher = await stack.enter_async_context(connect(watch_url, max_queue=1))
                await watcher.send(json.dumps({"type": "watch", "key": key}))
            refused = [await _refusal(watch_url, f"watch_{number}") for number in range(STRANGERS)]
            for _ in range(3):
                await client.send(json.dumps({"type": "text_input", "text": "what is new"}))
                await wait_for_message(client, "reply_audio")
                await asyncio.sleep(1)
                await client.send(json.dumps({"type": "interrupt"}))
                await wait_for_message(client, "reply_finished")
    assert set(refused) == {(1008, "watch.unknown_key")}
    assert cost.memory_bytes < 32 * MIB
    assert cost.cpu_s / STRANGERS < 0.05


async def _refusal(url: str, key: str) -> tuple[int, str]:
    async with connect(url) as stranger:
        await stranger.send(json.dumps({"type": "watch", "key": key}))
        assert (await wait_for_message(stranger, "error"))["code"] == "watch.unknown_key"
        return await wait_closed(stranger)
