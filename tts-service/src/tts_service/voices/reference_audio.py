"""Checks and decodes reference audio for cloning: a recording of one person, and its transcript. Pure."""

from __future__ import annotations

import io
import wave

import numpy as np
import soxr
from numpy.typing import NDArray
from service_kit.audio import to_float
from service_kit.errors import InvalidRequest

from tts_service.voices.consent import MAX_CONSENT_RECORDING_BYTES

# Longer references do not improve the speech, and take tokens of a model's context.
MIN_REFERENCE_S, MAX_REFERENCE_S = 2.0, 15.0
# The longest recording in stereo at 48 kHz with 16 bits, plus its header, its transcript and the recorded consent.
MAX_RECORDING_BYTES = int(MAX_REFERENCE_S * 48_000 * 2 * 2) + 65_536 + MAX_CONSENT_RECORDING_BYTES
# Telephone audio has 8 kHz, and a voice cloned from it sounds like a telephone.
MIN_RATE_HZ = 16_000
_MAX_CHANNELS = 2
# -45 dBFS over the whole recording: quieter recordings hold only room noise.
_SILENT_RMS = 10 ** (-45 / 20)
_MAX_TRANSCRIPT_CHARS = 600
_MAX_NAME_CHARS = 60


def check_name(name: str) -> None:
    """Raises `InvalidRequest` for an empty, too long or unprintable voice name."""
    if not (0 < len(name.strip()) <= _MAX_NAME_CHARS and name.strip().isprintable()):
        raise InvalidRequest("tts.voice_name", f"a voice's name has 1 to {_MAX_NAME_CHARS} printable characters")


def check_transcript(transcript: str) -> None:
    """Raises `InvalidRequest` for an empty or too long transcript."""
    if not 0 < len(transcript.strip()) <= _MAX_TRANSCRIPT_CHARS:
        raise InvalidRequest(
            "tts.reference_transcript",
            f"the transcript has 1 to {_MAX_TRANSCRIPT_CHARS} characters: send the words said in the recording",
        )


def decode_reference(wav: bytes, rate_hz: int) -> NDArray[np.float32]:
    """Decode a WAV file to mono samples at `rate_hz`, shape [n].

    Raises `InvalidRequest` with advice for a recording that cannot be used.
    """
    samples, recorded_hz = _read_wav(wav)
    seconds = samples.size / recorded_hz
    if seconds < MIN_REFERENCE_S:
        raise InvalidRequest(
            "tts.reference_length",
            f"the recording lasts {seconds:.1f} s; record at least {MIN_REFERENCE_S:g} s of speech",
        )
    if seconds > MAX_REFERENCE_S:
        raise InvalidRequest(
            "tts.reference_length",
            f"the recording lasts {seconds:.1f} s; cut it, and its transcript, to {MAX_REFERENCE_S:g} s at most",
        )
    if float(np.sqrt(np.mean(np.square(samples)))) < _SILENT_RMS:
        raise InvalidRequest(
            "tts.reference_silent", "the recording is silent; check the microphone, or record louder and closer to it"
        )
    return soxr.resample(samples, recorded_hz, rate_hz).astype(np.float32)


def _read_wav(wav: bytes) -> tuple[NDArray[np.float32], int]:
    try:
        with wave.open(io.BytesIO(wav)) as recording:
            channels, width, rate_hz = recording.getnchannels(), recording.getsampwidth(), recording.getframerate()
            pcm = recording.readframes(recording.getnframes())
    # The library raises `RuntimeError` for a chunk length beyond the end of the file.
    except (wave.Error, EOFError, RuntimeError) as error:
        raise InvalidRequest(
            "tts.reference_wav", f"the recording is not a WAV file ({error}); save it as 16-bit PCM WAV"
        ) from error
    if width != 2:
        raise InvalidRequest("tts.reference_wav", f"the recording has {8 * width} bits per sample; save it with 16")
    if rate_hz < MIN_RATE_HZ:
        raise InvalidRequest(
            "tts.reference_wav", f"the recording has {rate_hz} Hz; record at {MIN_RATE_HZ} Hz or more, ideally 24000"
        )
    if channels > _MAX_CHANNELS:
        raise InvalidRequest("tts.reference_wav", f"the recording has {channels} channels; mix it down to one")
    whole = len(pcm) // (2 * channels) * 2 * channels
    return to_float(pcm[:whole]).reshape(-1, channels).mean(axis=1), rate_hz
