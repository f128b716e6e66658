"""The decode loop: steps all slots together while any of them speaks, and hands each phrase its frames."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from service_kit.engines.worker import EngineWorker
from service_kit.errors import AtCapacity, EngineFailed

from tts_service.engines.higgs.model.delay import Codebooks, Codes, FrameAssembler
from tts_service.engines.higgs.phrase_limits import RepeatGuard
from tts_service.engines.higgs.prompt import PhrasePrompt

log = logging.getLogger(__name__)

# A phrase that has waited for a free slot for so long is refused.
SLOT_WAIT_S = 3.0


class DecodeSlotsProtocol(Protocol):
    """What the loop needs of `Slots`; blocking, used on the worker's thread alone."""

    @property
    def count(self) -> int: ...

    def prefill(self, slot: int, utterance: PhrasePrompt) -> int: ...

    def step(self, active: frozenset[int]) -> Codes: ...


class PhraseFrames:
    """The frames of one phrase as they come: an iterator. Its queue holds all that the phrase may have."""

    def __init__(self, books: Codebooks, max_frames: int, max_rows: int) -> None:
        self._assembler = FrameAssembler(books)
        self._repeats = RepeatGuard()
        self._remaining_frames = max_frames
        self._remaining_rows = max_rows
        self._frames: asyncio.Queue[Codes | EngineFailed | None] = asyncio.Queue(max_frames + 1)
        self.ended = False

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
        """Take the model's next row; the phrase ends where the model, the cap or the guard says so."""
        frame = self._assembler.push_row(row)
        self._remaining_rows -= 1
        if frame is not None:
            self._remaining_frames -= 1
            self._frames.put_nowait(frame)
            if self._repeats.push_frame(frame):
                return self._truncate("one frame repeated")
        if self._assembler.ended:
            return self.end()
        if self._remaining_frames <= 0 or self._remaining_rows <= 0:
            return self._truncate("it became too long")
        return None

    def end(self, error: EngineFailed | None = None) -> None:
        """Let the iterator end after what waits, with `error` if there is one."""
        if not self.ended:
            self.ended = True
            self._frames.put_nowait(error)

    def _truncate(self, reason: str) -> None:
        log.warning("phrase was cut", extra={"reason": reason})
        self.end()


class DecodeLoop:
    """Shares the slots among phrases. `run` is to be running while anybody speaks."""

    def __init__(
        self, slots: DecodeSlotsProtocol, books: Codebooks, worker: EngineWorker, slot_wait_s: float = SLOT_WAIT_S
    ) -> None:
        self._slots = slots
        self._slot_wait_s = slot_wait_s
        self._books = books
        self._worker = worker
        self._free = list(range(slots.count))
        self._slot_permits = asyncio.Semaphore(slots.count)
        self._active: dict[int, PhraseFrames] = {}
        self._has_active = asyncio.Event()

    @property
    def free_slots(self) -> int:
        """How many more phrases could be spoken now."""
        return len(self._free)

    async def run(self) -> None:
        """Step for ever. When the model breaks, every phrase fails with it, and so does this."""
        while True:
            await self._has_active.wait()
            # Who is here when the step begins; one who leaves meanwhile is not told.
            speaking = dict(self._active)
            try:
                rows = await self._worker.run(partial(self._slots.step, frozenset(speaking)))
            except Exception as error:
                for frames in self._active.values():
                    failed = EngineFailed("tts.engine_failed", "the speech model broke")
                    failed.__cause__ = error
                    frames.end(failed)
                raise
            for slot, frames in speaking.items():
                frames.push_row(rows[slot])
                if frames.ended:
                    self._deactivate(slot, frames)

    @asynccontextmanager
    async def decode_phrase(self, utterance: PhrasePrompt, max_frames: int) -> AsyncGenerator[AsyncIterator[Codes]]:
        """Speak a phrase of at most `max_frames`; leaving stops it before the next step and frees its slot."""
        slot = await self._acquire_slot()
        frames: PhraseFrames | None = None
        try:
            rows = await self._worker.run(partial(self._slots.prefill, slot, utterance))
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
            async with asyncio.timeout(self._slot_wait_s):
                await self._slot_permits.acquire()
        except TimeoutError as error:
            raise AtCapacity("tts.slots_busy", f"all {self._slots.count} slots are speaking") from error
        return self._free.pop(0)
