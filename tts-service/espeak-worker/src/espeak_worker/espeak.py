"""eSpeak NG through ctypes: text in, samples and word positions out; the callback's return value stops it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import espeakng_loader

# Length of a chunk; synthesised in less than a millisecond. Each chunk wakes both sides of the pipe.
CHUNK_MS = 200

_AUDIO_OUTPUT_SYNCHRONOUS = 2
# Return an error instead of ending the process when the data is missing.
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
# International Phonetic Alphabet, with a tie between the letters of one phoneme.
_PHONEMES_IPA, _PHONEMES_TIE = 0x02, 0x80
TIE = "^"


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
    """eSpeak NG returned an error."""


@dataclass(frozen=True, slots=True)
class VoiceParameters:
    """A voice with its variant, words per minute, pitch and pitch range (0 to 100)."""

    voice: str
    rate_wpm: int
    pitch: int
    range: int


@dataclass(frozen=True, slots=True)
class Word:
    """`chars` characters from `first_char` (counted from 0) are spoken from sample `first_sample` on."""

    first_char: int
    chars: int
    first_sample: int


# Receives the words that start in a chunk, and its PCM16; returns whether to continue.
OnChunk = Callable[[list[Word], bytes], bool]


class Espeak:
    """The library. Its state is global to the process: one instance, one thread."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        # The library needs an absolute path.
        data = str(Path(espeakng_loader.get_data_path()).resolve()).encode()
        self.rate_hz: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, CHUNK_MS, data, _INITIALIZE_DONT_EXIT
        )
        if self.rate_hz <= 0:
            raise EspeakError("eSpeak NG could not be initialised")
        self._library.espeak_Info.restype = ctypes.c_char_p
        self.version: str = self._library.espeak_Info(None).decode()
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._on_chunk: OnChunk | None = None
        self._error: Exception | None = None
        self._parameters: VoiceParameters | None = None
        # Referenced here, because the library stores only its address.
        self._callback = _SynthCallback(self._handle_chunk)
        self._library.espeak_SetSynthCallback(self._callback)

    def synthesize(self, text: str, parameters: VoiceParameters, on_chunk: OnChunk) -> None:
        """Synthesise `text` and pass each chunk to `on_chunk`; return at the end, or when `on_chunk` returns False.

        Raises `EspeakError` for an unknown voice, and the exceptions of `on_chunk`.
        """
        self._set_parameters(parameters)
        # A NUL would end the text; invalid bytes would shift the positions.
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        self._on_chunk, self._error = on_chunk, None
        try:
            failed = self._library.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        finally:
            self._on_chunk = None
        if self._error is not None:
            raise self._error
        if failed:
            raise EspeakError(f"eSpeak NG returned {failed}")

    def phonemize(self, text: str, voice: str) -> str:
        """The phonemes of `text` in IPA, words separated by spaces, punctuation left out.

        A tie (`^`) joins the letters of one phoneme: `t^ʃ`. Raises `EspeakError` for an unknown voice.
        """
        self._parameters = None
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise EspeakError(f"no voice {voice!r}")
        encoded = ctypes.create_string_buffer(text.replace("\0", " ").encode("utf-8", "replace"))
        rest = ctypes.c_void_p(ctypes.addressof(encoded))
        mode = _PHONEMES_IPA | _PHONEMES_TIE | ord(TIE) << 8
        clauses: list[str] = []
        # Each call reads one clause and moves `rest` behind it.
        while rest.value:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, mode)
            clauses.append((phonemes or b"").decode("utf-8", "replace").strip())
        return " ".join(clause for clause in clauses if clause)

    def _set_parameters(self, parameters: VoiceParameters) -> None:
        if parameters == self._parameters:
            return
        self._parameters = None
        if self._library.espeak_SetVoiceByName(parameters.voice.encode()):
            raise EspeakError(f"no voice {parameters.voice!r}")
        values = ((_RATE, parameters.rate_wpm), (_PITCH, parameters.pitch), (_RANGE, parameters.range))
        for parameter, value in values:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._parameters = parameters

    def _handle_chunk(self, samples: Any, count: int, events: Any) -> int:
        # An exception cannot cross the C frames: store it, stop the synthesis, and raise it afterwards.
        try:
            words = _read_words(events)
            pcm = ctypes.string_at(samples, count * 2) if samples and count > 0 else b""
            if (words or pcm) and self._on_chunk is not None:
                return 0 if self._on_chunk(words, pcm) else 1
        except Exception as error:
            self._error = error
            return 1
        return 0


def _read_words(events: Any) -> list[Word]:
    words: list[Word] = []
    for index in range(1 << 16):
        event = events[index]
        if event.type == _EVENT_LIST_TERMINATED:
            break
        if event.type == _EVENT_WORD:
            words.append(Word(max(event.text_position - 1, 0), max(event.length, 0), max(event.sample, 0)))
    return words
