"""The worker process: `python -I -m tts_service.engines.hibari`, without sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts_service.engines.hibari import package
from tts_service.engines.phrase_worker.server import Sentence, Stop, run_worker
from tts_service.engines.phrase_worker.shaping import WordPlaces, ends_sentence, shape_speech

RATE_HZ = 24_000
# Its sentences are 5 dB quieter than eSpeak's, which stands in for it: active level -25.5 against -20.2 dBFS over five
# sentences. The loudest sample of those was 0.39.
GAIN = 1.8
# Longer runs of phonemes are cut at a space; the package cuts at clauses only.
_MAX_PHONEMES = 400
# Loads the network for unknown words too, which is otherwise loaded by the first of them.
_WARM_UP = ("Warm up.", "Good evening, and welcome to the Zyxquorian news of today.")


class HibariSynthesizer:
    """The model on one thread; a `Synthesizer`."""

    version = package.VERSION
    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._model: Any = package.import_package().Hibari(threads=1)
        for text in _WARM_UP:
            for _ in self.synthesize({"text": text, "pace": 1.0}, Stop()):
                pass

    def synthesize(self, request: Mapping[str, Any], stop: Stop) -> Iterator[Sentence]:
        """Speak `text` at `pace`. A character that the model cannot say is left out."""
        text, pace = str(request["text"]), float(request["pace"])
        start_char = first_sample = 0
        for sentence in self._model.split_sentences(text):
            start_char = max(text.find(sentence, start_char), start_char)
            for samples, words in self._speak_sentence(sentence, start_char, first_sample, pace):
                # A sentence takes 30 ms, so it is not stopped within.
                if stop.requested:
                    return
                yield samples, words
                first_sample += samples.size
            start_char += len(sentence)

    def _speak_sentence(self, sentence: str, first_char: int, first_sample: int, pace: float) -> Iterator[Sentence]:
        parts = [part for phonemes in self._model.phonemize(_escape(sentence)) for part in _cut(phonemes)]
        words, total, spoken = WordPlaces(sentence, first_char), max(sum(map(len, parts)), 1), 0
        for part in parts:
            start_share, spoken = spoken / total, spoken + len(part)
            # The same seed gives the same phrase the same noise, so a cached phrase sounds like a new one.
            raw: NDArray[np.float32] = self._model.from_phonemes(part, pace, seed=0)
            samples = shape_speech(raw, GAIN, RATE_HZ, spoken == total and ends_sentence(sentence))
            yield samples, words.pop_until(spoken / total, start_share, samples, first_sample)
            first_sample += samples.size


def _escape(sentence: str) -> str:
    """Separate `](`: the package reads `[word](phonemes)` as a pronunciation, which a text must not set."""
    return sentence.replace("](", "] (")


def _cut(phonemes: str) -> list[str]:
    pieces: list[str] = []
    for word in re.findall(r"\S+\s*", phonemes):
        if pieces and len(pieces[-1]) + len(word) <= _MAX_PHONEMES:
            pieces[-1] += word
        else:
            pieces += [word[start : start + _MAX_PHONEMES] for start in range(0, len(word), _MAX_PHONEMES)]
    return pieces


def run(isolated: bool) -> None:
    """Speak jobs until the input ends."""
    run_worker("hibari", HibariSynthesizer, isolated)
