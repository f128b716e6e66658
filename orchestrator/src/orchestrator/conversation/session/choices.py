"""What there is to choose from, for the people who choose."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.conversation.messages.server import Choices, PersonaChoice, ServerMessage, VoiceChoice
from orchestrator.conversation.model.services import LANGUAGES, Peers


def choices(peers: Peers) -> Choices:
    """What there is to choose from now."""
    return _with_voices(peers, peers.voices.value)


async def tell_choices(peers: Peers, known: tuple[VoiceChoice, ...], send: Callable[[ServerMessage], None]) -> None:
    """Tell a client that was told of the voices `known`, whenever they change, until cancelled."""
    while True:
        known = await peers.voices.other_than(known)
        send(_with_voices(peers, known))


def _with_voices(peers: Peers, voices: tuple[VoiceChoice, ...]) -> Choices:
    personas = tuple(PersonaChoice(each.id, each.name, each.description) for each in peers.personas.values())
    return Choices(LANGUAGES, voices, personas)
