"""Sessions without a place: who waits is told so and heard later, who does not wait is refused."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.admission.capacity import CallCapacity
from orchestrator.admission.desk import AdmissionDesk, DeskPlace
from orchestrator.admission.policy import AdmissionRules
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import Admission
from orchestrator.conversation.messages.server import AdmissionState as State
from orchestrator.conversation.model.ports import Admitted
from service_kit.errors import AtCapacity

KEEP_S = 10
ADMITTED = Admission(State.ADMISSION_STATE_ADMITTED, 0, 0)


@pytest.fixture
def desk(stage) -> AdmissionDesk:
    """One place, for the session on the stage and for others."""
    desk = AdmissionDesk(CallCapacity(1, {"cores": 1}), AdmissionRules(keep_s=KEEP_S, first_hold_s=30))
    stage.places = desk
    stage.anchor_will_say("Yes.")
    return desk


def speaks(desk: AdmissionDesk) -> DeskPlace:
    """Another caller, who has the place and speaks."""
    place = desk.open(lambda status: None)
    assert place.request(waits=False) == Admitted()
    place.set_in_turn(True)
    return place


async def test_caller_that_waits_is_told_at_once_and_heard_when_admitted(stage, desk):
    stage.waits = True
    other = speaks(desk)
    async with stage:
        began_ms = stage.now_ms
        await stage.user("is anybody there")
        waiting = await stage.until(Admission)
        told_ms = next(at_ms for at_ms, message in stage.client.messages if message is waiting)
        assert told_ms - began_ms < 1_000
        assert (waiting.state, waiting.position) == (State.ADMISSION_STATE_WAITING, 1)
        assert 25 <= waiting.expected_wait_s <= 30
        await stage.silence(3_000)
        assert stage.stt.received_chunks == 0, "nothing of it costs anything"
        assert stage.client.of_type(server_messages.TurnCommitted) == []
        stage.user_speech.words.clear()
        other.leave()
        assert await stage.until(Admission, 2) == ADMITTED
        await stage.ask("hello")
        await stage.until(server_messages.ReplyFinished)
    assert stage.history == [("user", "hello"), ("anchor", "Yes.")]


async def test_caller_that_does_not_wait_is_refused(stage, desk):
    speaks(desk)
    async with stage:
        await stage.user("is anybody there")
        await asyncio.wait([stage.running.task])
        error = stage.client.of_type(server_messages.Error)[0]
        ended = stage.client.of_type(server_messages.SessionEnded)[0]
    assert (error.code, error.retryable, ended.code) == ("admission.at_capacity", True, "admission.at_capacity")
    assert error.retry_after_s is not None
    assert 25 <= error.retry_after_s <= 30
    assert isinstance(stage.failure, AtCapacity)
    assert desk.describe()["waiting"] == 0


async def test_text_without_a_place_is_not_answered(stage, desk):
    stage.waits = True
    other = speaks(desk)
    async with stage:
        stage.command(client_messages.TextInput("hello"))
        assert (await stage.until(Admission)).position == 1
        await stage.silence(2_000)
        assert stage.history == []
        other.leave()
        assert await stage.until(Admission, 2) == ADMITTED
        stage.command(client_messages.TextInput("hello again"))
        await stage.until(server_messages.ReplyFinished)
    assert stage.history[0] == ("user", "hello again")


async def test_push_to_talk_without_a_place_leaves_nothing_in_the_next_question(stage, desk):
    stage.waits = stage.manual = True
    other = speaks(desk)
    async with stage:
        await stage.user("is anybody there")
        await stage.mute()
        stage.command(client_messages.EndTurn())
        assert (await stage.until(Admission)).position == 1
        await stage.silence(500)
        stage.user_speech.words.clear()
        other.leave()
        assert await stage.until(Admission, 2) == ADMITTED
        await stage.unmute()
        await stage.user("hello")
        await stage.mute()
        stage.command(client_messages.EndTurn())
        committed = await stage.until(server_messages.TurnCommitted)
    assert committed.text == "hello"


async def test_conversation_keeps_its_place_between_questions(stage, desk):
    async with stage:
        await stage.ask("hello")
        await stage.until(server_messages.ReplyFinished)
        others: list[object] = []
        other = desk.open(others.append)
        other.request(waits=True)
        await stage.silence(1_000 * KEEP_S - 3_000)
        await stage.ask("and what is new")
        await stage.until(server_messages.ReplyFinished, 2)
        assert others == []
        # An idle page holds nothing.
        await stage.silence(1_000 * KEEP_S + 1_000)
        assert others == [Admitted()]
    assert [role for role, _ in stage.history] == ["user", "anchor", "user", "anchor"]


async def test_session_that_is_over_gives_its_place_to_the_next(stage, desk):
    others: list[object] = []
    async with stage:
        await stage.ask("hello")
        other = desk.open(others.append)
        other.request(waits=True)
    assert others == [Admitted()]


async def test_caller_that_disconnects_does_not_wait(stage, desk):
    stage.waits = True
    speaks(desk)
    async with stage:
        stage.command(client_messages.TextInput("hello"))
        await stage.until(Admission)
        assert desk.describe()["waiting"] == 1
        await stage.disconnect()
        await asyncio.sleep(0.1)
        assert desk.describe()["waiting"] == 0


async def test_shed_speculation_answers_when_the_turn_is_over(stage):
    stage.sheds_speculation = True
    stage.anchor_will_say("Nothing.")
    async with stage:
        await stage.user("what is new")
        # The transcript is there, and the turn is not over yet.
        await stage.silence(300)
        assert stage.client.of_type(server_messages.FinalTranscript)
        assert stage.llm.prompts == []
        await stage.until(server_messages.ReplyFinished)
    assert len(stage.llm.prompts) == 1
    assert (stage.llm.prefilled, stage.llm.partials) == ([], [])
