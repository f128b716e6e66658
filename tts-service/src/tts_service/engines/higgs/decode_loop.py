"""The decode loop: steps all slots together while any is active, and distributes the frames to the phrases."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity, EngineFailed

from tts_service.engines.engine_pool import ACQUIRE_TIMEOUT_S
from tts_service.engines.higgs.delay import Codebooks, Codes, FrameAssembler
from tts_service.engines.higgs.phrase_limits import RepeatGuard
from tts_service.engines.higgs.prompt import PhrasePrompt

log = logging.getLogger(__name__)


class SlotDecoder(Protocol):
    """The part of `DecodeSlots` that the loop uses. Blocking; runs on the worker's thread only."""

    @property
    def count(self) -> int: ...

    def prefill(self, slot: int, prompt: PhrasePrompt) -> int: ...

    def step(self, active: frozenset[int]) -> Codes: ...


class PhraseFrames:
    """The frames of one phrase, as an iterator. Its queue is large enough for all frames of the phrase."""

    def __init__(self, books: Codebooks, max_frames: int, max_rows: int) -> None:
        self._assembler = FrameAssembler(books)
        self._repeats = RepeatGuard()
        self._remaining_frames = max_frames
        self._remaining_rows = max_rows
        self._frames: asyncio.Queue[Codes | EngineFailed | None] = asyncio.Queue(max_frames + 1)
        self.ended = False
        # Whether the phrase was cut: at a limit, or on repeated frames.
        self.truncated = False

    def __aiter__(self) -> PhraseFrames:
        return self

    async def __anext__(self) -> Codes:
        frame = await self._frames.get()
        if frame is None:
            raise StopAsyncIteration
        if isinstance(frame, EngineFailed):
            raise frame
        return frame

    def push_row(self, row: Codes) -> None:
        """Add the model's next row. The phrase ends at the model's end token, at a limit, or on repeated frames."""
        frame = self._assembler.push_row(row)
        self._remaining_rows -= 1
        if frame is not None:
            self._remaining_frames -= 1
            self._frames.put_nowait(frame)
            if self._repeats.push_frame(frame):
                return self._truncate("repeated frame")
        if self._assembler.ended:
            return self.end()
        if self._remaining_frames <= 0 or self._remaining_rows <= 0:
            return self._truncate("too long")
        return None

    def end(self, error: EngineFailed | None = None) -> None:
        """End the iterator after the queued frames; it then raises `error`, if given."""
        if not self.ended:
            self.ended = True
            self._frames.put_nowait(error)

    def _truncate(self, reason: str) -> None:
        log.warning("phrase truncated", extra={"reason": reason})
        self.truncated = True
        self.end()


class DecodeLoop:
    """Shares the slots among phrases. `run` must be running while phrases are decoded."""

    def __init__(
        self, slots: SlotDecoder, books: Codebooks, worker: EngineWorker, slot_timeout_s: float = ACQUIRE_TIMEOUT_S
    ) -> None:
        self._slots = slots
        self._slot_timeout_s = slot_timeout_s
        self._books = books
        self._worker = worker
        self._free = list(range(slots.count))
        self._slot_permits = asyncio.Semaphore(slots.count)
        self._active: dict[int, PhraseFrames] = {}
        self._has_active = asyncio.Event()

    @property
    def free_slots(self) -> int:
        """Number of phrases that could start now."""
        return len(self._free)

    async def run(self) -> None:
        """Step for ever. When the model fails, all phrases fail with `EngineFailed`, and this raises the cause."""
        while True:
            await self._has_active.wait()
            # The phrases at the start of the step; a phrase that ends meanwhile gets no row.
            stepped = dict(self._active)
            try:
                rows = await self._worker.run(partial(self._slots.step, frozenset(stepped)))
            except Exception as error:
                for frames in self._active.values():
                    failed = EngineFailed("tts.engine_failed", "the speech model failed")
                    failed.__cause__ = error
                    frames.end(failed)
                raise
            for slot, frames in stepped.items():
                frames.push_row(rows[slot])
                if frames.ended:
                    self._deactivate(slot, frames)

    @asynccontextmanager
    async def decode_phrase(self, prompt: PhrasePrompt, max_frames: int) -> AsyncGenerator[PhraseFrames]:
        """Decode a phrase of at most `max_frames`. Leaving the context stops it before the next step.

        Raises `AtCapacity` when no slot becomes free in time.
        """
        slot = await self._acquire_slot()
        frames: PhraseFrames | None = None
        try:
            rows = await self._worker.run(partial(self._slots.prefill, slot, prompt))
            frames = self._active[slot] = PhraseFrames(self._books, max_frames, rows)
            self._has_active.set()
            yield frames
        finally:
            if frames is not None:
                self._deactivate(slot, frames)
            self._free.append(slot)
            self._slot_permits.release()

    def _deactivate(self, slot: int, frames: PhraseFrames) -> None:
        if self._active.get(slot) is frames:
            del self._active[slot]
        if not self._active:
            self._has_active.clear()

    async def _acquire_slot(self) -> int:
        try:
            async with asyncio.timeout(self._slot_timeout_s):
                await self._slot_permits.acquire()
        except TimeoutError as error:
            raise AtCapacity("tts.slots_busy", f"all {self._slots.count} slots are in use; retry later") from error
        return self._free.pop(0)
