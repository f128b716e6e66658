"""A process that is killed in mid-write loses nothing that it was told is saved, and leaves no half turn."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path

from orchestrator.conversation.model.store import StoredConversation, StoreUnavailable
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


async def test_process_that_was_stopped_cannot_write_after_another_took_over(store_url):
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, store_url, "ticket", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), 60)
        process.send_signal(signal.SIGSTOP)
        store = SqlStore(store_url, 30)
        async with store.running():
            # It may have been stopped inside a transaction, which ends when it goes on.
            while True:
                with suppress(StoreUnavailable):
                    stored = await store.claim("ticket")
                    break
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.01)
                process.send_signal(signal.SIGSTOP)
            assert stored is not None
            last = stored.turns[-1].turn_id
            process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(30):
                while (line := (await process.stdout.readline()).decode().strip()) != "lost":
                    assert int(line) <= last, "a turn was reported as saved after another process owned it"
            found = await store.load("ticket")
            assert found is not None
            assert (found.turns[-1].turn_id, found.epoch) == (last, stored.epoch)
    finally:
        process.kill()
        await process.communicate()


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
