"""Decodes a recording in any common container to PCM16 mono: `python -m orchestrator.api.audio.decode`.

Recordings are untrusted input to a large C library (FFmpeg), so decoding runs in a separate process with dropped
privileges: the recording on stdin, samples on stdout, the result as exit status (`ExitCode`).
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
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.error import FFmpegError

# The rate of microphone audio; reference recordings of voices are decoded at a higher one.
RATE_HZ = 16_000
SAMPLE_BYTES = 2
# Limit of the address space, of which the library alone takes 120 MiB (measured).
MEMORY_BYTES = 512 * 1024 * 1024

# Excluded: playlists (they open other files), protocols (they open anything), and video.
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
    """Exit statuses of this process; any other means a crash."""

    DECODED = 0
    UNKNOWN_CONTAINER = 10
    NO_AUDIO = 11
    TOO_LONG = 12
    LOW_RATE = 13


class DecodeError(Exception):
    """The recording cannot be decoded; `exit_code` says why."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(exit_code.name)
        self.exit_code = exit_code


def decode(recording: bytes, max_s: float, rate_hz: int = RATE_HZ, min_rate_hz: int = 0) -> bytes:
    """Return all samples of the first audio stream at `rate_hz`, without its damaged packets.

    Raises `DecodeError`, also for a recording of less than `min_rate_hz`.
    """
    max_bytes = int(max_s * rate_hz) * SAMPLE_BYTES
    pcm = bytearray()
    # Count the decoded samples: the duration in a container's header can be wrong.
    for chunk in _decode_chunks(recording, rate_hz, min_rate_hz):
        pcm += chunk
        if len(pcm) > max_bytes:
            raise DecodeError(ExitCode.TOO_LONG)
    if not pcm:
        raise DecodeError(ExitCode.NO_AUDIO)
    return bytes(pcm)


def _decode_chunks(recording: bytes, rate_hz: int, min_rate_hz: int) -> Iterator[bytes]:
    try:
        container = av.open(BytesIO(recording), "r", options=dict(_OPTIONS))
    except (FFmpegError, ValueError) as error:
        raise DecodeError(ExitCode.UNKNOWN_CONTAINER) from error
    with container:
        if not container.streams.audio:
            raise DecodeError(ExitCode.NO_AUDIO)
        stream = container.streams.audio[0]
        # None for a codec that the library does not know.
        codec = cast("AudioCodecContext | None", stream.codec_context)
        if codec is None or codec.name not in CODECS:
            raise DecodeError(ExitCode.UNKNOWN_CONTAINER)
        if codec.sample_rate < min_rate_hz:
            raise DecodeError(ExitCode.LOW_RATE)
        codec.thread_count = 1
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
        for frame in _decode_frames(container, stream):
            yield from _resample(resampler, frame)
        yield from _resample(resampler, None)


def _decode_frames(container: InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError:
            # The recording is truncated; the audio before this point is intact.
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except FFmpegError:
            # Skip one damaged packet; the next may be intact.
            continue


def _resample(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[bytes]:
    for resampled in resampler.resample(frame):
        yield bytes(resampled.planes[0])[: resampled.samples * SAMPLE_BYTES]


def _drop_privileges(cpu_s: int) -> None:
    """Irrevocably limit this process to the resources that decoding needs."""
    # PyAV imports this lazily at the first recording, when no file can be opened any more.
    importlib.import_module("av.subtitles.stream")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # No further files, sockets or processes; the three standard streams are open already.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    # Yield the CPU to live conversations.
    os.nice(10)


def main() -> int:
    """Decode stdin to stdout; arguments: maximum seconds of audio and of CPU time, output rate, lowest rate in Hz."""
    max_s, cpu_s, rate_hz, min_rate_hz = float(sys.argv[1]), *map(int, sys.argv[2:5])
    _drop_privileges(cpu_s)
    try:
        pcm = decode(sys.stdin.buffer.read(), max_s, rate_hz, min_rate_hz)
    except DecodeError as error:
        return error.exit_code
    sys.stdout.buffer.write(pcm)
    sys.stdout.buffer.flush()
    return ExitCode.DECODED


if __name__ == "__main__":
    sys.exit(main())
