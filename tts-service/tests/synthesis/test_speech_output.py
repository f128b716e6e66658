from __future__ import annotations

import numpy as np
import pytest
from service_kit.audio import to_float
from tts_service.synthesis.speech_output import SpeechOutput


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000])
def test_audio_is_gapless_in_short_chunks_and_keeps_its_length_and_pitch(rate_hz: int) -> None:
    output = SpeechOutput(rate_hz)
    chunks = []
    for _ in range(2):
        wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz)).astype(np.float32)
        for start in range(0, wave.size, 1323):
            chunks += output.add_samples(wave[start : start + 1323])
        chunks += output.finish_phrase()
    place_ms = 0
    for chunk in chunks:
        assert chunk.offset_ms == place_ms
        assert 0 < len(chunk.pcm) <= 240 * 48
        place_ms += len(chunk.pcm) // 48
    assert output.sent_ms == place_ms == pytest.approx(2000, abs=2)
    assert len(chunks[0].pcm) == 40 * 48
    speech = to_float(b"".join(chunk.pcm for chunk in chunks))
    crossings = np.count_nonzero(np.diff(np.signbit(speech[:24_000])))
    assert crossings == pytest.approx(880, abs=4)
    # Phrases join in silence: no step is steeper than the tone itself.
    assert np.abs(np.diff(speech)).max() < 0.07
    assert abs(speech[0]) < 0.001
    assert abs(speech[-1]) < 0.01


def test_the_first_chunk_goes_out_as_soon_as_there_are_forty_milliseconds() -> None:
    output = SpeechOutput(24_000)
    assert output.add_samples(np.full(24 * 44, 0.1, np.float32)) == []
    assert [chunk.offset_ms for chunk in output.add_samples(np.full(24, 0.1, np.float32))] == [0]


def test_chunks_are_long_for_a_listener_who_has_something_to_hear() -> None:
    output = SpeechOutput(24_000)
    output.add_samples(np.full(24 * 45, 0.1, np.float32))
    speech = np.full(24 * 480, 0.1, np.float32)
    lengths = [[len(chunk.pcm) // 48 for chunk in output.add_samples(speech, ahead_ms)] for ahead_ms in (499, 500)]
    assert lengths == [[80] * 6, [240] * 2]


def test_a_phrase_without_samples_gives_no_chunk() -> None:
    output = SpeechOutput(22_050)
    assert output.add_samples(np.zeros(0, np.float32)) == []
    assert output.finish_phrase() == []
