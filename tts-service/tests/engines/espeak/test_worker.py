"""The worker's side of the pipe, inside this process."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from typing import cast

import pytest
from espeak_worker.espeak import Espeak, EspeakError, VoiceParameters
from espeak_worker.frames import Frame, InvalidFrame, Kind, read_frame
from espeak_worker.worker import Worker
from service_kit.engines.worker_frames import WorkerFrame
from tts_service.engines.phrase_worker.frames import FrameKind

REQUEST = {"text": "Hello there.", "voice": "en-us", "rate_wpm": 170, "pitch": 50, "range": 50}


@pytest.fixture(scope="module")
def espeak() -> Espeak:
    return Espeak()


@pytest.fixture
def pipes() -> Iterator[tuple[io.BufferedWriter, io.BufferedReader, io.BufferedReader, io.BufferedWriter]]:
    (source, to_worker), (from_worker, sink) = os.pipe(), os.pipe()
    files = (os.fdopen(to_worker, "wb"), os.fdopen(from_worker, "rb"), os.fdopen(source, "rb"), os.fdopen(sink, "wb"))
    yield files
    for file in files:
        file.close()


class Source:
    """The worker's input; `all_read` is set when the worker reads after `frames` frames."""

    def __init__(self, source: io.BufferedReader, frames: int) -> None:
        self._source = source
        self._frames = frames
        self.all_read = threading.Event()

    def read(self, size: int = -1) -> bytes:
        # A frame starts with a header of nine bytes.
        if size == 9:
            self._frames -= 1
        if self._frames < 0:
            self.all_read.set()
        return self._source.read(size)


def spoken(job: int, **changes: object) -> bytes:
    return Frame(Kind.SPEAK, job, json.dumps(REQUEST | changes).encode()).encode()


def test_worker_and_service_use_the_same_frames() -> None:
    assert {kind.name: kind.value for kind in Kind} == {kind.name: kind.value for kind in FrameKind}
    assert Frame(Kind.AUDIO, 7, b"abc").encode() == WorkerFrame(FrameKind.AUDIO, 7, b"abc").encode()


def test_every_job_ends_once_and_cancelled_jobs_send_no_audio(
    espeak: Espeak, pipes: tuple[io.BufferedWriter, io.BufferedReader, io.BufferedReader, io.BufferedWriter]
) -> None:
    to_worker, from_worker, pipe, sink = pipes
    source = Source(pipe, 7)
    worker = threading.Thread(target=Worker(espeak, cast(io.BufferedReader, source), sink).run)
    worker.start()
    # The long job fills the output pipe, which is not read until the worker has taken all jobs.
    to_worker.write(spoken(1, text="on and on " * 30) + spoken(2) + Frame(Kind.CANCEL, 2).encode())
    to_worker.write(spoken(3, voice="zz") + spoken(4, rate_wpm="x") + spoken(5) + Frame(Kind.CANCEL, 99).encode())
    to_worker.flush()
    assert source.all_read.wait(20)
    hello = read_frame(from_worker)
    assert hello is not None
    assert json.loads(hello.payload)["rate_hz"] == espeak.rate_hz
    frames: list[Frame] = []
    while len([frame for frame in frames if frame.kind in (Kind.END, Kind.FAILED)]) < 5:
        frame = read_frame(from_worker)
        assert frame is not None
        frames.append(frame)
    kinds = {job: [frame.kind for frame in frames if frame.job == job] for job in range(1, 6)}
    assert kinds[2] == [Kind.END]
    assert kinds[3] == kinds[4] == [Kind.FAILED]
    assert kinds[5].count(Kind.WORD) == 2
    assert kinds[5][0] is Kind.WORD
    assert kinds[5][-1] is Kind.END
    assert kinds[1].count(Kind.AUDIO) > 50
    to_worker.close()
    worker.join(20)
    assert not worker.is_alive()


def test_returning_false_stops_the_synthesis_at_that_chunk(espeak: Espeak) -> None:
    sizes: list[int] = []

    def consume(_words: object, pcm: bytes) -> bool:
        sizes.append(len(pcm))
        return len(sizes) < 3

    espeak.synthesize("on and on " * 30, VoiceParameters("en-us", 170, 50, 50), consume)
    assert len(sizes) == 3


def test_callback_errors_propagate(espeak: Espeak) -> None:
    def consume(_words: object, _pcm: bytes) -> bool:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        espeak.synthesize("Hello", VoiceParameters("en-us", 170, 50, 50), consume)
    with pytest.raises(EspeakError, match="zz"):
        espeak.synthesize("Hello", VoiceParameters("zz", 170, 50, 50), consume)


def test_invalid_frames_are_refused() -> None:
    with pytest.raises(InvalidFrame):
        read_frame(io.BytesIO(b"\xff" * 9))
    assert read_frame(io.BytesIO(b"\x01")) is None
    assert read_frame(io.BytesIO(Frame(Kind.AUDIO, 1, b"abcd").encode()[:-1])) is None


def test_phonemes_are_ipa_with_ties_and_without_punctuation(espeak: Espeak) -> None:
    assert espeak.phonemize("Buenas noches.", "es") == "bwˈenas nˈot^ʃes"
    assert espeak.phonemize("", "es") == espeak.phonemize("...", "es") == ""
    assert " " in espeak.phonemize("First. Second.", "en-us")
    with pytest.raises(EspeakError, match="zz"):
        espeak.phonemize("x", "zz")


def test_speaking_after_phonemising_is_in_the_right_voice(espeak: Espeak) -> None:
    def length(voice: str) -> int:
        sizes: list[int] = []
        espeak.synthesize(
            "Buenas noches.", VoiceParameters(voice, 170, 50, 50), lambda _words, pcm: sizes.append(len(pcm)) is None
        )
        return sum(sizes)

    before = length("es")
    espeak.phonemize("x" * 10_000, "en-us")
    assert abs(length("es") - before) < 4000
