"""Hearing: from the microphone to voice activity and speech-to-text, and their events to the inbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from prometheus_client import Counter
from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import AnchorError, InvalidRequest, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.echo.recent_audio import Recent
from orchestrator.conversation.input.energy_vad import EnergyGate
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.input.segment_log import SegmentLog
from orchestrator.conversation.input.silence_filler import StandIn
from orchestrator.conversation.messages.client import EndTurn
from orchestrator.conversation.model.event_queue import Inbox
from orchestrator.conversation.model.events import PeerBack, PeerLost, TranscriptOverdue
from orchestrator.conversation.model.ports import (
    PartialHeard,
    SpeechToText,
    SpeechToTextStream,
    VoiceActivity,
    VoiceActivityStream,
    VoiceEvent,
    VoiceStarted,
    VoiceStopped,
)

# What turn detection takes at once: one frame of its model.
_VOICE_BYTES = MICROPHONE.bytes_for(32)
# Audio and transcripts that wait for the voice detector; the oldest is dropped beyond.
_VOICE_ITEMS = 100
_RETRY_S = 1.0
_TRANSCRIPT_DEADLINE_S = 6.0


DROPPED = Counter("anchor_microphone_dropped_chunks_total", "Audio that turn detection was too far behind to hear.")


@dataclass(frozen=True, slots=True)
class _ReadAlong:
    """What has been recognised up to `end_ms`, for the judge of the turn's end."""

    text: str
    end_ms: int


class _LanguageChanged(Exception):
    """The user speaks another language from here on."""


