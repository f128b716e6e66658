"""A process that saves turns until it is killed, and prints the number of each when it is told that it is saved.

When another process has become the owner, it prints `lost`. At most `WAITING` turns wait to be saved: a disk is slower
than this loop, and what exceeds the store's own bound would be dropped.

python write_forever.py URL TICKET
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import Claim, ConversationEntry, TurnEntry
from orchestrator.store.sql_store import SqlStore

WAITING = 100


def report(number: int | str) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


async def main(url: str, ticket: str) -> None:
    store = SqlStore(url, 30)
    store.set_on_lost(lambda lost: report("lost"))
    async with store.running():
        stored = await store.claim(ticket)
        claim = Claim(ticket, stored.epoch if stored else 1)
        if stored is None:
            store.record(claim, ConversationEntry(1.0, "en", "", "anchor", 1.0, "", "en", Style(), is_new=True))
        places = asyncio.Semaphore(WAITING)

        def on_saved(number: int) -> None:
            report(number)
            places.release()

        number = stored.turns[-1].turn_id if stored and stored.turns else 0
        while True:
            await places.acquire()
            number += 1
            text = f"turn {number} " + "and more " * 200
            messages = (Message("user", text), Message("anchor", text))
            store.record(claim, TurnEntry(number, "session", messages), partial(on_saved, number))


asyncio.run(main(*sys.argv[1:]))
