"""eSpeak NG through ctypes: text in, samples and word positions out, stopped by the callback's answer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader

# Samples come in chunks of this length, made in less than a millisecond; each costs both sides of the pipe a wake-up.
CHUNK_MS = 200

_AUDIO_OUTPUT_SYNCHRONOUS = 2
# Not to end the process when the data is missing.
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_RATE, _PITCH, _RANGE = 1, 3, 4


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakError(Exception):
    """eSpeak NG refused."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: a voice with its variant, words a minute, pitch and pitch range (0 to 100)."""

    voice: str
    rate_wpm: int
    pitch: int
    range: int


@dataclass(frozen=True, slots=True)
class Word:
    """`chars` characters from `first_char` (counted from 0) begin to sound at sample `first_sample`."""

    first_char: int
    chars: int
    first_sample: int


# Takes what a chunk begins with and its PCM16; answers whether to go on.
Consume = Callable[[list[Word], bytes], bool]


class Espeak:
    """The library, whose state is the process's: one instance, one thread."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        # The library wants an absolute path.
        data = str(Path(espeakng_loader.get_data_path()).resolve()).encode()
        self.rate_hz: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, CHUNK_MS, data, _INITIALIZE_DONT_EXIT
        )
        if self.rate_hz <= 0:
            raise EspeakError("eSpeak NG could not be initialised")
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version: str = self._library.espeak_Info(None).decode()
        self._consume: Consume | None = None
        self._broken: Exception | None = None
        self._manner: Manner | None = None
        # Kept, because the library keeps only its address.
        self._callback = _SynthCallback(self._on_chunk)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, manner: Manner, consume: Consume) -> None:
        """Speak `text`, handing each chunk to `consume`; return when done or when `consume` said no.

        Raises `EspeakError` for an unknown voice, and whatever `consume` raises.
        """
        self._adopt(manner)
        # A NUL would end the text; bytes that are no characters would shift the positions.
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        self._consume, self._broken = consume, None
        try:
            failed = self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._consume = None
        if self._broken is not None:
            raise self._broken
        if failed:
            raise EspeakError(f"eSpeak NG answered {failed}")

    def _adopt(self, manner: Manner) -> None:
        if manner == self._manner:
            return
        self._manner = None
        if self._library.espeak_SetVoiceByName(manner.voice.encode()):
            raise EspeakError(f"no voice {manner.voice!r}")
        for parameter, value in ((_RATE, manner.rate_wpm), (_PITCH, manner.pitch), (_RANGE, manner.range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._manner = manner

    def _on_chunk(self, samples: Any, count: int, events: Any) -> int:
        # An exception cannot cross the C frames: it is kept, the synthesis stopped, and raised behind them.
        try:
            words = _words(events)
            pcm = ctypes.string_at(samples, count * 2) if samples and count > 0 else b""
            if (words or pcm) and self._consume is not None:
                return 0 if self._consume(words, pcm) else 1
        except Exception as error:
            self._broken = error
            return 1
        return 0


def _words(events: Any) -> list[Word]:
    words: list[Word] = []
    for index in range(1 << 16):
        event = events[index]
        if event.type == _EVENT_LIST_TERMINATED:
            break
        if event.type == _EVENT_WORD:
            words.append(Word(max(event.text_position - 1, 0), max(event.length, 0), max(event.sample, 0)))
    return words
