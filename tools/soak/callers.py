"""The load of a soak: people who ask aloud, people whose line breaks in mid-reply, and REST questions."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from anchor_cli.client.session_client import open_session
from anchor_cli.client.turn import run_turn
from service_kit.errors import AnchorError, root_cause
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

QUESTIONS = ("What is new?", "When does the ferry leave?", "Tell me about the bridge.", "Who won the football match?")
# Of a turn, from its question to the end of what is listened to.
TURN_WITHIN_S = 60.0
# A fault is an excuse for what fails until so long after it.
FAULT_EXCUSES_S = 30.0


@dataclass
class Outcomes:
    """What became of the questions: counts by what happened, and failures without a fault nearby."""

    counts: Counter[str] = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)
    last_fault_s: float = float("-inf")

    def count(self, what: str) -> None:
        """Count something that went as expected."""
        self.counts[what] += 1

    def fail(self, what: str, error: BaseException | str) -> None:
        """Count a failure, which a fault explains if there was one lately."""
        cause = root_cause(error) if isinstance(error, BaseException) else error
        self.counts[f"{what} failed"] += 1
        if asyncio.get_running_loop().time() - self.last_fault_s > FAULT_EXCUSES_S:
            self.unexplained.append(f"{what}: {cause}")


async def speak(url: str, clips: Sequence[bytes], rng: random.Random, outcomes: Outcomes) -> None:
    """Ask recorded questions in conversations of one to five turns, until cancelled; every other reply is stopped."""
    while True:
        try:
            async with open_session(url) as session:
                for _ in range(rng.randint(1, 5)):
                    async with asyncio.timeout(TURN_WITHIN_S):
                        await run_turn(session, rng.choice(clips), rng.choice((1.0, None)))
                    outcomes.count("spoken questions answered")
                    await asyncio.sleep(rng.uniform(0.2, 1.5))
        except* (AnchorError, OSError, TimeoutError, WebSocketException) as errors:
            outcomes.fail("spoken question", errors)
        await asyncio.sleep(rng.uniform(0.5, 3))


async def ask_by_rest(address: str, rng: random.Random, outcomes: Outcomes) -> None:
    """Ask written questions, until cancelled."""
    async with httpx.AsyncClient(base_url=address, timeout=TURN_WITHIN_S, trust_env=False) as http:
        while True:
            try:
                response = await http.post("/interact", json={"text": rng.choice(QUESTIONS)})
                if response.is_success:
                    outcomes.count("REST questions answered")
                else:
                    outcomes.fail("REST question", f"{response.status_code} {response.text[:200]}")
            except httpx.HTTPError as error:
                outcomes.fail("REST question", error)
            await asyncio.sleep(rng.uniform(2, 8))


async def tear_lines(url: str, rng: random.Random, outcomes: Outcomes) -> None:
    """Break the connection in mid-reply, and resume it, until cancelled."""
    while True:
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                await _tear_one(url, rng, outcomes)
        except (AnchorError, OSError, TimeoutError, WebSocketException) as error:
            outcomes.fail("torn line", error)
        await asyncio.sleep(rng.uniform(4, 12))


async def _tear_one(url: str, rng: random.Random, outcomes: Outcomes) -> None:
    socket = await connect(url, compression=None, max_size=2**20)
    try:
        started = await _start(socket)
        await socket.send(json.dumps({"type": "text_input", "text": rng.choice(QUESTIONS)}))
        audio = await _wait_for(socket, "reply_audio")
        await asyncio.sleep(rng.uniform(0.1, 1))
    finally:
        socket.transport.abort()
    await asyncio.sleep(rng.uniform(0.1, 5))
    async with connect(url, compression=None, max_size=2**20) as again:
        same = {"ticket": started["ticket"], "session_id": started["session_id"]}
        resumed = await _start(again, **same, received={"turn_id": audio["turn_id"], "offset_ms": 0})
        if not resumed["resumed"]:
            outcomes.fail("torn line", "the conversation was not resumed")
            return
        await again.send(json.dumps({"type": "interrupt"}))
        await _wait_for(again, "reply_finished")
        outcomes.count("torn lines resumed")


async def _start(socket: ClientConnection, **fields: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "session_start", "reports_playback": True, **fields}))
    return await _wait_for(socket, "session_started")


async def _wait_for(socket: ClientConnection, name: str) -> dict[str, Any]:
    while True:
        frame = await socket.recv()
        if isinstance(frame, str) and (message := json.loads(frame))["type"] == name:
            return message
