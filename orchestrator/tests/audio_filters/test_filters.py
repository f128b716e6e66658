"""Audio filters: the output is as long as the input, in place, and never clipped."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from orchestrator.audio_filters.build import NoiseSuppression, build_filter
from orchestrator.audio_filters.filter_chain import FilterChain, FrameFilter
from orchestrator.audio_filters.frame_filters import AutomaticGain, SpeexNoiseSuppressor
from orchestrator.conversation.input.microphone import Microphone
from orchestrator.conversation.model.audio_clock import AudioClock
from orchestrator.conversation.model.ports import AudioFilter
from orchestrator.settings import OrchestratorSettings
from pydantic import ValidationError
from service_kit.audio import AudioChunk
from service_kit.errors import Unsupported

RATE_HZ = 16_000
# -1 dBFS.
BOUND = 32768 * 10 ** (-1 / 20)
ODD_SIZES = (2, 30, 318, 320, 322, 640, 642, 1024, 6400)


class DelayFilter:
    """A filter that only delays."""

    def __init__(self, delay_bytes: int) -> None:
        self.delay_bytes = delay_bytes
        self._line = bytes(delay_bytes)

    def process_frame(self, frame: bytes) -> bytes:
        line = self._line + frame
        self._line = line[len(frame) :]
        return line[: len(frame)]


def pcm(samples: NDArray[np.float64]) -> bytes:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def samples_of(audio: bytes) -> NDArray[np.float64]:
    return np.frombuffer(audio, "<i2").astype(np.float64)


def noise(seconds: float, level: float, seed: int = 1) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE_HZ))


def syllables(seconds: float, level: float) -> NDArray[np.float64]:
    """Speech-like sound: a 150 Hz buzz that pulses four times a second, above the noise of a quiet room."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    buzz = np.sin(2 * np.pi * 150 * t) + 0.5 * np.sin(2 * np.pi * 450 * t)
    return level * buzz * (np.sin(2 * np.pi * 4 * t) > 0) + noise(seconds, level / 300)


def run_filter(audio_filter: AudioFilter, audio: bytes, sizes: Sequence[int] = (640,)) -> bytes:
    at, heard = 0, b""
    for size in itertools.cycle(sizes):
        if at >= len(audio):
            return heard + audio_filter.flush()
        heard += audio_filter.process(audio[at : at + size])
        at += size
    raise AssertionError


def loudness_dbfs(audio: bytes) -> float:
    samples = samples_of(audio) / 32768
    return float(10 * np.log10(np.mean(samples * samples)))


# Time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_bytes", [0, 2, 192, 320, 500])
@pytest.mark.parametrize("size", ODD_SIZES)
def test_chain_preserves_timing_for_any_chunk_size(size: int, delay_bytes: int) -> None:
    audio = pcm(noise(0.5, 0.1))[:-14]
    assert run_filter(FilterChain([DelayFilter(delay_bytes)]), audio, [size]) == audio


@pytest.mark.parametrize("suppression", ["low", "medium", "high"])
def test_every_filter_returns_as_much_audio_as_it_takes(suppression: NoiseSuppression) -> None:
    audio = pcm(syllables(1.5, 0.05))[:-2]
    for gain in ("off", -20.0):
        audio_filter = build_filter(suppression, gain)()
        assert audio_filter is not None
        assert len(run_filter(audio_filter, audio, ODD_SIZES)) == len(audio)


def test_suppressed_speech_keeps_its_position() -> None:
    audio = syllables(3, 0.1)
    heard = samples_of(run_filter(FilterChain([SpeexNoiseSuppressor(15)]), pcm(audio)))
    shifts = range(-400, 401)
    alike = [float(np.dot(audio[8000:40_000], heard[8000 + shift : 40_000 + shift])) for shift in shifts]
    assert shifts[int(np.argmax(alike))] == 0


def test_flushed_turns_keep_their_position() -> None:
    audio_filter, heard = FilterChain([DelayFilter(320), DelayFilter(192)]), b""
    turns = [pcm(noise(0.3, 0.1, seed))[:odd] for seed, odd in enumerate((-2, -100, -320, None))]
    for turn in turns:
        heard += run_filter(audio_filter, turn, [642])
    assert heard == b"".join(turns)
    assert audio_filter.flush() == b""


def test_chain_holds_back_at_most_its_delay_and_a_frame() -> None:
    audio_filter, taken, given = build_filter("medium", -20.0)(), 0, 0
    assert audio_filter is not None
    for size in ODD_SIZES * 4:
        taken += size
        given += len(audio_filter.process(bytes(size)))
        assert 0 <= taken - given <= 320 + 318


# The microphone ----------------------------------------------------------------------------------------------------


def end_ms(chunks: Sequence[AudioChunk]) -> int:
    """Return the end of the chunks, after checking that there are no gaps between them."""
    for before, after in itertools.pairwise(chunks):
        assert after.start_ms == before.end_ms
    return chunks[-1].end_ms


