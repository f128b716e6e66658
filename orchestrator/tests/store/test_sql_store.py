"""The store in real databases: what is committed survives, one owner writes, and a failing disk is reported."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import Message
from orchestrator.conversation.model.store import (
    Claim,
    ConversationEntry,
    EventEntry,
    Selection,
    SessionEntry,
    StoreUnavailable,
    TurnEntry,
    TurnRemoval,
    WaterfallEntry,
    conversation_key,
)
from orchestrator.store import sql_store
from orchestrator.store.sql_store import SqlStore
from service_kit.errors import InvalidRequest

CLAIM = Claim("ticket", 1)
ENTRY = ConversationEntry(
    created_unix_s=1_000.5,
    language="en",
    voice="nora",
    persona="anchor",
    patience=1.5,
    heard_language="de",
    first_language="en",
    style=Style(pace=1.25),
    person_id="ada",
    is_new=True,
)
QUESTION, ANSWER = Message("user", "tell me a story"), Message("anchor", "Once upon", interrupted=True)


def turn(turn_id: int = 1, *messages: Message, **fields: object) -> TurnEntry:
    return TurnEntry(turn_id, "session", messages or (QUESTION,), **fields)


@asynccontextmanager
async def opened(url: str, **options: object) -> AsyncGenerator[SqlStore]:
    store = SqlStore(url, **{"retention_days": 30, **options})
    async with store.running():
        yield store


async def saved(store: SqlStore, entry: object, claim: Claim = CLAIM) -> None:
    """Record an entry and wait until it is committed."""
    committed = asyncio.Event()
    store.record(claim, entry, committed.set)
    async with asyncio.timeout(10):
        await committed.wait()


async def test_conversation_is_as_it_was_after_a_restart(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        store.record(CLAIM, turn(heard_ms=900, upcoming=((1_200, "Once upon a time"),)))
        await saved(store, turn(1, QUESTION, ANSWER, heard_ms=900, upcoming=((1_200, "Once upon a time"),)))
    async with opened(store_url) as store:
        stored = await store.claim("ticket")
        assert stored is not None
        assert (stored.epoch, stored.entry) == (2, ConversationEntry(**{**vars_of(ENTRY), "is_new": False}))
        assert stored.turns == (turn(1, QUESTION, ANSWER, heard_ms=900, upcoming=((1_200, "Once upon a time"),)),)
        assert await store.claim("another ticket") is None


def vars_of(entry: ConversationEntry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ConversationEntry.__dataclass_fields__}


async def test_everything_queued_is_written_when_the_store_closes(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        for number in range(1, 40):
            store.record(CLAIM, turn(number))
    async with opened(store_url) as store:
        stored = await store.load("ticket")
        assert [each.turn_id for each in stored.turns] == list(range(1, 40))


async def test_removed_turn_is_gone(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        await saved(store, turn(2))
        store.record(CLAIM, TurnRemoval(1))
        stored = await store.load("ticket")
        # `load` writes what waits first.
        assert [each.turn_id for each in stored.turns] == [2]


async def test_stale_owner_cannot_write_and_is_told(store_url):
    lost: list[str] = []
    async with opened(store_url) as old, opened(store_url) as new:
        old.set_on_lost(lost.append)
        old.record(CLAIM, ENTRY)
        await saved(old, turn(1))
        stored = await new.claim("ticket")
        old.record(CLAIM, turn(1, QUESTION, Message("anchor", "of a stale owner")), lambda: lost.append("saved"))
        async with asyncio.timeout(10):
            while not lost:
                await asyncio.sleep(0.01)
        assert lost == ["ticket"]
        await saved(new, turn(2), Claim("ticket", stored.epoch))
        assert [each.messages for each in (await new.load("ticket")).turns] == [(QUESTION,), (QUESTION,)]


async def test_each_claim_has_a_higher_epoch_however_many_race(store_url):
    async with opened(store_url) as one, opened(store_url) as two:
        one.record(CLAIM, ENTRY)
        await saved(one, turn(1))
        claimed = await asyncio.gather(*(store.claim("ticket") for store in (one, two) * 5))
        assert sorted(each.epoch for each in claimed) == list(range(2, 12))


async def test_deleted_conversation_is_not_written_again_by_another_owner(store_url):
    lost: list[str] = []
    async with opened(store_url) as one, opened(store_url) as two:
        one.set_on_lost(lost.append)
        one.record(CLAIM, ENTRY)
        await saved(one, turn(1))
        assert await two.delete(Selection("ticket", "ticket")) == {conversation_key("ticket")}
        one.record(CLAIM, ENTRY.__class__(**{**vars_of(ENTRY), "is_new": False, "voice": "max"}))
        one.record(CLAIM, turn(2))
        async with asyncio.timeout(10):
            while not lost:
                await asyncio.sleep(0.01)
        assert await one.load("ticket") is None


async def test_export_has_everything_and_no_ticket(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        store.record(CLAIM, SessionEntry("session", 1_001.0))
        store.record(CLAIM, turn(1, QUESTION, ANSWER, heard_ms=900, is_over=True))
        store.record(CLAIM, WaterfallEntry(1, {"turn_committed_ms": 210, "first_token_ms": None}))
        store.record(CLAIM, EventEntry("session", "error", 1_002.0, 1, {"code": "llm.gone"}))
        for selection in (
            Selection("ticket", "ticket"),
            Selection("session", "session"),
            Selection("person", "ada"),
        ):
            (exported,) = await store.export(selection)
            assert exported["person_id"] == "ada"
            assert [row["text"] for row in exported["messages"]] == ["tell me a story", "Once upon"]
            assert exported["turns"][0]["heard_ms"] == 900
            assert exported["sessions"] == [{"session_id": "session", "opened_unix_s": 1_001.0}]
            assert exported["waterfalls"][0]["stages"]["turn_committed_ms"] == 210
            assert exported["events"][0]["fields"] == {"code": "llm.gone"}
            assert "ticket" not in json.dumps(exported).replace(conversation_key("ticket"), "")
        assert await store.export(Selection("person", "grace")) == ()


@pytest.mark.parametrize("selection", [Selection("session", "session"), Selection("person", "ada")], ids=str)
async def test_deletion_takes_the_selected_conversations_only(store_url, selection):
    other = Claim("other", 1)
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        store.record(CLAIM, SessionEntry("session", 1.0))
        store.record(other, ConversationEntry(**{**vars_of(ENTRY), "person_id": ""}))
        store.record(other, SessionEntry("another", 1.0))
        await saved(store, turn(1))
        await saved(store, turn(1), other)
        assert await store.delete(selection) == {conversation_key("ticket")}
        assert await store.load("ticket") is None
        assert (await store.load("other")).turns == (turn(1),)
        assert (await store.load("other")).entry.person_id == ""


async def test_deleted_words_are_not_in_the_files(tmp_path):
    url = f"sqlite:///{tmp_path}/conversations.db"

    def bytes_on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in tmp_path.iterdir())

    async with opened(url) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1, Message("user", "xylophone")))
        assert b"xylophone" in bytes_on_disk()
        await store.delete(Selection("person", "ada"))
        assert b"xylophone" not in bytes_on_disk()


async def test_database_is_for_its_owner_only(tmp_path):
    async with opened(f"sqlite:///{tmp_path}/store/conversations.db") as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "store").iterdir()}
    assert modes == {f"conversations.db{end}": 0o600 for end in ("", "-wal", "-shm")}


async def test_conversations_expire_after_their_last_use(store_url):
    async with opened(store_url) as store:
        for name, text in (("ticket", True), ("unused", False)):
            store.record(Claim(name, 1), ENTRY)
            if text:
                store.record(Claim(name, 1), turn(1))
        assert (await store.load("ticket")).turns
        engine = store._engine
        for age_days, left in ((0.9, {"ticket", "unused"}), (1.1, {"ticket"}), (29, {"ticket"}), (31, set())):
            async with engine.begin() as connection:
                await sql_store.statements.delete_expired(connection, time.time() + age_days * 86_400, 30 * 86_400)
            assert {name for name in ("ticket", "unused") if await store.load(name)} == left


async def test_expired_conversations_are_deleted_at_the_start(tmp_path):
    url = f"sqlite:///{tmp_path}/conversations.db"
    async with opened(url) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
    with sqlite3.connect(tmp_path / "conversations.db") as database:
        database.execute("UPDATE conversations SET used_unix_s = used_unix_s - 40 * 86400")
    database.close()
    async with opened(url) as store, asyncio.timeout(10):
        while await store.load("ticket"):
            await asyncio.sleep(0.01)


async def test_nothing_expires_when_the_clock_jumps(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sql_store, "_SWEEP_S", 1.0)
    async with opened(f"sqlite:///{tmp_path}/conversations.db") as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        now_s = time.time
        monkeypatch.setattr(sql_store.time, "time", lambda: now_s() + 40 * 86_400)
        async with asyncio.timeout(10):
            while "clock was set" not in caplog.text:
                await asyncio.sleep(0.01)
        monkeypatch.setattr(sql_store.time, "time", now_s)
        # Past the next sweeps, the one that finds the clock set back and the one after it.
        await asyncio.sleep(2.5)
        assert (await store.load("ticket")).turns == (turn(1),)


async def test_unwritable_text_is_stored_without_what_cannot_be_stored(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1, Message("user", "a\0b \ud800 c")))
        assert (await store.load("ticket")).turns[0].messages == (Message("user", "ab ? c"),)


async def test_one_bad_conversation_does_not_hold_the_others_up(store_url):
    bad, good = Claim("bad", 1), Claim("good", 1)
    async with opened(store_url) as store:
        store.record(bad, ConversationEntry(**{**vars_of(ENTRY), "patience": object()}))
        store.record(good, ENTRY)
        await saved(store, turn(1), good)
        assert await store.load("bad") is None


async def test_full_disk_is_told_and_made_good_when_there_is_room(tmp_path):
    reports: list[list[str]] = []
    url = f"sqlite:///{tmp_path}/conversations.db"
    told: list[int] = []
    async with opened(url, on_degraded=lambda entries: reports.append([each.code for each in entries])) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        # No further page fits in the file.
        await limit_pages(store, tmp_path / "conversations.db", 1)
        began_s = time.perf_counter()
        for number in range(2, 200):
            store.record(CLAIM, turn(number, Message("user", "x" * 2_000)), lambda number=number: told.append(number))
        assert time.perf_counter() - began_s < 0.5
        async with asyncio.timeout(20):
            while not reports:
                await asyncio.sleep(0.01)
        assert (reports, told) == ([["store.unavailable"]], [])
        await limit_pages(store, tmp_path / "conversations.db", 1_000_000)
        async with asyncio.timeout(20):
            while len(told) < 198:
                await asyncio.sleep(0.01)
        assert reports == [["store.unavailable"], []]
        assert len((await store.load("ticket")).turns) == 199


async def limit_pages(store: SqlStore, path: Path, pages: int) -> None:
    """Let SQLite find the disk full beyond `pages`, on each connection of the store."""

    async def limit(driver) -> None:
        await driver.execute_fetchall(f"PRAGMA max_page_count={pages}")

    async with store._lock, store._engine.connect() as one, store._engine.connect() as two:
        for connection in (one, two):
            await limit((await connection.get_raw_connection()).driver_connection)


async def test_locked_database_is_told_within_seconds_and_a_claim_does_not_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(sql_store, "_ANSWER_S", 0.3)
    monkeypatch.setattr(sql_store, "_SLOW_S", 0.2)
    reports: list[list[str]] = []
    url = f"sqlite:///{tmp_path}/conversations.db"
    async with opened(url, on_degraded=lambda entries: reports.append([each.code for each in entries])) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        blocker = sqlite3.connect(tmp_path / "conversations.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        began_s = time.perf_counter()
        with pytest.raises(StoreUnavailable):
            await store.claim("ticket")
        assert time.perf_counter() - began_s < 2
        # The claim goes on, and what is saved under the old one counts.
        committed = asyncio.Event()
        store.record(CLAIM, turn(2), committed.set)
        await asyncio.sleep(0.5)
        assert reports == [["store.unavailable"]]
        blocker.execute("ROLLBACK")
        blocker.close()
        async with asyncio.timeout(10):
            await committed.wait()
        assert [each.turn_id for each in (await store.load("ticket")).turns] == [1, 2]
        assert reports[-1] == []


async def test_database_that_opens_late_gets_what_waited(tmp_path):
    folder = tmp_path / "not a folder"
    folder.write_text("")
    reports: list[list[str]] = []
    url = f"sqlite:///{folder}/conversations.db"
    async with opened(url, on_degraded=lambda entries: reports.append([each.code for each in entries])) as store:
        assert reports == [["store.unavailable"]]
        committed = asyncio.Event()
        store.record(CLAIM, ENTRY)
        store.record(CLAIM, turn(1), committed.set)
        with pytest.raises(StoreUnavailable):
            await store.load("ticket")
        folder.unlink()
        async with asyncio.timeout(20):
            await committed.wait()
        assert (await store.load("ticket")).turns == (turn(1),)


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:hush@h/d", "off "])
async def test_other_urls_are_refused_without_their_password(url):
    with pytest.raises(InvalidRequest) as refused:
        SqlStore(url, 30)
    assert "ORCHESTRATOR_STORE" in refused.value.message
    assert "hush" not in str(refused.value)


async def test_cancelled_claim_leaves_the_store_usable(store_url):
    async with opened(store_url) as store:
        store.record(CLAIM, ENTRY)
        await saved(store, turn(1))
        task = asyncio.create_task(store.claim("ticket"))
        await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await saved(store, turn(2))
        assert (await store.claim("ticket")).turns[-1] == turn(2)


async def test_what_a_kill_would_lose_is_written_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sql_store, "_LINGER_S", 3_600.0)
    async with opened(f"sqlite:///{tmp_path}/conversations.db") as store, asyncio.timeout(10):
        store.record(CLAIM, ENTRY)
        for entry in (turn(1), turn(1, QUESTION, ANSWER, heard_ms=900, is_over=True), TurnRemoval(1)):
            store.record(CLAIM, entry)
            while store._pending.chars:
                await asyncio.sleep(0.01)
        playing = {"heard_ms": 900, "upcoming": ((1_400, "Once upon a"),)}
        store.record(CLAIM, turn(2, QUESTION, ANSWER, **playing))
        while store._pending.chars:
            await asyncio.sleep(0.01)
        playing = {"heard_ms": 1_100, "upcoming": ((1_400, "Once upon a"),), "is_covered": True}
        store.record(CLAIM, turn(2, QUESTION, ANSWER, **playing))
        await asyncio.sleep(0.3)
        assert store._pending.chars > 0
        playing = {"heard_ms": 900, "upcoming": ((1_400, "Once upon a"), (2_500, "Once upon a time"))}
        store.record(CLAIM, turn(2, QUESTION, ANSWER, **playing))
        store.record(CLAIM, turn(3, QUESTION, ANSWER, heard_ms=900))
        await asyncio.sleep(0.3)
        assert store._pending.chars > 0
