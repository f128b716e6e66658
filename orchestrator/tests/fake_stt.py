"""Speech to text that hears the same words in every recording: the statement of consent to a voice, by default."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from orchestrator.conversation.model.ports import FinalTranscript, Transcript
from service_kit.audio import AudioChunk

STATEMENT = "I consent that this anchor speaks with my voice."


@dataclass
class FakeStt:
    """Hears the same words in every recording."""

    text: str = STATEMENT
    language: str = "de"
    asked: list[str] = field(default_factory=list)
    heard_ms: int = 0

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[FakeStt]:
        self.asked.append(language)
        yield self

    async def push_audio(self, chunk: AudioChunk) -> None:
        self.heard_ms = chunk.end_ms

    async def flush_segment(self, segment_id: int) -> None: ...

    async def commit_segment(self, segment_id: int) -> None: ...

    async def transcripts(self) -> AsyncGenerator[Transcript]:
        yield FinalTranscript(1, 1, self.text, self.heard_ms, self.language)
