"""Speech input: sends microphone audio to voice activity and speech-to-text, and their events to the event queue."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

from service_kit.audio import AudioChunk
from service_kit.errors import AnchorError, AtCapacity, InvalidRequest, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.echo.recent_audio import RecentAudio
from orchestrator.conversation.input.lost_services import LostServices
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.input.peer_checks import without_bad_numbers
from orchestrator.conversation.input.segment_log import SegmentLog
from orchestrator.conversation.input.silence_filler import SilenceFiller
from orchestrator.conversation.input.speech_detector import SpeechDetector
from orchestrator.conversation.input.stream_language import LanguageChanged, StreamLanguage
from orchestrator.conversation.input.transcription_watch import LATE, AwaitedTranscript, TranscriptionWatch
from orchestrator.conversation.messages.client import EndTurn
from orchestrator.conversation.model.event_queue import EventQueue
from orchestrator.conversation.model.events import TranscriptOverdue
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    SpeechStarted,
    SpeechToText,
    SpeechToTextStream,
    TranscriptionProgress,
    VoiceActivity,
)
from orchestrator.metrics import PEER_MESSAGES_DROPPED

_RETRY_S = 1.0
_OPEN_S = 1.5
# The service's code for a stream that gave its slot to another microphone while nobody spoke on it.
_SLOT_REVOKED = "stt.idle"
# After this long without a transcript, a notice says so; after the second time, the anchor does.
_LATE_S = 2.3
_TRANSCRIPT_TIMEOUT_S = 6.0


class SpeechInput:
    """The speech input of one session. With `manual`, the client marks the end of each turn, and no VAD runs."""

    def __init__(
        self,
        *,
        voice_activity: VoiceActivity,
        speech_to_text: SpeechToText,
        microphone: Microphone,
        language: str,
        manual: bool,
        event_queue: EventQueue,
    ) -> None:
        self._speech_to_text = speech_to_text
        self._microphone = microphone
        self.recent_audio = RecentAudio()
        self._stt_language = StreamLanguage(language)
        self._manual = manual
        self._event_queue = event_queue
        self._segment_log = SegmentLog()
        self._listening = False
        self._sent_until_ms = 0
        self._position_ms = 0
        self._lost_services = LostServices(event_queue)
        self._speech_detector = SpeechDetector(
            voice_activity, language, self.recent_audio, event_queue, self._lost_services
        )
        # With `manual`: the user's turn has audio.
        self._turn_begun = False
        self._silence_filler = SilenceFiller()
        self._turn_end_confirmed = asyncio.Event()
        self._watch = TranscriptionWatch()
        # The transcript that the session waits for, and when that is too long.
        self._awaited: AwaitedTranscript | None = None
        self._transcript_timer: asyncio.TimerHandle | None = None
        self._late_timer: asyncio.TimerHandle | None = None

    # Called by the session ------------------------------------------------------------------------------------------

    def start_listening(self, from_ms: int) -> None:
        """Send audio to speech-to-text: the retained audio from `from_ms` on, and all that follows."""
        self._listening = True
        for chunk in self.recent_audio.since(from_ms):
            self._send_to_stt(chunk)

    def stop_listening(self) -> None:
        """Send no more audio of the current speech to speech-to-text."""
        self._listening = False

    def flush_segment(self, segment_id: int) -> None:
        """Request the transcript of the open segment and stop sending audio."""
        self._listening = False
        self._segment_log.flush_segment(segment_id)
        self._expect_transcript(segment_id)

    def commit_segment(self, segment_id: int) -> None:
        """Close the segment."""
        self._cancel_transcript_timer()
        self._segment_log.commit_segment(segment_id)

    def set_language(self, language: str) -> None:
        """Transcribe in this language from now on, or detect it if empty; reopens the speech-to-text stream."""
        self._stt_language.change(language)

    def expect_language(self, language: str) -> None:
        """Predict the end of turns in this language from now on; called between turns, reopens the VAD stream."""
        self._speech_detector.language.change(language)

    def report_activity(self, *, enabled: bool) -> None:
        """Queue an `ActivityReported` about ten times a second from now on, or no more. None come with `manual`."""
        self._speech_detector.reports_activity = enabled

    def on_disconnect(self) -> None:
        """The client disconnected; fill the microphone with silence."""
        self._silence_filler.disconnected.set()

    def on_reconnect(self) -> None:
        """The client reconnected; stop filling."""
        self.report_activity(enabled=False)
        self._silence_filler.disconnected.clear()

    def confirm_turn_end(self) -> None:
        """The session has handled the `EndTurn` that `end_turn` waits for."""
        self._turn_end_confirmed.set()

    def push_audio(self, pcm: bytes) -> None:
        """Accept microphone audio (PCM16 mono 16 kHz) of any length. Never waits: overflow is dropped and counted."""
        for chunk in self._microphone.split_chunks(pcm):
            self._accept_chunk(chunk)

    async def end_turn(self) -> None:
        """End the user's turn with the audio so far, and wait until the session has handled that.

        The wait keeps audio of the next turn behind the flush of this one.
        """
        for chunk in self._microphone.flush_chunks():
            self._accept_chunk(chunk)
        if self._manual:
            self._turn_begun = False
        self._turn_end_confirmed.clear()
        await self._event_queue.put(EndTurn())
        await self._turn_end_confirmed.wait()

    async def run(self) -> None:
        """Run until cancelled. Failed services are reported as events and retried."""
        if self._manual:
            await self._run_stt()
        else:
            filling = self._silence_filler.run(
                self.push_audio, lambda: self._position_ms, lambda: self._speech_detector.user_speaking
            )
            await run_together(filling, self._speech_detector.run(), self._run_stt())

    # From the microphone --------------------------------------------------------------------------------------------

    def _accept_chunk(self, chunk: AudioChunk) -> None:
        self._position_ms = chunk.end_ms
        self.recent_audio.append(chunk)
        if not self._manual:
            self._speech_detector.push_audio(chunk)
        elif not self._turn_begun:
            self._turn_begun = self._listening = True
            self._event_queue.put_nowait(SpeechStarted(chunk.start_ms, chunk.start_ms))
        if self._listening:
            self._send_to_stt(chunk)

    def _send_to_stt(self, chunk: AudioChunk) -> None:
        if chunk.end_ms > self._sent_until_ms:
            self._sent_until_ms = chunk.end_ms
            self._segment_log.append_audio(chunk)

    # Speech-to-text -------------------------------------------------------------------------------------------------

    async def _run_stt(self) -> None:
        while True:
            wait_s: float | None = _RETRY_S
            try:
                async with AsyncExitStack() as stack:
                    stream = await self._open_stt(stack)
                    await run_together(
                        self._segment_log.write_to(self._watch.watched(stream)),
                        self._read_transcripts(stream),
                        self._watch.run(),
                        self._stt_language.wait_for_change(),
                    )
            except LanguageChanged:
                continue
            except AtCapacity as error:
                # A slot is needed while somebody speaks only; until then, another user may have it.
                if self._segment_log.is_empty:
                    await self._segment_log.wait_for_entry()
                    continue
                if error.code == _SLOT_REVOKED:
                    continue
                await self._lost_services.report_lost("stt", error)
            except AnchorError as error:
                await self._lost_services.report_lost("stt", error)
                if isinstance(error, InvalidRequest):
                    # The same request would fail again: retry after a change of language only.
                    wait_s = None
            await self._wait_before_retry(wait_s)

    async def _open_stt(self, stack: AsyncExitStack) -> SpeechToTextStream:
        try:
            async with asyncio.timeout(_OPEN_S):
                return await stack.enter_async_context(self._speech_to_text.open(self._stt_language.value))
        except TimeoutError as error:
            raise PeerFailed("stt.silent", "stt-service did not open a stream") from error

    async def _read_transcripts(self, stream: SpeechToTextStream) -> None:
        async for item in stream.transcripts():
            self._watch.on_received(item)
            await self._report_stt_works(is_final=isinstance(item, FinalTranscript))
            if isinstance(item, TranscriptionProgress):
                continue
            segment_id = item.segment_id + self._segment_log.offset
            if segment_id > self._segment_log.open_segment_id:
                PEER_MESSAGES_DROPPED.labels("stt").inc()
                continue
            event = replace(without_bad_numbers(item), segment_id=segment_id)
            if isinstance(event, FinalTranscript) and self._awaited and self._awaited.is_answered_by(event):
                self._cancel_transcript_timer()
            if not self._manual:
                self._speech_detector.push_transcript(event)
            await self._event_queue.put(event)
        raise PeerFailed("stt.ended", "stt-service ended its stream")

    async def _report_stt_works(self, *, is_final: bool) -> None:
        """Report the recovery: a stream that is refused sends nothing, and one without finals does not work."""
        error = self._lost_services.error_of("stt")
        if error is not None and (is_final or error.code != LATE):
            await self._lost_services.report_recovered("stt")

    async def _wait_before_retry(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stt_language.wait_for_change()
        except (TimeoutError, LanguageChanged):
            return

    def _expect_transcript(self, segment_id: int) -> None:
        self._cancel_transcript_timer()
        self._awaited = AwaitedTranscript(segment_id, self._segment_log.audio_end_ms)
        loop = asyncio.get_running_loop()
        self._transcript_timer = loop.call_later(
            _TRANSCRIPT_TIMEOUT_S, self._event_queue.put_nowait, TranscriptOverdue(segment_id)
        )
        late = PeerFailed(LATE, f"no transcript within {_LATE_S:g} s")
        self._late_timer = loop.call_later(_LATE_S, self._lost_services.report_late, "stt", late)

    def _cancel_transcript_timer(self) -> None:
        self._awaited = None
        if self._transcript_timer:
            self._transcript_timer.cancel()
            self._transcript_timer = None
        if self._late_timer:
            self._late_timer.cancel()
            self._late_timer = None
