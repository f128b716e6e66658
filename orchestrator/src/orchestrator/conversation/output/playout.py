"""Playout: sends the speech of one reply to the client, buffered until released, paced, paused and counted.

No task runs per frame: each event that lets a frame leave (new speech, a playback report, a timer) sends it. `run`
only waits for the end.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from typing import Protocol

from service_kit.audio import SPEECH
from service_kit.errors import AnchorError

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.playback_reference import PlaybackReference
from orchestrator.conversation.messages.client import ReplyReceived
from orchestrator.conversation.messages.server import PlaybackPause, ReplyAudio, ReplyAudioEnded, SpeechMark
from orchestrator.conversation.output.playhead import Playhead
from orchestrator.conversation.output.playout_buffer import PlayoutBuffer
from orchestrator.conversation.output.resend_buffer import AudioResendBuffer

# How far ahead of the playback position audio is sent: to clients that report playback and can flush it, and to others.
_AHEAD_REPORTING_MS, _AHEAD_NOT_REPORTING_MS = 2_000, 250
# Frames sent just in time must be short beside that.
_NOT_REPORTING_FRAME_BYTES = SPEECH.bytes_for(80)
# Unsent speech beyond which the TTS has to wait. Text pacing keeps it far below.
_MAX_BUFFERED_MS = 20_000
# A client that stops reporting is assumed to have played on after this long.
_REPORT_GRACE_S = 2.0
# A client that declared playback reports sends the first within this time of the first frame.
_FIRST_REPORT_S = 3.0
# Timers may fire slightly early; the slack avoids a second timer for the same frame.
_TIMER_SLACK_S = 0.001


class PlayoutListener(Protocol):
    """What a playout reports to the owner of the reply."""

    def on_progress(self) -> None:
        """The playback position may have moved."""
        ...

    def on_first_frame_sent(self) -> None:
        """The first frame was sent."""
        ...

    def on_first_sample_heard(self, at_s: float) -> None:
        """The first sample was heard at `at_s`, on the loop's clock."""
        ...

    def on_report_overdue(self) -> None:
        """No playback report arrived within `_FIRST_REPORT_S` of playback."""
        ...


