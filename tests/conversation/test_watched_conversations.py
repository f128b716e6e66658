"""Others watch the captions of a conversation, and change nothing in it."""

from __future__ import annotations

import asyncio

from orchestrator.conversation.connection.caption_feed import TurnCaption
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from stage import Stage

ANSWER = "Once upon a time there was a king who had three daughters and a garden"


async def follow(stage: Stage, seen: list[TurnCaption]) -> None:
    with stage.session.caption_feed.watch() as watcher:
        while (caption := await watcher.next()) is not None:
            seen.append(caption)


async def test_watcher_reads_along_with_what_is_heard(stage):
    stage.anchor_will_say(ANSWER)
    seen: list[TurnCaption] = []
    async with stage:
        watching = asyncio.create_task(follow(stage, seen))
        await stage.ask("tell me a story")
        await stage.until_played(2_000)
        so_far = seen[-1]
        stage.command(client_messages.Interrupt())
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(200)
    await watching
    assert "tell me" in [caption.user_text for caption in seen]
    assert so_far.speaker == "Anna"
    # The word that sounds is shown; what comes after it is not.
    heard = ANSWER[: so_far.spoken_chars]
    assert finished.heard_text.startswith(heard.rsplit(" ", 1)[0])
    assert so_far.spoken_chars < len(so_far.reply_text)
    spoken = [caption.spoken_chars for caption in seen[:-1] if caption.reply_text]
    assert spoken == sorted(spoken)
    assert (seen[-1].over, seen[-1].spoken_chars) == (True, len(finished.heard_text))


async def test_watcher_that_does_not_read_changes_nothing_and_gets_the_newest(stage):
    stage.anchor_will_say("One.", "Two.", "Three.", "Four.", "Five.")
    async with stage:
        with stage.session.caption_feed.watch() as watcher:
            for number in range(1, 6):
                await stage.ask("a question")
                await stage.until(server_messages.ReplyFinished, number)
            newest = [await watcher.next() for _ in range(3)]
    assert [(caption.turn_id, caption.reply_text.strip(), caption.over) for caption in newest] == [
        (3, "Three.", True),
        (4, "Four.", True),
        (5, "Five.", True),
    ]


async def test_watcher_stays_while_the_client_reconnects(stage):
    stage.anchor_will_say("One.", "Two.")
    seen: list[TurnCaption] = []
    async with stage:
        watching = asyncio.create_task(follow(stage, seen))
        await stage.ask("a question")
        await stage.until(server_messages.ReplyFinished)
        await stage.disconnect()
        await stage.silence(1_000)
        stage.reconnect()
        await stage.ask("another question")
        await stage.until(server_messages.ReplyFinished, 2)
        await stage.silence(200)
    await watching
    assert {caption.turn_id for caption in seen} == {1, 2}
