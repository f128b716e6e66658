"""The session registry with a store: tickets of earlier processes, one owner, deletion and persons."""

from __future__ import annotations

import asyncio

import pytest
from memory_store import MemoryStore
from orchestrator.conversation.messages.client import SessionStart
from orchestrator.conversation.model.ports import ConnectionDropped
from orchestrator.conversation.model.store import Selection, StoreUnavailable
from orchestrator.conversation.session.registry import SessionRegistry
from service_kit.errors import InvalidRequest, NotFound
from session_client import SessionClient, sessions


async def talk(registry: SessionRegistry, text: str = "tell me a story", **start: object) -> str:
    """Begin a conversation with one turn, and end its session; returns the ticket."""
    client = await SessionClient(registry).connect(user_text="", **start)
    ticket = client.started.ticket
    conversation = await registry.find_conversation(ticket)
    turn_id = conversation.history.last_turn_id() + 1
    conversation.commit_user_turn(turn_id, text)
    await client.disconnect()
    assert registry._store.turns[ticket][turn_id].is_over
    return ticket


async def test_ticket_of_an_earlier_process_opens_its_conversation():
    store = MemoryStore()
    async with sessions(store=store) as registry:
        ticket = await talk(registry, language="fr")
    async with sessions(store=store) as registry:
        found = await registry.find_conversation(ticket)
        assert [message.text for message in found.messages] == ["tell me a story"]
        client = await SessionClient(registry).connect(user_text="", ticket=ticket)
        assert (client.started.ticket, client.started.resumed, client.started.language) == (ticket, True, "fr")
        assert client.started.retention_days == 30
        await client.disconnect()
        with pytest.raises(NotFound):
            await registry.find_conversation("another ticket")


async def test_owner_that_was_superseded_ends_its_session():
    store = MemoryStore()
    async with sessions(store=store) as old, sessions(store=store) as new:
        store.set_on_lost(old._on_conversation_lost)
        client = await SessionClient(old).connect(user_text="")
        ticket = client.started.ticket
        other = await SessionClient(new).connect(user_text="", ticket=ticket)
        (await old.find_conversation(ticket)).commit_user_turn(1, "of a stale owner")
        await client.wait_ended()
        assert client.ended == ["session.taken_over"]
        await other.disconnect()
        assert store.turns.get(ticket, {}) == {}


async def test_conversation_that_another_process_continued_is_read_again():
    store = MemoryStore()
    async with sessions(store=store) as one, sessions(store=store) as two:
        ticket = await talk(one, "first")
        await talk(two, "second", ticket=ticket)
        client = await SessionClient(one).connect(user_text="", ticket=ticket)
        messages = (await one.find_conversation(ticket)).messages
        assert [message.text for message in messages] == ["first", "second"]
        await client.disconnect()


async def test_one_of_many_clients_at_once_gets_the_conversation():
    store = MemoryStore()
    async with sessions(store=store) as registry:
        ticket = await talk(registry)
    async with sessions(store=store) as registry:
        clients = [SessionClient(registry) for _ in range(5)]
        opened = await asyncio.gather(
            *(client.connect(user_text="", ticket=ticket) for client in clients), return_exceptions=True
        )
        refused = [error for error in opened if isinstance(error, InvalidRequest)]
        assert [error.code for error in refused] == ["session.already_open"] * 4
        (client,) = [client for client in opened if isinstance(client, SessionClient)]
        await client.disconnect()


async def test_conversation_in_memory_goes_on_while_the_store_fails():
    store = MemoryStore()
    async with sessions(store=store) as registry:
        ticket = await talk(registry)
        store.fails = True
        client = await SessionClient(registry).connect(user_text="", ticket=ticket)
        assert client.started.resumed
        await client.disconnect()
    async with sessions(store=store) as registry:
        with pytest.raises(StoreUnavailable) as refused:
            await SessionClient(registry).connect(user_text="", ticket=ticket)
        assert refused.value.retryable


async def test_deleted_conversation_is_unknown_and_saved_no_more():
    store = MemoryStore()
    async with sessions(store=store) as registry:
        client = await SessionClient(registry).connect(user_text="")
        ticket = client.started.ticket
        conversation = await registry.find_conversation(ticket)
        conversation.commit_user_turn(1, "forget this")
        await registry.end_conversation(ticket)
        conversation.commit_user_turn(2, "and this")
        assert (store.epochs, store.turns) == ({}, {})
        with pytest.raises(NotFound):
            await registry.find_conversation(ticket)
        await client.disconnect(ConnectionDropped())


async def test_person_owns_a_conversation_and_may_delete_all_of_them():
    store = MemoryStore()
    async with sessions(store=store) as registry:
        mine = [await talk(registry, person_id="ada"), await talk(registry, person_id="ada")]
        nobodys, other = await talk(registry), await talk(registry, person_id="grace")
        for ticket, person in ((mine[0], "grace"), (nobodys, "ada")):
            with pytest.raises(InvalidRequest) as refused:
                await SessionClient(registry).connect(user_text="", ticket=ticket, person_id=person)
            assert refused.value.code == "session.other_person"
        assert await registry.delete_stored(Selection("person", "ada")) == 2
        assert sorted(store.epochs) == sorted([nobodys, other])
        for ticket in mine:
            with pytest.raises(NotFound):
                await registry.find_conversation(ticket)
        assert (await registry.find_conversation(other)).person_id == "grace"


async def test_without_a_store_a_session_and_a_person_are_deleted_from_memory():
    async with sessions() as registry:
        client = await SessionClient(registry).connect(person_id="ada")
        session_id, ticket = client.started.session_id, client.started.ticket
        await client.disconnect()
        assert await registry.delete_stored(Selection("person", "grace")) == 0
        assert await registry.delete_stored(Selection("session", session_id)) == 1
        assert client.started.retention_days is None
        with pytest.raises(NotFound):
            await registry.find_conversation(ticket)


@pytest.mark.parametrize("person", ["x" * 129, "a\nb", "\x00"])
async def test_unprintable_and_long_persons_are_refused(person):
    with pytest.raises(InvalidRequest) as refused:
        sessions().start_conversation(SessionStart(person_id=person))
    assert refused.value.code == "session.bad_person"


async def test_tickets_in_memory_make_room_for_new_ones_when_they_are_stored():
    store = MemoryStore()
    async with sessions(store=store, max_conversations=2) as registry:
        tickets = [await talk(registry, f"turn of {number}") for number in range(4)]
        found = await registry.find_conversation(tickets[0])
        assert [message.text for message in found.messages] == ["turn of 0"]
