"""Writes `store-0001.sql`: a store as the version with revision 0001 wrote it, for the test that upgrades it.

    python orchestrator/tests/store/make_store_0001.py

It was run once, with that version's schema; a later version's store gets a script and a file of its own.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.conversation.model.store import conversation_key
from orchestrator.store.database import upgrade
from sqlalchemy import create_engine, text

TARGET = Path(__file__).with_name("store-0001.sql")
TICKET = "a ticket of the version before"


def main() -> None:
    scratch = Path("store-0001.db")
    engine = create_engine(f"sqlite:///{scratch}")
    with engine.begin() as connection:
        upgrade(connection, "0001")
        key = conversation_key(TICKET)
        connection.execute(
            text(
                "INSERT INTO conversations VALUES (:key, 4, 1764000000.5, 1764000600.25, 'en', 'nora', 'anchor', 1.5,"
                """ 'de', 'en', '{"pace": 1.25, "warmth": null, "humour": null, "energy": null}')"""
            ),
            {"key": key},
        )
        for turn_id, heard_ms, is_over in ((1, 2_400, True), (2, 900, False)):
            row = {"key": key, "turn": turn_id, "heard": heard_ms, "over": is_over}
            connection.execute(
                text("INSERT INTO turns VALUES (:key, :turn, '0123456789ab', 1764000600.25, :heard, :over)"), row
            )
        for turn_id, position, role, said, interrupted in (
            (1, 0, "user", "what is the weather like", False),
            (1, 1, "anchor", "Sunny and warm.", False),
            (2, 0, "user", "tell me a story", False),
            (2, 1, "anchor", "Once upon a time", True),
        ):
            connection.execute(
                text("INSERT INTO messages VALUES (:key, :turn, :position, :role, :said, :interrupted)"),
                {
                    "key": key,
                    "turn": turn_id,
                    "position": position,
                    "role": role,
                    "said": said,
                    "interrupted": interrupted,
                },
            )
    engine.dispose()
    database = sqlite3.connect(scratch)
    TARGET.write_text("\n".join(database.iterdump()) + "\n", "utf-8")
    database.close()
    scratch.unlink()


if __name__ == "__main__":
    main()
