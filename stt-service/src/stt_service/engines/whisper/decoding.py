"""Whisper on CTranslate2 with a short encoder context; blocking, and free of the interpreter lock while it computes.

Whisper was trained on windows of 30 s, and the encoder's work grows with the window. CTranslate2 accepts shorter ones,
but the decoder then repeats itself behind the end of the speech. Measured remedies (docs/adr/0018): at least 8 s of
window, a second of silence at its end, times among the tokens, and a cut at the first time at the clip's end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from service_kit.audio import MICROPHONE

from stt_service.engine import Word
from stt_service.engines.whisper.features import HOP, Floats, log_mel
from stt_service.engines.whisper.languages import languages_of
from stt_service.engines.whisper.tokens import cut_after, is_special, read_vocabulary, to_text
from stt_service.engines.whisper.word_times import aligned_words
from stt_service.retranscribing.hallucinations import MAX_COMPRESSION, compression_ratio, ends_in_loop
from stt_service.retranscribing.recogniser import ClipTranscript

# The window: the clip and this much silence, at least the first and at most the second of these, in samples. The
# encoder halves the frames, so a window has an even number of them.
TAIL_SAMPLES = MICROPHONE.rate_hz
MIN_WINDOW_SAMPLES = 8 * MICROPHONE.rate_hz
MAX_WINDOW_SAMPLES = 30 * MICROPHONE.rate_hz
_WINDOW_STEP = 2 * HOP
# A time this close to the clip's end ends its text.
_END_SLACK_S = 0.25
# A first bound on a clip's tokens, times included: some clips have no end, and the decoder goes on to its bound. Of 55
# recordings of people and 86 spoken questions, all but three end below it, and those are loops. Faster speech is
# decoded again with Whisper's own bound: half of the decoder's 448 positions.
_TOKENS_PER_S = 6
_MORE_TOKENS = 8
_MAX_TOKENS = 224
# A clip is not speech above this no-speech probability and below this mean log-probability: of 59 recordings, the 6
# without speech and 4 deliberately odd ones (docs/adr/0018).
NO_SPEECH_PROBABILITY = 0.5
MIN_LOGPROB = -0.55


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How a model is loaded: its folder, and CTranslate2's device, number type, threads and clips at one time."""

    folder: str
    device: str = "cpu"
    compute_type: str = "int8"
    # Threads of one clip; 0 for the library's choice.
    threads: int = 1
    clips: int = 1


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """Options for one clip; `language` is ISO 639-1, or empty to detect it."""

    language: str = ""
    beam_size: int = 1
    word_times: bool = False
    # A clip whose language is detected with less, or is this one, gets no text: only its language and probability.
    min_language_probability: float = 0.0
    left_to_other_model: str = ""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Tokens of a clip, without what follows its end, and their mean log-probability."""

    tokens: list[str]
    ids: list[int]
    logprob: float
    no_speech: float
    # Whether the text has an end; otherwise the bound on its tokens ended it.
    ended: bool

    @property
    def text(self) -> str:
        return to_text(self.tokens)

    @property
    def looping(self) -> bool:
        """Whether the text repeats itself; repeated words that have an end may have been said."""
        return compression_ratio(self.text) > MAX_COMPRESSION or (not self.ended and ends_in_loop(self.text))

    @property
    def silent(self) -> bool:
        return self.no_speech > NO_SPEECH_PROBABILITY and self.logprob < MIN_LOGPROB


class WhisperModel:
    """A loaded model. Several threads may use it, up to `ModelOptions.clips` at one time."""

    def __init__(self, options: ModelOptions) -> None:
        """Load the model. Raises `RuntimeError`, `ValueError` or `OSError` when its files are missing or damaged."""
        import ctranslate2

        folder = Path(options.folder)
        self._ids = read_vocabulary(folder)
        self._library: Any = ctranslate2
        self._model: Any = ctranslate2.models.Whisper(
            options.folder,
            device=options.device,
            compute_type=options.compute_type,
            intra_threads=options.threads,
            inter_threads=options.clips,
        )
        self.width = int(self._encode(np.zeros(HOP, np.float32)).shape[-1])
        known = [token[2:-2] for token in self._ids if is_special(token)]
        self.languages = languages_of(self.width, self._model.is_multilingual, known)
        # A first clip is slow: the library allocates its memory, for each clip at one time.
        with ThreadPoolExecutor(options.clips) as threads:
            list(threads.map(self._warm_up, range(options.clips)))

    def transcribe(self, samples: Floats, options: ClipOptions) -> ClipTranscript:
        """Transcribe `samples`, 16 kHz, up to 30 s; the rest is ignored."""
        samples = samples[:MAX_WINDOW_SAMPLES]
        encoded = self._encode(samples)
        language, probability = (options.language, None) if options.language else self.detect_language(encoded)
        if probability is not None and (
            probability < options.min_language_probability or language == options.left_to_other_model
        ):
            return ClipTranscript("", language, language_probability=probability)
        start = self._start(language)
        decoded = self._decode(encoded, start, len(samples), options.beam_size, times=True)
        if decoded.looping:
            # Without times the decoder often leaves the loop.
            decoded = self._decode(encoded, start, len(samples), options.beam_size, times=False)
        if not decoded.text or decoded.silent or decoded.looping:
            return ClipTranscript("", language, language_probability=probability)
        words = self._words(encoded, start, decoded, len(samples)) if options.word_times else ()
        return ClipTranscript(decoded.text, language, min(math.exp(decoded.logprob), 1.0), words, probability)

    def decode_tokens(self, samples: Floats, tokens: int) -> None:
        """Do the work of a clip whose text has `tokens` tokens, whatever is in it: for measuring speed."""
        encoded = self._encode(samples)
        self.detect_language(encoded)
        prompt = self._start(self.languages[0])
        end = self._ids["<|endoftext|>"]
        limit = _max_length(len(prompt), tokens)
        self._model.generate(encoded, [prompt], beam_size=1, max_length=limit, suppress_tokens=[-1, end])

    def _warm_up(self, _clip: int) -> None:
        encoded = self._encode(np.zeros(MICROPHONE.rate_hz, np.float32))
        self.detect_language(encoded)
        self._decode(encoded, self._start(self.languages[0]), MICROPHONE.rate_hz, beam_size=1, times=True)

    def detect_language(self, encoded: Any) -> tuple[str, float | None]:
        """Return the most probable of our languages, and its probability among all that the model knows."""
        if not self._model.is_multilingual:
            return self.languages[0], None
        found = {token[2:-2]: float(probability) for token, probability in self._model.detect_language(encoded)[0]}
        language = max(self.languages, key=lambda candidate: found.get(candidate, 0.0))
        return language, found.get(language)

    def _encode(self, samples: Floats) -> Any:
        window = min(max(len(samples) + TAIL_SAMPLES, MIN_WINDOW_SAMPLES), MAX_WINDOW_SAMPLES)
        window = -(-window // _WINDOW_STEP) * _WINDOW_STEP
        features = log_mel(samples, self._model.n_mels, window)
        return self._model.encode(self._library.StorageView.from_array(np.ascontiguousarray(features[None])))

    def _start(self, language: str) -> list[str]:
        if not self._model.is_multilingual:
            return ["<|startoftranscript|>"]
        return ["<|startoftranscript|>", f"<|{language}|>", "<|transcribe|>"]

    def _decode(self, encoded: Any, start: list[str], samples: int, beam_size: int, *, times: bool) -> _Decoded:
        """Decode a clip; a second time, with Whisper's own bound, when speech reaches the first one without an end."""
        prompt = start if times else [*start, "<|notimestamps|>"]
        seconds = samples / MICROPHONE.rate_hz
        bound = min(int(seconds * _TOKENS_PER_S) + _MORE_TOKENS, _MAX_TOKENS)
        decoded = self._generate(encoded, prompt, seconds, beam_size, bound)
        if decoded.ended or decoded.silent or decoded.looping or bound == _MAX_TOKENS:
            return decoded
        return self._generate(encoded, prompt, seconds, beam_size, _MAX_TOKENS)

    def _generate(self, encoded: Any, prompt: list[str], seconds: float, beam_size: int, bound: int) -> _Decoded:
        result = self._model.generate(
            encoded,
            [prompt],
            beam_size=beam_size,
            max_length=_max_length(len(prompt), bound),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens, ids = list(result.sequences[0]), list(result.sequences_ids[0])
        kept = cut_after(tokens, seconds - _END_SLACK_S)
        # The score is a mean over the tokens; Whisper counts the end token too.
        logprob = result.scores[0] * len(ids) / (len(ids) + 1)
        ended = kept < len(tokens) or len(tokens) < bound
        return _Decoded(tokens[:kept], ids[:kept], logprob, result.no_speech_prob, ended)

    def _words(self, encoded: Any, start: Sequence[str], decoded: _Decoded, samples: int) -> tuple[Word, ...]:
        text = [(token, id_) for token, id_ in zip(decoded.tokens, decoded.ids, strict=True) if not is_special(token)]
        start_ids = [self._ids[token] for token in start]
        frames = min(samples // HOP, MAX_WINDOW_SAMPLES // HOP)
        (alignment,) = self._model.align(encoded, start_ids, [[id_ for _, id_ in text]], frames)
        end_ms = round(MICROPHONE.ms_of(2 * samples))
        return aligned_words([token for token, _ in text], alignment.alignments, alignment.text_token_probs, end_ms)


def _max_length(prompt: int, tokens: int) -> int:
    """Return CTranslate2's `max_length` for `tokens` after the prompt: it allows the prompt's less, and half of it."""
    return max(2 * tokens, prompt + tokens)
