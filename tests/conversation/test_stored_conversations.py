"""What is stored of a conversation, and how it goes on after the process that had it is gone."""

from __future__ import annotations

import asyncio
import time

import pytest
from memory_store import MemoryStore
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from stage import Stage
from stored_stage import ANSWER, TICKET, begin, restart


async def kill(stage: Stage, store: MemoryStore) -> None:
    """Let nothing that happens from now on be stored, as when the process is killed, and end the stage."""
    store.holds = True
    stage._ended = True
    stage.running.task.cancel()
    await asyncio.wait([stage.running.task, stage.connection_task])
    stage._playing.cancel()
    await asyncio.wait([stage._playing])
    store._held.clear()
    store.holds = False


def said(stage: Stage) -> list[str]:
    return [text for role, text in stage.history if role == "user"]


async def test_turn_is_reported_as_saved_when_it_is_committed_and_not_before():
    store = MemoryStore()
    stage = begin(store)
    store.commit()
    async with stage:
        store.holds = True
        await stage.user("tell me a story")
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(500)
        assert stage.client.of_type(server_messages.TurnSaved) == []
        store.commit()
        await stage.until(server_messages.TurnSaved)
        await stage.silence(100)
        told = stage.client.of_type(server_messages.TurnSaved)
        (finished,) = stage.client.of_type(server_messages.ReplyFinished)
        assert told == [server_messages.TurnSaved(1, None), server_messages.TurnSaved(1, finished.heard_ms)]
    turn = store.turns[TICKET][1]
    assert [(message.role, message.text) for message in turn.messages] == [
        ("user", "tell me a story"),
        ("anchor", ANSWER),
    ]
    assert turn.is_over
    # At the first sound, and replaced at the end of the reply.
    assert [waterfall.turn_id for waterfall in store.waterfalls] == [1, 1]
    assert [event.kind for event in store.events] == ["session_started", "session_ended"]


async def test_heard_words_are_stored_while_the_reply_goes_on():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_500)
        await stage.silence(150)
        reported_ms = stage.client.played[1]
        turn = store.turns[TICKET][1]
        assert turn.heard_ms >= reported_ms - 400
        heard = turn.messages[-1]
        assert (heard.role, heard.interrupted) == ("anchor", True)
        assert heard.text
        assert ANSWER.startswith(heard.text)
        assert not turn.is_over
        # The words that are on their way.
        assert [text for _, text in turn.upcoming] == sorted((text for _, text in turn.upcoming), key=len)
        assert ANSWER.startswith(turn.upcoming[-1][1])
        assert len(turn.upcoming[-1][1]) > len(heard.text)
        await kill(stage, store)


async def test_session_that_ends_in_mid_reply_stores_what_was_heard():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_500)
    (_, (role, heard)) = stage.history
    assert role == "anchor"
    assert ANSWER.startswith(heard)
    assert heard
    turn = store.turns[TICKET][1]
    assert (turn.messages[-1].text, turn.is_over) == (heard, True)


async def test_conversation_killed_in_mid_reply_continues_with_what_was_heard():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_500)
        await kill(stage, store)
    stage = await restart(store)
    heard = stage.history[-1][1]
    assert heard
    assert ANSWER.startswith(heard)
    async with stage:
        assert (await stage.until(server_messages.Error)).code == "session.cut_off"
        stage.anchor_will_say("We were with the king.")
        await stage.ask("where were we")
        assert [message.text for message in stage.llm.prompts[-1].history] == ["tell me a story", heard]
        assert stage.client.of_type(server_messages.SessionStarted)[0].resumed
    # A further restart finds the same words, and no turn that is cut off.
    stage = await restart(store)
    assert stage.history[1] == ("anchor", heard)
    assert stage.conversation.cut_off is None


async def test_last_report_of_the_client_counts_though_the_store_missed_it():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_000)
        await kill(stage, store)
    turn = store.turns[TICKET][1]
    at_ms, heard = turn.upcoming[2]
    stage = await restart(store, client_messages.PlaybackProgress(1, at_ms + 10))
    assert stage.history[-1] == ("anchor", heard)
    assert len(heard) > len(turn.messages[-1].text)
    async with stage:
        await stage.until(server_messages.Error)
    assert store.turns[TICKET][1].messages[-1].text == heard


async def test_report_of_another_turn_changes_nothing():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_000)
        await kill(stage, store)
    stage = await restart(store, client_messages.PlaybackProgress(7, 60_000))
    assert stage.history[-1] == ("anchor", store.turns[TICKET][1].messages[-1].text)


async def kill_before_the_answer() -> MemoryStore:
    """A store with a question that was saved before its process was killed, and not answered."""
    store = MemoryStore()
    stage = begin(store)
    stage.llm.first_token_ms = 5_000
    async with stage:
        await stage.user("tell me a story")
        await stage.until(server_messages.TurnSaved)
        await kill(stage, store)
    return store


async def test_question_killed_before_its_answer_is_answered():
    store = await kill_before_the_answer()
    stage = await restart(store)
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.until(server_messages.ReplyFinished, within_s=60)
        assert stage.history == [("user", "tell me a story"), ("anchor", ANSWER)]
    assert [turn.is_over for turn in store.turns[TICKET].values()] == [True]


async def test_utterance_killed_in_its_middle_is_asked_for_again():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        talking = asyncio.create_task(stage.user("tell me a story about the king and his garden"))
        await stage.until(server_messages.PartialTranscript)
        await kill(stage, store)
        talking.cancel()
        await asyncio.wait([talking])
    stage = await restart(store)
    async with stage:
        await stage.until(server_messages.ReplyFinished)
        assert stage.history == [("anchor", "Sorry, I did not catch that.")]
        assert stage.llm.prompts == []


async def test_who_returns_the_next_day_is_not_answered_out_of_the_blue():
    store = await kill_before_the_answer()
    store.used_unix_s = time.time() - 86_400
    stage = await restart(store)
    async with stage:
        await stage.silence(3_000)
        assert stage.llm.prompts == []
        assert stage.history == [("user", "tell me a story")]


async def test_cough_over_a_reply_leaves_no_turn_in_the_store():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(400)
        await stage.noise(200)
        await stage.until(server_messages.BargeInSettled)
        await stage.until(server_messages.ReplyFinished)
    assert list(store.turns[TICKET]) == [1]
    assert "barge_in_settled" in [event.kind for event in store.events]


async def test_preferences_are_stored_when_they_change():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        stage.command(client_messages.SetStyle(pace=1.5))
        stage.command(client_messages.SetPatience(2.0))
        await stage.until(server_messages.SessionUpdated, 2)
    entry = store.entries[TICKET]
    assert (entry.style.pace, entry.patience) == (1.5, 2.0)
    assert (await restart(store)).conversation.preferences == stage.conversation.preferences


async def test_turn_that_the_user_continues_is_stored_once():
    store = MemoryStore()
    stage = begin(store)
    stage.llm.first_token_ms = 1_000
    async with stage:
        await stage.user("tell me a story")
        await stage.until(server_messages.TurnCommitted)
        await stage.user("about a king")
        await stage.until(server_messages.ReplyFinished, within_s=60)
    texts = [message.text for turn in store.turns[TICKET].values() for message in turn.messages]
    assert texts == [text for _, text in stage.history]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("reports", [True, False])
async def test_nothing_is_stored_and_nothing_is_told_without_a_store(stage, reports):
    stage.reports_playback = reports
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.user("tell me a story")
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(200)
        assert stage.client.of_type(server_messages.TurnSaved) == []
        assert stage.client.of_type(server_messages.SessionStarted)[0].retention_days is None
