"""Uploaded recordings: limits their number and size, and decodes them to PCM16 mono."""

from __future__ import annotations

import asyncio
import logging
import math
import platform
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from service_kit.audio import MICROPHONE, SAMPLE_BYTES, SPEECH
from service_kit.errors import AtCapacity, EngineFailed, InvalidRequest
from service_kit.syscall_filter import has_filters

from orchestrator.api.audio.decode import MIN_MIXED_POWER, ExitCode
from orchestrator.api.audio.resampler import MAX_RATE_HZ, MIN_RATE_HZ, MicrophoneResampler
from orchestrator.api.limits import ApiLimits

log = logging.getLogger(__name__)

# A voice learned from telephone audio (8 kHz) sounds like a telephone.
MIN_REFERENCE_RATE_HZ = 16_000
_MAGIC = (b"RIFF", b"RF64", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3", b"FORM")

# Encodings of WAV samples; the second names the encoding in a field of its own.
_PCM, _EXTENSIBLE = 1, 0xFFFE
_CHUNK_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_ -]{3}")


class Uploads:
    """Slots for recordings that are being received, decoded and answered, shared by all clients."""

    def __init__(self, limits: ApiLimits) -> None:
        self._limits = limits
        self._slots_taken = 0
        if not has_filters():
            log.warning("recordings are decoded under resource limits only", extra={"platform": platform.machine()})

    @contextmanager
    def reserve_slot(self) -> Generator[None]:
        """Hold one slot. Raises `AtCapacity` immediately when all are taken; uploads are never queued."""
        if self._slots_taken >= self._limits.max_uploads:
            reason = f"{self._slots_taken} recordings are being answered; try again"
            raise AtCapacity("session.too_many_uploads", reason)
        self._slots_taken += 1
        try:
            yield
        finally:
            self._slots_taken -= 1

    def check_size(self, byte_count: int) -> None:
        """Raise `InvalidRequest` when a recording of `byte_count` bytes is too large."""
        if byte_count > self._limits.max_upload_bytes:
            reason = f"the recording is larger than {self._limits.max_upload_bytes} bytes"
            raise InvalidRequest("session.upload_too_large", reason)

    async def decode(self, recording: bytes, raw_rate_hz: int | None = None) -> bytes:
        """Decode `recording`; without a container it is taken as PCM16 mono at `raw_rate_hz`, where that is given.

        Raises `InvalidRequest`.
        """
        self.check_size(len(recording))
        if not recording:
            raise InvalidRequest("session.no_audio", "the recording is empty")
        max_s = self._limits.max_upload_audio_s
        if raw_rate_hz is not None and not _is_container(recording):
            return await asyncio.to_thread(_from_raw, recording, raw_rate_hz, max_s)
        return await self._decode(recording, MICROPHONE.rate_hz, 0)

    async def decode_reference(self, recording: bytes) -> bytes:
        """Decode the recording of a voice to PCM16 mono 24 kHz. Raises `InvalidRequest`."""
        self.check_size(len(recording))
        if not recording:
            raise InvalidRequest("session.no_audio", "the recording is empty")
        return await self._decode(recording, SPEECH.rate_hz, MIN_REFERENCE_RATE_HZ)

    async def _decode(self, recording: bytes, rate_hz: int, min_rate_hz: int) -> bytes:
        max_s = self._limits.max_upload_audio_s
        # Nearly all recordings are plain WAV, and a subprocess takes about 150 ms to start.
        plain = await asyncio.to_thread(_from_plain_wav, recording, max_s, rate_hz, min_rate_hz)
        if plain is not None:
            return plain
        return await decode_in_subprocess(
            recording, max_s, self._limits.decode_timeout_s, rate_hz=rate_hz, min_rate_hz=min_rate_hz
        )


def _is_container(recording: bytes) -> bool:
    return recording.startswith(_MAGIC) or recording[4:8] == b"ftyp"


def _too_long(max_s: float) -> InvalidRequest:
    return InvalidRequest("session.audio_too_long", f"the recording lasts longer than {max_s:g} s")


def _from_raw(recording: bytes, rate_hz: int, max_s: float) -> bytes:
    microphone = MicrophoneResampler(rate_hz)
    if len(recording) > max_s * (rate_hz or MICROPHONE.rate_hz) * SAMPLE_BYTES:
        raise _too_long(max_s)
    return microphone.resample(recording) + microphone.flush()


def _from_plain_wav(recording: bytes, max_s: float, target_hz: int, min_rate_hz: int) -> bytes | None:
    """Decode a complete 16-bit WAV of one or two channels; None for anything else."""
    wav = _plain_wav(recording)
    if wav is None:
        return None
    if wav.rate_hz < min_rate_hz:
        raise _low_rate()
    if len(wav.data) > max_s * wav.rate_hz * wav.channels * SAMPLE_BYTES:
        raise _too_long(max_s)
    samples = np.frombuffer(wav.data, dtype="<i2")
    if wav.channels > 1:
        samples = _mix_channels(samples.reshape(-1, wav.channels))
    if wav.rate_hz != target_hz:
        samples = soxr.resample(samples, wav.rate_hz, target_hz)
    return np.asarray(samples).astype("<i2").tobytes()


