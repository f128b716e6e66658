"""Recognisers that run in this process: the embedded one, and one that recognises the anchor's voice perfectly."""

from __future__ import annotations

import time
from typing import Protocol

from recordings import PROJECT
from replies import Reply
from service_kit.audio import MICROPHONE
from stt_service.engines.pocketsphinx.decoding import DecoderPool, DecoderSpec, DecodingStream
from stt_service.engines.pocketsphinx.engine import OPTIONS
from stt_service.engines.pocketsphinx.hypotheses import Hypothesis, HypothesisPair, clean, combine_utterances
from stt_service.engines.pocketsphinx.models import DecoderModel, build_models
from stt_service.settings import SttSettings


class SegmentRecogniser(Protocol):
    """A recogniser of one microphone. Returned times are the duration of the work, in milliseconds."""

    def start(self) -> None:
        """Reset for a new microphone stream."""
        ...

    def decode(self, pcm: bytes, place_ms: int | None) -> tuple[str, int]:
        """Decode one chunk; return the partial transcript, "" when unchanged, and the time.

        `place_ms` is the position in the reply of the echo in `pcm`; None without echo.
        """
        ...

    def flush(self) -> tuple[str, int]:
        """End the utterance; return the transcript of the segment, and the time."""
        ...

    def commit(self) -> None:
        """Discard the segment."""
        ...


class PocketsphinxRecogniser:
    """PocketSphinx as shipped: both decoders and the choice between them, without worker processes and waits."""

    def __init__(self) -> None:
        self._settings = SttSettings()
        models = build_models(PROJECT / "content/knowledge", PROJECT / "models/pocketsphinx")
        self._decoders = [self._loaded(models.topical), self._loaded(models.general)]
        self._streams: list[DecodingStream] = []
        self._utterances: list[HypothesisPair] = []
        self._bytes = 0
        self.start()

    def start(self) -> None:
        self.commit()
        interval_ms = self._settings.partial_interval_ms
        self._streams = [DecodingStream(decoder, interval_ms) for decoder in self._decoders]

    def decode(self, pcm: bytes, place_ms: int | None) -> tuple[str, int]:
        del place_ms
        started_s = time.perf_counter()
        self._bytes += len(pcm)
        partial = clean(self._streams[0].push_audio(pcm, wants_partial=True))
        took_ms = _since_ms(started_s)
        self._streams[1].push_audio(pcm, wants_partial=False)
        before, _ = combine_utterances(self._utterances)
        return (" ".join(filter(None, (before, partial))) if partial else ""), took_ms

    def flush(self) -> tuple[str, int]:
        started_s = time.perf_counter()
        if self._bytes:
            topical, general = (
                Hypothesis(clean(text), score) for text, score in (stream.end_utterance() for stream in self._streams)
            )
            self._utterances.append(HypothesisPair(topical, general))
            self._bytes = 0
        text, _ = combine_utterances(self._utterances)
        return text, _since_ms(started_s)

    def commit(self) -> None:
        if self._bytes:
            for stream in self._streams:
                stream.end_utterance()
        self._bytes, self._utterances = 0, []

    def _loaded(self, model: DecoderModel) -> object:
        spec = DecoderSpec(
            dictionary=str(model.dictionary),
            language_model=str(model.language_model) if model.language_model else None,
            partial_interval_ms=self._settings.partial_interval_ms,
            max_decoders=1,
            options=OPTIONS,
        )
        return DecoderPool(spec).acquire()


class PerfectRecogniser:
    """Recognises exactly the words of the echoed reply, each as soon as the next one begins."""

    def __init__(self, reply: Reply, partial_interval_ms: int = 200) -> None:
        self._reply = reply
        self._interval_ms = partial_interval_ms
        self.start()

    def start(self) -> None:
        self._words: list[str] = []
        self._shown = ""
        self._since_ms = 0.0

    def decode(self, pcm: bytes, place_ms: int | None) -> tuple[str, int]:
        length_ms = MICROPHONE.ms_of(len(pcm))
        self._since_ms += length_ms
        if place_ms is not None:
            begun = [mark for mark in self._reply.marks if place_ms <= mark.offset_ms < place_ms + length_ms]
            self._words += [self._reply.text[mark.text_start : mark.text_end] for mark in begun]
        text = " ".join(self._words[:-1])
        if text == self._shown or self._since_ms < self._interval_ms:
            return "", 0
        self._shown, self._since_ms = text, 0
        return text, 0

    def flush(self) -> tuple[str, int]:
        return " ".join(self._words), 0

    def commit(self) -> None:
        self.start()


def _since_ms(started_s: float) -> int:
    return round((time.perf_counter() - started_s) * 1000)
