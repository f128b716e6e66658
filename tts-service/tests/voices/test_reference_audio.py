"""Reference audio for cloning: decoding and checks."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from service_kit.errors import InvalidRequest
from tts_service.voices.reference_audio import check_name, check_transcript, decode_reference


def recording(seconds: float, rate_hz: int = 16_000, channels: int = 1, width: int = 2, loudness: int = 2000) -> bytes:
    made = io.BytesIO()
    noise = np.random.default_rng(6).normal(0, loudness, int(seconds * rate_hz) * channels).astype("<i2")
    with wave.open(made, "wb") as wav:
        wav.setparams((channels, width, rate_hz, 0, "NONE", ""))
        wav.writeframes(noise.tobytes()[: noise.size * width])
    return made.getvalue()


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (48_000, 2), (24_000, 1)])
def test_recording_is_resampled_to_the_codecs_rate(rate_hz: int, channels: int) -> None:
    samples = decode_reference(recording(3, rate_hz, channels), 24_000)
    assert samples.dtype == np.float32
    assert samples.shape == (72_000,)


@pytest.mark.parametrize(
    ("wav", "code", "advice"),
    [
        (recording(1.9), "reference_length", "at least 2 s"),
        (recording(15.1), "reference_length", "15 s at most"),
        (recording(3, loudness=0), "reference_silent", "microphone"),
        (recording(3, loudness=20), "reference_silent", "louder"),
        (recording(3, width=1), "reference_wav", "16"),
        (recording(3, rate_hz=8000), "reference_wav", "16000 Hz"),
        (recording(3, channels=3), "reference_wav", "mix it down"),
        (b"", "reference_wav", "WAV"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk", "reference_wav", "WAV"),
        (b"ID3" + bytes(4096), "reference_wav", "WAV"),
        # Its format chunk claims to be longer than the file.
        (recording(3)[:16] + b"\xff\xff\xff\xff" + recording(3)[20:], "reference_wav", "WAV"),
    ],
)
def test_unusable_recording_is_refused_with_advice(wav: bytes, code: str, advice: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{code}.*{advice}"):
        decode_reference(wav, 24_000)


@pytest.mark.parametrize("name", ["", "   ", "a" * 61])
def test_empty_or_long_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="voice_name"):
        check_name(name)


@pytest.mark.parametrize("transcript", ["", " ", "a" * 601])
def test_empty_or_long_transcript_is_refused(transcript: str) -> None:
    with pytest.raises(InvalidRequest, match="reference_transcript"):
        check_transcript(transcript)
