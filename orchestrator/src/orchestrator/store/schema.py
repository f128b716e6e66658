"""The tables of the store, as the newest migration leaves them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

METADATA = MetaData()


def _of_conversation() -> Column[str]:
    return Column("conversation_id", String(64), ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False)


# `id` is the SHA-256 of the ticket: who reads the database cannot open a conversation with it.
CONVERSATIONS = Table(
    "conversations",
    METADATA,
    Column("id", String(64), primary_key=True),
    # Rises with every owner; a write under a lower one is refused.
    Column("epoch", Integer, nullable=False),
    # Null for nobody's.
    Column("person_id", String(128)),
    Column("created_unix_s", Float, nullable=False),
    Column("used_unix_s", Float, nullable=False),
    Column("language", String(256), nullable=False),
    Column("voice", String(256), nullable=False),
    Column("persona", String(256), nullable=False),
    Column("patience", Float, nullable=False),
    Column("heard_language", String(256), nullable=False),
    Column("first_language", String(256), nullable=False),
    Column("style", JSON, nullable=False),
    Index("conversations_by_person", "person_id"),
    Index("conversations_by_use", "used_unix_s"),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("session_id", String(64), primary_key=True),
    _of_conversation(),
    Column("opened_unix_s", Float, nullable=False),
    Index("sessions_by_conversation", "conversation_id"),
)

TURNS = Table(
    "turns",
    METADATA,
    _of_conversation(),
    Column("turn_id", Integer, nullable=False),
    Column("session_id", String(64), nullable=False),
    Column("saved_unix_s", Float, nullable=False),
    # Null before anything of the reply was heard.
    Column("heard_ms", Integer),
    Column("is_over", Boolean, nullable=False),
    # [[playback position in ms, heard text there], ...] of the reply that is playing.
    Column("upcoming", JSON, nullable=False),
    PrimaryKeyConstraint("conversation_id", "turn_id"),
)

MESSAGES = Table(
    "messages",
    METADATA,
    Column("conversation_id", String(64), nullable=False),
    Column("turn_id", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("role", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    PrimaryKeyConstraint("conversation_id", "turn_id", "position"),
    ForeignKeyConstraint(
        ["conversation_id", "turn_id"], ["turns.conversation_id", "turns.turn_id"], ondelete="CASCADE"
    ),
)

WATERFALLS = Table(
    "waterfalls",
    METADATA,
    _of_conversation(),
    Column("turn_id", Integer, nullable=False),
    Column("stages", JSON, nullable=False),
    PrimaryKeyConstraint("conversation_id", "turn_id"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _of_conversation(),
    Column("session_id", String(64), nullable=False),
    Column("turn_id", Integer),
    Column("kind", String(64), nullable=False),
    Column("at_unix_s", Float, nullable=False),
    Column("fields", JSON, nullable=False),
    Index("events_by_conversation", "conversation_id"),
)
