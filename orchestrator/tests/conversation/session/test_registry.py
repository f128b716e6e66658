"""Who may come in, and what is kept of a conversation."""

from __future__ import annotations

import pytest
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady
from session_client import SilentService, status


class RecordingClient:
    """A client that takes everything."""

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


def test_a_conversation_begins_with_what_was_chosen_or_the_servers_own():
    registry = sessions()
    conversation = registry.start_conversation(SessionStart(language="fr", voice="nora"))
    chosen = conversation.preferences
    assert (chosen.language, chosen.voice, chosen.persona, chosen.patience) == ("fr", "nora", "anchor", 1.0)
    assert registry.conversation(conversation.ticket) is conversation


@pytest.mark.parametrize(
    ("start", "code"),
    [
        (SessionStart(language="xx"), "session.unknown_language"),
        (SessionStart(voice="nobody"), "session.unknown_voice"),
        (SessionStart(persona="nobody"), "session.unknown_persona"),
        (SessionStart(patience=0.4), "session.bad_patience"),
        (SessionStart(patience=float("nan")), "session.bad_patience"),
    ],
)
def test_a_choice_that_there_is_not_is_refused(start, code):
    with pytest.raises(InvalidRequest) as refused:
        sessions().start_conversation(start)
    assert refused.value.code == code


def test_patience_is_the_users_or_else_the_servers():
    registry = sessions(rules=TurnRules(patience=1.5))
    assert registry.start_conversation(SessionStart()).preferences.patience == 1.5
    assert registry.start_conversation(SessionStart(patience=0.5)).preferences.patience == 0.5


def test_an_ended_conversation_is_forgotten():
    registry = sessions()
    ticket = registry.start_conversation(SessionStart()).ticket
    registry.end_conversation(ticket)
    with pytest.raises(NotFound):
        registry.conversation(ticket)


def test_a_conversation_is_kept_for_a_while_after_its_last_use():
    registry = sessions(retention_s=-1.0)
    with pytest.raises(NotFound):
        registry.conversation(registry.start_conversation(SessionStart()).ticket)


def test_idle_tickets_lock_nobody_out():
    registry = sessions(max_conversations=2)
    first, second = (registry.start_conversation(SessionStart()) for _ in range(2))
    first.history.add_user_turn(1, "hello")
    third = registry.start_conversation(SessionStart())
    assert registry.conversation(first.ticket)
    with pytest.raises(NotFound):
        registry.conversation(second.ticket)
    third.history.add_user_turn(1, "hello")
    with pytest.raises(AtCapacity):
        registry.start_conversation(SessionStart())


async def test_places_are_bounded_and_given_back():
    registry = sessions()
    async with registry.open(SessionStart(), RecordingClient()), registry.open(SessionStart(), RecordingClient()):
        with pytest.raises(AtCapacity):
            async with registry.open(SessionStart(), RecordingClient()):
                pass
    async with registry.open(SessionStart(), RecordingClient()):
        pass


async def test_a_conversation_has_one_owner():
    registry = sessions()
    ticket = registry.start_conversation(SessionStart()).ticket
    async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
        with pytest.raises(InvalidRequest) as refused:
            async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
                pass
    assert refused.value.code == "session.already_open"
    async with registry.open(SessionStart(ticket=ticket), RecordingClient()):
        pass


async def test_nobody_comes_in_before_it_is_ready():
    with pytest.raises(NotReady):
        async with sessions(is_ready=lambda: False).open(SessionStart(), RecordingClient()):
            pass
