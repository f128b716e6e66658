"""Deadlines on one speech-to-text stream after another: on its signs of work, and on the transcripts asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from service_kit.audio import MICROPHONE, AudioChunk
from service_kit.errors import PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.input.progress_watch import ProgressWatch
from orchestrator.conversation.model.ports import FinalTranscript, SpeechToTextStream, Transcript, TranscriptionProgress

# The code of the loss of a service that works without giving the transcript.
LATE = "stt.late"
# The service sends a sign of work within half a second.
_SILENT_S = 1.5
# A stream that shows signs of work owes the transcript of a segment within this time, and as much again as the audio of
# the segment is long: no engine that is usable takes longer. One that does is asked again, and given twice the time.
_RESULT_S = 6.0
_MOST_PATIENCE = 8.0
_CHECK_S = 1.0
# The end of a segment may be rounded.
_SLACK_MS = 100


@dataclass(frozen=True, slots=True)
class AwaitedTranscript:
    """A transcript that was asked for, of a segment with audio up to `audio_end_ms` (0 for none)."""

    segment_id: int
    audio_end_ms: int

    def is_answered_by(self, final: FinalTranscript) -> bool:
        """Whether `final` is of this segment, and of all its audio."""
        return final.segment_id == self.segment_id and final.end_ms + _SLACK_MS >= self.audio_end_ms


class TranscriptionWatch:
    """Watches the stream that `watched` was called with last; `run` ends with its loss."""

    def __init__(self) -> None:
        self._progress = ProgressWatch("stt", _SILENT_S)
        # Of the open segment, as sent on the latest stream: length and end of its audio, the flush without a final.
        self._segment_ms = 0.0
        self._audio_end_ms = 0
        self._awaited: AwaitedTranscript | None = None
        self._result_due_s = 0.0
        self._flushed = asyncio.Event()
        self._patience = 1.0

    def watched(self, stream: SpeechToTextStream) -> SpeechToTextStream:
        """The stream, in a wrapper that records what is sent on it."""
        self._progress.reset()
        self.on_commit()
        return _WatchedStream(stream, self)

    def on_audio(self, chunk: AudioChunk) -> None:
        """Audio is sent on the stream."""
        self._segment_ms += MICROPHONE.ms_of(len(chunk.pcm))
        self._audio_end_ms = chunk.end_ms
        self._progress.expect_progress()

    def on_flush(self, segment_id: int) -> None:
        """A transcript is asked for on the stream; `segment_id` is the stream's number."""
        self._awaited = AwaitedTranscript(segment_id, self._audio_end_ms)
        allowed_s = (_RESULT_S + self._segment_ms / 1000) * self._patience
        self._result_due_s = asyncio.get_running_loop().time() + allowed_s
        self._flushed.set()
        self._progress.expect_progress()

    def on_commit(self) -> None:
        """The segment is closed on the stream: its transcript is not waited for."""
        self._segment_ms, self._audio_end_ms = 0.0, 0
        self._awaited = None
        self._flushed.clear()

    def on_received(self, item: Transcript | TranscriptionProgress) -> None:
        """Something came from the stream, numbered as the stream does."""
        if self._awaited is not None and isinstance(item, FinalTranscript) and self._awaited.is_answered_by(item):
            self._awaited = None
            self._flushed.clear()
            self._patience = 1.0
        self._progress.on_progress(more_due=self._awaited is not None)

    async def run(self) -> None:
        """Run until cancelled. Raises `PeerFailed` when the service shows no sign of work, or a transcript is late."""
        await run_together(self._progress.run(), self._run_results())

    async def _run_results(self) -> None:
        while True:
            await self._flushed.wait()
            left_s = self._result_due_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                self._patience = min(2 * self._patience, _MOST_PATIENCE)
                raise PeerFailed(LATE, f"no transcript of {self._segment_ms / 1000:.1f} s of speech in time")
            await asyncio.sleep(min(left_s, _CHECK_S))


class _WatchedStream:
    """A stream whose input a watch records."""

    def __init__(self, stream: SpeechToTextStream, watch: TranscriptionWatch) -> None:
        self._stream = stream
        self._watch = watch
        self.transcripts = stream.transcripts

    async def push_audio(self, chunk: AudioChunk) -> None:
        self._watch.on_audio(chunk)
        await self._stream.push_audio(chunk)

    async def flush_segment(self, segment_id: int) -> None:
        self._watch.on_flush(segment_id)
        await self._stream.flush_segment(segment_id)

    async def commit_segment(self, segment_id: int) -> None:
        self._watch.on_commit()
        await self._stream.commit_segment(segment_id)
