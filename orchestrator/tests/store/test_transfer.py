"""A dump of the store restores it, in another kind of database and in a later version too, whole or not at all."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import pytest
from orchestrator.dump import main
from orchestrator.store.sql_store import SqlStore
from orchestrator.store.transfer import export_store, import_store

BEFORE = Path(__file__).with_name("store-0001.sql")
TICKET = "a ticket of the version before"


@pytest.fixture
def filled(tmp_path: Path) -> str:
    """A database with one conversation."""
    database = sqlite3.connect(tmp_path / "filled.db")
    database.executescript(BEFORE.read_text("utf-8"))
    database.close()
    return f"sqlite:///{tmp_path}/filled.db"


async def texts(url: str) -> list[str]:
    store = SqlStore(url, 3_650)
    async with store.running():
        stored = await store.load(TICKET)
    assert stored is not None
    return [message.text for turn in stored.turns for message in turn.messages]


async def dump_of(url: str) -> str:
    file = io.StringIO()
    await export_store(url, file)
    return file.getvalue()


async def test_dump_restores_the_store_in_either_kind_of_database(filled, store_url):
    dump = await dump_of(filled)
    for _ in range(2):
        assert await import_store(store_url, io.StringIO(dump)) == dump.count("\n") - 1
    assert await texts(store_url) == await texts(filled)
    again = await dump_of(store_url)
    assert sorted(again.splitlines()) == sorted(dump.splitlines())


async def test_dump_of_the_version_before_is_restored_and_upgraded(filled, tmp_path):
    # As that version would have written it.
    rows = [json.loads(line) for line in (await dump_of(filled)).splitlines()]
    rows[0]["revision"] = "0001"
    for row in rows[1:]:
        row["row"].pop("person_id", None)
        row["row"].pop("upcoming", None)
    dump = "".join(json.dumps(row) + "\n" for row in rows if row.get("table") != "sessions")
    url = f"sqlite:///{tmp_path}/restored.db"
    await import_store(url, io.StringIO(dump))
    assert await texts(url) == await texts(filled)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: [],
        lambda lines: lines[1:],
        lambda lines: [*lines, "{"],
        lambda lines: [*lines, "[]"],
        lambda lines: [*lines, '{"table": "sqlite_master", "row": {}}'],
        lambda lines: [*lines, '{"table": "turns", "row": {"x); DROP TABLE turns": 1}}'],
        lambda lines: [*lines, '{"table": "turns", "row": "x"}'],
        lambda lines: [lines[0].replace("0002", "9999"), *lines[1:]],
    ],
)
async def test_spoilt_dump_leaves_the_store_as_it_was(filled, spoil):
    lines = (await dump_of(filled)).splitlines()
    spoilt = "".join(f"{line}\n" for line in spoil(lines))
    before = await texts(filled)
    with pytest.raises(Exception, match=r"dump|newer"):
        await import_store(filled, io.StringIO(spoilt))
    assert await texts(filled) == before


async def test_dump_with_half_a_conversation_is_refused_by_its_keys(filled):
    lines = (await dump_of(filled)).splitlines()
    without_parent = [line for line in lines if '"table": "conversations"' not in line]
    with pytest.raises(Exception, match="FOREIGN KEY"):
        await import_store(filled, io.StringIO("\n".join(without_parent) + "\n"))
    assert await texts(filled)


def test_command_line_writes_a_private_file_and_reports(filled, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ORCHESTRATOR_STORE", filled)
    path = tmp_path / "dump.jsonl"
    assert main(["export", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert main(["import", str(path)]) == 0
    assert "imported 8 rows" in capsys.readouterr().err
    assert main(["import", str(tmp_path / "missing")]) == 1
    assert main([]) == 2
    monkeypatch.setenv("ORCHESTRATOR_STORE", "off")
    assert main(["export", str(path)]) == 3
