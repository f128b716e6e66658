"""Streamed speech of an engine that speaks phrases and learns voices."""

from __future__ import annotations

from typing import Protocol

from tts_service.engine import CloningEngine, PhraseEngine, Voice
from tts_service.synthesis.speaking import PhraseSpeech, SpeakingLimits


class CloningPhraseEngine(PhraseEngine, CloningEngine, Protocol):
    """An engine that speaks a phrase at a time, in voices that it can learn."""


class CloningSpeech(PhraseSpeech):
    """`PhraseSpeech` that can learn voices."""

    def __init__(self, engine: CloningPhraseEngine, limits: SpeakingLimits) -> None:
        super().__init__(engine, limits)
        self._cloning = engine

    async def add_voice(self, name: str, reference_wav: bytes, reference_transcript: str, language: str) -> Voice:
        return await self._cloning.add_voice(name, reference_wav, reference_transcript, language)

    async def delete_voice(self, voice_id: str) -> None:
        await self._cloning.delete_voice(voice_id)
