"""Stages of one stored conversation: in the process that begins it, and in the next ones."""

from __future__ import annotations

from memory_store import MemoryStore
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.model.conversation import Conversation, Preferences
from orchestrator.conversation.model.journal import FIRST_EPOCH, Journal
from orchestrator.conversation.model.store import Claim
from stage import Stage

TICKET = "ticket"
ANSWER = "Once upon a time there was a king who had three daughters and a garden"


def begin(store: MemoryStore) -> Stage:
    """A stage whose new conversation is stored."""
    stage = Stage()
    journal = Journal(store, Claim(TICKET, FIRST_EPOCH))
    stage.conversation = Conversation(TICKET, Preferences("en", "", "anchor"), journal=journal)
    stage.conversation.save_preferences()
    stage.anchor_will_say(ANSWER)
    return stage


async def restart(store: MemoryStore, played: client_messages.PlaybackProgress | None = None) -> Stage:
    """A stage of the next process, with the conversation as the store has it."""
    stored = await store.claim(TICKET)
    assert stored is not None
    stage = Stage()
    stage.conversation = Conversation(
        TICKET, Preferences("", "", ""), journal=Journal(store, Claim(TICKET, stored.epoch))
    )
    stage.conversation.restore(stored)
    if played is not None:
        stage.conversation.add_played(played.turn_id, played.played_ms)
    return stage
