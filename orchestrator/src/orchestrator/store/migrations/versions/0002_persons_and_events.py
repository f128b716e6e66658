"""Persons, sessions, latency waterfalls, events, and what is to be heard next of a reply."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _conversation_id() -> sa.Column[str]:
    return sa.Column(
        "conversation_id", sa.String(64), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False
    )


def upgrade() -> None:
    """Conversations so far are nobody's; of their sessions, only those with turns are known."""
    op.add_column("conversations", sa.Column("person_id", sa.String(128)))
    op.create_index("conversations_by_person", "conversations", ["person_id"])
    op.add_column("turns", sa.Column("upcoming", sa.JSON, nullable=False, server_default="[]"))
    op.create_table(
        "sessions",
        sa.Column("session_id", sa.String(64), primary_key=True),
        _conversation_id(),
        sa.Column("opened_unix_s", sa.Float, nullable=False),
    )
    op.create_index("sessions_by_conversation", "sessions", ["conversation_id"])
    op.execute(
        "INSERT INTO sessions (session_id, conversation_id, opened_unix_s)"
        " SELECT session_id, MIN(conversation_id), MIN(saved_unix_s) FROM turns GROUP BY session_id"
    )
    op.create_table(
        "waterfalls",
        _conversation_id(),
        sa.Column("turn_id", sa.Integer, nullable=False),
        sa.Column("stages", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "turn_id"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _conversation_id(),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("turn_id", sa.Integer),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at_unix_s", sa.Float, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
    )
    op.create_index("events_by_conversation", "events", ["conversation_id"])
