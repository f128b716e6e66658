"""The store of conversations in SQL. One task writes what sessions queue, in batches, and retries while it fails.

Nothing here waits on the audio path: `record` appends to a bounded queue (`pending` has its overflow rule). While the
database fails, sessions go on in memory, clients are notified by the degradation `store.unavailable`, and what waits is
written when the database works again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from service_kit.tasks import background
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from orchestrator.conversation.messages.system_status import Degradation
from orchestrator.conversation.model.store import (
    Claim,
    ConversationEntry,
    Entry,
    Selection,
    StoredConversation,
    StoreUnavailable,
    TurnEntry,
    TurnRemoval,
    conversation_key,
)
from orchestrator.metrics import STORE_COMMIT_SECONDS, STORE_DROPPED, STORE_FAILURES, STORE_PENDING_CHARS
from orchestrator.store import statements
from orchestrator.store.database import SchemaTooNew, create_engine, migrate, parse_url
from orchestrator.store.pending import PendingConversation, PendingWrites

log = logging.getLogger(__name__)

# Text that waits, in characters: hours of speech of all sessions.
_MAX_PENDING_CHARS = 32_000_000
# Conversations of one transaction.
_BATCH = 200
# How long an entry that is not urgent is held back, so that more are written together: a write costs about 5 ms of
# processor time, and what is heard of a reply meanwhile is among the `upcoming` text of the one before.
_LINGER_S = 1.0
# A reply whose stored words last for less than this, from what was heard on, is written at once.
_HORIZON_MS = 1_500
# A commit that takes longer is reported as a failure, while it goes on.
_SLOW_S = 3.0
# How long a session waits for the database: it opens, or the client is told to retry.
_ANSWER_S = 3.0
_MIN_RETRY_S, _MAX_RETRY_S = 0.25, 10.0
_FLUSH_S = 5.0
_SWEEP_S = 3600.0
_DAY_S = 86_400.0

_DEGRADED = (
    Degradation(
        "store.unavailable",
        "what is said is not being saved at present; it is kept in memory and saved when the store works again",
    ),
)
# What the database raises when it cannot be reached, or is full, locked, read-only or broken: retrying may help.
_FAILURES = (SQLAlchemyError, OSError, TimeoutError)

Result = TypeVar("Result")


class SqlStore:
    """Conversations in the database of `url`, kept for `retention_days` after their last use.

    `on_degraded` is called with the current degradations when they change.
    """

    def __init__(
        self,
        url: str,
        retention_days: int,
        *,
        on_degraded: Callable[[tuple[Degradation, ...]], None] = lambda entries: None,
        max_pending_chars: int = _MAX_PENDING_CHARS,
    ) -> None:
        """Raises `InvalidRequest` for a URL that is none, or whose driver is missing."""
        self._engine: AsyncEngine = create_engine(parse_url(url))
        self._retention_days = retention_days
        self._on_degraded = on_degraded
        self._on_lost: Callable[[str], None] = lambda ticket: None
        self._pending = PendingWrites(max_pending_chars)
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        # Held by every transaction: what is queued before a claim is written before it.
        self._lock = asyncio.Lock()
        self._migrated = False
        self._failing = False
        # Transactions that went on after nobody waited for them any longer.
        self._left_running: set[asyncio.Task[object]] = set()
        # By key: the epoch that such a claim reached.
        self._late_epochs: dict[str, int] = {}

    @property
    def retention_days(self) -> int | None:
        """How long a conversation is kept after its last use."""
        return self._retention_days

    def set_on_lost(self, on_lost: Callable[[str], None]) -> None:
        """Call `on_lost` with the ticket of a conversation that turns out to be owned elsewhere, or deleted."""
        self._on_lost = on_lost

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Open the database and write until the context is left, then write what is left, for 5 s at most.

        Raises `SchemaTooNew`. A database that does not open is tried again in the background.
        """
        try:
            await self._open_at_start()
            async with background(self._write_forever(), "store-writer"), background(self._sweep(), "store-sweeper"):
                try:
                    yield
                finally:
                    await self._write_rest()
        finally:
            await self._engine.dispose()

    async def _open_at_start(self) -> None:
        try:
            async with self._lock:
                await self._open()
        except _FAILURES as error:
            self._on_failure(error)

    def record(self, claim: Claim, entry: Entry, on_saved: Callable[[], None] | None = None) -> None:
        """Queue an entry; `on_saved` is called when it is committed."""
        if self._late_epochs:
            epoch = self._late_epochs.get(conversation_key(claim.ticket), claim.epoch)
            claim = replace(claim, epoch=max(claim.epoch, epoch))
        self._count_dropped(self._pending.add(claim, entry, on_saved))
        STORE_PENDING_CHARS.set(self._pending.chars)
        self._wake.set()
        if _is_urgent(entry):
            self._urgent.set()

    async def load(self, ticket: str) -> StoredConversation | None:
        """Read a conversation."""
        key = conversation_key(ticket)

        async def work(connection: AsyncConnection) -> StoredConversation | None:
            return await statements.load(connection, key)

        return await self._answer(work, key)

    async def claim(self, ticket: str) -> StoredConversation | None:
        """Become the owner of a conversation."""
        key = conversation_key(ticket)

        async def work(connection: AsyncConnection) -> StoredConversation | None:
            return await statements.claim(connection, key, time.time())

        def on_late(claimed: StoredConversation | None) -> None:
            if claimed is not None:
                self._late_epochs[key] = claimed.epoch

        return await self._answer(work, key, on_late)

    async def export(self, selection: Selection) -> tuple[Mapping[str, object], ...]:
        """Read everything stored of the selected conversations."""

        async def work(connection: AsyncConnection) -> tuple[Mapping[str, object], ...]:
            return await statements.export(connection, selection)

        return await self._answer(work)

    async def delete(self, selection: Selection) -> frozenset[str]:
        """Delete the selected conversations, and overwrite them in the files of SQLite."""

        async def work(connection: AsyncConnection) -> frozenset[str]:
            return await statements.delete_selected(connection, selection)

        deleted = await self._answer(work)
        if deleted:
            await self._empty_write_ahead_log()
        return deleted

    # Transactions ---------------------------------------------------------------------------------------------------

    async def _answer(
        self,
        work: Callable[[AsyncConnection], Awaitable[Result]],
        key: str | None = None,
        on_late: Callable[[Result], None] = lambda result: None,
    ) -> Result:
        """Write what waits of the conversation `key`, or everything, then do `work` in a transaction of its own.

        Raises `StoreUnavailable`, also when that takes longer than `_ANSWER_S`: then `on_late` gets the result. The
        transaction is never cancelled, since nobody could say whether it was committed.
        """

        async def transaction() -> Result:
            async with self._lock:
                await self._open()
                await self._write(
                    self._pending.take(len(self._pending)) if key is None else self._pending.take_one(key)
                )
                async with self._engine.begin() as connection:
                    return await work(connection)

        task = asyncio.create_task(transaction(), name="store-transaction")
        self._left_running.add(task)
        task.add_done_callback(self._left_running.discard)
        try:
            done, _ = await asyncio.wait({task}, timeout=_ANSWER_S)
        except asyncio.CancelledError:
            task.add_done_callback(lambda task: _hand_over(task, on_late))
            raise
        if not done:
            task.add_done_callback(lambda task: _hand_over(task, on_late))
            raise StoreUnavailable("store.unavailable", "the store does not answer; try again soon")
        try:
            return task.result()
        except _FAILURES as error:
            self._on_failure(error)
            raise StoreUnavailable("store.unavailable", "the store does not work at present; try again soon") from error

    async def _open(self) -> None:
        """Bring the schema up to date, once. Raises `SchemaTooNew`, and the database's errors."""
        if not self._migrated:
            await migrate(self._engine)
            self._migrated = True

    async def _write(self, batch: list[PendingConversation]) -> None:
        """Write `batch` and report it. Raises the database's errors; then the batch waits again."""
        if not batch:
            return
        try:
            with STORE_COMMIT_SECONDS.time():
                lost = await self._commit(batch)
        except BaseException as error:
            if not _is_of_one_entry(error):
                self._count_dropped(self._pending.put_back(batch))
                raise
            if len(batch) > 1:
                for pending in batch:
                    await self._write([pending])
                return
            log.exception("a conversation could not be written")
            self._count_dropped(len(batch[0].turns) + batch[0].observations)
            return
        self._on_success()
        for pending in batch:
            if pending.key in lost:
                self._on_lost(pending.claim.ticket)
                continue
            for on_saved in pending.on_saved.values():
                on_saved()
        STORE_PENDING_CHARS.set(self._pending.chars)

    async def _commit(self, batch: list[PendingConversation]) -> set[str]:
        async with self._engine.begin() as connection:
            return await statements.write(connection, batch, time.time())

    async def _empty_write_ahead_log(self) -> None:
        """Remove deleted words from SQLite's write-ahead log too. A reader of the database may delay that."""
        if self._engine.dialect.name != "sqlite":
            return
        with suppress(*_FAILURES):
            async with self._lock, self._engine.connect() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    # Tasks ----------------------------------------------------------------------------------------------------------

    async def _write_forever(self) -> None:
        retry_s = 0.0
        while True:
            if not len(self._pending) and self._migrated:
                await self._wake.wait()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._urgent.wait()
            self._urgent.clear()
            try:
                await self._write_some()
            except (*_FAILURES, SchemaTooNew) as error:
                self._on_failure(error)
                retry_s = min(_MAX_RETRY_S, retry_s * 2 or _MIN_RETRY_S)
                await asyncio.sleep(retry_s)
            else:
                retry_s = 0.0

    async def _write_some(self) -> None:
        """Write the oldest of what waits; a write that is slow counts as failing until it is done."""
        slow = asyncio.get_running_loop().call_later(_SLOW_S, self._on_failure, TimeoutError("the commit is slow"))
        try:
            async with self._lock:
                await self._open()
                await self._write(self._pending.take(_BATCH))
                self._on_success()
        finally:
            slow.cancel()

    async def _write_rest(self) -> None:
        """Write all that waits, for `_FLUSH_S` at most."""
        try:
            async with asyncio.timeout(_FLUSH_S), self._lock:
                await self._open()
                await self._write(self._pending.take(len(self._pending)))
        except (*_FAILURES, SchemaTooNew) as error:
            log.error("conversations were not saved", extra={"conversations": len(self._pending), "reason": str(error)})

    async def _sweep(self) -> None:
        """Delete what is older than the retention, at the start and every hour.

        Not in an hour in which the clock was set: forward by a month, it would make everything old.
        """
        offset_s = time.time() - time.monotonic()
        while True:
            now_s = time.time()
            before_s, offset_s = offset_s, now_s - time.monotonic()
            if abs(offset_s - before_s) > _SWEEP_S:
                log.warning("clock was set: nothing is deleted for an hour", extra={"by_s": round(offset_s - before_s)})
                await asyncio.sleep(_SWEEP_S)
                continue
            try:
                async with self._lock:
                    await self._open()
                    async with self._engine.begin() as connection:
                        retention_s = self._retention_days * _DAY_S
                        deleted = await statements.delete_expired(connection, now_s, retention_s)
            except (*_FAILURES, SchemaTooNew) as error:
                self._on_failure(error)
            else:
                if deleted:
                    log.info("expired conversations deleted", extra={"conversations": deleted})
                    await self._empty_write_ahead_log()
            await asyncio.sleep(_SWEEP_S)

    # State ----------------------------------------------------------------------------------------------------------

    def _on_failure(self, error: Exception) -> None:
        STORE_FAILURES.inc()
        if not self._failing:
            self._failing = True
            # SQLAlchemy's own text has the statement with what was said in it.
            reason = error.orig if isinstance(error, DBAPIError) else error
            log.error("store failed", extra={"reason": f"{type(reason).__name__}: {reason}"})
            self._on_degraded(_DEGRADED)

    def _on_success(self) -> None:
        if self._failing:
            self._failing = False
            log.info("store works again")
            self._on_degraded(())

    def _count_dropped(self, entries: int) -> None:
        if entries:
            STORE_DROPPED.inc(entries)
            log.warning("entries were dropped", extra={"entries": entries})


