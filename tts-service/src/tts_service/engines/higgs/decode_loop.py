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
from tts_service.engines.higgs.prompt import Utterance

log = logging.getLogger(__name__)

# A phrase that has waited for a free slot for so long is refused.
SLOT_WAIT_S = 3.0


class SteppedSlots(Protocol):
    """What the loop needs of `Slots`; blocking, used on the worker's thread alone."""

    @property
    def count(self) -> int: ...

    def begin(self, slot: int, utterance: Utterance) -> int: ...

    def step(self, active: frozenset[int]) -> Codes: ...


class SpokenFrames:
    """The frames of one phrase as they come: an iterator. Its queue holds all that the phrase may have."""

    def __init__(self, books: Codebooks, max_frames: int, max_rows: int) -> None:
        self._assembler = FrameAssembler(books)
        self._repeats = RepeatGuard()
        self._left_frames = max_frames
        self._left_rows = max_rows
        self._frames: asyncio.Queue[Codes | EngineFailed | None] = asyncio.Queue(max_frames + 1)
        self.ended = False

    def __aiter__(self) -> SpokenFrames:
        return self

    async def __anext__(self) -> Codes:
        frame = await self._frames.get()
        if frame is None:
            raise StopAsyncIteration
        if isinstance(frame, EngineFailed):
            raise frame
        return frame

    def add(self, row: Codes) -> None:
        """Take the model's next row; the phrase ends where the model, the cap or the guard says so."""
        frame = self._assembler.add(row)
        self._left_rows -= 1
        if frame is not None:
            self._left_frames -= 1
            self._frames.put_nowait(frame)
            if self._repeats.is_stuck(frame):
                return self._cut("one frame repeated")
        if self._assembler.ended:
            return self.end()
        if self._left_frames <= 0 or self._left_rows <= 0:
            return self._cut("it became too long")
        return None

    def end(self, error: EngineFailed | None = None) -> None:
        """Let the iterator end after what waits, with `error` if there is one."""
        if not self.ended:
            self.ended = True
            self._frames.put_nowait(error)

    def _cut(self, reason: str) -> None:
        log.warning("phrase was cut", extra={"reason": reason})
        self.end()


class DecodeLoop:
    """Shares the slots among phrases. `run` is to be running while anybody speaks."""

    def __init__(
        self, slots: SteppedSlots, books: Codebooks, worker: EngineWorker, slot_wait_s: float = SLOT_WAIT_S
    ) -> None:
        self._slots = slots
        self._slot_wait_s = slot_wait_s
        self._books = books
        self._worker = worker
        self._free = list(range(slots.count))
        self._places = asyncio.Semaphore(slots.count)
        self._speaking: dict[int, SpokenFrames] = {}
        self._wanted = asyncio.Event()

    @property
    def free_slots(self) -> int:
        """How many more phrases could be spoken now."""
        return len(self._free)

    async def run(self) -> None:
        """Step for ever. When the model breaks, every phrase fails with it, and so does this."""
        while True:
            await self._wanted.wait()
            # Who is here when the step begins; one who leaves meanwhile is not told.
            speaking = dict(self._speaking)
            try:
                rows = await self._worker.run(partial(self._slots.step, frozenset(speaking)))
            except Exception as error:
                for frames in self._speaking.values():
                    failed = EngineFailed("tts.engine_failed", "the speech model broke")
                    failed.__cause__ = error
                    frames.end(failed)
                raise
            for slot, frames in speaking.items():
                frames.add(rows[slot])
                if frames.ended:
                    self._silence(slot, frames)

    @asynccontextmanager
    async def speaking(self, utterance: Utterance, max_frames: int) -> AsyncGenerator[AsyncIterator[Codes]]:
        """Speak a phrase of at most `max_frames`; leaving stops it before the next step and frees its slot."""
        slot = await self._take_slot()
        frames: SpokenFrames | None = None
        try:
            rows = await self._worker.run(partial(self._slots.begin, slot, utterance))
            frames = self._speaking[slot] = SpokenFrames(self._books, max_frames, rows)
            self._wanted.set()
            yield frames
        finally:
            if frames is not None:
                self._silence(slot, frames)
            self._free.append(slot)
            self._places.release()

    def _silence(self, slot: int, frames: SpokenFrames) -> None:
        if self._speaking.get(slot) is frames:
            del self._speaking[slot]
        if not self._speaking:
            self._wanted.clear()

    async def _take_slot(self) -> int:
        try:
            async with asyncio.timeout(self._slot_wait_s):
                await self._places.acquire()
        except TimeoutError as error:
            raise AtCapacity("tts.slots_busy", f"all {self._slots.count} slots are speaking") from error
        return self._free.pop(0)
