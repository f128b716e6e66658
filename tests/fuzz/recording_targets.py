"""Uploaded recordings: the WAV parser of the orchestrator, and the decoder, where each case is a process."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from unittest import mock

from api_support import recording
from choices import Choices
from mutations import mutate, mutated_seed
from oracle import Violation, stated_errors
from orchestrator.api.audio import uploads as uploads_module
from orchestrator.api.audio.decode import ExitCode
from orchestrator.api.audio.uploads import Uploads
from orchestrator.api.limits import ApiLimits
from service_kit.audio import MICROPHONE, SAMPLE_BYTES
from service_kit.errors import InvalidRequest
from service_targets import damaged_wav
from target import Check, FuzzTarget, running_loop

LIMITS = ApiLimits()
# Container and codec of each kind of recording that is decoded, as FFmpeg's muxers write them.
KINDS = (
    *(("ogg", "libopus"), ("flac", "flac"), ("mp3", "libmp3lame"), ("matroska", "libopus"), ("webm", "libopus")),
    *(("mp4", "aac"), ("mov", "pcm_s16be"), ("aiff", "pcm_s16be"), ("wav", "pcm_f32le"), ("adts", "aac")),
)
DECODE_CPU_S = 10
# Ends of a process that the operating system's limits allow: out of processor time, and killed for it.
LIMIT_SIGNALS = (signal.SIGXCPU, signal.SIGKILL)


def generate_wav(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a WAV file, or bytes that are taken for samples."""
    return mutated_seed(choices, seeds) if choices.chance(3) else damaged_wav(choices)


@contextmanager
def checking_wav() -> Generator[Check]:
    """Check that a recording is refused, goes to the decoder process, or gives whole samples within the limits."""

    async def decode_elsewhere(*_: object, **__: object) -> bytes:
        raise InvalidRequest("session.undecodable", "the recording cannot be decoded within the limits")

    max_bytes = MICROPHONE.bytes_for(1000 * LIMITS.max_upload_audio_s + 1)
    uploads = Uploads(LIMITS)

    async def run(case: bytes) -> None:
        for raw_rate_hz in (None, 8_000):
            with stated_errors(InvalidRequest):
                pcm = await uploads.decode(case, raw_rate_hz)
                assert len(pcm) % SAMPLE_BYTES == 0
                assert len(pcm) <= max_bytes
        with stated_errors(InvalidRequest):
            await uploads.decode_reference(case)

    with mock.patch.object(uploads_module, "decode_in_subprocess", decode_elsewhere), running_loop() as run_on_loop:
        yield lambda case: run_on_loop(run(case))


@cache
def _recordings() -> tuple[bytes, ...]:
    return tuple(recording(container, codec, 0.3) for container, codec in KINDS)


def generate_recording(choices: Choices, seeds: Sequence[bytes]) -> bytes:
    """Return a damaged recording in some container."""
    whole = _recordings()
    match choices.below(6):
        case 0:
            return mutated_seed(choices, seeds)
        case 1:
            return choices.one_of(whole)[: choices.below(4_000)]
        case 2:
            return damaged_wav(choices)
        case 3:
            # Joined, as recorders do that were interrupted.
            return choices.one_of(whole) + mutate(choices, choices.one_of(whole))
        case 4:
            return _with_large_sizes(choices, choices.one_of(whole))
        case _:
            return mutate(choices, choices.one_of(whole), whole)


def _with_large_sizes(choices: Choices, whole: bytes) -> bytes:
    """Overwrite sizes and counts near the start, where containers have their headers."""
    data = bytearray(whole)
    for _ in range(1 + choices.below(6)):
        at = choices.below(min(len(data), 600))
        data[at : at + 4] = struct.pack(">I", choices.one_of((2**32 - 1, 2**31 - 1, 2**24, 0, 400_000)))
    return bytes(data)


@contextmanager
def checking_recording() -> Generator[Check]:
    """Check that the decoder process ends in time with a stated result, and not by a bug or a refused system call."""
    arguments = (str(LIMITS.max_upload_audio_s), str(DECODE_CPU_S), str(MICROPHONE.rate_hz), "0")
    command = (sys.executable, "-I", "-m", "orchestrator.api.audio.decode", *arguments)
    max_bytes = MICROPHONE.bytes_for(1000 * LIMITS.max_upload_audio_s + 1)

    def check(case: bytes) -> None:
        done = subprocess.run(command, input=case, capture_output=True, timeout=6 * DECODE_CPU_S, check=False)
        status = done.returncode
        if status in set(ExitCode) - {ExitCode.NOT_CONFINED}:
            assert len(done.stdout) <= max_bytes
            assert len(done.stdout) % SAMPLE_BYTES == 0 or status != ExitCode.DECODED
        elif -status not in LIMIT_SIGNALS and b"MemoryError" not in done.stderr:
            raise Violation(f"the decoder ended with {status}: {done.stderr[-1_000:].decode(errors='replace')}")

    yield check


TARGETS = (
    FuzzTarget("wav", generate_wav, checking_wav),
    FuzzTarget("decoder", generate_recording, checking_recording, one_in=100),
)
