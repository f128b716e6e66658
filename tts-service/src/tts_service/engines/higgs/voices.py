"""Cloned voices in a folder: each is learned once, from a recording and what is said in it, and kept as codes."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import shutil
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray
from service_kit.audio import to_float
from service_kit.errors import InvalidRequest, NotFound, Unsupported

from tts_service.engine import Voice
from tts_service.engines.higgs.delay import Codes
from tts_service.engines.higgs.prompt import Reference

log = logging.getLogger(__name__)

# Longer references make speech no better, and take places in the model's context.
MIN_REFERENCE_S, MAX_REFERENCE_S = 2.0, 15.0
_MAX_TRANSCRIPT_CHARS = 600
_MAX_NAME_CHARS = 60
_CHARS_OF_HASH = 8
_BOOKS, _CODES = 8, 1024
_VOICE, _FRAMES = "voice.json", "frames.npy"


class VoiceFolder:
    """The voices that were added, and their references. Blocking."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._voices: dict[str, tuple[Voice, Reference]] = {}

    def load(self) -> None:
        """Read the folder; what is no voice in it is left alone."""
        if self._folder is None:
            return
        for path in sorted(self._folder.glob(f"[!.]*/{_VOICE}")):
            try:
                voice, reference = _read_voice(path)
            except (OSError, ValueError, KeyError) as error:
                log.warning("voice could not be read", extra={"voice": path.parent.name, "reason": repr(error)})
            else:
                self._voices[voice.id] = voice, reference

    def voices(self) -> Sequence[Voice]:
        """All added voices."""
        return [voice for voice, _ in self._voices.values()]

    def reference(self, voice_id: str) -> Reference | None:
        """How an added voice sounds, None for one that was not added."""
        return self._voices[voice_id][1] if voice_id in self._voices else None

    def writable(self) -> Path:
        """Where voices are kept. Raises `Unsupported` when no folder was named."""
        if self._folder is None:
            raise Unsupported("tts.cloning_unsupported", "no folder for voices is set (TTS_HIGGS_VOICES)")
        return self._folder

    def add(self, name: str, language: str, transcript: str, frames: Codes) -> Voice:
        """Keep a voice; the same recording under the same name is the same voice."""
        folder = self.writable()
        folder.mkdir(parents=True, exist_ok=True)
        mark = hashlib.sha256(frames.tobytes() + transcript.encode()).hexdigest()[:_CHARS_OF_HASH]
        voice = Voice(f"{_slug(name)}-{mark}", name, (language,), cloned=True)
        facts = {"name": name, "languages": [language], "transcript": transcript}
        with tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as scratch:
            made = Path(scratch, voice.id)
            made.mkdir()
            (made / _VOICE).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
            np.save(made / _FRAMES, frames.astype(np.int16))
            # At once, so that no half of a voice is ever found here.
            if not (folder / voice.id).exists():
                made.rename(folder / voice.id)
        self._voices[voice.id] = voice, Reference(transcript, frames)
        return voice

    def delete(self, voice_id: str) -> None:
        """Forget an added voice. Raises `NotFound` when it was not added."""
        if voice_id not in self._voices:
            raise NotFound("tts.unknown_voice", f"no voice {voice_id!r} was added")
        del self._voices[voice_id]
        shutil.rmtree(self.writable() / voice_id)


def checked_reference(name: str, wav: bytes, transcript: str, rate_hz: int) -> NDArray[np.float32]:
    """The recording's samples at `rate_hz`. Raises `InvalidRequest` for what no voice can be learned from."""
    if not 0 < len(name.strip()) <= _MAX_NAME_CHARS:
        raise InvalidRequest("tts.voice_name", f"a voice's name has 1 to {_MAX_NAME_CHARS} characters")
    if not 0 < len(transcript.strip()) <= _MAX_TRANSCRIPT_CHARS:
        raise InvalidRequest("tts.reference_transcript", f"the transcript has 1 to {_MAX_TRANSCRIPT_CHARS} characters")
    samples, recorded_hz = _read_wav(wav)
    seconds = samples.size / recorded_hz
    if not MIN_REFERENCE_S <= seconds <= MAX_REFERENCE_S:
        wanted = f"{MIN_REFERENCE_S:g} to {MAX_REFERENCE_S:g} s"
        raise InvalidRequest("tts.reference_length", f"the recording lasts {seconds:.1f} s; {wanted} are wanted")
    return soxr.resample(samples, recorded_hz, rate_hz).astype(np.float32)


def _read_wav(wav: bytes) -> tuple[NDArray[np.float32], int]:
    try:
        with wave.open(io.BytesIO(wav)) as recording:
            channels, width, rate_hz = recording.getnchannels(), recording.getsampwidth(), recording.getframerate()
            pcm = recording.readframes(recording.getnframes())
    except (wave.Error, EOFError) as error:
        raise InvalidRequest("tts.reference_wav", f"the recording is no WAV file: {error}") from error
    if width != 2 or rate_hz < 8000:
        raise InvalidRequest("tts.reference_wav", "the recording must be 16-bit PCM of at least 8 kHz")
    whole = len(pcm) // (2 * channels) * 2 * channels
    return to_float(pcm[:whole]).reshape(-1, channels).mean(axis=1), rate_hz


def _read_voice(path: Path) -> tuple[Voice, Reference]:
    facts = json.loads(path.read_text("utf-8"))
    frames = np.load(path.with_name(_FRAMES), allow_pickle=False).astype(np.int64)
    # A code that is none would break the GPU for every reply, not for this voice alone.
    if frames.ndim != 2 or frames.shape[1] != _BOOKS or not ((frames >= 0) & (frames < _CODES)).all():
        raise ValueError("the frames are not the codec's")
    voice = Voice(path.parent.name, facts["name"], tuple(facts["languages"]), cloned=True)
    return voice, Reference(facts["transcript"], frames)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "voice"
