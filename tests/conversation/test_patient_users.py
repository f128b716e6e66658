"""Users who interrupt again and again, talk while the anchor thinks, talk for minutes, or say nothing for minutes."""

from __future__ import annotations

import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages

STORY = "Once upon a time there was a king who could not sleep at night and so he walked and walked all the night long."


async def test_two_interrupts_at_once_stop_one_reply_once(stage):
    stage.anchor_will_say(STORY, "Yes?")
    async with stage:
        await stage.user("tell me a story")
        await stage.until_played(1_000)
        stage.command(client_messages.Interrupt())
        stage.command(client_messages.Interrupt())
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(1_000)
        assert len(stage.client.of_type(server_messages.ReplyFinished)) == 1
        await stage.user("are you there")
        answered = await stage.until(server_messages.ReplyFinished, 2)
    assert finished.interrupted
    assert STORY.startswith(finished.heard_text)
    assert answered.heard_text == "Yes?"


async def test_three_spoken_interruptions_in_a_row_are_each_answered(stage):
    stage.anchor_will_say(STORY, STORY, STORY, "Good night.")
    async with stage:
        await stage.user("tell me a story")
        for count in range(1, 4):
            await stage.until(server_messages.ReplyAudio, count)
            await stage.until_played(800)
            await stage.user(f"no wait number {count} please")
            finished = await stage.until(server_messages.ReplyFinished, count)
            assert finished.interrupted
            assert STORY.startswith(finished.heard_text)
        last = await stage.until(server_messages.ReplyFinished, 4)
    assert (last.heard_text, last.interrupted) == ("Good night.", False)
    assert [text for role, text in stage.history if role == "user"] == [
        "tell me a story",
        *(f"no wait number {count} please" for count in range(1, 4)),
    ]


async def test_talking_while_the_anchor_thinks_is_answered_as_a_whole(stage):
    stage.llm.first_token_ms = 2_000
    stage.vad.probability = 1.0
    stage.anchor_will_say("Too early.", "By ferry, then.")
    async with stage:
        await stage.user("how do I get there")
        await stage.silence(900)
        await stage.user("by ferry I mean")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "By ferry, then."
    assert stage.history[-1] == ("anchor", "By ferry, then.")
    assert all("Too early" not in text for _, text in stage.history)


@pytest.mark.parametrize("reply", ["", " ", "\n\n"])
async def test_an_empty_reply_ends_and_the_next_is_heard(stage, reply):
    stage.anchor_will_say(reply, "Yes.")
    async with stage:
        await stage.user("hello")
        assert (await stage.until(server_messages.ReplyFinished)).heard_text == ""
        await stage.user("hello again")
        assert (await stage.until(server_messages.ReplyFinished, 2)).heard_text == "Yes."


async def test_a_long_monologue_is_heard_to_its_end(stage):
    words = [f"word{number}" for number in range(715)]
    stage.anchor_will_say("I see.")
    async with stage:
        await stage.user(" ".join(words))
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "I see."
    assert stage.history[0] == ("user", " ".join(words))


async def test_five_minutes_of_silence_change_nothing(stage):
    stage.anchor_will_say("Still here.")
    async with stage:
        await stage.silence(300_000)
        assert not stage.client.of_type(server_messages.ReplyStarted)
        await stage.user("are you there")
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == "Still here."
    assert stage.failure is None
