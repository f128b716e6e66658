"""The main program of a decoder process: blocking, alone with its decoders, ended by the end of its input.

A `Decoder` holds the interpreter's lock while it works, so it has a process to itself and its kind. One decoder serves
one stream at a time; they share the language model, which is the most of their memory.
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

from stt_service.engines.pocketsphinx.frames import HEADER, SCORE, Frame, Kind

# Where the mean of the cepstra is thought to be before any was heard: typical speech at this model, as its makers give
# it (`-cmninit` of the older en-us feat.params). The library's own first guess, 40,3,-1,0,..., costs a third more
# errors until a stream has taught it better.
INITIAL_CMN = "41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"


@dataclass(frozen=True, slots=True)
class DecoderSpec:
    """What a process decodes with."""

    dictionary: str
    # None for PocketSphinx's own.
    language_model: str | None
    partial_interval_ms: int
    max_decoders: int
    # PocketSphinx's own options.
    options: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> str:
        """As it goes on a command line."""
        return json.dumps(asdict(self))


class DecodingStream:
    """One stream's use of a decoder."""

    def __init__(self, decoder: Any, partial_interval_ms: int) -> None:
        self._decoder = decoder
        # What the last stream taught the decoder about its microphone must not meet this one's.
        decoder.set_cmn(INITIAL_CMN)
        self._partial_interval = MICROPHONE.bytes_for(partial_interval_ms)
        self._since_partial = 0
        self._partial = ""
        self._in_utterance = False

    def hear(self, pcm: bytes, wants_partial: bool) -> str:
        """Decode audio; return the utterance's text so far when it is due and has changed, else nothing."""
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

    def end(self) -> tuple[str, float]:
        """End the utterance and return its text, and how well that fits; nothing and 0 when it has no audio."""
        if not self._in_utterance:
            return "", 0.0
        self._in_utterance = False
        self._decoder.end_utt()
        return self._hypothesis()

    def _hypothesis(self) -> tuple[str, float]:
        hypothesis = self._decoder.hyp()
        return (hypothesis.hypstr, hypothesis.best_score) if hypothesis else ("", 0.0)


class Decoders:
    """Decoders that are loaded and free: taken by streams, given back by them."""

    def __init__(self, spec: DecoderSpec) -> None:
        self._spec = spec
        self._language_model: Any = None
        self._loaded = 0
        self._free: list[Any] = []

    @property
    def wants_spare(self) -> bool:
        """Whether the next stream would have to wait for a load."""
        return not self._free and self._loaded < self._spec.max_decoders

    def load(self) -> None:
        """Load one more."""
        from pocketsphinx import Decoder

        source: Any = self._spec.language_model
        own = {} if source is None else {"lm": source}
        options = {"loglevel": "FATAL", "dict": self._spec.dictionary, **self._spec.options}
        if self._language_model is None:
            decoder = Decoder(**options, **own)
            self._language_model = decoder.get_lm()
        else:
            decoder = Decoder(**options, lm=None)
            decoder.add_lm("shared", self._language_model)
            decoder.activate_search("shared")
        self._loaded += 1
        self._free.append(decoder)

    def take(self) -> Any:
        """A decoder that no stream has."""
        if not self._free:
            self.load()
        return self._free.pop()

    def give_back(self, decoder: Any) -> None:
        """Make a decoder free for another stream."""
        self._free.append(decoder)


class DecoderProgram:
    """Answers frames, one after another."""

    def __init__(self, spec: DecoderSpec) -> None:
        self._interval_ms = spec.partial_interval_ms
        self.decoders = Decoders(spec)
        self._streams: dict[int, tuple[DecodingStream, bool]] = {}
        self._taken: dict[int, Any] = {}

    def answer(self, frame: Frame) -> Frame | None:
        """Do what `frame` asks; return the answer to it, if it has one."""
        match frame.kind:
            case Kind.OPEN:
                taken = self._taken[frame.stream] = self.decoders.take()
                self._streams[frame.stream] = (DecodingStream(taken, self._interval_ms), frame.payload == b"\1")
            case Kind.AUDIO:
                stream, wants_partial = self._streams[frame.stream]
                return Frame(Kind.HEARD, frame.stream, stream.hear(frame.payload, wants_partial).encode())
            case Kind.END:
                text, score = self._streams[frame.stream][0].end()
                return Frame(Kind.UTTERANCE, frame.stream, SCORE.pack(score) + text.encode())
            case Kind.CLOSE:
                stream, _ = self._streams.pop(frame.stream)
                stream.end()
                self.decoders.give_back(self._taken.pop(frame.stream))
            case _:
                raise ValueError(f"{frame.kind.name} is not for a decoder process")
        return None


def read_frames(source: BinaryIO) -> Iterator[Frame]:
    """The frames of `source` until its end."""
    while header := _read_exactly(source, HEADER.size):
        kind, stream, size = HEADER.unpack(header)
        yield Frame(Kind(kind), stream, _read_exactly(source, size))


def _read_exactly(source: BinaryIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts) if not size else b""


def serve(spec: DecoderSpec, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer the frames of `source` on `sink` until there are no more; `source` must be unbuffered."""
    program = DecoderProgram(spec)
    program.decoders.load()
    sink.write(Frame(Kind.READY).packed())
    for frame in read_frames(source):
        answer = program.answer(frame)
        if answer is not None:
            sink.write(answer.packed())
        idle = not select.select([source], [], [], 0)[0]
        if idle and program.decoders.wants_spare:
            program.decoders.load()


def main() -> None:
    """Serve on the process' own input and output."""
    # Ctrl-C reaches the whole group; the parent says when to end, by ending our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = DecoderSpec(**json.loads(sys.argv[1]))
    # Whatever a library prints must not get between the frames.
    output = os.dup(1)
    os.dup2(2, 1)
    with open(0, "rb", buffering=0) as source, open(output, "wb", buffering=0) as sink:  # noqa: PTH123 - a descriptor
        serve(spec, source, sink)


if __name__ == "__main__":
    main()
