"""Conversations, their turns and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of an empty database."""
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("created_unix_s", sa.Float, nullable=False),
        sa.Column("used_unix_s", sa.Float, nullable=False),
        sa.Column("language", sa.String(256), nullable=False),
        sa.Column("voice", sa.String(256), nullable=False),
        sa.Column("persona", sa.String(256), nullable=False),
        sa.Column("patience", sa.Float, nullable=False),
        sa.Column("heard_language", sa.String(256), nullable=False),
        sa.Column("first_language", sa.String(256), nullable=False),
        sa.Column("style", sa.JSON, nullable=False),
    )
    op.create_index("conversations_by_use", "conversations", ["used_unix_s"])
    op.create_table(
        "turns",
        sa.Column(
            "conversation_id", sa.String(64), sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("turn_id", sa.Integer, nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("saved_unix_s", sa.Float, nullable=False),
        sa.Column("heard_ms", sa.Integer),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "turn_id"),
    )
    op.create_table(
        "messages",
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("turn_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("interrupted", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "turn_id", "position"),
        sa.ForeignKeyConstraint(
            ["conversation_id", "turn_id"], ["turns.conversation_id", "turns.turn_id"], ondelete="CASCADE"
        ),
    )
