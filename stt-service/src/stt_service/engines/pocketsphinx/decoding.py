"""The main program of a decoder process: blocking, without asyncio; it exits at the end of its input.

PocketSphinx's `Decoder` holds the interpreter lock while it works, so decoders run in a process of their own. One
decoder serves one stream at a time; the decoders of a process share the language model, which is most of their memory.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from service_kit.audio import MICROPHONE
from service_kit.engines.worker_frames import FRAME_HEADER, WorkerFrame

from stt_service.engines.pocketsphinx.frames import SCORE, Kind

# Initial cepstral mean: that of typical speech, published with this model (`-cmninit` of the older en-us feat.params).
# The library's default, 40,3,-1,0,..., causes a third more errors until it has adapted to a stream.
INITIAL_CMN = "41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """Configuration of a decoder process."""

    dictionary: str
    # None for PocketSphinx's default.
    language_model: str | None
    partial_interval_ms: int
    max_decoders: int
    # Options of PocketSphinx's `Decoder`.
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """Return the spec as JSON, for the process's command line."""
        return json.dumps(asdict(self))


class DecodingStream:
    """One stream's use of a decoder."""

    def __init__(self, decoder: Any, partial_interval_ms: int) -> None:
        self._decoder = decoder
        # Discard the adaptation to the previous stream's microphone.
        decoder.set_cmn(INITIAL_CMN)
        self._partial_interval = MICROPHONE.bytes_for(partial_interval_ms)
        self._since_partial = 0
        self._partial = ""
        self._in_utterance = False

    def push_audio(self, pcm: bytes, wants_partial: bool) -> str:
        """Decode audio; return the utterance's text so far if a partial is due and the text has changed, else ""."""
        if not self._in_utterance:
            self._decoder.start_utt()
            self._in_utterance = True
            self._since_partial, self._partial = 0, ""
        self._decoder.process_raw(pcm)
        self._since_partial += len(pcm)
        if not wants_partial or self._since_partial < self._partial_interval:
            return ""
        self._since_partial = 0
        text, _ = self._hypothesis()
        if text == self._partial:
            return ""
        self._partial = text
        return text

    def end_utterance(self) -> tuple[str, float]:
        """End the utterance and return its text and score; "" and 0 when it has no audio."""
        if not self._in_utterance:
            return "", 0.0
        self._in_utterance = False
        self._decoder.end_utt()
        return self._hypothesis()

    def _hypothesis(self) -> tuple[str, float]:
        hypothesis = self._decoder.hyp()
        return (hypothesis.hypstr, hypothesis.best_score) if hypothesis else ("", 0.0)


class DecoderPool:
    """A pool of loaded decoders for the streams of a process."""

    def __init__(self, spec: DecoderSpec) -> None:
        self._spec = spec
        self._language_model: Any = None
        self._loaded = 0
        self._free: list[Any] = []

    @property
    def needs_spare(self) -> bool:
        """Whether the next stream would have to wait for a decoder to load."""
        return not self._free and self._loaded < self._spec.max_decoders

    def load_decoder(self) -> None:
        """Load one more decoder into the pool."""
        from pocketsphinx import Decoder

        source: Any = self._spec.language_model
        language_model = {} if source is None else {"lm": source}
        options = {"loglevel": "FATAL", "dict": self._spec.dictionary, **self._spec.options}
        if self._language_model is None:
            decoder = Decoder(**options, **language_model)
            self._language_model = decoder.get_lm()
        else:
            decoder = Decoder(**options, lm=None)
            decoder.add_lm("shared", self._language_model)
            decoder.activate_search("shared")
        self._loaded += 1
        self._free.append(decoder)

    def acquire(self) -> Any:
        """Take a free decoder out of the pool; load one if there is none."""
        if not self._free:
            self.load_decoder()
        return self._free.pop()

    def release(self, decoder: Any) -> None:
        """Return a decoder to the pool."""
        self._free.append(decoder)


class DecoderProgram:
    """Handles the frames of all streams of a process, one after another."""

    def __init__(self, spec: DecoderSpec) -> None:
        self._interval_ms = spec.partial_interval_ms
        self.decoders = DecoderPool(spec)
        self._streams: dict[int, tuple[DecodingStream, bool]] = {}
        self._acquired: dict[int, Any] = {}

    def handle_frame(self, frame: WorkerFrame) -> WorkerFrame | None:
        """Handle `frame` and return the answer, if its kind has one. Raises `ValueError` for an unexpected kind."""
        match frame.kind:
            case Kind.OPEN:
                decoder = self._acquired[frame.number] = self.decoders.acquire()
                self._streams[frame.number] = (DecodingStream(decoder, self._interval_ms), frame.payload == b"\1")
            case Kind.AUDIO:
                stream, wants_partial = self._streams[frame.number]
                return WorkerFrame(Kind.DECODED, frame.number, stream.push_audio(frame.payload, wants_partial).encode())
            case Kind.END:
                text, score = self._streams[frame.number][0].end_utterance()
                return WorkerFrame(Kind.UTTERANCE, frame.number, SCORE.pack(score) + text.encode())
            case Kind.CLOSE:
                stream, _ = self._streams.pop(frame.number)
                stream.end_utterance()
                self.decoders.release(self._acquired.pop(frame.number))
            case _:
                raise ValueError(f"a decoder process does not accept {Kind(frame.kind).name}")
        return None


def read_frames(source: BinaryIO) -> Iterator[WorkerFrame]:
    """Yield the frames of `source` until its end; an incomplete last frame is dropped."""
    while header := _read_exactly(source, FRAME_HEADER.size):
        kind, stream, size = FRAME_HEADER.unpack(header)
        yield WorkerFrame(Kind(kind), stream, _read_exactly(source, size))


def _read_exactly(source: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts) if not size else b""


def serve_frames(spec: DecoderSpec, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer the frames of `source` on `sink` until `source` ends; `source` must be unbuffered."""
    program = DecoderProgram(spec)
    program.decoders.load_decoder()
    sink.write(WorkerFrame(Kind.READY).encode())
    for frame in read_frames(source):
        answer = program.handle_frame(frame)
        if answer is not None:
            sink.write(answer.encode())
        idle = not select.select([source], [], [], 0)[0]
        if idle and program.decoders.needs_spare:
            program.decoders.load_decoder()


def main() -> None:
    """Serve on stdin and stdout."""
    # Ctrl-C signals the whole process group; the parent ends this process by closing its stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = DecoderSpec(**json.loads(sys.argv[1]))
    # Redirect stdout to stderr: output of a library must not mix with the frames.
    output = os.dup(1)
    os.dup2(2, 1)
    with open(0, "rb", buffering=0) as source, open(output, "wb", buffering=0) as sink:  # noqa: PTH123 - a descriptor
        serve_frames(spec, source, sink)


if __name__ == "__main__":
    main()
