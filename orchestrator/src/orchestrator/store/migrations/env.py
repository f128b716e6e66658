"""Runs the migrations on the connection that the store hands over, in one transaction.

Alembic runs this file; there is no `alembic.ini`. A new revision is written by hand, in `versions/`.
"""

from __future__ import annotations

from alembic import context

from orchestrator.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
