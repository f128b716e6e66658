"""Sounds over an anchor that speaks: its turn detection, its recogniser and its policy, in a closed loop.

The anchor speaks a long reply. The microphone hears a sound, or what is left of the reply itself; what the policy
does to playout changes what the microphone hears next. Time passes in chunks of the audio clock, and what a decoder
needed for its work is added to it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
from listening import CHUNK_MS, Ears, settled
from orchestrator.conversation.echo.echo_detector import EchoDetector, echo_span
from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.echo.transcript_echo import NO_PLAYBACK as NOTHING_SOUNDS
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, playback_context
from orchestrator.conversation.messages.client import TextInput
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.events import (
    Action,
    AnnounceBargeIn,
    CommitSegment,
    Event,
    FlushSegment,
    PausePlayback,
    ReplyAudible,
    ResumePlayback,
    SetTimer,
    StartListening,
    StopReply,
    TimerFired,
)
from orchestrator.conversation.model.ports import FinalTranscript, PartialTranscript, SpeechStarted
from orchestrator.conversation.turns.barge_in import has_words
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking
from recogniser import Recognises
from replies import Reply
from service_kit.audio import MICROPHONE, SPEECH, AudioChunk

CHUNK_BYTES = MICROPHONE.bytes_for(CHUNK_MS)
SILENCE = bytes(CHUNK_BYTES)
# From playout to the microphone: what a client has in hand, and the room.
_ECHO_DELAY_CHUNKS = 3
# A client that is told to hold plays on for this long.
_HOLD_DELAY_CHUNKS = 2
# How often a client tells what it has played, and how far ahead of that it is sent more.
_REPORT_MS = 96
_AHEAD_MS = 2_000
_LANGUAGE = "en"

# What comes back of the reply, and from where in it, in milliseconds; None where it is silent.
Echo = tuple[bytes, int | None]
_NO_ECHO: Echo = (SILENCE, None)


@dataclass
class Outcome:
    """What came of it. Times are milliseconds on the audio clock."""

    length_ms: int = 0
    # How long the reply was held, all in all, and how often.
    held_ms: int = 0
    pauses_ms: list[int] = field(default_factory=list[int])
    # Where speech was told to begin, and what was made of it: verdict and time from that beginning.
    starts_ms: list[int] = field(default_factory=list[int])
    verdicts: list[tuple[BargeInVerdict, int]] = field(default_factory=list[tuple[BargeInVerdict, int]])
    stopped_ms: int | None = None
    heard: list[str] = field(default_factory=list[str])


class OverSpeech:
    """One sound over one reply, or over its echo of `echo_gain` (0 for none)."""

    def __init__(self, stt: Ears, recogniser: Recognises, reply: Reply, sound: bytes, echo_gain: float = 0.0) -> None:
        self._ears = stt
        self._recogniser = recogniser
        self._reply = reply
        self._sound = sound
        self._echo_gain = echo_gain
        self._turn_taking = TurnTaking(TurnRules())
        self._due: list[tuple[int, int, Event]] = []
        self._numbers = itertools.count()
        self._now_ms = 0
        self._recorded: list[tuple[bytes, int | None]] = []
        # Whether the recogniser wants what is heard.
        self._listening = False
        self._segment_id = 1
        self._playing = True
        self._position = 0
        self._clock = AudioClock(lambda: self._now_ms / 1000)
        self._recent = RecentAudio()
        self._own_voice = EchoDetector(self._clock, self._recent)
        self._sent_ms = 0
        # What the client and the room still have of the reply, and whether the client had been told to hold it.
        self._in_the_air: deque[Echo] = deque([_NO_ECHO] * _ECHO_DELAY_CHUNKS)
        self._holding = deque([True] * _HOLD_DELAY_CHUNKS)
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Play until the sound is over, or until the reply was stopped."""
        self._recogniser.open()
        self._do(TextInput("go on"))
        self._do(ReplyAudible(1, 0))
        self._own_voice.playback_reference.begin_reply(0)
        await self._ears.hear(self._microphone(), self._told)
        self.outcome.length_ms = self._now_ms
        return self.outcome

    async def _microphone(self) -> AsyncIterator[AudioChunk]:
        length = len(self._sound) or len(self._reply.pcm)
        for start in range(0, length - CHUNK_BYTES + 1, CHUNK_BYTES):
            piece, place_ms = self._mixed(self._sound[start : start + CHUNK_BYTES] or SILENCE)
            self._now_ms += CHUNK_MS
            self._clock.advance(self._now_ms)
            self._recent.append(AudioChunk(self._now_ms - CHUNK_MS, piece))
            self._recorded.append((piece, place_ms))
            yield AudioChunk(self._now_ms - CHUNK_MS, piece)
            await settled()
            if self._listening:
                self._decode(piece, place_ms)
            self._catch_up()
            if not self._playing:
                self.outcome.held_ms += CHUNK_MS
            if self.outcome.stopped_ms is not None:
                return

    def _mixed(self, sound: bytes) -> Echo:
        """The sound, and what comes back of the reply, which moves on while it is not held."""
        self._holding.append(self._playing)
        if self._holding.popleft():
            place_ms = round(MICROPHONE.ms_of(self._position))
            self._in_the_air.append((self._reply.pcm[self._position : self._position + CHUNK_BYTES], place_ms))
            self._position = (self._position + CHUNK_BYTES) % (len(self._reply.pcm) - CHUNK_BYTES)
            self._send_and_report()
        else:
            self._in_the_air.append(_NO_ECHO)
        echo, place_ms = self._in_the_air.popleft()
        return (added(sound, echo, self._echo_gain), place_ms) if self._echo_gain else (sound, None)

    def _send_and_report(self) -> None:
        """The client has played one chunk more."""
        played_ms = round(MICROPHONE.ms_of(self._position))
        reference, now_s = self._own_voice.playback_reference, self._now_ms / 1000
        if played_ms < self._sent_ms - 2 * _AHEAD_MS:
            # It plays the reply once more.
            self._sent_ms = 0
            reference.begin_reply(now_s)
        while self._sent_ms < min(played_ms + _AHEAD_MS, self._reply.length_ms):
            sent = slice(SPEECH.bytes_for(self._sent_ms), SPEECH.bytes_for(self._sent_ms + CHUNK_MS))
            reference.append(self._reply.sent[sent])
            self._sent_ms += CHUNK_MS
        if played_ms % _REPORT_MS == 0:
            reference.update_position(played_ms, now_s, moving=self._playing)

    def _told(self, event: Event, judging_ms: int) -> None:
        if isinstance(event, SpeechStarted):
            self.outcome.starts_ms.append(event.at_ms)
        self._expect(self._now_ms + judging_ms, event)

    def _decode(self, pcm: bytes, place_ms: int | None) -> None:
        text, took_ms = self._recogniser.hear(pcm, place_ms)
        if has_words(text):
            self._expect(self._now_ms + took_ms, PartialTranscript(self._segment_id, text, self._now_ms))

    def _expect(self, at_ms: int, event: Event) -> None:
        heapq.heappush(self._due, (at_ms, next(self._numbers), event))

    def _catch_up(self) -> None:
        while self._due and self._due[0][0] <= self._now_ms:
            self._do(heapq.heappop(self._due)[2])

    def _do(self, event: Event) -> None:
        if isinstance(event, FinalTranscript):
            self.outcome.heard.append(event.text)
        for action in self._turn_taking.handle(event, self._sounding(event)):
            self._perform(action)

    def _sounding(self, event: Event) -> PlaybackContext:
        span = echo_span(event, self._turn_taking.listening_since_ms, self._now_ms)
        if span is None:
            return NOTHING_SOUNDS
        return replace(self._said(), likeness=self._own_voice.estimate_echo(*span))

    def _said(self) -> PlaybackContext:
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
                self._expect(max(self._now_ms, action.at_ms), TimerFired(action.at_ms))
            case StartListening():
                self._listening = True
                for piece, place_ms in self._recorded[action.from_ms // CHUNK_MS :]:
                    self._decode(piece, place_ms)
            case FlushSegment():
                self._listening = False
                text, took_ms = self._recogniser.flush()
                self._expect(self._now_ms + took_ms, FinalTranscript(action.segment_id, 1, text, self._now_ms))
            case CommitSegment():
                self._recogniser.commit()
                self._segment_id = action.segment_id + 1
            case PausePlayback():
                self._playing = False
                self._own_voice.playback_reference.pause(self._now_ms / 1000)
                self.outcome.pauses_ms.append(self._now_ms)
            case ResumePlayback():
                self._playing = True
                self._own_voice.playback_reference.update_position(
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


def added(sound: bytes, echo: bytes, gain: float) -> bytes:
    """Both at once; `gain` is that of the echo."""
    mixed = np.frombuffer(sound, "<i2").astype(np.float32) + gain * np.frombuffer(echo, "<i2").astype(np.float32)
    return np.clip(np.rint(mixed), -32768, 32767).astype("<i2").tobytes()


async def over(
    stt: Ears, recogniser: Recognises, reply: Reply, sound: bytes = b"", echo_db: float | None = None
) -> Outcome:
    """`sound`, or the echo of the reply at `echo_db`, over the reply. Gives way to other tasks first."""
    await asyncio.sleep(0)
    gain = 0.0 if echo_db is None else 10 ** (echo_db / 20)
    return await OverSpeech(stt, recogniser, reply, sound, gain).run()