def _is_urgent(entry: Entry) -> bool:
    """Whether a kill before the next regular write would lose what nobody could tell again.

    Of a reply that is playing, the words on their way are stored already, unless the last that came are soon heard.
    """
    if isinstance(entry, TurnEntry):
        if entry.upcoming and not entry.is_over:
            return not entry.is_covered and entry.upcoming[-1][0] - (entry.heard_ms or 0) < _HORIZON_MS
        is_heard = any(message.role == "anchor" for message in entry.messages)
        return entry.is_over or not is_heard
    return isinstance(entry, TurnRemoval) or (isinstance(entry, ConversationEntry) and entry.is_new)


def _is_of_one_entry(error: BaseException) -> bool:
    """Whether the error lies in what was to be written, rather than in the database."""
    if isinstance(error, DBAPIError):
        # asyncpg's own check of a value arrives as a general error, with the SQLSTATE of bad data.
        is_bad_data = str(getattr(error.orig, "sqlstate", None)).startswith("22")
        return is_bad_data or isinstance(error, IntegrityError | DataError)
    return isinstance(error, StatementError | TypeError | ValueError)


def _hand_over(task: asyncio.Task[Result], on_late: Callable[[Result], None]) -> None:
    """Give the result of a transaction that nobody waits for to `on_late`; its failure is told by the writer."""
    if not task.cancelled() and task.exception() is None:
        on_late(task.result())
