"""Sounds that are not a turn: recordings without speech, breath and laughter between words, noise, coughs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from recordings import NO_SPEECH, Recording
from service_kit.audio import MICROPHONE, to_pcm

_SECONDS = 12
_SAMPLES = _SECONDS * MICROPHONE.rate_hz
# The distance to the next word, and the shortest sound used for a trial, in milliseconds.
_MARGIN_MS, _SHORTEST_MS = 120, 600
_SEED = 4
# Words around the sounds that the dictionary lacks.
_PRONUNCIATIONS = {"aligner": "AH L AY N ER"}


@dataclass(frozen=True, slots=True)
class Noise:
    """A sound that should not stop the anchor's reply; 16 kHz mono PCM16."""

    name: str
    kind: str
    pcm: bytes


def collect_noises(recordings: Sequence[Recording]) -> list[Noise]:
    """All noises, the recorded ones first."""
    recorded = [
        Noise(each.name, "recorded: music, noise, bird, chime", each.pcm)
        for each in recordings
        if each.language == NO_SPEECH
    ]
    vocal = [noise for each in recordings for noise in _vocal_sounds(each)]
    return [*recorded, *vocal, *_coughs(), *_steady()]


def _vocal_sounds(recording: Recording) -> list[Noise]:
    """Breath, laughter and a cough: the audio between words that a forced alignment finds."""
    if "loud breaths" in recording.notes:
        return _between_words(recording, "recorded: breath", range(len(recording.words) + 1))
    if "[laughter]" in recording.transcript:
        return _between_words(recording, "recorded: laughter", _words_before(recording, "[laughter]"))
    if "<VOCNOISE>" in recording.transcript:
        return _between_words(recording, "recorded: cough", _words_before(recording, "<VOCNOISE>"))
    return []


def _words_before(recording: Recording, event: str) -> list[int]:
    """The number of words before each occurrence of `event`."""
    pieces = [replace(recording, transcript=piece).words for piece in recording.transcript.split(event)]
    return list(accumulate(len(words) for words in pieces[:-1]))


def _between_words(recording: Recording, kind: str, places: Iterable[int]) -> list[Noise]:
    """The sounds after so many words each."""
    spans = _word_spans(recording)
    found: list[Noise] = []
    for place in places:
        start_ms = spans[place - 1][1] + _MARGIN_MS if place else 0
        end_ms = spans[place][0] - _MARGIN_MS if place < len(spans) else recording.length_ms
        if end_ms - start_ms >= _SHORTEST_MS:
            pcm = recording.pcm[MICROPHONE.bytes_for(start_ms) : MICROPHONE.bytes_for(end_ms)]
            found.append(Noise(f"{recording.name}@{start_ms}", kind, pcm))
    return found


def _word_spans(recording: Recording) -> list[tuple[int, int]]:
    """Starts and ends of the words, in milliseconds."""
    from pocketsphinx import Decoder

    # Wide beams: the model does not know the sounds between the words.
    decoder = Decoder(loglevel="FATAL", lm=None, beam=1e-80, wbeam=1e-60, pbeam=1e-80)
    for word, pronunciation in _PRONUNCIATIONS.items():
        decoder.add_word(word, pronunciation, True)
    decoder.set_align_text(" ".join(recording.words))
    decoder.start_utt()
    decoder.process_raw(recording.pcm, full_utt=True)
    decoder.end_utt()
    frame_ms = 10
    return [
        (segment.start_frame * frame_ms, (segment.end_frame + 1) * frame_ms)
        for segment in decoder.seg()
        if not segment.word.startswith("<")
    ]


def _coughs() -> list[Noise]:
    """Synthetic coughs: a burst, a breathy middle, a shorter burst; every two seconds, at three levels."""
    draw = np.random.default_rng(_SEED)
    found: list[Noise] = []
    for peak_db in (-6, -16, -26):
        samples = np.zeros(_SAMPLES)
        for start in range(MICROPHONE.rate_hz, _SAMPLES - MICROPHONE.rate_hz, 2 * MICROPHONE.rate_hz):
            cough = np.concatenate([_burst(draw, 90, 25), 0.35 * _burst(draw, 160, 90), 0.6 * _burst(draw, 110, 30)])
            samples[start : start + len(cough)] += cough
        found.append(Noise(f"cough, {peak_db} dB", "made: cough", _at_peak(samples, peak_db)))
    return found


def _burst(draw: np.random.Generator, length_ms: int, decay_ms: int) -> NDArray[np.float64]:
    """Noise around 1 kHz that decays."""
    count = length_ms * MICROPHONE.rate_hz // 1000
    white = draw.standard_normal(count + 64)
    # Resonance of an open throat, by a short comb of delayed copies.
    coloured = white[64:] + 0.7 * white[56:-8] - 0.5 * white[48:-16] + 0.4 * white[32:-32]
    attack = np.minimum(1.0, np.arange(count) / (0.004 * MICROPHONE.rate_hz))
    return coloured * attack * np.exp(-np.arange(count) * 1000 / MICROPHONE.rate_hz / decay_ms)


def _steady() -> list[Noise]:
    """White and pink noise, at three levels."""
    draw = np.random.default_rng(_SEED)
    white = draw.standard_normal(_SAMPLES)
    spectrum = np.fft.rfft(white)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), _SAMPLES)
    return [
        Noise(f"{name} noise, {level_db} dB", "made: steady noise", _at_level(samples, level_db))
        for name, samples in (("white", white), ("pink", pink))
        for level_db in (-20, -30, -40)
    ]


def _at_level(samples: NDArray[np.float64], level_db: float) -> bytes:
    gain = 10 ** (level_db / 20) / np.sqrt(np.mean(np.square(samples)))
    return to_pcm((samples * gain).astype(np.float32))


def _at_peak(samples: NDArray[np.float64], peak_db: float) -> bytes:
    return to_pcm((samples * 10 ** (peak_db / 20) / np.max(np.abs(samples))).astype(np.float32))
