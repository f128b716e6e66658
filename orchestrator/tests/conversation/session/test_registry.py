"""The session registry: choices, capacity, and retention of conversations."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from orchestrator.conversation.messages.client import SessionStart, TextInput
from orchestrator.conversation.messages.server import BargeIn, VoiceChoice
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import ConnectionDropped, Persona
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady, Stopping
from session_client import SessionClient, SilentService, status


class RecordingClient:
    """A client that reads all messages."""

    def __init__(self) -> None:
        self.received: list[object] = []

    async def send(self, message: object) -> None:
        self.received.append(message)

    async def send_audio(self, pcm: bytes) -> None:
        pass


def sessions(**rules) -> SessionRegistry:
    services = Services(
        voice_activity=SilentService(),
        speech_to_text=SilentService(),
        language_model=lambda: None,
        text_to_speech=None,
        personas={"anchor": Persona("anchor", "Nora", "")},
        system_status=status,
        voices=Observable((VoiceChoice("nora", "Nora"),)),
    )
    return SessionRegistry(
        **{"services": services, "rules": TurnRules(), "language": "en", "persona": "anchor", "capacity": 2, **rules}
    )


async def test_conversation_starts_with_the_choices_or_the_defaults():
    registry = sessions()
    conversation = registry.start_conversation(SessionStart(language="fr", voice="nora"))
    preferences = conversation.preferences
    assert (preferences.language, preferences.voice, preferences.persona, preferences.patience) == (
        "fr",
        "nora",
        "anchor",
        1.0,
    )
    assert await registry.find_conversation(conversation.ticket) is conversation


@pytest.mark.parametrize(
    ("installed", "chosen", "language", "first"),
    [("auto", "", "auto", "en"), ("auto", "de", "de", "en"), ("de", "", "de", "de"), ("de-AT", "auto", "auto", "de")],
)
def test_automatic_conversation_begins_in_the_default_language(installed, chosen, language, first):
    registry = sessions(language=installed)
    preferences = registry.start_conversation(SessionStart(language=chosen)).preferences
    assert registry.default_language == installed.partition("-")[0]
    assert (preferences.language, preferences.first_language) == (language, first)
    assert preferences.reply_language == (first if language == "auto" else language)


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (SessionStart(language="xx"), "session.unknown_language"),
        (SessionStart(voice="nobody"), "session.unknown_voice"),
        (SessionStart(persona="nobody"), "session.unknown_persona"),
        (SessionStart(patience=0.4), "session.bad_patience"),
        (SessionStart(patience=float("nan")), "session.bad_patience"),
        (SessionStart(barge_in_stop_ms=99), "session.bad_barge_in"),
        (SessionStart(barge_in_stop_ms=3_001), "session.bad_barge_in"),
        (SessionStart(barge_in_min_words=0), "session.bad_barge_in"),
        (SessionStart(barge_in_min_words=2**32 - 1), "session.bad_barge_in"),
    ],
)
def test_unavailable_choice_is_refused(start, code):
    with pytest.raises(InvalidRequest) as refused:
        sessions().start_conversation(start)
    assert refused.value.code == code


def test_patience_defaults_to_the_servers_setting():
    registry = sessions(rules=TurnRules(patience=1.5))
    assert registry.start_conversation(SessionStart()).preferences.patience == 1.5
    assert registry.start_conversation(SessionStart(patience=0.5)).preferences.patience == 0.5


def test_barge_in_is_the_servers_unless_chosen():
    registry = sessions()
    assert registry.start_conversation(SessionStart()).preferences.barge_in == BargeIn()
    start = SessionStart(barge_in_stop_ms=300, barge_in_min_words=2)
    assert registry.start_conversation(start).preferences.barge_in == BargeIn(300, 2)


async def test_ended_conversation_is_deleted():
    registry = sessions()
    ticket = registry.start_conversation(SessionStart()).ticket
    await registry.end_conversation(ticket)
    with pytest.raises(NotFound):
        await registry.find_conversation(ticket)


async def test_conversation_expires_after_the_retention():
    registry = sessions(memory_s=-1.0)
    with pytest.raises(NotFound):
        await registry.find_conversation(registry.start_conversation(SessionStart()).ticket)


async def test_unused_tickets_are_evicted_at_capacity():
    registry = sessions(max_conversations=2)
    first, second = (registry.start_conversation(SessionStart()) for _ in range(2))
    first.history.add_user_turn(1, "hello")
    third = registry.start_conversation(SessionStart())
    assert await registry.find_conversation(first.ticket)
    with pytest.raises(NotFound):
        await registry.find_conversation(second.ticket)
    third.history.add_user_turn(1, "hello")
    with pytest.raises(AtCapacity):
        registry.start_conversation(SessionStart())


async def test_sessions_beyond_the_capacity_are_refused():
    registry = sessions()
    async with registry.open(SessionStart(), RecordingClient()), registry.open(SessionStart(), RecordingClient()):
        with pytest.raises(AtCapacity):
            async with registry.open(SessionStart(), RecordingClient()):
                pass
    async with registry.open(SessionStart(), RecordingClient()):
        pass


async def test_conversation_is_open_in_one_session_only():
    registry = sessions()
    ticket = registry.start_conversation(SessionStart()).ticket
    async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
        with pytest.raises(InvalidRequest) as refused:
            async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
                pass
    assert refused.value.code == "session.already_open"
    async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
        pass


async def test_client_is_refused_before_the_server_is_ready():
    with pytest.raises(NotReady):
        async with sessions(is_ready=lambda: False).open(SessionStart(), RecordingClient()):
            pass


@pytest.mark.virtual_clock
async def test_draining_ends_idle_sessions_at_once_and_refuses_new_ones():
    async with sessions(resume_s=600.0, capacity=3) as registry:
        client = await SessionClient(registry).connect()
        away = await SessionClient(registry).connect()
        await away.disconnect(ConnectionDropped())
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await registry.drain(30.0)
        assert loop.time() - began_s < 1
        with pytest.raises(Stopping) as ended:
            await client.wait_ended()
        assert (ended.value.code, ended.value.websocket_close_code) == ("session.moving", 1012)
        assert client.ended == ["session.moving"]
        for start in ({}, {"ticket": client.started.ticket}):
            with pytest.raises(Stopping) as refused:
                await SessionClient(registry).connect(**start)
            assert refused.value.code == "session.moving"
        with pytest.raises(Stopping):
            registry.start_conversation(SessionStart())


class SilentModel:
    """A language model that answers nothing, for ever."""

    name = "silent"

    async def reply(self, prompt):
        await asyncio.Event().wait()
        yield ""

    async def prefill(self, prompt):
        pass


class HangingTts:
    """Text to speech that never opens a stream."""

    @asynccontextmanager
    async def open(self, voice, language, style):
        await asyncio.Event().wait()
        yield


@pytest.mark.virtual_clock
async def test_draining_gives_a_turn_in_progress_the_grace_and_no_more():
    services = Services(
        voice_activity=SilentService(),
        speech_to_text=SilentService(),
        language_model=SilentModel,
        text_to_speech=HangingTts(),
        personas={"anchor": Persona("anchor", "Nora", "", phrases={"en": {"apology": "Sorry."}})},
        system_status=status,
    )
    async with sessions(services=services) as registry:
        client = await SessionClient(registry).connect()
        client.send_command(TextInput("how are you"))
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await registry.drain(4.0)
        assert 4.0 <= loop.time() - began_s < 4.5
        with pytest.raises(Stopping):
            await client.wait_ended()
        assert client.ended == ["session.moving"]


async def test_draining_without_sessions_ends_at_once():
    registry = sessions()
    await registry.drain(600.0)
    with pytest.raises(Stopping):
        async with registry.open(SessionStart(), RecordingClient()):
            pass
