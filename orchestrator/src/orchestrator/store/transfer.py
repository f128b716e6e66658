"""Writes the whole store to a file and reads it back, between versions and kinds of database.

The file is JSON: a line with the schema's revision, then a line per row. Reading replaces all that the database holds,
in one transaction: it happens whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import IO, Any

from service_kit.errors import InvalidRequest
from service_kit.parsing.documents import parse_json
from sqlalchemy import Connection, MetaData, Table, insert, select

from orchestrator.store.database import create_engine, current_revision, migrate, parse_url, upgrade

FORMAT = "anchor-store"
# Rows of one insertion.
_BATCH = 500
_VERSIONS = "alembic_version"


async def export_store(url: str, file: IO[str]) -> int:
    """Write all rows to `file`, as of one moment; returns how many. Raises `AnchorError`, and the database's errors."""
    engine = create_engine(parse_url(url))
    try:
        await migrate(engine)
        async with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                # Every table as of the same moment.
                connection = await connection.execution_options(isolation_level="REPEATABLE READ")
            return await connection.run_sync(_write_rows, file)
    finally:
        await engine.dispose()


async def import_store(url: str, file: IO[str]) -> int:
    """Replace all rows by those of `file`; returns how many. Raises `AnchorError`, and the database's errors."""
    engine = create_engine(parse_url(url))
    try:
        await migrate(engine)
        async with engine.begin() as connection:
            return await connection.run_sync(_replace_rows, file)
    finally:
        await engine.dispose()


def _write_rows(connection: Connection, file: IO[str]) -> int:
    _write_line(file, {"format": FORMAT, "revision": current_revision(connection)})
    rows = 0
    for table in _tables(connection):
        for row in connection.execute(select(table)).mappings():
            # The numbers of events are given anew.
            values = {name: value for name, value in row.items() if not (table.name == "events" and name == "id")}
            _write_line(file, {"table": table.name, "row": values})
            rows += 1
    return rows


def _replace_rows(connection: Connection, file: IO[str]) -> int:
    lines = _read_lines(file)
    header = next(lines, {})
    if header.get("format") != FORMAT or not isinstance(header.get("revision"), str):
        raise InvalidRequest("store.bad_dump", "the file is no dump of a store")
    old = MetaData()
    old.reflect(connection)
    old.drop_all(connection)
    # With the tables of the version that wrote the dump; then as any database of that version.
    upgrade(connection, str(header["revision"]))
    tables = {table.name: table for table in _tables(connection)}
    rows = sum(_insert_rows(connection, tables, batch) for batch in _batches(lines))
    upgrade(connection)
    return rows


def _insert_rows(connection: Connection, tables: dict[str, Table], batch: tuple[str, list[dict[str, Any]]]) -> int:
    name, rows = batch
    if name not in tables or any(row.keys() - tables[name].columns.keys() for row in rows):
        raise InvalidRequest("store.bad_dump", f"the dump has rows of an unknown table {name!r}, or unknown columns")
    connection.execute(insert(tables[name]), rows)
    return len(rows)


def _batches(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Consecutive rows of one table, `_BATCH` at most."""
    name, rows = "", list[dict[str, Any]]()
    for line in lines:
        if not isinstance(line.get("table"), str) or not isinstance(line.get("row"), dict):
            raise InvalidRequest("store.bad_dump", "the dump has a line without a table and a row")
        if rows and (line["table"] != name or len(rows) == _BATCH):
            yield name, rows
            rows = []
        name = line["table"]
        rows.append(line["row"])
    if rows:
        yield name, rows


def _tables(connection: Connection) -> list[Table]:
    """The tables of the database as it is, those that others refer to first."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != _VERSIONS]


def _write_line(file: IO[str], fields: dict[str, Any]) -> None:
    file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def _read_lines(file: IO[str]) -> Iterator[dict[str, Any]]:
    for line in file:
        try:
            fields = parse_json(line)
        except ValueError as error:
            raise InvalidRequest("store.bad_dump", "the dump has a line that is no JSON") from error
        if not isinstance(fields, dict):
            raise InvalidRequest("store.bad_dump", "the dump has a line that is no object")
        yield fields