def test_without_a_filter_frames_pass_unchanged() -> None:
    assert build_filter("off", "off")() is None
    microphone, frame = Microphone(AudioClock(lambda: 0.0)), pcm(noise(0.02, 0.1))
    (chunk,) = microphone.split_chunks(frame)
    assert chunk.pcm is frame


@pytest.mark.parametrize("size", ODD_SIZES)
@pytest.mark.parametrize("worn", [False, True])
def test_audio_clock_counts_the_sent_audio(size: int, worn: bool) -> None:
    clock = AudioClock(lambda: 0.0)
    audio_filter = build_filter("medium", -20.0)() if worn else None
    microphone, audio = Microphone(clock, audio_filter), pcm(syllables(1, 0.1))
    chunks = [chunk for at in range(0, len(audio), size) for chunk in microphone.split_chunks(audio[at : at + size])]
    assert abs(clock.now_ms - 1000) <= 10
    chunks += microphone.flush_chunks()
    # The last frame is padded with at most 10 ms of silence.
    assert 1000 <= end_ms(chunks) <= 1010
    heard = b"".join(chunk.pcm for chunk in chunks)
    assert len(heard) == 32 * end_ms(chunks)
    assert worn or heard.startswith(audio)


# Gain --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.003, 0.01, 0.03])
def test_quiet_speech_is_amplified_to_the_target(level: float) -> None:
    audio = pcm(syllables(6, level))
    heard = run_filter(FilterChain([AutomaticGain(-20)]), audio)
    # Half of the time is silence.
    assert loudness_dbfs(heard[-64_000:]) == pytest.approx(-23, abs=3)


def test_loud_speech_passes_unchanged() -> None:
    audio = pcm(syllables(3, 0.3))
    assert run_filter(FilterChain([AutomaticGain(-20)]), audio) == audio


def test_steady_noise_is_not_amplified() -> None:
    audio = pcm(noise(10, 0.003))
    assert abs(loudness_dbfs(run_filter(FilterChain([AutomaticGain(-20)]), audio)) - loudness_dbfs(audio)) < 1


def test_silence_stays_silent() -> None:
    assert not any(run_filter(FilterChain([AutomaticGain(-6)]), bytes(32_000)))


@pytest.mark.parametrize(
    "steps", [[AutomaticGain(-6)], [AutomaticGain(-6), SpeexNoiseSuppressor(15)]], ids=["gain", "both"]
)
def test_sudden_loudness_after_quiet_speech_never_clips(steps: list[FrameFilter]) -> None:
    quiet, t = syllables(4, 0.003), np.arange(RATE_HZ // 2) / RATE_HZ
    loud = 0.85 * np.sign(np.sin(2 * np.pi * 110 * t))
    heard = samples_of(run_filter(FilterChain(steps), pcm(np.concatenate([quiet, loud, quiet, 0.5 * loud]))))
    # Overlapping windows may add one percent.
    assert np.abs(heard).max() <= BOUND * 1.01
    # The limiter had to act: the quiet part was amplified much.
    assert np.abs(heard[: 4 * RATE_HZ]).max() > 10 * 32768 * 0.003


# Noise -------------------------------------------------------------------------------------------------------------


def test_noise_is_suppressed_by_about_the_set_amount() -> None:
    audio = pcm(noise(6, 0.01))
    quieter_db = [
        loudness_dbfs(audio[-64_000:])
        - loudness_dbfs(run_filter(FilterChain([SpeexNoiseSuppressor(asked)]), audio)[-64_000:])
        for asked in (8, 15, 30)
    ]
    assert quieter_db == sorted(quieter_db)
    assert quieter_db[0] == pytest.approx(8, abs=3)
    assert quieter_db[1] == pytest.approx(15, abs=3)


# Settings ----------------------------------------------------------------------------------------------------------


def test_missing_package_fails_the_start_and_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspeex_noise", None)
    with pytest.raises(Unsupported, match=r"orchestrator\[noise-suppression\]") as refusal:
        build_filter("low", "off")
    assert refusal.value.code == "orchestrator.no_noise_suppression"
    # Gain needs no package.
    assert build_filter("off", -20.0)() is not None


def test_each_session_has_its_own_filter() -> None:
    fit = build_filter("low", -20.0)
    assert fit() is not fit()


def test_filters_are_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (OrchestratorSettings().noise_suppression, OrchestratorSettings().auto_gain) == ("off", "off")
    monkeypatch.setenv("ORCHESTRATOR_NOISE_SUPPRESSION", "medium")
    monkeypatch.setenv("ORCHESTRATOR_AUTO_GAIN", "-20")
    assert (OrchestratorSettings().noise_suppression, OrchestratorSettings().auto_gain) == ("medium", -20.0)


@pytest.mark.parametrize("name", ["ORCHESTRATOR_NOISE_SUPPRESSION", "ORCHESTRATOR_AUTO_GAIN"])
@pytest.mark.parametrize("value", ["on", "20", "-90"])
def test_invalid_filter_settings_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        OrchestratorSettings()
