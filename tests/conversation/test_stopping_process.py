"""A process that stops lets the turn in progress end, and the next one continues the conversation."""

from __future__ import annotations

import asyncio

import pytest
from memory_store import MemoryStore
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from service_kit.errors import Stopping
from stage import Stage
from stored_stage import ANSWER, begin, restart


async def ended(stage: Stage, within_s: float = 30.0) -> int:
    """Wait for the end of the session by the process; returns its time in milliseconds."""
    message = await stage.until(server_messages.SessionEnded, within_s=within_s)
    assert message.code == "session.moving"
    ended_ms = stage.now_ms
    await asyncio.wait([stage.running.task])
    assert isinstance(stage.running.task.exception(), Stopping)
    await asyncio.wait([stage.connection_task])
    assert stage.failure is not None
    assert stage.failure.websocket_close_code == 1012
    return ended_ms


async def test_session_without_a_turn_ends_at_once(stage):
    async with stage:
        await stage.silence(1000)
        before_ms = stage.now_ms
        stage.session.end_after_turn()
        assert await ended(stage) - before_ms <= 20


async def test_reply_is_heard_to_its_end_before_the_session_ends():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(600)
        stage.session.end_after_turn()
        await ended(stage)
    (finished,) = stage.client.of_type(server_messages.ReplyFinished)
    assert (finished.heard_text, finished.interrupted) == (ANSWER, False)
    stage = await restart(store)
    assert stage.history == [("user", "tell me a story"), ("anchor", ANSWER)]
    assert stage.conversation.cut_off is None


async def test_question_in_progress_is_answered_before_the_session_ends(stage):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        asking = asyncio.create_task(stage.user("how is the weather looking for the weekend"))
        await stage.silence(900)
        stage.session.end_after_turn()
        await asking
        await ended(stage)
    assert stage.history == [("user", "how is the weather looking for the weekend"), ("anchor", "It is sunny.")]


async def test_barge_in_after_the_signal_is_answered_too(stage):
    stage.anchor_will_say(ANSWER, "It is sunny.")
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(900)
        stage.session.end_after_turn()
        await stage.user("stop tell me how the weather is")
        await ended(stage)
    assert stage.history[-1] == ("anchor", "It is sunny.")
    assert len(stage.client.of_type(server_messages.ReplyFinished)) == 2


async def test_text_that_arrives_with_the_signal_is_answered(stage):
    stage.anchor_will_say("It is sunny.")
    async with stage:
        await stage.silence(200)
        stage.session.end_after_turn()
        await stage.session.handle_input(client_messages.TextInput("how is the weather"))
        await ended(stage)
    assert stage.history == [("user", "how is the weather"), ("anchor", "It is sunny.")]


@pytest.mark.parametrize("heard_ms", [0, 600])
async def test_turn_beyond_the_grace_goes_on_in_the_next_process(heard_ms):
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        if heard_ms:
            await stage.ask("tell me a story")
            await stage.until_played(heard_ms)
        else:
            stage.llm.first_token_ms = 5_000
            await stage.user("tell me a story")
            await stage.until(server_messages.TurnCommitted)
        stage.session.end_after_turn()
        await stage.silence(100)
        stage.session.end_now()
        await ended(stage, within_s=1)
    stage = await restart(store)
    stage.anchor_will_say(ANSWER)
    assert stage.conversation.cut_off is not None
    async with stage:
        error = await stage.until(server_messages.Error)
        assert error.code == "session.cut_off"
        if not heard_ms:
            await stage.until(server_messages.ReplyFinished)
            assert stage.history == [("user", "tell me a story"), ("anchor", ANSWER)]
        else:
            (_, (role, heard)) = stage.history
            assert role == "anchor"
            assert ANSWER.startswith(heard)


async def test_client_that_is_lost_in_the_grace_is_not_waited_for():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(600)
        stage.session.end_after_turn()
        await stage.silence(100)
        await stage.disconnect()
        async with asyncio.timeout(0.1):
            await asyncio.wait([stage.running.task])
        assert isinstance(stage.running.task.exception(), Stopping)
    assert (await restart(store)).conversation.cut_off is not None
