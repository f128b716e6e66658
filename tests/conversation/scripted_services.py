"""Scripted VAD, STT, LLM and TTS for conversation tests: in memory, on the virtual clock."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from orchestrator.conversation.model.ports import (
    AudioAnalysed,
    FinalTranscript,
    PartialTranscript,
    SpeechAudio,
    SpeechMark,
    SpeechStarted,
    SpeechStopped,
    TranscriptionProgress,
    TurnEndPredicted,
)
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import AnchorError

WORD_MS = 200
_VAD_FRAME_BYTES = MICROPHONE.bytes_for(32)


@dataclass
class UserSpeech:
    """The words that the user speaks: the ground truth of `ScriptedStt`."""

    words: list[str] = field(default_factory=list)


class ScriptedVad:
    """Faultless VAD: a frame with sound is speech. Reports edges after 64 ms, predicts the turn end after 200 ms.

    The first prediction is `probability`, none if that is None; `later_predictions` follow: (silence_ms, probability).
    """

    def __init__(self) -> None:
        self.probability: float | None = 0.5
        self.later_predictions: tuple[tuple[int, float], ...] = ()
        self.failure: AnchorError | None = None
        # Stopped like a process by SIGSTOP: it takes audio, and neither opens a stream nor sends anything.
        self.is_stopped = False
        self.opened = 0
        self.opened_with: list[str] = []
        self.transcript_languages: list[str] = []
        self.stream: ScriptedVadStream | None = None

    @asynccontextmanager
    async def open(self, language):
        if self.failure:
            raise self.failure
        if self.is_stopped:
            await asyncio.Event().wait()
        self.opened += 1
        self.opened_with.append(language)
        self.stream = ScriptedVadStream(self)
        yield self.stream


class ScriptedVadStream:
    def __init__(self, vad: ScriptedVad) -> None:
        self._vad = vad
        self._events: asyncio.Queue = asyncio.Queue()
        self._loud_frames = self._quiet_ms = 0
        self._end_ms: int | None = None
        self._due_predictions: list[tuple[int, float]] = []
        self._report_interval_ms = 500
        self._next_report_ms = 0

    async def push_audio(self, chunk) -> None:
        if self._vad.is_stopped:
            return
        for at in range(0, len(chunk.pcm), _VAD_FRAME_BYTES):
            self._push_frame(AudioChunk(chunk.start_ms + at // 32, chunk.pcm[at : at + _VAD_FRAME_BYTES]))
        if chunk.end_ms >= self._next_report_ms:
            self._next_report_ms = chunk.end_ms + self._report_interval_ms
            self._events.put_nowait(AudioAnalysed(chunk.end_ms, 0.9 if any(chunk.pcm) else 0.1))

    def _push_frame(self, chunk: AudioChunk) -> None:
        if any(chunk.pcm):
            self._loud_frames += 1
            self._quiet_ms = 0
            self._due_predictions = []
            if self._end_ms is None and self._loud_frames == 2:
                at_ms = max(0, chunk.start_ms - 32)
                self._events.put_nowait(SpeechStarted(at_ms, max(0, at_ms - 200)))
                self._end_ms = chunk.end_ms
            elif self._end_ms is not None:
                self._end_ms = chunk.end_ms
            return
        self._loud_frames = 0
        self._quiet_ms += chunk.end_ms - chunk.start_ms
        if self._end_ms is not None and self._quiet_ms >= 64:
            self._stopped_ms, self._end_ms = self._end_ms, None
            self._events.put_nowait(SpeechStopped(self._stopped_ms))
            first = [] if self._vad.probability is None else [(200, self._vad.probability)]
            self._due_predictions = [*first, *self._vad.later_predictions]
        if self._due_predictions and self._quiet_ms >= self._due_predictions[0][0]:
            _, probability = self._due_predictions.pop(0)
            self._events.put_nowait(TurnEndPredicted(self._stopped_ms, probability, "scripted", self._quiet_ms))

    def send(self, event) -> None:
        """Send an event that is not the result of the audio; an error ends the stream."""
        self._events.put_nowait(event)

    async def request_activity(self, interval_ms) -> None:
        self._report_interval_ms = interval_ms

    async def push_transcript(self, text, end_ms, language) -> None:
        self._vad.transcript_languages.append(language)

    async def events(self):
        while True:
            event = await self._events.get()
            if self._vad.failure:
                raise self._vad.failure
            if isinstance(event, AnchorError):
                raise event
            yield event


class ScriptedStt:
    """STT that recognises every word of `user_speech` while it is sent audio; finals arrive after `delay_ms`."""

    def __init__(self, user_speech: UserSpeech) -> None:
        self.user_speech = user_speech
        self.delay_ms = 60
        self.recognises_nothing = False
        # The language of finals, and its probability.
        self.detected: tuple[str, float | None] = ("en", None)
        # Whether partial transcripts are sent.
        self.partials = True
        self.failure: AnchorError | None = None
        # Stopped like a process by SIGSTOP: it takes audio, and neither opens a stream nor sends anything.
        self.is_stopped = False
        # Flushes get no final, although it works.
        self.withholds_finals = False
        self.opened_with: list[str] = []
        self.received_chunks = 0
        self.stream: ScriptedSttStream | None = None

    @asynccontextmanager
    async def open(self, language):
        self.opened_with.append(language)
        if self.failure:
            raise self.failure
        while self.is_stopped:
            await asyncio.sleep(0.1)
        if self.stream:
            # The audio of the open segment is sent again, and with it the words that were taken from it.
            self.user_speech.words[:0] = self.stream.uncommitted_words
        self.stream = ScriptedSttStream(self)
        yield self.stream


class ScriptedSttStream:
    def __init__(self, stt: ScriptedStt) -> None:
        self._stt = stt
        self._events: asyncio.Queue = asyncio.Queue()
        self._segment = 1
        self._revision = 0
        self._text: list[str] = []
        self._end_ms = 0
        self._pending_finals = 0
        self._report: asyncio.TimerHandle | None = None
        self._schedule_report()

    @property
    def uncommitted_words(self) -> list[str]:
        return self._text

    def _schedule_report(self) -> None:
        if self._report is None:
            self._report = asyncio.get_running_loop().call_later(0.5, self._report_work)

    def _report_work(self) -> None:
        self._report = None
        self.send(TranscriptionProgress(self._end_ms))
        if self._pending_finals:
            self._schedule_report()

    def _send_final(self, final) -> None:
        self._pending_finals -= 1
        self.send(final)

    def send(self, item) -> None:
        """Send something, unless the service is stopped; an error ends the stream."""
        if not self._stt.is_stopped:
            self._events.put_nowait(item)

    async def push_audio(self, chunk) -> None:
        self._stt.received_chunks += 1
        if self._stt.is_stopped:
            return
        self._end_ms = chunk.end_ms
        self._schedule_report()
        if new := self._take_new_words():
            self._text += new
            if self._stt.partials:
                partial = PartialTranscript(self._segment, " ".join(self._text), self._end_ms, self._stt.detected[0])
                self._events.put_nowait(partial)

    def _take_new_words(self) -> list[str]:
        user_speech = self._stt.user_speech
        new, user_speech.words = user_speech.words, []
        return [] if self._stt.recognises_nothing else new

    async def flush_segment(self, segment_id) -> None:
        assert segment_id == self._segment
        if self._stt.is_stopped:
            return
        self._pending_finals += 1
        self._schedule_report()
        if self._stt.withholds_finals:
            return
        self._text += self._take_new_words()
        self._revision += 1
        language, probability = self._stt.detected
        final = FinalTranscript(
            segment_id,
            self._revision,
            " ".join(self._text),
            self._end_ms,
            language,
            language_probability=probability,
        )
        asyncio.get_running_loop().call_later(self._stt.delay_ms / 1000, self._send_final, final)

    async def commit_segment(self, segment_id) -> None:
        assert segment_id == self._segment
        self._segment += 1
        self._revision = 0
        self._text = []

    def fail(self, error: AnchorError) -> None:
        self.send(error)

    async def transcripts(self):
        while True:
            event = await self._events.get()
            if isinstance(event, AnchorError):
                raise event
            yield event


class ScriptedLlm:
    """A language model that generates the given `replies` word by word, and records its prompts."""

    name = "scripted"

    def __init__(self) -> None:
        self.replies: list[str] = []
        self.prompts: list = []
        self.prefilled: list = []
        # Prefills with a partial transcript, for models that retrieve by it.
        self.partials: list = []
        self.prefill_ms = 50
        self.first_token_ms = 100
        self.token_ms = 10
        self.failure: AnchorError | None = None
        self.fails_after_words = 0
        self.closed = 0

    async def reply(self, prompt):
        self.prompts.append(prompt)
        text = self.replies[0] if len(self.replies) == 1 else self.replies.pop(0)
        try:
            await asyncio.sleep(self.first_token_ms / 1000)
            for index, word in enumerate(text.split(" ")):
                if self.failure and index >= self.fails_after_words:
                    raise self.failure
                await asyncio.sleep(self.token_ms / 1000)
                yield word if index == 0 else f" {word}"
        finally:
            self.closed += 1

    async def prefill(self, prompt):
        (self.partials if prompt.partial else self.prefilled).append(prompt)
        await asyncio.sleep(self.prefill_ms / 1000)


def speech_at(offset_ms: int, length_ms: int) -> bytes:
    """Audio (PCM16 mono 24 kHz) in which no two nearby samples are equal."""
    return (np.arange(24 * offset_ms, 24 * (offset_ms + length_ms)) % 9_973 + 1).astype("<i2").tobytes()


class ScriptedTts:
    """TTS with `WORD_MS` of speech per word, faster than real time; the first audio arrives after `delay_ms`."""

    def __init__(self) -> None:
        self.delay_ms = 50
        self.failure: AnchorError | None = None
        self.fails_at_word: int | None = None
        self.open_streams = 0
        # The samples at an offset of a reply, for a length in milliseconds.
        self.samples_at = lambda offset_ms, length_ms: b"\x01\x00" * (24 * length_ms)
        self.opened_with: list[tuple[str, str]] = []

    @asynccontextmanager
    async def open(self, voice, language, style):
        self.opened_with.append((voice, language))
        self.open_streams += 1
        try:
            yield ScriptedTtsStream(self)
        finally:
            self.open_streams -= 1


class ScriptedTtsStream:
    def __init__(self, tts: ScriptedTts) -> None:
        self._tts = tts
        self._text = ""
        self._done = False
        self._text_changed = asyncio.Event()

    async def send_text(self, text) -> None:
        self._text += text
        self._text_changed.set()

    async def end_text(self) -> None:
        self._done = True
        self._text_changed.set()

    async def speech(self):
        await self._wait_for_text()
        await asyncio.sleep(self._tts.delay_ms / 1000)
        position = offset_ms = count = 0
        while True:
            remaining = self._text[position:]
            word = remaining.strip().split(" ")[0] if remaining.strip() else ""
            complete = word and (self._done or remaining.lstrip().find(" ") >= 0)
            if not complete:
                if self._done:
                    return
                await self._wait_for_text()
                continue
            if self._tts.failure and count == (self._tts.fails_at_word or 0):
                raise self._tts.failure
            start = position + len(remaining) - len(remaining.lstrip())
            position = start + len(word)
            yield SpeechMark(start, position, offset_ms)
            for _ in range(WORD_MS // 40):
                yield SpeechAudio(offset_ms, self._tts.samples_at(offset_ms, 40))
                offset_ms += 40
            count += 1

    async def _wait_for_text(self) -> None:
        self._text_changed.clear()
        if not self._text or not self._done:
            await self._text_changed.wait()
