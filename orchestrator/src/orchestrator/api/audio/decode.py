"""Makes PCM16 mono 16 kHz of a recording in any common container: `python -m orchestrator.api.audio.decode`.

Recordings come from strangers and are parsed by a large library in C, so this runs as a process of its own: bytes in
by stdin, samples out by stdout, the verdict as exit status, and next to nothing that it may use.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from collections.abc import Iterator
from enum import IntEnum
from io import BytesIO
from typing import cast

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError

RATE_HZ = 16_000
SAMPLE_BYTES = 2
# Address space. The library alone takes 120 MiB of it (measured).
MEMORY_BYTES = 512 * 1024 * 1024

# No playlists (they open other files), no protocols (they open anything), no video.
CONTAINERS = ("wav", "mp3", "ogg", "flac", "matroska", "webm", "mov", "mp4", "m4a", "aac", "aiff")
CODECS = (
    *("mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis", "flac", "aac", "alac"),
    *("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_alaw", "pcm_mulaw"),
)
_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join(CODECS),
    "protocol_whitelist": "pipe",
}


class ExitCode(IntEnum):
    """Exit statuses of this process; any other is a crash."""

    DECODED = 0
    UNKNOWN_CONTAINER = 10
    NO_AUDIO = 11
    TOO_LONG = 12


class DecodeRefused(Exception):
    """The recording cannot be used."""

    def __init__(self, verdict: ExitCode) -> None:
        super().__init__(verdict.name)
        self.verdict = verdict


def decode(recording: bytes, longest_s: float) -> bytes:
    """All samples of the first audio stream. Damaged stretches are left out. Raises `Refused`."""
    longest_bytes = int(longest_s * RATE_HZ) * SAMPLE_BYTES
    pcm = bytearray()
    # The length a container declares is not asked: it may lie.
    for piece in _pieces(recording):
        pcm += piece
        if len(pcm) > longest_bytes:
            raise DecodeRefused(ExitCode.TOO_LONG)
    if not pcm:
        raise DecodeRefused(ExitCode.NO_AUDIO)
    return bytes(pcm)


def _pieces(recording: bytes) -> Iterator[bytes]:
    try:
        container = av.open(BytesIO(recording), "r", options=dict(_OPTIONS))
    except (FFmpegError, ValueError) as error:
        raise DecodeRefused(ExitCode.UNKNOWN_CONTAINER) from error
    with container:
        if not container.streams.audio:
            raise DecodeRefused(ExitCode.NO_AUDIO)
        stream = container.streams.audio[0]
        # There is none for a codec that the library does not know.
        codec = cast("CodecContext | None", stream.codec_context)
        if codec is None or codec.name not in CODECS:
            raise DecodeRefused(ExitCode.UNKNOWN_CONTAINER)
        codec.thread_count = 1
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        for frame in _frames(container, stream):
            yield from _samples(resampler, frame)
        yield from _samples(resampler, None)


def _frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            # Cut off in the middle: what came before is good.
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            # One damaged packet; the next may be whole.
            continue


def _samples(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[bytes]:
    for resampled in resampler.resample(frame):
        yield bytes(resampled.planes[0])[: resampled.samples * SAMPLE_BYTES]


def _drop_privileges(processor_s: int) -> None:
    """Give up all that decoding does not need, for good."""
    # The library imports this at its first recording, when it can open no file any more.
    importlib.import_module("av.subtitles.stream")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # No further files, sockets or processes: the three standard ones are open already.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    # Live conversations come first.
    os.nice(10)


def main() -> int:
    """Decode stdin to stdout within argv's limits: seconds of audio, seconds of processor time."""
    longest_s, processor_s = float(sys.argv[1]), int(sys.argv[2])
    _drop_privileges(processor_s)
    try:
        pcm = decode(sys.stdin.buffer.read(), longest_s)
    except DecodeRefused as refused:
        return refused.verdict
    sys.stdout.buffer.write(pcm)
    sys.stdout.buffer.flush()
    return ExitCode.DECODED


if __name__ == "__main__":
    sys.exit(main())
