"""Decodes a recording in any common container to PCM16 mono: `python -m orchestrator.api.audio.decode`.

Recordings are untrusted input to a large C library (FFmpeg), so decoding runs in a separate process with dropped
privileges: the recording on stdin, samples on stdout, the result as exit status (`ExitCode`). Code that takes it
over can compute and write samples: on Linux the kernel refuses all else (`service_kit.syscall_filter`).
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from io import BytesIO
from itertools import groupby
from operator import mul
from typing import cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.container import InputContainer
from av.error import FFmpegError
from service_kit.syscall_filter import allow_computing_only, has_filters

# The rate of microphone audio; reference recordings of voices are decoded at a higher one.
RATE_HZ = 16_000
SAMPLE_BYTES = 2
# A mix with less of the power of its loudest channel has lost it: the channels cancel each other. A channel beside a
# silent one keeps a quarter.
MIN_MIXED_POWER = 0.1
# Limit of the address space, of which the library alone takes 120 MiB (measured).
MEMORY_BYTES = 512 * 1024 * 1024

_MAX_INHERITED_FILES = 4096

# Excluded: playlists (they open other files), protocols (they open anything), and video.
CONTAINERS = ("wav", "mp3", "ogg", "flac", "matroska", "webm", "mov", "mp4", "m4a", "aac", "aiff")
CODECS = (
    *("mp3", "mp3float", "opus", "libopus", "vorbis", "libvorbis", "flac", "aac", "alac"),
    *("pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_f64le"),
    *("pcm_alaw", "pcm_mulaw", "pcm_s8", "pcm_s24be", "pcm_s32be", "pcm_f32be"),
    # Of voice recorders, telephone systems and older programs.
    *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_yamaha", "gsm", "gsm_ms", "amrnb", "amrwb", "speex", "mp2"),
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
    # The codec's name is on stdout.
    UNKNOWN_CODEC = 14
    # The kernel did not take the filter of system calls, so nothing was decoded.
    NOT_CONFINED = 15


class DecodeError(Exception):
    """The recording cannot be decoded; `exit_code` says why, `codec` is the name of an unknown one."""

    def __init__(self, exit_code: ExitCode, codec: str = "") -> None:
        super().__init__(exit_code.name)
        self.exit_code = exit_code
        self.codec = codec


def decode(recording: bytes, max_s: float, rate_hz: int = RATE_HZ, min_rate_hz: int = 0) -> bytes:
    """Return all samples of the first audio stream at `rate_hz`, without its damaged packets.

    Channels are mixed; where they cancel each other, the loudest one alone is returned. Raises `DecodeError`, also for
    a recording of less than `min_rate_hz`.
    """
    max_bytes = int(max_s * rate_hz) * SAMPLE_BYTES
    mixed, stereo = bytearray(), bytearray()
    # Count the decoded samples: the duration in a container's header can be wrong.
    for frames in _decode_runs(recording, min_rate_hz):
        for mono, both in _resample_run(frames, rate_hz):
            mixed += mono
            stereo += both
            if len(mixed) > max_bytes:
                raise DecodeError(ExitCode.TOO_LONG)
    if not mixed:
        raise DecodeError(ExitCode.NO_AUDIO)
    return _channel_with_sound(bytes(mixed), bytes(stereo))


def _decode_runs(recording: bytes, min_rate_hz: int) -> Iterator[Iterator[av.AudioFrame]]:
    """Yield runs of frames of one format: a recording that was joined may change its rate or channels."""
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
            raise DecodeError(ExitCode.UNKNOWN_CODEC, codec.name if codec else "unknown")
        if codec.sample_rate < min_rate_hz:
            raise DecodeError(ExitCode.LOW_RATE)
        codec.thread_count = 1
        for _, frames in groupby(_decode_frames(container, stream), key=_format):
            yield frames


def _format(frame: av.AudioFrame) -> tuple[object, ...]:
    return frame.sample_rate, frame.format.name, frame.layout.name, len(frame.layout.channels)


def _resample_run(frames: Iterable[av.AudioFrame], rate_hz: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the samples of a run of frames, mixed, and with both channels where it has two."""
    mixing = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    keeping: av.AudioResampler | None = None
    for frame in frames:
        if len(frame.layout.channels) == 2:
            keeping = keeping or av.AudioResampler(format="s16", layout="stereo", rate=rate_hz)
            yield _resample(mixing, frame, 1), _resample(keeping, frame, 2)
        else:
            yield _resample(mixing, frame, 1), b""
    yield _resample(mixing, None, 1), _resample(keeping, None, 2) if keeping else b""


def _resample(resampler: av.AudioResampler, frame: av.AudioFrame | None, channels: int) -> bytes:
    return b"".join(
        bytes(resampled.planes[0])[: resampled.samples * SAMPLE_BYTES * channels]
        for resampled in resampler.resample(frame)
    )


def _channel_with_sound(mixed: bytes, stereo: bytes) -> bytes:
    """Return the mix, or the louder of two channels that cancel each other; the mix where only a part has two."""
    if len(stereo) != 2 * len(mixed):
        return mixed
    both = array("h", stereo)
    channels = both[::2], both[1::2]
    loudest = max(channels, key=_power)
    return mixed if _power(array("h", mixed)) >= MIN_MIXED_POWER * _power(loudest) else loudest.tobytes()


def _power(samples: array[int]) -> float:
    """The mean power of a sample in five."""
    sampled = samples[::5]
    return sum(map(mul, sampled, sampled)) / max(1, len(sampled))


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


def _drop_privileges(cpu_s: int) -> bool:
    """Irrevocably limit this process to the resources and system calls that decoding needs.

    Returns whether all of that holds which this platform has.
    """
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
    os.closerange(3, _MAX_INHERITED_FILES)
    # Last, since it refuses what is called above.
    return allow_computing_only() or not has_filters()


def main() -> int:
    """Decode stdin to stdout; arguments: maximum seconds of audio and of CPU time, output rate, lowest rate in Hz."""
    max_s, cpu_s, rate_hz, min_rate_hz = float(sys.argv[1]), *map(int, sys.argv[2:5])
    if not _drop_privileges(cpu_s):
        return ExitCode.NOT_CONFINED
    try:
        pcm = decode(sys.stdin.buffer.read(), max_s, rate_hz, min_rate_hz)
    except DecodeError as error:
        sys.stdout.write(error.codec)
        sys.stdout.flush()
        return error.exit_code
    sys.stdout.buffer.write(pcm)
    sys.stdout.buffer.flush()
    return ExitCode.DECODED


if __name__ == "__main__":
    sys.exit(main())
