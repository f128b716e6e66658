"""Playout: speech on its way to the ear, held until released, paced, paused, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service_kit.audio import SPEECH

from orchestrator.conversation.messages import ReplyAudio, ReplyAudioEnded
from orchestrator.conversation.outbox import Outbox
from orchestrator.conversation.ports import Spoken

# How far ahead of the ear audio is sent: to a client that can flush its playback, and to one that cannot.
_AHEAD_REPORTING_MS = 2_000
_AHEAD_BLIND_MS = 250
# Speech kept ready behind the frames already sent; beyond it the speech service waits.
_HELD_MS = 2_000
# A client whose reports stop is held to have played on by itself after this long.
_REPORT_GRACE_S = 2.0


class Playout:
    """The audible half of one reply. `on_audible` is called when its first frame has been sent.

    How much was heard is what a reporting client says. For one that does not, it is what was sent, at real-time
    pace from its first frame, never more than that: an estimate.
    """

    def __init__(self, turn_id: int, outbox: Outbox, reports: bool, on_audible: Callable[[], None]) -> None:
        self._turn_id = turn_id
        self._outbox = outbox
        self._reports = reports
        self._on_audible = on_audible
        self._loop = asyncio.get_running_loop()
        self._ahead_ms = _AHEAD_REPORTING_MS if reports else _AHEAD_BLIND_MS
        self._held: list[Spoken] = []
        self._held_ms = 0.0
        self._ended = False
        self._released = False
        self._paused = False
        self._sent_ms = 0.0
        self._played_ms = 0.0
        self._played_at_s = 0.0
        self._reported_at_s = 0.0
        # Set whenever something changed that the sender or the speaker may be waiting for.
        self._changed = asyncio.Event()

    # What the session does ------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let it be heard."""
        self._released = True
        self._changed.set()

    def pause(self) -> bool:
        """Send nothing more for now; return whether that is news."""
        news = not self._paused
        self._paused = True
        return news

    def resume(self) -> bool:
        """Go on; return whether that is news."""
        news = self._paused
        self._paused = False
        self._changed.set()
        return news

    def report(self, played_ms: int) -> None:
        """The client says how much it has played."""
        self._played_ms = max(self._played_ms, min(float(played_ms), self._sent_ms))
        self._reported_at_s = self._loop.time()
        self._changed.set()

    @property
    def heard_ms(self) -> int:
        """How much of the reply has been heard."""
        if not self._reports:
            self._estimate()
        return round(self._played_ms)

    @property
    def sent_ms(self) -> int:
        """How much of the reply has been sent."""
        return round(self._sent_ms)

    # What the reply does --------------------------------------------------------------------------------------------

    async def put(self, spoken: Spoken) -> None:
        """Take speech; waits while enough is held."""
        while self._held_ms >= _HELD_MS:
            await self._wait(None)
        self._held.append(spoken)
        self._held_ms += SPEECH.ms_of(len(spoken.pcm))
        self._changed.set()

    def end(self) -> None:
        """No more speech comes."""
        self._ended = True
        self._changed.set()

    async def run(self) -> None:
        """Send what is put, until all of it has been heard."""
        while not self._released:
            await self._wait(None)
        while self._held or not self._ended:
            if not self._held or self._paused:
                await self._wait(None)
            elif (wait_s := self._too_far_ahead_s()) > 0:
                await self._wait(wait_s)
            else:
                self._send(self._held.pop(0))
        if self._sent_ms:
            self._outbox.send(ReplyAudioEnded(self._turn_id, self.sent_ms))
        await self._until_heard()

    async def _wait(self, at_most_s: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _too_far_ahead_s(self) -> float:
        """How long until the next frame may leave, judging by what has been heard; 0 or less for now."""
        then_sent_ms = self._sent_ms + SPEECH.ms_of(len(self._held[0].pcm))
        return (then_sent_ms - self.heard_ms - self._ahead_ms) / 1000

    def _send(self, spoken: Spoken) -> None:
        first = self._sent_ms == 0
        self._estimate()
        if first:
            self._outbox.send(ReplyAudio(self._turn_id, spoken.offset_ms))
            self._reported_at_s = self._loop.time()
        length_ms = SPEECH.ms_of(len(spoken.pcm))
        self._outbox.send_audio(spoken.pcm)
        self._sent_ms += length_ms
        self._held_ms -= length_ms
        self._changed.set()
        if first:
            self._on_audible()

    def _estimate(self) -> None:
        """Let the estimate run on to now; it never passes what was sent."""
        if self._reports:
            return
        now_s = self._loop.time()
        if self._sent_ms:
            self._played_ms = min(self._sent_ms, self._played_ms + (now_s - self._played_at_s) * 1000)
        self._played_at_s = now_s

    async def _until_heard(self) -> None:
        """Wait for the ear; a client that stopped reporting is given the time that playing would take."""
        while (left_s := (self._sent_ms - self.heard_ms) / 1000) > 0:
            if self._reports and not self._paused:
                overdue_s = self._reported_at_s + left_s + _REPORT_GRACE_S - self._loop.time()
                if overdue_s <= 0:
                    self._played_ms = self._sent_ms
                    return
                await self._wait(overdue_s)
            else:
                await self._wait(None if self._paused and self._reports else left_s + 0.001)
