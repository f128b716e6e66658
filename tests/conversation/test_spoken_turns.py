"""`turn_spoken`: who spoke a turn, in which language and voice, and when by the clock."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from stage import PERSONA

ANSWER = "Once upon a time there was a king who had three daughters and a garden"


async def test_spoken_turn_has_the_times_of_both_voices(stage):
    stage.anchor_will_say(ANSWER)
    async with stage:
        began_ms = stage.now_ms
        await stage.user("tell me a story")
        ended_ms = stage.now_ms
        await stage.until_played(100)
        heard_ms = stage.now_ms - 100
        first = stage.client.of_type(server_messages.TurnSpoken)[-1]
        last = await stage.until(server_messages.TurnSpoken, 2)
        over_ms = stage.now_ms
    assert first.reply_began_unix_s is first.reply_ended_unix_s is None
    for spoken in (first, last):
        assert spoken.user_began_unix_s == pytest.approx(
            spoken.user_ended_unix_s - (ended_ms - began_ms) / 1000, abs=0.15
        )
    assert last.reply_began_unix_s - last.user_ended_unix_s == pytest.approx((heard_ms - ended_ms) / 1000, abs=0.2)
    assert last.reply_ended_unix_s - last.reply_began_unix_s == pytest.approx((over_ms - heard_ms) / 1000, abs=0.2)


async def test_turn_keeps_the_speaker_it_was_spoken_by(stage):
    stage.anchor_will_say("One.", "Two.")
    stage.persona = replace(PERSONA, voices={"en": "nora"})
    async with stage:
        await stage.ask("one")
        await stage.until(server_messages.ReplyFinished)
        stage.command(client_messages.SetLanguage("de"))
        await stage.until(server_messages.SessionUpdated)
        stage.command(client_messages.TextInput("zwei"))
        await stage.until(server_messages.ReplyFinished, 2)
    spoken = {message.turn_id: message for message in stage.client.of_type(server_messages.TurnSpoken)}
    assert [(each.persona, each.speaker, each.voice, each.language) for each in spoken.values()] == [
        ("anchor", "Anna", "nora", "en"),
        ("anchor", "Anna", "", "de"),
    ]
    # What is written arrives at one moment.
    assert spoken[2].user_began_unix_s == spoken[2].user_ended_unix_s


async def test_reloaded_page_gets_the_times_of_the_turns_before(stage):
    stage.anchor_will_say("One.", "Two.")
    async with stage:
        for number in (1, 2):
            await stage.ask("a question")
            await stage.until(server_messages.ReplyFinished, number)
            await stage.silence(300)
        before = {message.turn_id: message for message in stage.client.of_type(server_messages.TurnSpoken)}
        await stage.disconnect()
        await stage.silence(500)
        stage.reconnect(reloaded=True, received=None)
        await stage.until(server_messages.TurnSpoken, 2)
        again = stage.client.of_type(server_messages.TurnSpoken)
        started = stage.client.of_type(server_messages.SessionStarted)[-1]
    assert {message.turn_id: message for message in again} == before
    assert again[0].reply_ended_unix_s < again[1].user_began_unix_s < again[1].reply_began_unix_s
    assert started.sent_unix_s == pytest.approx(time.time(), abs=5)


async def test_reply_that_was_not_heard_has_no_times(stage):
    stage.anchor_will_say(ANSWER)
    stage.output_delay_ms = 1_000
    async with stage:
        await stage.ask("tell me a story")
        stage.command(client_messages.Interrupt())
        await stage.until(server_messages.ReplyFinished)
        spoken = await stage.until(server_messages.TurnSpoken, 2)
    assert (spoken.reply_began_unix_s, spoken.reply_ended_unix_s) == (None, None)
