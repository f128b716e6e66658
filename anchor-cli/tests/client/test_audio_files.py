"""Reading and writing of audio files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from anchor_cli.client.audio_files import load_clip, save_speech, voiced_end_bytes
from service_kit.audio import MICROPHONE, to_float, to_pcm
from service_kit.errors import InvalidRequest


def tone(rate_hz: int, seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize(("name", "rate_hz"), [("a.wav", 44_100), ("a.flac", 8_000), ("a.ogg", 48_000)])
def test_any_format_and_rate_is_resampled_to_16_khz(tmp_path: Path, name: str, rate_hz: int) -> None:
    path = tmp_path / name
    soundfile.write(path, np.column_stack([tone(rate_hz, 1), tone(rate_hz, 1)]), rate_hz)
    samples = to_float(load_clip(path))
    assert len(samples) == pytest.approx(16_000, abs=20)
    spectrum = np.abs(np.fft.rfft(samples[1000:15000]))
    assert spectrum.argmax() * 16_000 / 14_000 == pytest.approx(440, abs=2)
    assert np.abs(samples[1000:15000]).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("content", [None, b"not a sound at all"])
def test_invalid_audio_file_is_rejected_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "question.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"question\.wav") as raised:
        load_clip(path)
    assert raised.value.code == "sound.unreadable"


def test_empty_audio_file_is_rejected(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 16_000)
    with pytest.raises(InvalidRequest, match="no audio"):
        load_clip(tmp_path / "empty.wav")


def test_too_long_audio_file_is_rejected_before_reading(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(601 * 100, np.int16), 100, subtype="PCM_U8")
    with pytest.raises(InvalidRequest, match="longer than 600 s"):
        load_clip(tmp_path / "long.wav")


def test_speech_is_written_at_24_khz(tmp_path: Path) -> None:
    pcm = to_pcm(tone(24_000, 0.5))
    save_speech(tmp_path / "reply.wav", pcm)
    samples, rate_hz = soundfile.read(tmp_path / "reply.wav", dtype="int16")
    assert rate_hz == 24_000
    assert samples.tobytes() == pcm


def test_voiced_end_excludes_trailing_silence() -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, 8_000).astype(np.float32)
    clip = to_pcm(np.concatenate([tone(16_000, 1), noise]))
    assert MICROPHONE.ms_of(voiced_end_bytes(clip)) == pytest.approx(1000, abs=10)


def test_silence_has_no_voiced_part() -> None:
    assert voiced_end_bytes(bytes(3200)) == 0
    assert voiced_end_bytes(b"") == 0
