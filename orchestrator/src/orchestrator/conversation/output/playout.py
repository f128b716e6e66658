"""Playout: speech on its way to the ear, held until released, paced, paused, and counted.

Nothing here is a task a frame: what may leave is sent where it became possible, by whoever brought it about (speech
that came, a report, a timer). `run` only waits for the end.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress

from service_kit.audio import SPEECH
from service_kit.errors import AnchorError

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.playback_reference import PlaybackReference
from orchestrator.conversation.messages.client import ReplyReceived
from orchestrator.conversation.messages.server import PlaybackPause, ReplyAudio, ReplyAudioEnded, SpeechMark
from orchestrator.conversation.output.playhead import Playhead
from orchestrator.conversation.output.playout_buffer import PlayoutBuffer
from orchestrator.conversation.output.resend_buffer import ResendBuffer

# How far ahead of the ear audio is sent: to a client that can flush its playback, and to one that cannot.
_AHEAD_REPORTING_MS, _AHEAD_BLIND_MS = 2_000, 250
# Just in time goes only what is short beside that.
_BLIND_FRAME_BYTES = SPEECH.bytes_for(80)
# Speech held behind the frames already sent; beyond it the voice waits. Pacing keeps it far below.
_HELD_MS = 20_000
# A client whose reports stop has played on by itself after this long.
_REPORT_GRACE_S = 2.0
# A timer may fire a hair too early; a frame is not worth a second one.
_TIMER_SLACK_S = 0.001


class Playout:
    """The audible half of one reply.

    `on_audible` is called when its first frame has been sent, `on_progress` when more has been heard.

    How much was heard is what a reporting client says. For one that does not, it is what was sent, at real-time
    pace from its first frame, never more than that: an estimate. Nobody is sent silence: when speech is late, the
    client is silent by itself, and offsets count speech only.
    """

    def __init__(
        self,
        turn_id: int,
        outbox: Outbox,
        reports: bool,
        on_audible: Callable[[], None],
        on_progress: Callable[[], None],
        playback_reference: PlaybackReference,
    ) -> None:
        self._turn_id = turn_id
        self._outbox = outbox
        self._reports = reports
        self._on_audible = on_audible
        self._on_progress = on_progress
        self._playback_reference = playback_reference
        self._resend_buffer = ResendBuffer()
        self._loop = asyncio.get_running_loop()
        self._ahead_ms = _AHEAD_REPORTING_MS if reports else _AHEAD_BLIND_MS
        self._buffer = PlayoutBuffer()
        self._playhead = Playhead(holds=reports)
        self._reported_ms = 0.0
        self._reported_at_s = 0.0
        self._ended = False
        self._end_sent = False
        # Whether the client knows where the frames that follow belong.
        self._offset_announced = False
        self._started = False
        self._released = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._failure: AnchorError | None = None
        # Set when room was made, when all was sent, and at each report after that.
        self._changed = asyncio.Event()

    def release(self) -> None:
        """Let it be heard."""
        self._released = True
        self._send_due()

    def pause(self) -> bool:
        """Send nothing more for now; return whether that is news."""
        news, self._paused = not self._paused, True
        self._playhead.pause(self._loop.time())
        if self._reports:
            self._playback_reference.pause(self._loop.time())
        return news

    def resume(self) -> bool:
        """Go on; return whether that is news."""
        news, self._paused = self._paused, False
        if not self.is_paused:
            self._continue_playback()
        return news

    def on_disconnect(self) -> None:
        """Nobody is there: the ear stays where it is."""
        now_s = self._loop.time()
        self._stop_timer()
        self._playhead.pause(now_s)
        self._playback_reference.pause(now_s)
        self._changed.set()

    def on_reconnect(self, received: ReplyReceived | None) -> None:
        """Somebody is there again; who does not say what they have of the speech gets what has not been heard."""
        if self._started:
            known_ms = float(self.heard_ms)
            if received is not None and received.turn_id == self._turn_id:
                known_ms = max(self._reported_ms, received.offset_ms)
            frames = self._resend_buffer.pop_unacknowledged(max(0.0, self._playhead.sent_ms - known_ms))
            length_ms = sum(SPEECH.ms_of(len(pcm)) for pcm in frames)
            self._playback_reference.retract(length_ms)
            self._playhead.remove_sent(length_ms, self._loop.time())
            self._buffer.prepend(frames)
            self._end_sent = False
            self._announce_offset()
            if self._paused:
                self._outbox.send(PlaybackPause(self._turn_id))
        if not self._paused:
            self._continue_playback()

    def on_playback_progress(self, played_ms: int) -> None:
        """The client says how much it has played."""
        self._reported_ms = max(self._reported_ms, min(float(played_ms), self._playhead.sent_ms))
        self._reported_at_s = self._loop.time()
        self._update_playback_reference()
        self._send_due()

    @property
    def heard_ms(self) -> int:
        """How much of the reply has been heard."""
        if self._reports:
            return round(self._reported_ms)
        self._playhead.advance(self._loop.time())
        return round(self._playhead.played_ms)

    @property
    def sent_ms(self) -> int:
        """How much of the reply has been sent."""
        return round(self._playhead.sent_ms)

    @property
    def made_ms(self) -> float:
        """How much speech there is, heard or not: where the next of it begins."""
        return self._buffer.made_ms

    @property
    def unheard_ms(self) -> float:
        """How much speech there is that has not been heard yet."""
        return self._buffer.made_ms - self.heard_ms

    @property
    def wasted_ms(self) -> float:
        """How much speech was made in vain, if nothing more is heard."""
        return self.unheard_ms + self._buffer.discarded_ms

    @property
    def is_paused(self) -> bool:
        """Whether nothing is to be sent for now."""
        return self._paused or self._outbox.connection is None

    def underruns(self) -> tuple[int, float]:
        """How often speech was late in mid-reply, and for how many milliseconds in all."""
        return self._playhead.underrun_totals(None if self._ended else self._loop.time())

    def append_audio(self, pcm: bytes) -> None:
        """Take speech that follows what was made before."""
        # Behind a frame that waits, this one waits too.
        may_leave = not self._buffer
        self._buffer.append(pcm, len(pcm) if self._reports else _BLIND_FRAME_BYTES)
        if may_leave:
            self._send_due()

    def add_mark(self, mark: SpeechMark) -> None:
        """Take a mark; the client gets it with the speech it is about."""
        self._buffer.add_mark(mark)

    @property
    def is_full(self) -> bool:
        """Whether enough is held."""
        return self._buffer.made_ms - self._playhead.sent_ms >= _HELD_MS

    async def wait_capacity(self) -> None:
        """Wait while enough is held."""
        while self.is_full:
            await self._wait(None)

    def truncate(self, offset_ms: float) -> float:
        """Discard the speech from `offset_ms` on, as far as it has not been sent; return where the rest ends."""
        return self._buffer.truncate(offset_ms)

    def end_audio(self) -> None:
        """No more speech comes."""
        self._ended = True
        self._send_due()

    async def run(self) -> None:
        """Wait until all that was put has been heard. Raises `AtCapacity` when the client does not read."""
        try:
            while not (self._released and self._ended and not self._buffer):
                await self._wait(None)
            await self._wait_until_heard()
        finally:
            self._stop_timer()

    def _continue_playback(self) -> None:
        """The ear moves again, and the client is to report from now on."""
        self._reported_at_s = self._loop.time()
        self._playhead.resume(self._reported_at_s)
        self._update_playback_reference()
        self._changed.set()
        self._send_due()

    def _send_due(self) -> None:
        """Send what may leave, and see that the next frame does when its time has come."""
        self._stop_timer()
        if not self._released or self._failure is not None:
            return
        try:
            while self._buffer and not self.is_paused:
                if (early_s := self._time_until_due_s()) <= 0:
                    self._send(self._buffer.pop_frame())
                    continue
                if not self._reports:
                    self._timer = self._loop.call_later(early_s + _TIMER_SLACK_S, self._send_due)
                break
            if self._ended and not self._buffer and self._outbox.connection is not None:
                self._finish()
        except AnchorError as error:
            self._failure = error
            self._changed.set()
        else:
            self._on_progress()

    def _time_until_due_s(self) -> float:
        """How long until the next frame may leave, judging by what has been heard; 0 or less for now."""
        then_sent_ms = self._playhead.sent_ms + self._buffer.next_ms
        return (then_sent_ms - self.heard_ms - self._ahead_ms) / 1000

    def _send(self, pcm: bytes) -> None:
        if not self._offset_announced:
            self._announce_offset()
        first, self._started = not self._started, True
        if first:
            self._playback_reference.begin_reply(self._loop.time())
            self._reported_at_s = self._loop.time()
        length_ms = SPEECH.ms_of(len(pcm))
        self._send_marks(self._playhead.sent_ms + length_ms)
        self._outbox.send_audio(pcm)
        self._playback_reference.append(pcm)
        self._resend_buffer.append(pcm)
        self._playhead.add_sent(length_ms, self._loop.time())
        self._changed.set()
        if first:
            self._on_audible()

    def _announce_offset(self) -> None:
        self._offset_announced = True
        self._outbox.send(ReplyAudio(self._turn_id, self.sent_ms))

    def _update_playback_reference(self) -> None:
        if self._playhead.sent_ms:
            moving = not (self._reports and self._paused)
            self._playback_reference.update_position(self.heard_ms, self._loop.time(), moving=moving)

    def _send_marks(self, before_ms: float) -> None:
        for mark in self._buffer.pop_marks(before_ms):
            self._outbox.send(mark)

    def _finish(self) -> None:
        """All speech has left; said once."""
        self._changed.set()
        if self._playhead.sent_ms and not self._end_sent:
            self._end_sent = True
            self._send_marks(math.inf)
            self._outbox.send(ReplyAudioEnded(self._turn_id, self.sent_ms))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait(self, at_most_s: float | None) -> None:
        if self._failure is not None:
            raise self._failure
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()

    async def _wait_until_heard(self) -> None:
        """Wait for the ear; a client that stopped reporting is given the time that playing would take."""
        while (left_s := (self._playhead.sent_ms - self.heard_ms) / 1000) > 0:
            if self._reports and not self.is_paused:
                overdue_s = self._reported_at_s + left_s + _REPORT_GRACE_S - self._loop.time()
                if overdue_s <= 0:
                    self._reported_ms = self._playhead.sent_ms
                    return
                await self._wait(overdue_s)
            else:
                await self._wait(None if self.is_paused and self._reports else left_s + _TIMER_SLACK_S)
