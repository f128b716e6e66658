"""Simulates sounds over a speaking anchor: turn detection, recogniser and policy in a closed loop.

The anchor speaks a long reply. The microphone records a sound, or an echo of the reply; pausing or stopping playout
changes what the microphone records next. Time advances in chunks of the audio clock; a transcript comes later by the
time the decoder took.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
from offline_vad import CHUNK_MS, OfflineVad, wait_until_idle
from orchestrator.conversation.echo.echo_detector import EchoDetector, echo_span
from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK, PlaybackContext, playback_context
from orchestrator.conversation.messages.client import TextInput
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.events import (
    Action,
    AnnounceBargeIn,
    CommitSegment,
    FirstFrameSent,
    FirstSampleHeard,
    FlushSegment,
    PausePlayback,
    PolicyEvent,
    ResumePlayback,
    SetTimer,
    StartListening,
    StopReply,
    TimerFired,
)
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript, SpeechStarted
from orchestrator.conversation.turns.anchor_state import AnchorPhase
from orchestrator.conversation.turns.barge_in import has_words
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking
from recogniser import SegmentRecogniser
from replies import Reply
from service_kit.audio import MICROPHONE, SPEECH, AudioChunk

CHUNK_BYTES = MICROPHONE.bytes_for(CHUNK_MS)
SILENCE = bytes(CHUNK_BYTES)
# The delay from playout to the microphone: the client's buffer, and the room.
_ECHO_DELAY_CHUNKS = 3
# A client plays on for this long after a pause command.
_HOLD_DELAY_CHUNKS = 2
# The interval of playback reports, and how far audio is sent ahead of them.
_REPORT_MS = 96
_AHEAD_MS = 2_000
_LANGUAGE = "en"

# The echo of the reply, and its position in the reply in milliseconds; None where it is silent.
Echo = tuple[bytes, int | None]
_NO_ECHO: Echo = (SILENCE, None)


@dataclass
class Outcome:
    """The result of one simulation. Times are milliseconds on the audio clock."""

    length_ms: int = 0
    # How long the reply was paused in all, and when each pause began.
    held_ms: int = 0
    pauses_ms: list[int] = field(default_factory=list[int])
    # Detected starts of speech, and the verdicts with their times since that start.
    starts_ms: list[int] = field(default_factory=list[int])
    verdicts: list[tuple[BargeInVerdict, int]] = field(default_factory=list[tuple[BargeInVerdict, int]])
    stopped_ms: int | None = None
    finals: list[str] = field(default_factory=list[str])


class BargeInSimulation:
    """One sound over one reply, or over its echo of `echo_gain` (0 for none)."""

    def __init__(
        self, vad: OfflineVad, recogniser: SegmentRecogniser, reply: Reply, sound: bytes, echo_gain: float = 0.0
    ) -> None:
        self._vad = vad
        self._recogniser = recogniser
        self._reply = reply
        self._sound = sound
        self._echo_gain = echo_gain
        self._turn_taking = TurnTaking(TurnRules())
        self._due: list[tuple[int, int, PolicyEvent]] = []
        self._numbers = itertools.count()
        self._now_ms = 0
        self._recorded: list[tuple[bytes, int | None]] = []
        # Whether the recogniser receives audio.
        self._listening = False
        self._segment_id = 1
        self._playing = True
        self._position = 0
        self._clock = AudioClock(lambda: self._now_ms / 1000)
        self._recent_audio = RecentAudio()
        self._echo_detector = EchoDetector(self._clock, self._recent_audio)
        self._sent_ms = 0
        # Audio between playout and microphone, and whether the client plays, both delayed.
        self._echo_path: deque[Echo] = deque([_NO_ECHO] * _ECHO_DELAY_CHUNKS)
        self._client_playing = deque([True] * _HOLD_DELAY_CHUNKS)
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Run until the sound ends or the reply is stopped."""
        self._recogniser.start()
        self._handle(TextInput("go on"))
        self._handle(FirstFrameSent(1, 0))
        self._handle(FirstSampleHeard(1, 0))
        self._echo_detector.playback_reference.begin_reply(0)
        await self._vad.run_live(self._microphone(), self._on_vad_event)
        self.outcome.length_ms = self._now_ms
        return self.outcome

    async def _microphone(self) -> AsyncIterator[AudioChunk]:
        length = len(self._sound) or len(self._reply.pcm)
        for start in range(0, length - CHUNK_BYTES + 1, CHUNK_BYTES):
            piece, place_ms = self._next_chunk(self._sound[start : start + CHUNK_BYTES] or SILENCE)
            self._now_ms += CHUNK_MS
            self._clock.advance(self._now_ms)
            self._recent_audio.append(AudioChunk(self._now_ms - CHUNK_MS, piece))
            self._recorded.append((piece, place_ms))
            yield AudioChunk(self._now_ms - CHUNK_MS, piece)
            await wait_until_idle()
            if self._listening:
                self._decode(piece, place_ms)
            self._handle_due()
            if not self._playing:
                self.outcome.held_ms += CHUNK_MS
            if self.outcome.stopped_ms is not None:
                return

    def _next_chunk(self, sound: bytes) -> Echo:
        """The next chunk of the sound with the echo of the reply, which advances while it is not paused."""
        self._client_playing.append(self._playing)
        if self._client_playing.popleft():
            place_ms = round(MICROPHONE.ms_of(self._position))
            self._echo_path.append((self._reply.pcm[self._position : self._position + CHUNK_BYTES], place_ms))
            self._position = (self._position + CHUNK_BYTES) % (len(self._reply.pcm) - CHUNK_BYTES)
            self._send_and_report()
        else:
            self._echo_path.append(_NO_ECHO)
        echo, place_ms = self._echo_path.popleft()
        return (add_echo(sound, echo, self._echo_gain), place_ms) if self._echo_gain else (sound, None)

    def _send_and_report(self) -> None:
        """Advance the client by one chunk: send audio ahead, and report the position when due."""
        played_ms = round(MICROPHONE.ms_of(self._position))
        reference, now_s = self._echo_detector.playback_reference, self._now_ms / 1000
        if played_ms < self._sent_ms - 2 * _AHEAD_MS:
            # The client plays the reply again from the start.
            self._sent_ms = 0
            reference.begin_reply(now_s)
        while self._sent_ms < min(played_ms + _AHEAD_MS, self._reply.length_ms):
            sent = slice(SPEECH.bytes_for(self._sent_ms), SPEECH.bytes_for(self._sent_ms + CHUNK_MS))
            reference.append(self._reply.sent[sent])
            self._sent_ms += CHUNK_MS
        if played_ms % _REPORT_MS == 0:
            reference.update_position(played_ms, now_s, moving=self._playing)

    def _on_vad_event(self, event: PolicyEvent, prediction_ms: int) -> None:
        if isinstance(event, SpeechStarted):
            self.outcome.starts_ms.append(event.at_ms)
        self._schedule(self._now_ms + prediction_ms, event)

    def _decode(self, pcm: bytes, place_ms: int | None) -> None:
        text, took_ms = self._recogniser.decode(pcm, place_ms)
        if has_words(text):
            self._schedule(self._now_ms + took_ms, PartialTranscript(self._segment_id, text, self._now_ms))

    def _schedule(self, at_ms: int, event: PolicyEvent) -> None:
        heapq.heappush(self._due, (at_ms, next(self._numbers), event))

    def _handle_due(self) -> None:
        while self._due and self._due[0][0] <= self._now_ms:
            self._handle(heapq.heappop(self._due)[2])

    def _handle(self, event: PolicyEvent) -> None:
        if isinstance(event, FinalTranscript):
            self.outcome.finals.append(event.text)
        for action in self._turn_taking.handle(event, self._playback_context(event)):
            self._perform(action)

    def _playback_context(self, event: PolicyEvent) -> PlaybackContext:
        policy = self._turn_taking
        anchor_speaks = policy.anchor_phase is AnchorPhase.SPEAKING
        span = echo_span(event, policy.listening_since_ms, self._now_ms, anchor_speaks=anchor_speaks)
        if span is None:
            return NO_PLAYBACK
        return replace(self._reply_context(), echo_estimate=self._echo_detector.estimate_echo(*span))

    def _reply_context(self) -> PlaybackContext:
        at_ms = round(MICROPHONE.ms_of(self._position))
        since_ms = self._turn_taking.listening_since_ms
        for_ms = 0 if since_ms is None else self._now_ms - since_ms
        reply = self._reply
        return playback_context(
            reply.text, reply.marks, at_ms=at_ms, for_ms=for_ms, duration_ms=reply.length_ms, language=_LANGUAGE
        )

    def _perform(self, action: Action) -> None:
        match action:
            case SetTimer():
                self._schedule(max(self._now_ms, action.at_ms), TimerFired(action.at_ms))
            case StartListening():
                self._listening = True
                for piece, place_ms in self._recorded[action.from_ms // CHUNK_MS :]:
                    self._decode(piece, place_ms)
            case FlushSegment():
                self._listening = False
                text, took_ms = self._recogniser.flush()
                self._schedule(self._now_ms + took_ms, FinalTranscript(action.segment_id, 1, text, self._now_ms))
            case CommitSegment():
                self._recogniser.commit()
                self._segment_id = action.segment_id + 1
            case PausePlayback():
                self._playing = False
                self._echo_detector.playback_reference.pause(self._now_ms / 1000)
                self.outcome.pauses_ms.append(self._now_ms)
            case ResumePlayback():
                self._playing = True
                self._echo_detector.playback_reference.update_position(
                    MICROPHONE.ms_of(self._position), self._now_ms / 1000
                )
            case StopReply():
                self._playing = False
                self.outcome.stopped_ms = self._now_ms
            case AnnounceBargeIn():
                since_ms = self.outcome.starts_ms[-1] if self.outcome.starts_ms else self._now_ms
                self.outcome.verdicts.append((action.verdict, self._now_ms - since_ms))
            case _:
                pass


def add_echo(sound: bytes, echo: bytes, gain: float) -> bytes:
    """The sum of both, with the echo at `gain`, clipped at full scale."""
    mixed = np.frombuffer(sound, "<i2").astype(np.float32) + gain * np.frombuffer(echo, "<i2").astype(np.float32)
    return np.clip(np.rint(mixed), -32768, 32767).astype("<i2").tobytes()


async def simulate_barge_in(
    vad: OfflineVad, recogniser: SegmentRecogniser, reply: Reply, sound: bytes = b"", echo_db: float | None = None
) -> Outcome:
    """Run `sound`, or the echo of the reply at `echo_db`, over the reply. Yields to other tasks first."""
    await asyncio.sleep(0)
    gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
    return await BargeInSimulation(vad, recogniser, reply, sound, gain).run()