def _mix_channels(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Mix channels, shape (samples, channels); where they cancel each other, the loudest one alone is heard."""
    channels = samples.astype(np.float64)
    mixed = channels.mean(axis=1)
    powers = np.square(channels).mean(axis=0)
    if np.square(mixed).mean() < MIN_MIXED_POWER * powers.max():
        mixed = channels[:, int(powers.argmax())]
    return mixed.astype(np.int16)


@dataclass(frozen=True, slots=True)
class _PlainWav:
    rate_hz: int
    channels: int
    data: bytes


def _plain_wav(recording: bytes) -> _PlainWav | None:
    """Read a RIFF file of 16-bit samples whose data is complete; None for anything else.

    Players take files whose chunks do not add up, and so does this: the sizes of the file and of other chunks count for
    finding the next chunk only, with or without the byte that pads a chunk of odd length.
    """
    if not recording.startswith(b"RIFF") or recording[8:12] != b"WAVE":
        return None
    at, layout = 12, b""
    while at + 8 <= len(recording):
        name, size = recording[at : at + 4], int.from_bytes(recording[at + 4 : at + 8], "little")
        start, end = at + 8, at + 8 + size
        if name == b"fmt ":
            layout = recording[start:end]
        elif name == b"data":
            data = recording[start:end]
            return _with_layout(layout, data) if len(data) == size else None
        at = end + (size % 2 and not _CHUNK_NAME.fullmatch(recording[end : end + 4]))
    return None


def _with_layout(layout: bytes, data: bytes) -> _PlainWav | None:
    """Combine samples and the chunk that describes them; None unless they are whole frames of 16-bit PCM."""
    if len(layout) < 16:
        return None
    encoding, channels = int.from_bytes(layout[:2], "little"), int.from_bytes(layout[2:4], "little")
    if encoding == _EXTENSIBLE:
        encoding = int.from_bytes(layout[24:26], "little")
    rate_hz, bits = int.from_bytes(layout[4:8], "little"), int.from_bytes(layout[14:16], "little")
    plain = encoding == _PCM and bits == 8 * SAMPLE_BYTES and channels in (1, 2)
    if not plain or not data or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ or len(data) % (channels * SAMPLE_BYTES):
        return None
    return _PlainWav(rate_hz, channels, data)


def _low_rate() -> InvalidRequest:
    return InvalidRequest(
        "session.low_sample_rate",
        f"the recording has less than {MIN_REFERENCE_RATE_HZ} Hz, like a telephone; record at 24000 Hz or more",
    )


async def decode_in_subprocess(
    recording: bytes, max_s: float, within_s: float, *, rate_hz: int = MICROPHONE.rate_hz, min_rate_hz: int = 0
) -> bytes:
    """Decode `recording` to `rate_hz` in a process with dropped privileges.

    Raises `InvalidRequest`, and `EngineFailed` when the kernel refuses to confine the process.
    """
    limits = (str(max_s), str(math.ceil(within_s)), str(rate_hz), str(min_rate_hz))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "orchestrator.api.audio.decode", *limits),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    try:
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
            tasks.create_task(_write_recording(process, recording))
            pcm = await _read_pcm(process, int(max_s * rate_hz) * SAMPLE_BYTES)
            status = await process.wait()
    except TimeoutError as error:
        raise InvalidRequest(
            "session.undecodable", f"the recording took longer than {within_s:g} s to decode"
        ) from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    _check_exit_code(status, max_s, pcm)
    return pcm


async def _write_recording(process: asyncio.subprocess.Process, recording: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 ((stdin and stdout are pipes))
    try:
        process.stdin.write(recording)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        # The process exited before it read everything; its exit status says why.
        return


async def _read_pcm(process: asyncio.subprocess.Process, max_bytes: int) -> bytes:
    assert process.stdout is not None  # noqa: S101 ((stdin and stdout are pipes))
    pcm = bytearray()
    while chunk := await process.stdout.read(65_536):
        pcm += chunk
        if len(pcm) > max_bytes:
            process.kill()
            break
    return bytes(pcm)


def _check_exit_code(status: int, max_s: float, output: bytes) -> None:
    match status:
        case ExitCode.DECODED:
            return
        case ExitCode.UNKNOWN_CODEC:
            name = re.sub(r"[^\w.-]", "", output[:40].decode("ascii", "replace")) or "unknown"
            raise InvalidRequest("session.unknown_codec", f"the recording's codec, {name}, is not supported")
        case ExitCode.UNKNOWN_CONTAINER:
            reason = "the recording is in no supported container (WAV, MP3, Ogg, WebM, FLAC, M4A)"
            raise InvalidRequest("session.unknown_container", reason)
        case ExitCode.NO_AUDIO:
            raise InvalidRequest("session.no_audio", "the recording contains no audio")
        case ExitCode.TOO_LONG:
            raise _too_long(max_s)
        case ExitCode.LOW_RATE:
            raise _low_rate()
        case ExitCode.NOT_CONFINED:
            reason = "recordings are not decoded here: the kernel refuses to confine the decoder"
            raise EngineFailed("session.decoder_not_confined", reason)
        case _:
            raise InvalidRequest("session.undecodable", "the recording cannot be decoded within the limits")