class Hearing:
    """One session's ears. With `manual`, the client's word marks the turns and nothing is detected."""

    def __init__(
        self,
        *,
        voice_activity: VoiceActivity,
        speech_to_text: SpeechToText,
        microphone: Microphone,
        language: str,
        manual: bool,
        inbox: Inbox,
    ) -> None:
        self._voice_activity = voice_activity
        self._speech_to_text = speech_to_text
        self._microphone = microphone
        self.recent = Recent()
        self._language = language
        self._manual = manual
        self._inbox = inbox
        self._for_voice: asyncio.Queue[AudioChunk | _ReadAlong] = asyncio.Queue(_VOICE_ITEMS)
        self._voice_rest = bytearray()
        self._voice_start_ms = 0
        self._log = SegmentLog()
        self._listening = False
        self._heard_until_ms = 0
        self._voiced = False
        self._position_ms = 0
        self._stand_in = StandIn(self.hear, lambda: self._position_ms, lambda: self._voiced)
        self._lost: dict[str, AnchorError] = {}
        self._energy_gate = EnergyGate()
        self._language_changed = asyncio.Event()
        self._turn_settled = asyncio.Event()
        self._overdue: asyncio.TimerHandle | None = None

    # What the session does ------------------------------------------------------------------------------------------

    def listen(self, from_ms: int) -> None:
        """Send audio to speech-to-text: what is still at hand since `from_ms`, and all that follows."""
        self._listening = True
        for chunk in self.recent.since(from_ms):
            self._send_to_words(chunk)

    def flush(self, segment_id: int) -> None:
        """Ask for the transcript and stop sending audio."""
        self._listening = False
        self._log.flush(segment_id)
        self._expect_transcript(segment_id)

    def commit(self, segment_id: int) -> None:
        """Close the segment."""
        self._expect_nothing()
        self._log.commit(segment_id)

    def set_language(self, language: str) -> None:
        """From here on, the user speaks this language."""
        if language != self._language:
            self._language = language
            self._language_changed.set()

    def line_lost(self) -> None:
        """Nothing comes from the microphone for now."""
        self._stand_in.alone.set()

    def line_back(self) -> None:
        """Its audio goes on."""
        self._stand_in.alone.clear()

    def settle_turn(self) -> None:
        """The end of a turn that the client declared has been dealt with."""
        self._turn_settled.set()

    def hear(self, pcm: bytes) -> None:
        """Take audio from the client: PCM16 mono 16 kHz, any length. Never waits: what is behind drops and counts."""
        for chunk in self._microphone.cut(pcm):
            self._take(chunk)

    async def end_turn(self) -> None:
        """The client says that the turn ends with the audio so far; waits until that has been dealt with.

        So the next turn's audio does not run ahead of this turn's flush.
        """
        for chunk in self._microphone.fill():
            self._take(chunk)
        if self._manual:
            self._voiced = False
        self._turn_settled.clear()
        await self._inbox.tell(EndTurn())
        await self._turn_settled.wait()

    async def run(self) -> None:
        """Hear until cancelled. Lost peers are reported and waited for, not raised."""
        if self._manual:
            await self._watch_words()
        else:
            await run_together(self._stand_in.run(), self._watch_voice(), self._watch_words())

    # From the microphone --------------------------------------------------------------------------------------------

    def _take(self, chunk: AudioChunk) -> None:
        self._position_ms = chunk.end_ms
        self.recent.keep(chunk)
        if not self._manual:
            self._send_to_voice(chunk)
        elif not self._voiced:
            self._voiced = self._listening = True
            self._inbox.tell_now(VoiceStarted(chunk.start_ms, chunk.start_ms))
        if self._listening:
            self._send_to_words(chunk)

    def _send_to_voice(self, chunk: AudioChunk) -> None:
        self._voice_rest += chunk.pcm
        # The end of speech is worth a message a frame; its start, which the pre-roll makes up for, one every other.
        size = _VOICE_BYTES if self._voiced else 2 * _VOICE_BYTES
        while len(self._voice_rest) >= size:
            self._tell_detector(AudioChunk(self._voice_start_ms, bytes(self._voice_rest[:size])))
            self._voice_start_ms += round(MICROPHONE.ms_of(size))
            del self._voice_rest[:size]

    def _tell_detector(self, item: AudioChunk | _ReadAlong) -> None:
        if self._for_voice.full():
            self._for_voice.get_nowait()
            DROPPED.inc()
        self._for_voice.put_nowait(item)

    def _send_to_words(self, chunk: AudioChunk) -> None:
        if chunk.end_ms > self._heard_until_ms:
            self._heard_until_ms = chunk.end_ms
            self._log.hear(chunk)

    # Voice activity -------------------------------------------------------------------------------------------------

    async def _watch_voice(self) -> None:
        while True:
            try:
                async with self._voice_activity.open(self._language) as stream:
                    await self._found("vad")
                    await self._hand_over()
                    await run_together(self._write_voice(stream), self._read_voice(stream))
            except AnchorError as error:
                if "vad" not in self._lost:
                    await self._hand_over()
                await self._miss("vad", error)
            await self._hear_by_energy(_RETRY_S)

    async def _write_voice(self, stream: VoiceActivityStream) -> None:
        while True:
            item = await self._for_voice.get()
            if isinstance(item, AudioChunk):
                await stream.hear(item)
            else:
                await stream.read_along(item.text, item.end_ms)

    async def _read_voice(self, stream: VoiceActivityStream) -> None:
        async for event in stream.events():
            await self._tell_voice(event)
        raise PeerFailed("vad.ended", "turn detection ended by itself")

    async def _hear_by_energy(self, for_s: float) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + for_s
        while (left_s := until_s - loop.time()) > 0:
            try:
                async with asyncio.timeout(left_s):
                    item = await self._for_voice.get()
            except TimeoutError:
                return
            if isinstance(item, AudioChunk):
                for event in self._energy_gate.hear(item):
                    await self._tell_voice(event)

    async def _hand_over(self) -> None:
        """Another detector takes over, and begins in silence; speech that goes on, it finds again at once."""
        if self._voiced:
            await self._tell_voice(VoiceStopped(self._position_ms))

    async def _tell_voice(self, event: VoiceEvent) -> None:
        if isinstance(event, VoiceStarted):
            self._voiced = True
        elif isinstance(event, VoiceStopped):
            self._voiced = False
        await self._inbox.tell(event)

    # Words ----------------------------------------------------------------------------------------------------------

    async def _watch_words(self) -> None:
        while True:
            wait_s: float | None = _RETRY_S
            try:
                async with self._speech_to_text.open(self._language) as stream:
                    await self._found("stt")
                    await run_together(
                        self._log.write_to(stream), self._read_words(stream), self._until_language_changes()
                    )
            except _LanguageChanged:
                continue
            except AnchorError as error:
                await self._miss("stt", error)
                if isinstance(error, InvalidRequest):
                    # Asking again for the same thing is no use.
                    wait_s = None
            await self._pause_or_language(wait_s)

    async def _read_words(self, stream: SpeechToTextStream) -> None:
        async for transcript in stream.transcripts():
            event = replace(transcript, segment_id=transcript.segment_id + self._log.offset)
            if not isinstance(event, PartialHeard):
                self._expect_nothing()
            if not self._manual:
                self._tell_detector(_ReadAlong(event.text, event.end_ms))
            await self._inbox.tell(event)
        raise PeerFailed("stt.ended", "speech to text ended by itself")

    async def _until_language_changes(self) -> None:
        await self._language_changed.wait()
        self._language_changed.clear()
        raise _LanguageChanged

    async def _pause_or_language(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._until_language_changes()
        except (TimeoutError, _LanguageChanged):
            return

    def _expect_transcript(self, segment_id: int) -> None:
        self._expect_nothing()
        loop = asyncio.get_running_loop()
        self._overdue = loop.call_later(_TRANSCRIPT_DEADLINE_S, self._inbox.tell_now, TranscriptOverdue(segment_id))

    def _expect_nothing(self) -> None:
        if self._overdue:
            self._overdue.cancel()
            self._overdue = None

    # Peers that come and go -----------------------------------------------------------------------------------------

    async def _miss(self, peer: str, error: AnchorError) -> None:
        if peer not in self._lost:
            self._lost[peer] = error
            await self._inbox.tell(PeerLost(peer, error))

    async def _found(self, peer: str) -> None:
        if (error := self._lost.pop(peer, None)) is not None:
            await self._inbox.tell(PeerBack(peer, error))
