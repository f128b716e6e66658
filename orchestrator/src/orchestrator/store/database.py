"""Opens the database of the store: its URL, its settings by kind, and its migrations."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from service_kit.errors import AnchorError, InvalidRequest
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_BUSY_S = 5.0
# Any number, the same for all: one process at a time migrates a PostgreSQL database.
_MIGRATION_LOCK = 7_203_114

# SQLite: readers do not block the writer; a commit is on the disk when it returns; deleted words are overwritten.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    f"busy_timeout={_BUSY_S * 1000:g}",
)


class SchemaTooNew(AnchorError):
    """A newer version of AI Anchor wrote the database."""


def parse_url(setting: str) -> URL:
    """The database of `ORCHESTRATOR_STORE`. Raises `InvalidRequest`, without the password that the URL may have."""
    try:
        url = make_url(setting)
    except ArgumentError as error:
        raise InvalidRequest(
            "orchestrator.bad_store", "ORCHESTRATOR_STORE is no URL: off, sqlite:///FILE or postgresql://..."
        ) from error
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return url.set(drivername="sqlite+aiosqlite")
        case "postgresql":
            if importlib.util.find_spec("asyncpg") is None:
                message = "ORCHESTRATOR_STORE: PostgreSQL needs the extra `postgresql` of the orchestrator"
                raise InvalidRequest("orchestrator.bad_store", message)
            return url.set(drivername="postgresql+asyncpg")
        case _:
            message = "ORCHESTRATOR_STORE must be off, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
            raise InvalidRequest("orchestrator.bad_store", message)


def create_engine(url: URL) -> AsyncEngine:
    """The engine of a parsed URL; connects later."""
    if url.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_size=2, max_overflow=0, pool_pre_ping=True, connect_args={"timeout": 5})
    engine = create_async_engine(url, pool_size=2, max_overflow=0, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        # The driver must not begin transactions by itself: it would leave migrations outside of any.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # The write lock from the start: a transaction that reads first may not get it later.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


async def migrate(engine: AsyncEngine) -> None:
    """Create the database's tables, or bring them to the newest revision, in one transaction.

    Raises `SchemaTooNew`, and SQLAlchemy's errors for a database that cannot be reached or written.
    """
    if engine.url.get_backend_name() == "sqlite":
        _create_private_file(Path(str(engine.url.database)))
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        await connection.run_sync(upgrade)


def current_revision(connection: Connection) -> str | None:
    """The revision of the database's tables; None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision`. Raises `SchemaTooNew`."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "orchestrator.store:migrations")
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        known = ScriptDirectory.from_config(config).get_current_head()
        message = f"the store was written by a newer version: this one knows revisions up to {known}"
        raise SchemaTooNew("store.too_new", message) from error


def _create_private_file(path: Path) -> None:
    """Create the database for its owner only; SQLite gives its other files the same mode. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
