"""A process that is killed in mid-write loses nothing that it was told is saved, and leaves no half turn."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from orchestrator.conversation.model.store import StoredConversation
from orchestrator.store.sql_store import SqlStore

SCRIPT = Path(__file__).with_name("write_forever.py")


async def write_and_kill(url: str, after_s: float) -> list[int]:
    """Run the writer, kill it (SIGKILL) `after_s` after its first report; returns the turns that it was told of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, url, "ticket", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        first = await asyncio.wait_for(process.stdout.readline(), 60)
        await asyncio.sleep(after_s)
    finally:
        process.kill()
        rest, _ = await process.communicate()
    return [int(line) for line in (first + rest).decode().rpartition("\n")[0].split()]


async def read(url: str) -> StoredConversation:
    store = SqlStore(url, 30)
    async with store.running():
        stored = await store.load("ticket")
    assert stored is not None
    return stored


async def test_nothing_that_was_saved_is_lost_when_the_process_is_killed(store_url):
    told = 0
    for after_s in (0.0, 0.05, random.uniform(0.0, 0.3)):
        turns = await write_and_kill(store_url, after_s)
        assert turns == list(range(told + 1, told + 1 + len(turns))), "each turn is reported once, in order"
        stored = await read(store_url)
        numbers = [turn.turn_id for turn in stored.turns]
        assert numbers[-1] >= turns[-1]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        for turn in stored.turns:
            text = f"turn {turn.turn_id} " + "and more " * 200
            assert [message.text for message in turn.messages] == [text, text]
        told = numbers[-1]
