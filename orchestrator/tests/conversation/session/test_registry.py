"""Who may come in, and what is kept of a conversation."""

from __future__ import annotations

import pytest
from callers import Quiet, status
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.messages.server import VoiceChoice
from orchestrator.conversation.model.observable import Observable
from orchestrator.conversation.model.ports import Persona
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules
from service_kit.errors import AtCapacity, InvalidRequest, NotFound, NotReady


class Nobody:
    """A client that takes everything."""

    def __init__(self) -> None:
        self.told: list[object] = []

    async def send(self, message: object) -> None:
        self.told.append(message)

    async def send_audio(self, pcm: bytes) -> None:
        pass


def sessions(**rules) -> SessionRegistry:
    services = Services(
        voice_activity=Quiet(),
        speech_to_text=Quiet(),
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
    lobby = sessions()
    conversation = lobby.start_conversation(SessionStart(language="fr", voice="nora"))
    chosen = conversation.preferences
    assert (chosen.language, chosen.voice, chosen.persona, chosen.patience) == ("fr", "nora", "anchor", 1.0)
    assert lobby.conversation(conversation.ticket) is conversation


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
    lobby = sessions(rules=TurnRules(patience=1.5))
    assert lobby.start_conversation(SessionStart()).preferences.patience == 1.5
    assert lobby.start_conversation(SessionStart(patience=0.5)).preferences.patience == 0.5


def test_an_ended_conversation_is_forgotten():
    lobby = sessions()
    ticket = lobby.start_conversation(SessionStart()).ticket
    lobby.end_conversation(ticket)
    with pytest.raises(NotFound):
        lobby.conversation(ticket)


def test_a_conversation_is_kept_for_a_while_after_its_last_use():
    lobby = sessions(retention_s=-1.0)
    with pytest.raises(NotFound):
        lobby.conversation(lobby.start_conversation(SessionStart()).ticket)


def test_idle_tickets_lock_nobody_out():
    lobby = sessions(max_conversations=2)
    first, second = (lobby.start_conversation(SessionStart()) for _ in range(2))
    first.history.add_user_turn(1, "hello")
    third = lobby.start_conversation(SessionStart())
    assert lobby.conversation(first.ticket)
    with pytest.raises(NotFound):
        lobby.conversation(second.ticket)
    third.history.add_user_turn(1, "hello")
    with pytest.raises(AtCapacity):
        lobby.start_conversation(SessionStart())


async def test_places_are_bounded_and_given_back():
    lobby = sessions()
    async with lobby.open(SessionStart(), Nobody()), lobby.open(SessionStart(), Nobody()):
        with pytest.raises(AtCapacity):
            async with lobby.open(SessionStart(), Nobody()):
                pass
    async with lobby.open(SessionStart(), Nobody()):
        pass


async def test_a_conversation_has_one_owner():
    lobby = sessions()
    ticket = lobby.start_conversation(SessionStart()).ticket
    async with lobby.open(SessionStart(ticket=ticket), Nobody()):
        with pytest.raises(InvalidRequest) as refused:
            async with lobby.open(SessionStart(ticket=ticket), Nobody()):
                pass
    assert refused.value.code == "session.already_open"
    async with lobby.open(SessionStart(ticket=ticket), Nobody()):
        pass


async def test_nobody_comes_in_before_it_is_ready():
    with pytest.raises(NotReady):
        async with sessions(is_ready=lambda: False).open(SessionStart(), Nobody()):
            pass
