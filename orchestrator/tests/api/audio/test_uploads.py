"""Decoding of uploaded recordings, and resampling of microphones."""

from __future__ import annotations

import asyncio
import wave
from io import BytesIO

import numpy as np
import pytest
import soundfile
from api_support import recording, tone
from hypothesis import given
from hypothesis import strategies as st
from orchestrator.api.audio import decode
from orchestrator.api.audio import uploads as uploads_module
from orchestrator.api.audio.resampler import MicrophoneResampler
from orchestrator.api.audio.uploads import Uploads, decode_in_subprocess
from orchestrator.api.limits import ApiLimits
from service_kit.errors import AtCapacity, InvalidRequest

CONTAINERS = [
    ("wav", "pcm_f32le"),
    ("mp3", "libmp3lame"),
    ("ogg", "libopus"),
    ("webm", "libopus"),
    ("flac", "flac"),
    ("ipod", "aac"),
    ("aiff", "pcm_s16be"),
]


@pytest.fixture
def uploads():
    return Uploads(ApiLimits(max_upload_audio_s=5, max_upload_bytes=2_000_000, max_uploads=2, decode_timeout_s=60))


def wav(samples: np.ndarray, rate_hz: int, channels: int = 1, width: int = 2) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate_hz)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def pitch_hz(pcm: bytes) -> float:
    """Return the strongest frequency of PCM16 at 16 kHz."""
    samples = np.frombuffer(pcm, dtype="<i2")
    spectrum = np.abs(np.fft.rfft(samples))
    return float(np.argmax(spectrum) * 16_000 / len(samples))


async def refusal(uploads: Uploads, data: bytes, raw_rate_hz: int | None = None) -> str:
    with pytest.raises(InvalidRequest) as raised:
        await uploads.decode(data, raw_rate_hz)
    return raised.value.code


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_common_containers_are_decoded(container, codec):
    pcm = decode.decode(recording(container, codec, 1.0), max_s=5)
    assert len(pcm) / 32_000 == pytest.approx(1.0, abs=0.05)
    assert pitch_hz(pcm) == pytest.approx(440, abs=2)


async def test_subprocess_decodes_to_the_same_samples():
    data = recording("ogg", "libopus", 0.5)
    assert await decode_in_subprocess(data, 5, 60) == decode.decode(data, 5)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
async def test_plain_wav_keeps_its_pitch(uploads, channels, rate_hz):
    samples = np.repeat(tone(1, rate_hz), channels)
    pcm = await uploads.decode(wav(samples, rate_hz, channels))
    assert len(pcm) == pytest.approx(32_000, abs=4)
    assert pitch_hz(pcm) == pytest.approx(440, abs=2)


async def test_raw_samples_require_a_rate(uploads):
    samples = tone(1, 8_000)
    assert len(await uploads.decode(samples.tobytes(), 8_000)) == pytest.approx(32_000, abs=4)
    assert await refusal(uploads, samples.tobytes()) == "session.unknown_container"
    assert await refusal(uploads, samples.tobytes()[:-1], 8_000) == "session.bad_audio"
    assert await refusal(uploads, bytes(6 * 16_000), 8_000 - 1) == "session.bad_sample_rate"
    assert await refusal(uploads, bytes(6 * 16_000), 8_000) == "session.audio_too_long"


async def test_container_takes_precedence_over_declared_raw_samples(uploads):
    assert await uploads.decode(wav(tone(1, 16_000), 16_000), 16_000) == tone(1, 16_000).tobytes()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "session.no_audio"),
        (b"no recording at all" * 1000, "session.unknown_container"),
        (b"RIFF....WAVEfmt ", "session.unknown_container"),
        (b"#EXTM3U\nhttp://127.0.0.1:1/x.ts\n" * 5, "session.unknown_container"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", "session.unknown_container"),
        (bytes(2_000_001), "session.upload_too_large"),
        (wav(np.zeros(0, "<i2"), 16_000), "session.no_audio"),
        (wav(tone(6, 8_000), 8_000), "session.audio_too_long"),
        (wav(np.zeros(6 * 8_000 * 3, "u1"), 8_000, width=3), "session.audio_too_long"),
    ],
)
async def test_invalid_recordings_are_refused(uploads, data, code):
    assert await refusal(uploads, data) == code


