"""Detects the user's speech: by voice activity, and by loudness while that is lost.

One detector is in charge at a time, and what one has not analysed is analysed by the next: no speech is missed, however
late a loss is noticed. A new voice-activity stream takes over as soon as it has caught up and agrees on whether the
user is speaking, so a change of detectors neither ends nor repeats an utterance.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import AnchorError, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.input.energy_vad import EnergyVad
from orchestrator.conversation.input.lost_services import LostServices
from orchestrator.conversation.input.peer_checks import checked_event, is_probability
from orchestrator.conversation.input.progress_watch import ProgressWatch
from orchestrator.conversation.input.stream_language import LanguageChanged, StreamLanguage
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import ActivityReported
from orchestrator.conversation.model.ports import (
    ACTIVITY_INTERVAL_MS,
    AudioAnalysed,
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
    VadEvent,
    VoiceActivity,
    VoiceActivityStream,
)
from orchestrator.metrics import MICROPHONE_CHUNKS_DROPPED, PEER_MESSAGES_DROPPED

_SERVICE = "vad"
# One frame of the VAD model.
_FRAME_BYTES = MICROPHONE.bytes_for(32)
# Limit of audio and transcripts queued for voice activity; beyond it, the oldest is dropped.
_MAX_QUEUED_ITEMS = 100
_RETRY_S = 1.0
# A stream is lost when it does not open within this time, or shows no sign of work for as long: sent audio of this
# length makes a sign due (the service reports twice a second), and the rest is waited for.
_SILENT_S = 1.5
_DUE_AFTER_MS = 600
# Audio that a detector receives again from before its time: to detect speech that is beginning there, and, in place of
# another detector, to find its own state.
_ONSET_MS = 200
_CATCH_UP_MS = 1_000
# A new stream that has caught up, and has disagreed for so long on whether the user is speaking, is right.
_DISAGREEMENT_MS = 500
# Milliseconds of audio between two reports of the probability of speech to who asked for them.
_REPORT_INTERVAL_MS = 100
# No person speaks for so long without a pause that voice activity finds: a stream that says so is stuck.
_MAX_SPEECH_MS = 120_000


class SpeechDetector:
    """The voice activity of one session's microphone; its events enter the event queue."""

    def __init__(
        self,
        voice_activity: VoiceActivity,
        language: str,
        recent_audio: RecentAudio,
        event_queue: EventQueue,
        lost_services: LostServices,
    ) -> None:
        self._voice_activity = voice_activity
        self.language = StreamLanguage(language)
        self._recent_audio = recent_audio
        self._event_queue = event_queue
        self._lost_services = lost_services
        self._watch = ProgressWatch(_SERVICE, _SILENT_S - _DUE_AFTER_MS / 1000)
        # What the session knows: whether the user speaks, and since when. All times are on the audio clock.
        self.user_speaking = False
        self._edge_ms = 0
        self._position_ms = 0
        # Audio up to here was analysed by the detector in charge.
        self._analysed_ms = 0
        # Set while loudness is in charge.
        self._energy_vad: EnergyVad | None = None
        self._stream: _StreamState | None = None
        # Whether the probability of speech is reported, and from when on again.
        self.reports_activity = False
        self._next_report_ms = 0
        self._queue: asyncio.Queue[AudioChunk | PartialTranscript | FinalTranscript] = asyncio.Queue(_MAX_QUEUED_ITEMS)
        # Audio that is not a whole message yet, and its start.
        self._pending = bytearray()
        self._pending_start_ms = 0

    def push_audio(self, chunk: AudioChunk) -> None:
        """Accept the next chunk of the microphone, which `recent_audio` holds already. Never waits."""
        self._position_ms = chunk.end_ms
        if self._energy_vad is not None:
            self._detect_by_energy(self._energy_vad, chunk)
        if self._stream is not None:
            self._send_audio(chunk)

    def push_transcript(self, transcript: PartialTranscript | FinalTranscript) -> None:
        """Send a transcript to voice activity, a hint for turn-end prediction. Never waits."""
        if self._stream is not None:
            self._send(transcript)

    async def run(self) -> None:
        """Detect until cancelled. Losses of the service are reported, and it is tried again."""
        while True:
            try:
                async with AsyncExitStack() as stack:
                    stream = await self._open_stream(stack)
                    state = self._begin_stream()
                    await run_together(
                        self._write(stream, state),
                        self._read(stream, state),
                        self._watch.run(),
                        self.language.wait_for_change(),
                    )
            except LanguageChanged:
                continue
            except AnchorError as error:
                self._stream = None
                await self._lost_services.report_lost(_SERVICE, error)
                self._fall_back()
            await asyncio.sleep(_RETRY_S)

    # The stream -----------------------------------------------------------------------------------------------------

    async def _open_stream(self, stack: AsyncExitStack) -> VoiceActivityStream:
        try:
            async with asyncio.timeout(_SILENT_S):
                return await stack.enter_async_context(self._voice_activity.open(self.language.value))
        except TimeoutError as error:
            raise PeerFailed(f"{_SERVICE}.silent", f"{_SERVICE} did not open a stream") from error

    def _begin_stream(self) -> _StreamState:
        """Queue the audio that the new stream needs to take over."""
        self._watch.reset()
        while not self._queue.empty():
            self._queue.get_nowait()
        again_ms = _CATCH_UP_MS if self._energy_vad is not None or self.user_speaking else _ONSET_MS
        backlog = self._recent_audio.since(self._analysed_ms - again_ms)
        start_ms = backlog[0].start_ms if backlog else self._position_ms
        # The microphone has no gaps: one message with all whole frames.
        self._pending[:] = b"".join(chunk.pcm for chunk in backlog)
        self._pending_start_ms = start_ms
        self._send_pending(len(self._pending) // _FRAME_BYTES * _FRAME_BYTES)
        self._stream = _StreamState(self._analysed_ms, start_ms)
        return self._stream

    def _send_audio(self, chunk: AudioChunk) -> None:
        self._pending += chunk.pcm
        # One message per frame in speech, to detect its end early; per two frames in silence: pre-roll makes up for it.
        size = _FRAME_BYTES if self.user_speaking else 2 * _FRAME_BYTES
        while len(self._pending) >= size:
            self._send_pending(size)

    def _send_pending(self, size: int) -> None:
        """Queue the first `size` bytes of the pending audio, a whole number of frames."""
        if size:
            self._send(AudioChunk(self._pending_start_ms, bytes(self._pending[:size])))
            self._pending_start_ms += round(MICROPHONE.ms_of(size))
            del self._pending[:size]

    def _send(self, item: AudioChunk | PartialTranscript | FinalTranscript) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            MICROPHONE_CHUNKS_DROPPED.inc()
        self._queue.put_nowait(item)

    async def _write(self, stream: VoiceActivityStream, state: _StreamState) -> None:
        while True:
            item = await self._queue.get()
            if isinstance(item, AudioChunk):
                if state.in_charge and self.user_speaking and item.end_ms - self._edge_ms > _MAX_SPEECH_MS:
                    # What was said is answered.
                    await self._emit(SpeechStopped(item.end_ms))
                    raise PeerFailed(
                        f"{_SERVICE}.stuck", f"{_SERVICE} reported {_MAX_SPEECH_MS // 1000} s of speech without a pause"
                    )
                await self._request_activity(stream, state)
                state.sent_ms = item.end_ms
                if state.owes_progress:
                    self._watch.expect_progress()
                await stream.push_audio(item)
            else:
                await stream.push_transcript(item.text, item.end_ms, item.language)

    async def _read(self, stream: VoiceActivityStream, state: _StreamState) -> None:
        async for event in stream.events():
            await self._on_stream_event(event, state)
        raise PeerFailed(f"{_SERVICE}.ended", "vad-service ended its stream")

    async def _on_stream_event(self, event: VadEvent | AudioAnalysed, stream: _StreamState) -> None:
        checked = None
        if isinstance(event, AudioAnalysed):
            stream.analysed_ms = max(stream.analysed_ms, min(event.until_ms, stream.sent_ms))
        elif checked := checked_event(event, self._position_ms):
            stream.record(checked)
        else:
            PEER_MESSAGES_DROPPED.labels(_SERVICE).inc()
            return
        self._watch.on_progress(more_due=stream.owes_progress)
        if not stream.in_charge:
            await self._take_over_when_agreed(stream)
            return
        self._analysed_ms = max(self._analysed_ms, stream.analysed_ms)
        if checked is not None:
            await self._emit(checked)
        elif isinstance(event, AudioAnalysed):
            await self._report_activity(event)

    async def _request_activity(self, stream: VoiceActivityStream, state: _StreamState) -> None:
        """Have the stream report as often as is wanted."""
        interval_ms = _REPORT_INTERVAL_MS if self.reports_activity else ACTIVITY_INTERVAL_MS
        if interval_ms != state.activity_interval_ms:
            state.activity_interval_ms = interval_ms
            await stream.request_activity(interval_ms)

    async def _report_activity(self, event: AudioAnalysed) -> None:
        """Queue the probability of speech, at most every `_REPORT_INTERVAL_MS` whatever the service sends."""
        if not self.reports_activity or event.probability is None or event.until_ms < self._next_report_ms:
            return
        if not is_probability(event.probability) or event.until_ms > self._position_ms:
            PEER_MESSAGES_DROPPED.labels(_SERVICE).inc()
            return
        self._next_report_ms = event.until_ms + _REPORT_INTERVAL_MS
        await self._event_queue.put(ActivityReported(event.until_ms, event.probability))

    async def _take_over_when_agreed(self, stream: _StreamState) -> None:
        """Put the stream in charge once it has caught up and agrees, or has disagreed for long enough."""
        now_ms = max(stream.analysed_ms, stream.edge_ms)
        if now_ms < stream.catch_up_ms:
            return
        if stream.speaking != self.user_speaking:
            if stream.disagrees_since_ms is None:
                stream.disagrees_since_ms = now_ms
            # Speech from after all that was analysed before is news; else one of the two detectors errs.
            is_news = stream.speaking and stream.edge_ms >= stream.catch_up_ms
            if not is_news and now_ms - stream.disagrees_since_ms < _DISAGREEMENT_MS:
                return
        stream.in_charge = True
        self._energy_vad = None
        self._analysed_ms = max(self._analysed_ms, stream.analysed_ms)
        await self._lost_services.report_recovered(_SERVICE)
        if stream.speaking and not self.user_speaking:
            at_ms = max(stream.edge_ms, self._edge_ms)
            await self._emit(SpeechStarted(at_ms, max(self._edge_ms, stream.pre_roll_start_ms)))
        elif self.user_speaking and not stream.speaking:
            await self._emit(SpeechStopped(max(stream.edge_ms, self._edge_ms, stream.catch_up_ms)))

    # Loudness -------------------------------------------------------------------------------------------------------

    def _fall_back(self) -> None:
        """Put loudness in charge, from the last audio that was analysed on."""
        if self._energy_vad is not None:
            return
        from_ms = self._analysed_ms if self.user_speaking else max(self._analysed_ms - _ONSET_MS, self._edge_ms)
        energy_vad = self._energy_vad = EnergyVad(speaking_until_ms=from_ms if self.user_speaking else None)
        for chunk in self._recent_audio.since(0):
            if chunk.end_ms <= from_ms:
                energy_vad.calibrate(chunk)
            else:
                self._detect_by_energy(energy_vad, chunk)

    def _detect_by_energy(self, energy_vad: EnergyVad, chunk: AudioChunk) -> None:
        for event in energy_vad.push_audio(chunk):
            self._record(event)
            self._event_queue.put_nowait(event)
        self._analysed_ms = chunk.end_ms

    # Events ---------------------------------------------------------------------------------------------------------

    async def _emit(self, event: VadEvent) -> None:
        """Put an event into the queue; an edge that changes nothing is dropped."""
        is_stray = isinstance(event, SpeechStarted | SpeechStopped) and (
            isinstance(event, SpeechStarted) == self.user_speaking
        )
        if is_stray:
            PEER_MESSAGES_DROPPED.labels(_SERVICE).inc()
            return
        self._record(event)
        await self._event_queue.put(event)

    def _record(self, event: VadEvent) -> None:
        if isinstance(event, SpeechStarted | SpeechStopped):
            self.user_speaking = isinstance(event, SpeechStarted)
            self._edge_ms = max(self._edge_ms, event.at_ms)


@dataclass(slots=True)
class _StreamState:
    """One stream of voice activity: how far it is, and what it believes."""

    # It takes over when it has analysed the audio up to here.
    catch_up_ms: int
    analysed_ms: int
    sent_ms: int = 0
    activity_interval_ms: int = ACTIVITY_INTERVAL_MS
    in_charge: bool = False
    speaking: bool = False
    edge_ms: int = 0
    pre_roll_start_ms: int = 0
    # Since when it disagrees on whether the user is speaking; None while it agrees.
    disagrees_since_ms: int | None = None

    @property
    def owes_progress(self) -> bool:
        """Whether it was sent so much audio that a report is due."""
        return self.sent_ms - self.analysed_ms >= _DUE_AFTER_MS

    def record(self, event: VadEvent) -> None:
        """Record what an event says about the user."""
        match event:
            case SpeechStarted():
                self.speaking, self.pre_roll_start_ms = True, event.pre_roll_start_ms
            case SpeechStopped():
                self.speaking = False
            case TurnEndPredicted():
                return
        self.edge_ms = event.at_ms
        self.analysed_ms = max(self.analysed_ms, min(event.at_ms, self.sent_ms))
        self.disagrees_since_ms = None
