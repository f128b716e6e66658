"""The user corrects a misheard turn, has a reply spoken again, or lets the anchor go on from the cut."""

from __future__ import annotations

import pytest
from memory_store import MemoryStore
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from stage import Stage
from stored_stage import ANSWER, TICKET, begin, restart

MISHEARD = "how long does the cake take"
MEANT = "how long does the ferry take"


def correct(stage: Stage, turn_id: int) -> None:
    stage.command(client_messages.TextInput(MEANT, turn_id))


def speak_again(stage: Stage, turn_id: int, *, from_cut: bool = False) -> None:
    stage.command(client_messages.SpeakAgain(turn_id, from_cut))


def spoken_text(stage: Stage, turn_id: int) -> str:
    texts = stage.client.of_type(server_messages.ReplyText)
    return "".join(message.text for message in texts if message.turn_id == turn_id).strip()


async def test_correction_takes_the_place_of_the_misheard_turn_in_history(stage):
    stage.anchor_will_say("Hello.", "An hour in the oven.", "Twenty minutes.")
    async with stage:
        await stage.ask("good evening")
        await stage.until(server_messages.ReplyFinished)
        await stage.ask(MISHEARD)
        await stage.until(server_messages.ReplyFinished, 2)
        correct(stage, 2)
        committed = await stage.until(server_messages.TurnCommitted, 3)
        await stage.until(server_messages.ReplyFinished, 3)
    assert committed == server_messages.TurnCommitted(3, MEANT, 2)
    assert [message.text for message in stage.llm.prompts[-1].history] == ["good evening", "Hello."]
    assert stage.history == [
        ("user", "good evening"),
        ("anchor", "Hello."),
        ("user", MEANT),
        ("anchor", "Twenty minutes."),
    ]


async def test_correction_stops_the_reply_to_the_misheard_words(stage):
    stage.anchor_will_say(ANSWER, "Twenty minutes.")
    async with stage:
        await stage.ask(MISHEARD)
        await stage.until_played(1_500)
        correct(stage, 1)
        stopped = await stage.until(server_messages.ReplyFinished)
        await stage.until(server_messages.ReplyFinished, 2)
    assert stopped.interrupted
    assert stopped.heard_text
    assert stage.llm.prompts[-1].history == ()
    assert stage.history == [("user", MEANT), ("anchor", "Twenty minutes.")]


async def test_correction_ends_the_turn_that_is_still_being_spoken(stage):
    stage.anchor_will_say("Twenty minutes.")
    async with stage:
        await stage.user(MISHEARD)
        partial = await stage.until(server_messages.PartialTranscript)
        correct(stage, partial.turn_id)
        await stage.until(server_messages.ReplyFinished)
        await stage.silence(2_000)
    assert [message.text for message in stage.client.of_type(server_messages.TurnCommitted)] == [MEANT]
    assert stage.history == [("user", MEANT), ("anchor", "Twenty minutes.")]


@pytest.mark.parametrize("turn_id", [0, 2, 77, 2**32 - 1])
async def test_correction_of_an_unknown_turn_is_refused_and_changes_nothing(stage, turn_id):
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.ask(MISHEARD)
        await stage.until_played(500)
        correct(stage, turn_id)
        error = await stage.until(server_messages.Error)
        finished = await stage.until(server_messages.ReplyFinished)
    assert (error.code, error.retryable) == ("session.unknown_turn", False)
    assert not finished.interrupted
    assert stage.history == [("user", MISHEARD), ("anchor", ANSWER)]


async def test_a_turn_may_be_corrected_twice(stage):
    stage.anchor_will_say("One.", "Two.", "Three.")
    async with stage:
        await stage.ask(MISHEARD)
        await stage.until(server_messages.ReplyFinished)
        for number in (2, 3):
            correct(stage, 1)
            await stage.until(server_messages.ReplyFinished, number)
    # The second one names a turn that is gone: only the first correction stands beside it.
    assert stage.history == [("user", MEANT), ("anchor", "Two."), ("user", MEANT), ("anchor", "Three.")]


async def test_store_forgets_misheard_words_and_keeps_what_corrects_them():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask(MISHEARD)
        await stage.until(server_messages.ReplyFinished)
        stage.anchor_will_say("Twenty minutes.")
        correct(stage, 1)
        await stage.until(server_messages.ReplyFinished, 2)
    assert list(store.turns[TICKET]) == [2]
    replaced = [(event.turn_id, dict(event.fields)) for event in store.events if event.kind == "turn_replaced"]
    assert replaced == [(1, {"by_turn_id": 2})]
    stage = await restart(store)
    assert stage.history == [("user", MEANT), ("anchor", "Twenty minutes.")]


async def test_reply_is_spoken_again_as_a_turn_of_its_own(stage):
    stage.anchor_will_say("Twenty minutes.")
    async with stage:
        await stage.ask(MEANT)
        await stage.until(server_messages.ReplyFinished)
        speak_again(stage, 1)
        started = await stage.until(server_messages.ReplyStarted, 2)
        finished = await stage.until(server_messages.ReplyFinished, 2)
        waterfall = await stage.until(server_messages.LatencyWaterfall, 2)
    assert (started.turn_id, started.engine) == (2, "again")
    assert (finished.heard_text, finished.interrupted) == ("Twenty minutes.", False)
    assert len(stage.llm.prompts) == 1
    assert len(stage.client.of_type(server_messages.TurnCommitted)) == 1
    # Counted from the command, not from the start of the process.
    assert 0 <= waterfall.first_frame_sent_ms < 2_000


async def test_anchor_goes_on_from_the_word_at_which_it_was_cut_off(stage):
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_500)
        stage.command(client_messages.Interrupt())
        heard = (await stage.until(server_messages.ReplyFinished)).heard_text
        speak_again(stage, 1, from_cut=True)
        await stage.until(server_messages.ReplyFinished, 2)
    assert heard
    assert f"{heard} {spoken_text(stage, 2)}" == ANSWER
    assert stage.history[1:] == [("anchor", heard), ("anchor", spoken_text(stage, 2))]


async def test_reply_that_still_plays_begins_again(stage):
    stage.anchor_will_say(ANSWER)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until_played(1_500)
        speak_again(stage, 1)
        stopped = await stage.until(server_messages.ReplyFinished)
        finished = await stage.until(server_messages.ReplyFinished, 2)
    assert stopped.interrupted
    assert finished.heard_text == ANSWER


@pytest.mark.parametrize(("turn_id", "from_cut"), [(1, True), (0, False), (9, False), (2**32 - 1, True)])
async def test_words_that_are_not_known_are_refused(stage, turn_id, from_cut):
    stage.anchor_will_say("Twenty minutes.")
    async with stage:
        await stage.ask(MEANT)
        await stage.until(server_messages.ReplyFinished)
        speak_again(stage, turn_id, from_cut=from_cut)
        error = await stage.until(server_messages.Error)
        await stage.silence(1_000)
    assert error.code == "session.nothing_to_speak"
    assert len(stage.client.of_type(server_messages.ReplyStarted)) == 1


async def test_heard_words_are_spoken_again_after_a_restart():
    store = MemoryStore()
    stage = begin(store)
    async with stage:
        await stage.ask("tell me a story")
        await stage.until(server_messages.ReplyFinished)
    stage = await restart(store)
    async with stage:
        speak_again(stage, 1)
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.heard_text == ANSWER