async def test_decompression_bomb_is_stopped_early(uploads):
    file = BytesIO()
    soundfile.write(file, np.zeros((48_000 * 120, 8), dtype=np.int16), 48_000, format="FLAC")
    assert len(file.getvalue()) < 100_000
    assert await refusal(uploads, file.getvalue()) == "session.audio_too_long"


async def test_truncated_recording_is_decoded_up_to_its_end(uploads):
    whole = recording("flac", "flac", 2.0)
    pcm = await uploads.decode(whole[: len(whole) // 2])
    assert 0.5 < len(pcm) / 32_000 < 1.5
    plain = wav(tone(1, 16_000), 16_000)
    assert 0.4 < len(await uploads.decode(plain[: len(plain) // 2])) / 32_000 < 0.6


def test_damaged_packets_are_skipped():
    whole = bytearray(recording("mp3", "libmp3lame", 2.0))
    whole[len(whole) // 2 : len(whole) // 2 + 600] = bytes(600)
    assert len(decode.decode(bytes(whole), 5)) / 32_000 > 1.5


def test_container_without_samples_has_no_audio():
    with pytest.raises(decode.DecodeError) as raised:
        decode.decode(wav(np.zeros(0, "<i2"), 16_000), 5)
    assert raised.value.exit_code is decode.ExitCode.NO_AUDIO


async def test_slow_decoding_is_stopped():
    with pytest.raises(InvalidRequest) as raised:
        await decode_in_subprocess(recording("ogg", "libopus", 1.0), 5, 0.01)
    assert raised.value.code == "session.undecodable"


async def test_cancelled_upload_leaves_no_process(uploads):
    decoding = asyncio.create_task(uploads.decode(recording("ogg", "libopus", 1.0)))
    await asyncio.sleep(0.02)
    decoding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await decoding


def test_upload_slots_are_limited_and_released(uploads):
    with uploads.reserve_slot(), uploads.reserve_slot(), pytest.raises(AtCapacity) as raised, uploads.reserve_slot():
        pass
    assert raised.value.code == "session.too_many_uploads"
    with uploads.reserve_slot():
        pass


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_microphone_resampling_has_no_discontinuities(rate_hz):
    microphone = MicrophoneResampler(rate_hz)
    pcm = tone(1, rate_hz).tobytes()
    step = rate_hz // 50 * 2
    heard = b"".join(microphone.resample(pcm[start : start + step]) for start in range(0, len(pcm), step))
    heard += microphone.flush()
    assert len(heard) == pytest.approx(32_000, abs=2)
    steady = np.frombuffer(heard, "<i2")[1600:-1600].astype(float)
    assert pitch_hz(heard) == pytest.approx(440, abs=2)
    assert np.abs(np.diff(steady)).max() < 8000 * 2 * np.pi * 440 / 16_000 * 1.05
    # The next turn starts a new stream.
    assert len(microphone.resample(pcm) + microphone.flush()) == pytest.approx(32_000, abs=2)


def test_16_khz_audio_passes_unchanged_and_undelayed():
    for rate_hz in (0, 16_000):
        microphone = MicrophoneResampler(rate_hz)
        assert microphone.resample(b"\1\2") == b"\1\2"
        assert microphone.flush() == b""


def chunk(name: bytes, content: bytes, *, padded: bool = True) -> bytes:
    return name + len(content).to_bytes(4, "little") + content + b"\0" * (len(content) % 2 and padded)


SAMPLES = tone(1, 16_000)
LAYOUT = chunk(b"fmt ", wav(SAMPLES, 16_000)[20:36])
DATA = chunk(b"data", SAMPLES.tobytes())


@pytest.mark.parametrize(
    ("size", "chunks"),
    [
        # An odd chunk without its pad byte, before and behind the samples.
        (None, LAYOUT + chunk(b"iXML", b"<a/>.", padded=False) + DATA),
        (None, LAYOUT + chunk(b"iXML", b"<a/>.") + DATA),
        (None, LAYOUT + DATA + chunk(b"LIST", b"INFO.", padded=False)),
        # Sizes of the file that do not add up.
        (36, LAYOUT + DATA + chunk(b"LIST", b"INFO" + bytes(80))),
        (0, LAYOUT + DATA),
        (0xFFFFFFFF, LAYOUT + DATA),
        (None, LAYOUT + DATA + b"LIST\xff\xff\xff\x7f"),
        (None, LAYOUT + DATA + b"junk"),
    ],
)
async def test_a_wav_whose_chunks_do_not_add_up_is_heard(uploads, size, chunks):
    length = len(chunks) + 4 if size is None else size
    recorded = b"RIFF" + length.to_bytes(4, "little") + b"WAVE" + chunks
    assert await uploads.decode(recorded) == SAMPLES.tobytes()


@pytest.mark.parametrize(
    "chunks",
    [
        LAYOUT,
        LAYOUT + b"data\xff\xff\xff\x7f",
        chunk(b"fmt ", b"\x01\0") + DATA,
        chunk(b"fmt ", bytes(16)) + DATA,
        chunk(b"iXML", b"<a/>.", padded=False) + b"\xff" * 400,
        b"data" * 100,
        b"",
    ],
)
async def test_a_wav_that_holds_nothing_is_refused_with_a_reason(uploads, chunks):
    recorded = b"RIFF" + (len(chunks) + 4).to_bytes(4, "little") + b"WAVE" + chunks
    assert await refusal(uploads, recorded) in (
        "session.unknown_container",
        "session.no_audio",
        "session.unknown_codec",
    )


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_wav_is_an_internal_error(noise, at):
    whole = wav(tone(0.01, 16_000), 16_000)
    recorded = whole[: min(at, len(whole))] + noise + whole[at:]
    pcm = uploads_module._from_plain_wav(recorded, 3_600, 16_000, 0)
    assert pcm is None or len(pcm) % 2 == 0


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(("left", "right"), [(1, -1), (-1, 1), (1, -0.9), (1, 0), (0, 1), (1, 1)])
async def test_a_channel_with_sound_is_heard_whatever_the_other_holds(uploads, plain, left, right):
    samples = tone(1, 16_000)
    both = np.stack([samples * left, samples * right], axis=1).astype("<i2")
    pcm = await uploads.decode(wav(both, 16_000, 2)) if plain else decode.decode(wav(both, 16_000, 2), 5)
    assert np.abs(np.frombuffer(pcm, "<i2")).max() >= 0.45 * np.abs(samples).max()
    assert pitch_hz(pcm) == pytest.approx(440, abs=2)


def test_rate_and_channels_may_change_in_the_middle():
    takes = (44_100, "stereo"), (22_050, "mono")
    joined = b"".join(recording("mp3", "libmp3lame", 1.0, rate_hz, layout) for rate_hz, layout in takes)
    pcm = decode.decode(joined, 5)
    assert len(pcm) / 32_000 == pytest.approx(2.0, abs=0.2)
    halves = pcm[: len(pcm) // 2 - 6_400], pcm[len(pcm) // 2 + 6_400 :]
    assert [round(pitch_hz(half[: len(half) // 2 * 2])) for half in halves] == [pytest.approx(440, abs=3)] * 2


@pytest.mark.parametrize("codec", ["adpcm_ms", "adpcm_ima_wav", "mp2"])
def test_codecs_of_voice_recorders_are_decoded(codec):
    pcm = decode.decode(recording("wav", codec, 1.0, 16_000), 5)
    assert len(pcm) / 32_000 == pytest.approx(1.0, abs=0.15)
    assert pitch_hz(pcm) == pytest.approx(440, abs=3)


async def test_an_unsupported_codec_is_named(uploads):
    with pytest.raises(InvalidRequest, match="codec, ac3, is not supported") as raised:
        await uploads.decode(recording("wav", "ac3", 1.0, 48_000, "stereo"))
    assert raised.value.code == "session.unknown_codec"