class Playout:
    """The playout of one reply.

    With `reports_playback`, the client's reports are the playback position. Without, the position is an estimate: the
    sent speech, played in real time from its first frame; the first sample counts as heard once the client may have
    used up what it buffers (`_AHEAD_NOT_REPORTING_MS`). No silence is sent: when speech is late, the client plays
    silence by itself, and offsets count speech only.
    """

    def __init__(
        self,
        turn_id: int,
        outbox: Outbox,
        reports_playback: bool,
        listener: PlayoutListener,
        playback_reference: PlaybackReference,
    ) -> None:
        self._turn_id = turn_id
        self._outbox = outbox
        self._reports_playback = reports_playback
        self._listener = listener
        self._playback_reference = playback_reference
        self._resend_buffer = AudioResendBuffer()
        self._loop = asyncio.get_running_loop()
        self._ahead_ms = _AHEAD_REPORTING_MS if reports_playback else _AHEAD_NOT_REPORTING_MS
        self._buffer = PlayoutBuffer()
        self._playhead = Playhead(can_pause=reports_playback)
        self._reported_ms = 0.0
        self._reported_at_s = 0.0
        self._audio_complete = False
        self._end_sent = False
        # Whether the client got the offset of the next frames.
        self._offset_announced = False
        # When the first frame was sent; None before.
        self._first_frame_s: float | None = None
        self._heard = False
        self._released = False
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None
        # Without reports: fires when the first sample counts as heard. With: when the client's first report is overdue.
        self._first_sample_timer: asyncio.TimerHandle | None = None
        self._failure: AnchorError | None = None
        # Set when a frame was sent, when all were sent and at each report after that, and when the connection changes.
        self._changed = asyncio.Event()

    def release(self) -> None:
        """Start sending."""
        self._released = True
        self._send_due()

    def pause(self) -> bool:
        """Stop sending; return False if playout was paused already."""
        changed, self._paused = not self._paused, True
        self._playhead.pause(self._loop.time())
        if self._reports_playback:
            self._playback_reference.pause(self._loop.time())
        return changed

    def resume(self) -> bool:
        """Send again; return False if playout was not paused."""
        changed, self._paused = self._paused, False
        if not self.is_paused:
            self._continue_playback()
        return changed

    def on_disconnect(self) -> None:
        """The client disconnected: freeze the playback position."""
        now_s = self._loop.time()
        self._stop_timers()
        self._playhead.pause(now_s)
        self._playback_reference.pause(now_s)
        self._changed.set()

    def on_reconnect(self, received: ReplyReceived | None) -> None:
        """Resend speech that a reconnected client lacks: from the end of `received`, or else all unheard speech."""
        if self._first_frame_s is not None:
            received_ms = float(self.heard_ms)
            if received is not None and received.turn_id == self._turn_id:
                received_ms = max(self._reported_ms, received.offset_ms)
            frames = self._resend_buffer.pop_unacknowledged(max(0.0, self._playhead.sent_ms - received_ms))
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
        """Record the client's report that it has played `played_ms` of the reply; ignored before anything was sent.

        Such a report belongs to an earlier reply to the same turn, which was withdrawn.
        """
        if self._first_frame_s is None:
            return
        self._reported_ms = max(self._reported_ms, min(float(played_ms), self._playhead.sent_ms))
        self._reported_at_s = self._loop.time()
        if played_ms:
            # The first sample was heard `played_ms` before the report. Clients that write a file "play" faster.
            self._on_first_sample_heard(max(self._reported_at_s - played_ms / 1000, self._first_frame_s))
        self._update_playback_reference()
        self._send_due()

    def estimate_playback(self) -> None:
        """Estimate the playback position from now on: the client declared reports and sends none."""
        self._reports_playback = False
        self._ahead_ms = _AHEAD_NOT_REPORTING_MS
        self._changed.set()
        self._on_first_sample_heard(self._loop.time())
        self._send_due()

    @property
    def reports_playback(self) -> bool:
        """Whether the playback position is the client's, rather than an estimate."""
        return self._reports_playback

    @property
    def heard_ms(self) -> int:
        """Playback position: the length of the heard speech."""
        if self._reports_playback:
            return round(self._reported_ms)
        self._playhead.advance(self._loop.time())
        return round(self._playhead.played_ms)

    @property
    def sent_ms(self) -> int:
        """Length of the sent speech."""
        return round(self._playhead.sent_ms)

    @property
    def synthesised_ms(self) -> float:
        """Length of the synthesised speech, sent or not: the offset of the next audio."""
        return self._buffer.synthesised_ms

    @property
    def unheard_ms(self) -> float:
        """Length of the synthesised speech that has not been heard."""
        return self._buffer.synthesised_ms - self.heard_ms

    @property
    def wasted_ms(self) -> float:
        """Length of the synthesised speech that was wasted, if playback ends here."""
        return self.unheard_ms + self._buffer.discarded_ms

    @property
    def is_paused(self) -> bool:
        """Whether playout is paused, or has no connection to send over."""
        return self._paused or self._outbox.connection is None

    def underruns(self) -> tuple[int, float]:
        """The number of underruns (late speech in mid-reply) and their total length in ms."""
        return self._playhead.underrun_totals(None if self._audio_complete else self._loop.time())

    def append_audio(self, pcm: bytes) -> None:
        """Append speech, PCM16 mono 24 kHz."""
        # A frame that follows a waiting one waits as well.
        may_leave = not self._buffer
        self._buffer.append(pcm, len(pcm) if self._reports_playback else _NOT_REPORTING_FRAME_BYTES)
        if may_leave:
            self._send_due()

    def add_mark(self, mark: SpeechMark) -> None:
        """Append a speech mark; it is sent with the speech it refers to."""
        self._buffer.add_mark(mark)

    @property
    def is_full(self) -> bool:
        """Whether the TTS should wait before it appends more."""
        return self._buffer.synthesised_ms - self._playhead.sent_ms >= _MAX_BUFFERED_MS

    async def wait_capacity(self) -> None:
        """Wait until `is_full` is false. Raises `AtCapacity` when the client does not read."""
        while self.is_full:
            await self._wait_for_change(None)

    def truncate(self, offset_ms: float) -> float:
        """Discard unsent speech from `offset_ms` on; return the new end of the speech in milliseconds."""
        return self._buffer.truncate(offset_ms)

    def end_audio(self) -> None:
        """All speech has been appended."""
        self._audio_complete = True
        self._send_due()

    async def run(self) -> None:
        """Wait until all speech has been heard. Raises `AtCapacity` when the client does not read."""
        try:
            while not (self._released and self._audio_complete and not self._buffer):
                await self._wait_for_change(None)
            await self._wait_until_heard()
        finally:
            self._stop_timers()

    def _continue_playback(self) -> None:
        """Move the playback position again and expect the client's reports from now on."""
        self._reported_at_s = self._loop.time()
        self._playhead.resume(self._reported_at_s)
        self._expect_first_sample()
        self._update_playback_reference()
        self._changed.set()
        self._send_due()

    def _send_due(self) -> None:
        """Send all frames that are due; without playback reports, set a timer for the next one."""
        self._stop_timer()
        if not self._released or self._failure is not None:
            return
        try:
            while self._buffer and not self.is_paused:
                if (wait_s := self._time_until_due_s()) <= 0:
                    self._send(self._buffer.pop_frame())
                    continue
                if not self._reports_playback:
                    self._timer = self._loop.call_later(wait_s + _TIMER_SLACK_S, self._send_due)
                break
            if self._audio_complete and not self._buffer and self._outbox.connection is not None:
                self._finish()
        except AnchorError as error:
            self._failure = error
            self._changed.set()
        else:
            self._listener.on_progress()

    def _time_until_due_s(self) -> float:
        """Time until the next frame may be sent, by the playback position; 0 or less for now."""
        sent_ms = self._playhead.sent_ms + self._buffer.next_ms
        return (sent_ms - self.heard_ms - self._ahead_ms) / 1000

    def _send(self, pcm: bytes) -> None:
        if not self._offset_announced:
            self._announce_offset()
        first = self._first_frame_s is None
        if first:
            self._first_frame_s = self._reported_at_s = self._loop.time()
            self._playback_reference.begin_reply(self._first_frame_s)
            self._expect_first_sample()
        length_ms = SPEECH.ms_of(len(pcm))
        self._send_marks(self._playhead.sent_ms + length_ms)
        self._outbox.send_audio(pcm)
        self._playback_reference.append(pcm)
        self._resend_buffer.append(pcm)
        self._playhead.add_sent(length_ms, self._loop.time())
        self._changed.set()
        if first:
            self._listener.on_first_frame_sent()

    def _expect_first_sample(self) -> None:
        """Set the timer for the first sample, unless it was heard."""
        if self._first_frame_s is None or self._heard:
            return
        if self._first_sample_timer is not None:
            self._first_sample_timer.cancel()
        if self._reports_playback:
            self._first_sample_timer = self._loop.call_later(_FIRST_REPORT_S, self._on_report_overdue)
        else:
            delay_s = _AHEAD_NOT_REPORTING_MS / 1000
            heard_s = self._loop.time() + delay_s
            self._first_sample_timer = self._loop.call_later(delay_s, self._on_first_sample_heard, heard_s)

    def _on_report_overdue(self) -> None:
        if not self.is_paused and self._reports_playback and not self._heard:
            self._listener.on_report_overdue()

    def _on_first_sample_heard(self, at_s: float) -> None:
        """The first sample was heard at `at_s`, on the loop's clock; only the first call counts."""
        if not self._heard:
            self._heard = True
            self._listener.on_first_sample_heard(at_s)

    def _announce_offset(self) -> None:
        self._offset_announced = True
        self._outbox.send(ReplyAudio(self._turn_id, self.sent_ms))

    def _update_playback_reference(self) -> None:
        if self._playhead.sent_ms:
            moving = not (self._reports_playback and self._paused)
            self._playback_reference.update_position(self.heard_ms, self._loop.time(), moving=moving)

    def _send_marks(self, before_ms: float) -> None:
        for mark in self._buffer.pop_marks(before_ms):
            self._outbox.send(mark)

    def _finish(self) -> None:
        """Send the last marks and the end of the audio, once."""
        self._changed.set()
        if self._playhead.sent_ms and not self._end_sent:
            self._end_sent = True
            self._send_marks(math.inf)
            self._outbox.send(ReplyAudioEnded(self._turn_id, self.sent_ms))

    def _stop_timers(self) -> None:
        self._stop_timer()
        if self._first_sample_timer is not None:
            self._first_sample_timer.cancel()
            self._first_sample_timer = None

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait_for_change(self, at_most_s: float | None) -> None:
        if self._failure is not None:
            raise self._failure
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()

    async def _wait_until_heard(self) -> None:
        """Wait for the playback position; for a client that stopped reporting, wait as long as playback would take."""
        while (left_s := (self._playhead.sent_ms - self.heard_ms) / 1000) > 0:
            if self._reports_playback and not self.is_paused:
                overdue_s = self._reported_at_s + left_s + _REPORT_GRACE_S - self._loop.time()
                if overdue_s <= 0:
                    self._reported_ms = self._playhead.sent_ms
                    return
                await self._wait_for_change(overdue_s)
            else:
                await self._wait_for_change(
                    None if self.is_paused and self._reports_playback else left_s + _TIMER_SLACK_S
                )
