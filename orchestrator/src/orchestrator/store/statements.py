"""The store's statements, for SQLite and PostgreSQL alike. Each runs inside the transaction of its connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, exists, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import (
    ConversationEntry,
    Selection,
    StoredConversation,
    TurnEntry,
    TurnRemoval,
    conversation_key,
)
from orchestrator.store.pending import PendingConversation
from orchestrator.store.schema import CONVERSATIONS, EVENTS, MESSAGES, SESSIONS, TURNS, WATERFALLS

# As many as a conversation keeps in memory.
_MAX_TURNS = 400
# A conversation in which nothing was said is kept for this long.
_UNUSED_S = 86_400.0

Rows = list[dict[str, Any]]


# Writing ------------------------------------------------------------------------------------------------------------


async def write(connection: AsyncConnection, batch: Sequence[PendingConversation], now_s: float) -> set[str]:
    """Write `batch`; returns the keys of conversations that are owned elsewhere or deleted: nothing of them is written.

    `now_s` is the time of the write, in seconds since 1970.
    """
    owned = [pending for pending in batch if await _is_owned(connection, pending, now_s)]
    turns = [(pending.key, turn) for pending in owned for turn in pending.turns.values()]
    saved = [(key, turn) for key, turn in turns if isinstance(turn, TurnEntry)]
    removed = [(key, turn.turn_id) for key, turn in turns if isinstance(turn, TurnRemoval)]
    # The messages of a turn are replaced as a whole.
    await _delete_turns(connection, MESSAGES, [(key, turn.turn_id) for key, turn in turns])
    await _delete_turns(connection, TURNS, removed)
    await _delete_turns(connection, WATERFALLS, removed)
    await _upsert(connection, TURNS, [_turn_row(key, turn, now_s) for key, turn in saved])
    await _insert(connection, MESSAGES, [row for key, turn in saved for row in _message_rows(key, turn)])
    sessions = [{"conversation_id": each.key, **asdict(session)} for each in owned for session in each.sessions]
    await _upsert(connection, SESSIONS, sessions)
    waterfalls = [
        {"conversation_id": each.key, "turn_id": waterfall.turn_id, "stages": dict(waterfall.stages)}
        for each in owned
        for waterfall in each.waterfalls.values()
    ]
    await _upsert(connection, WATERFALLS, waterfalls)
    events = [
        {"conversation_id": each.key, **asdict(event), "fields": _cleaned(event.fields)}
        for each in owned
        for event in each.events
    ]
    await _insert(connection, EVENTS, events)
    return {pending.key for pending in batch} - {pending.key for pending in owned}


async def _is_owned(connection: AsyncConnection, pending: PendingConversation, now_s: float) -> bool:
    """Write the conversation's own row, unless its epoch is another; return whether it is ours.

    The row stays locked until the transaction ends, so that no other process becomes the owner meanwhile.
    """
    values: dict[str, Any] = {"used_unix_s": now_s}
    if pending.entry is not None:
        values |= _conversation_row(pending.entry)
        if pending.is_new:
            row = {**values, "id": pending.key, "epoch": pending.claim.epoch}
            await connection.execute(_insert_of(connection, CONVERSATIONS).values(row).on_conflict_do_nothing())
    mine = (CONVERSATIONS.c.id == pending.key) & (CONVERSATIONS.c.epoch == pending.claim.epoch)
    return (await connection.execute(update(CONVERSATIONS).where(mine).values(values))).rowcount == 1


async def claim(connection: AsyncConnection, key: str, now_s: float) -> StoredConversation | None:
    """Raise the epoch of a conversation and return it; None when there is none."""
    raised = (
        update(CONVERSATIONS)
        .where(CONVERSATIONS.c.id == key)
        .values(epoch=CONVERSATIONS.c.epoch + 1, used_unix_s=now_s)
    )
    used_s = await connection.scalar(select(CONVERSATIONS.c.used_unix_s).where(CONVERSATIONS.c.id == key))
    if used_s is None or (await connection.execute(raised)).rowcount != 1:
        return None
    return await load(connection, key, used_s)


async def delete_selected(connection: AsyncConnection, selection: Selection) -> frozenset[str]:
    """Delete the selected conversations with all that belongs to them; returns their keys."""
    keys = frozenset((await connection.scalars(select(CONVERSATIONS.c.id).where(_selected(selection)))).all())
    await connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.id.in_(keys)))
    return keys


async def delete_expired(connection: AsyncConnection, now_s: float, retention_s: float) -> int:
    """Delete conversations that were not used for `retention_s`, and unused ones after a day; returns how many."""
    unused = ~exists().where(TURNS.c.conversation_id == CONVERSATIONS.c.id)
    expired = (CONVERSATIONS.c.used_unix_s < now_s - retention_s) | (
        (CONVERSATIONS.c.used_unix_s < now_s - _UNUSED_S) & unused
    )
    return (await connection.execute(delete(CONVERSATIONS).where(expired))).rowcount


# Reading ------------------------------------------------------------------------------------------------------------


async def load(connection: AsyncConnection, key: str, used_s: float | None = None) -> StoredConversation | None:
    """Read a conversation with its newest turns; None for no row. `used_s` replaces the time of its last use."""
    row = (await connection.execute(select(CONVERSATIONS).where(CONVERSATIONS.c.id == key))).mappings().first()
    if row is None:
        return None
    newest = select(TURNS).where(TURNS.c.conversation_id == key).order_by(TURNS.c.turn_id.desc()).limit(_MAX_TURNS)
    turn_rows = (await connection.execute(newest)).mappings().all()[::-1]
    messages = await _messages(connection, key, turn_rows[0]["turn_id"] if turn_rows else 0)
    entry = ConversationEntry(
        created_unix_s=row["created_unix_s"],
        language=row["language"],
        voice=row["voice"],
        persona=row["persona"],
        patience=row["patience"],
        heard_language=row["heard_language"],
        first_language=row["first_language"],
        style=Style(**row["style"]),
        person_id=row["person_id"] or "",
    )
    turns = tuple(
        TurnEntry(
            turn_id=turn["turn_id"],
            session_id=turn["session_id"],
            messages=messages.get(turn["turn_id"], ()),
            heard_ms=turn["heard_ms"],
            is_over=turn["is_over"],
            upcoming=tuple((at_ms, heard) for at_ms, heard in turn["upcoming"]),
        )
        for turn in turn_rows
    )
    return StoredConversation(row["epoch"], entry, turns, row["used_unix_s"] if used_s is None else used_s)


async def export(connection: AsyncConnection, selection: Selection) -> tuple[Mapping[str, object], ...]:
    """Read everything of the selected conversations, the oldest first, with lists of what belongs to them."""
    found = select(CONVERSATIONS).where(_selected(selection)).order_by(CONVERSATIONS.c.created_unix_s)
    exported: list[Mapping[str, object]] = []
    for row in (await connection.execute(found)).mappings().all():
        parts: dict[str, Rows] = {}
        for table, order in (
            (SESSIONS, [SESSIONS.c.opened_unix_s]),
            (TURNS, [TURNS.c.turn_id]),
            (MESSAGES, [MESSAGES.c.turn_id, MESSAGES.c.position]),
            (WATERFALLS, [WATERFALLS.c.turn_id]),
            (EVENTS, [EVENTS.c.id]),
        ):
            rows = await connection.execute(select(table).where(table.c.conversation_id == row["id"]).order_by(*order))
            parts[table.name] = [_without_key(part) for part in rows.mappings().all()]
        exported.append({**row, **parts})
    return tuple(exported)


async def _messages(connection: AsyncConnection, key: str, from_turn_id: int) -> dict[int, tuple[Message, ...]]:
    found = (
        select(MESSAGES)
        .where((MESSAGES.c.conversation_id == key) & (MESSAGES.c.turn_id >= from_turn_id))
        .order_by(MESSAGES.c.turn_id, MESSAGES.c.position)
    )
    messages: dict[int, tuple[Message, ...]] = {}
    for row in (await connection.execute(found)).mappings().all():
        message = Message(row["role"], row["text"], row["interrupted"])
        messages[row["turn_id"]] = (*messages.get(row["turn_id"], ()), message)
    return messages


def _selected(selection: Selection) -> ColumnElement[bool]:
    match selection.by:
        case "ticket":
            return CONVERSATIONS.c.id == conversation_key(selection.value)
        case "session":
            of_session = select(SESSIONS.c.conversation_id).where(SESSIONS.c.session_id == selection.value)
            return CONVERSATIONS.c.id.in_(of_session)
        case "person":
            return CONVERSATIONS.c.person_id == selection.value


# Rows ---------------------------------------------------------------------------------------------------------------


def _conversation_row(entry: ConversationEntry) -> dict[str, Any]:
    row = asdict(entry)
    del row["is_new"]
    return {**row, "person_id": entry.person_id or None}


def _turn_row(key: str, turn: TurnEntry, now_s: float) -> dict[str, Any]:
    return {
        "conversation_id": key,
        "turn_id": turn.turn_id,
        "session_id": turn.session_id,
        "saved_unix_s": now_s,
        "heard_ms": turn.heard_ms,
        "is_over": turn.is_over,
        "upcoming": [[at_ms, _clean(heard)] for at_ms, heard in turn.upcoming],
    }


def _message_rows(key: str, turn: TurnEntry) -> Rows:
    return [
        {
            "conversation_id": key,
            "turn_id": turn.turn_id,
            "position": position,
            "role": message.role,
            "text": _clean(message.text),
            "interrupted": message.interrupted,
        }
        for position, message in enumerate(turn.messages)
    ]


def _without_key(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name not in ("conversation_id", "id")}


def _clean(text: str) -> str:
    """The text without what PostgreSQL (NUL) or UTF-8 (lone surrogates) cannot hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _cleaned(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: _clean(value) if isinstance(value, str) else value for name, value in fields.items()}


async def _delete_turns(connection: AsyncConnection, table: Table, turns: Sequence[tuple[str, int]]) -> None:
    if turns:
        await connection.execute(delete(table).where(tuple_(table.c.conversation_id, table.c.turn_id).in_(turns)))


async def _insert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    if rows:
        await connection.execute(insert(table), rows)


async def _upsert(connection: AsyncConnection, table: Table, rows: Rows) -> None:
    """Insert rows; one with the primary key of an existing row replaces it."""
    if not rows:
        return
    statement = _insert_of(connection, table)
    keys = {column.name for column in table.primary_key}
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    await connection.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=replaced), rows)


def _insert_of(connection: AsyncConnection, table: Table) -> Any:
    """An `INSERT` that may state what happens on a conflict; the two dialects spell it alike."""
    return sqlite_insert(table) if connection.dialect.name == "sqlite" else postgresql_insert(table)
