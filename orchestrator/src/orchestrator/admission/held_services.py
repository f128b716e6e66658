"""Speech services for work without a session, such as a transcription: each stream holds a place while it is open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from orchestrator.admission.desk import AdmissionDesk
from orchestrator.conversation.messages.server import Style
from orchestrator.conversation.model.ports import SpeechStream, SpeechToText, SpeechToTextStream, TextToSpeech


class PlacedStt:
    """Speech to text; opening a stream raises `AtCapacity` while all places are taken."""

    def __init__(self, stt: SpeechToText, desk: AdmissionDesk) -> None:
        self._stt = stt
        self._desk = desk

    @asynccontextmanager
    async def open(self, language: str) -> AsyncGenerator[SpeechToTextStream]:
        """Start recognition; leaving the context ends it."""
        with self._desk.hold():
            async with self._stt.open(language) as stream:
                yield stream


class PlacedTts:
    """Text to speech; opening a stream raises `AtCapacity` while all places are taken."""

    def __init__(self, tts: TextToSpeech, desk: AdmissionDesk) -> None:
        self._tts = tts
        self._desk = desk

    @asynccontextmanager
    async def open(self, voice: str, language: str, style: Style) -> AsyncGenerator[SpeechStream]:
        """Start synthesis; leaving the context stops it."""
        with self._desk.hold():
            async with self._tts.open(voice, language, style) as stream:
                yield stream
