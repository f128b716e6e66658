"""A store of an earlier version is brought up to date, and one of a later version is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.store import Claim, EventEntry, Selection
from orchestrator.store.database import SchemaTooNew, create_engine, migrate, parse_url
from orchestrator.store.schema import METADATA
from orchestrator.store.sql_store import SqlStore
from sqlalchemy import inspect

BEFORE = Path(__file__).with_name("store-0001.sql")
TICKET = "a ticket of the version before"


async def test_store_of_the_version_before_is_upgraded_with_all_it_holds(tmp_path):
    database = sqlite3.connect(tmp_path / "conversations.db")
    database.executescript(BEFORE.read_text("utf-8"))
    assert [row[0] for row in database.execute("SELECT version_num FROM alembic_version")] == ["0001"]
    database.close()
    store = SqlStore(f"sqlite:///{tmp_path}/conversations.db", 3_650)
    async with store.running():
        stored = await store.claim(TICKET)
        assert stored is not None
        entry = stored.entry
        assert (stored.epoch, entry.person_id, entry.voice, entry.style) == (5, "", "nora", Style(pace=1.25))
        assert [
            [(message.role, message.text, message.interrupted) for message in turn.messages] for turn in stored.turns
        ] == [
            [("user", "what is the weather like", False), ("anchor", "Sunny and warm.", False)],
            [("user", "tell me a story", False), ("anchor", "Once upon a time", True)],
        ]
        assert [(turn.heard_ms, turn.is_over, turn.upcoming) for turn in stored.turns] == [
            (2400, True, ()),
            (900, False, ()),
        ]
        # The new tables take what the new version writes, and sessions of before can be named.
        store.record(Claim(TICKET, stored.epoch), EventEntry("0123456789ab", "error", 1.0))
        (exported,) = await store.export(Selection("session", "0123456789ab"))
        assert [event["kind"] for event in exported["events"]] == ["error"]


async def test_migrations_make_the_tables_of_the_schema(store_url):
    engine = create_engine(parse_url(store_url))
    await migrate(engine)
    await migrate(engine)

    def tables(connection: object) -> dict[str, dict[str, tuple[bool, bool]]]:
        found = inspect(connection)
        keys = {name: found.get_pk_constraint(name)["constrained_columns"] for name in METADATA.tables}
        return {
            name: {each["name"]: (each["nullable"], each["name"] in keys[name]) for each in found.get_columns(name)}
            for name in METADATA.tables
        }

    async with engine.connect() as connection:
        made = await connection.run_sync(tables)
    await engine.dispose()
    assert made == {
        name: {column.name: (column.nullable, column.primary_key) for column in table.columns}
        for name, table in METADATA.tables.items()
    }


async def test_store_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "conversations.db"
    engine = create_engine(parse_url(f"sqlite:///{path}"))
    await migrate(engine)
    await engine.dispose()
    database = sqlite3.connect(path)
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew):
        async with SqlStore(f"sqlite:///{path}", 30).running():
            pass
    assert path.read_bytes() == before
