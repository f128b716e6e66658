"""Adding and deleting voices over real gRPC, with an engine that stores its voices like the real ones."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from wave import open as open_wav

import numpy as np
import pytest
from anchor.tts.v1 import tts_pb2 as pb
from anchor.tts.v1 import tts_pb2_grpc
from grpc import StatusCode, aio
from service_kit.errors import AnchorError, InvalidRequest, NotFound, Unsupported, from_rpc_error
from service_kit.testing.plugin import serve_grpc, serve_multiplexed
from tone_engines import LIMITS, RoutedTones
from tts_service.engines.scripted import LANGUAGES, ScriptedEngine, TtsScript
from tts_service.servicer import SERVICE_NAME, TtsServicer
from tts_service.synthesis.stream import CloningStreamAdapter
from tts_service.voices.reference_audio import MAX_RECORDING_BYTES

STATEMENT = "I agree that my voice is cloned for this anchor."
SPOKEN = b"RIFF, the recorded statement"
CONSENT = pb.VoiceConsent(
    id="cons_0123456789abcdef",
    name="Ana Silva",
    statement=STATEMENT,
    recording_wav=SPOKEN,
    language="en",
    given_unix_s=1_790_000_000,
)


def changed_consent(**changed: Any) -> pb.VoiceConsent:
    changed_one = pb.VoiceConsent()
    changed_one.CopyFrom(CONSENT)
    for name, value in changed.items():
        setattr(changed_one, name, value)
    return changed_one


def recording(seconds: float = 3.0) -> bytes:
    made = BytesIO()
    with open_wav(made, "wb") as wav:
        wav.setparams((1, 2, 24_000, 0, "NONE", ""))
        wav.writeframes(
            (8000 * np.sin(np.arange(int(seconds * 24_000)) * (2 * np.pi * 440 / 24_000))).astype("<i2").tobytes()
        )
    return made.getvalue()


def request(**fields: Any) -> pb.AddVoiceRequest:
    known: dict[str, Any] = {
        "name": "Ana",
        "reference_wav": recording(),
        "reference_transcript": "good evening",
        "language": "en",
        "consent": CONSENT,
    }
    return pb.AddVoiceRequest(**{**known, **fields})


@asynccontextmanager
async def serve(engine: Any, serving: Any = serve_grpc) -> AsyncGenerator[Any]:
    servicer = TtsServicer(engine, 4)

    def add(server: aio.Server) -> None:
        tts_pb2_grpc.add_TextToSpeechServiceServicer_to_server(servicer, server)

    async with engine.lifespan(), serving(SERVICE_NAME, add, max_message_bytes=MAX_RECORDING_BYTES) as channel:
        yield tts_pb2_grpc.TextToSpeechServiceStub(channel)


def learning(folder: Path | None) -> CloningStreamAdapter:
    return CloningStreamAdapter(ScriptedEngine(TtsScript(voices=folder, first_audio_delay_ms=0)), LIMITS)


async def refusal(call: Any) -> AnchorError:
    with pytest.raises(aio.AioRpcError) as refused:
        await call
    return from_rpc_error(refused.value, "tts")


async def pitch_hz(stub: Any, voice: str) -> float:
    call = stub.Synthesize()
    await call.write(pb.SynthesizeRequest(config=pb.SynthesisConfig(voice=voice, language="en")))
    await call.write(pb.SynthesizeRequest(text=pb.TextDelta(text="Good evening.")))
    await call.write(pb.SynthesizeRequest(end_of_text=pb.EndOfText()))
    pcm = b""
    while (response := await call.read()) is not aio.EOF:
        pcm += response.audio.pcm
    samples = np.frombuffer(pcm, "<i2")
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * 24_000 / samples.size


async def cloned(stub: Any) -> dict[str, pb.Voice]:
    return {voice.id: voice for voice in (await stub.ListVoices(pb.ListVoicesRequest())).voices if voice.cloned}


def everything(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def traces(folder: Path, *words: bytes) -> list[Path]:
    """Everything below the folder whose name or content has one of the words."""
    found = [path for path in folder.rglob("*") if path.is_file() and any(word in path.read_bytes() for word in words)]
    return found + [path for path in folder.rglob("*") if any(word in path.name.encode() for word in words)]


@pytest.mark.parametrize("serving", [serve_grpc, serve_multiplexed], ids=["grpc", "multiplexed"])
async def test_voice_is_added_spoken_and_kept_with_its_consent(tmp_path: Path, serving: Any) -> None:
    async with serve(learning(tmp_path / "voices"), serving) as stub:
        voice = (await stub.AddVoice(request())).voice
        assert (voice.name, voice.cloned, list(voice.languages)) == ("Ana", True, ["en"])
        # The engine's own voice speaks at 220 Hz.
        assert await pitch_hz(stub, voice.id) == pytest.approx(440, abs=3)
    folder = tmp_path / "voices" / voice.id
    stored = json.loads((folder / "consent.json").read_text("utf-8"))
    assert stored == {
        "id": CONSENT.id,
        "name": "Ana Silva",
        "language": "en",
        "given_unix_s": 1_790_000_000,
        "statement": STATEMENT,
        "recording": True,
    }
    assert (folder / "consent.wav").read_bytes() == SPOKEN
    async with serve(learning(tmp_path / "voices"), serving) as stub:
        again = (await cloned(stub))[voice.id]
    assert (again.consent.id, again.consent.name, again.consent.given_unix_s) == (
        CONSENT.id,
        "Ana Silva",
        1_790_000_000,
    )
    assert again.created_unix_s == voice.created_unix_s > 1_700_000_000
    # The words stay on the disk.
    assert (again.consent.statement, again.consent.recording_wav) == ("", b"")


async def test_deletion_leaves_no_trace_on_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    async with serve(learning(folder)) as stub:
        kept = (await stub.AddVoice(request(name="Bob", consent=changed_consent(name="Bob")))).voice
        voice = (await stub.AddVoice(request())).voice
        words = (b"Ana", voice.id.encode(), SPOKEN)
        assert traces(folder, *words)
        await stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id=voice.id))
        assert list(await cloned(stub)) == [kept.id]
        assert traces(folder, *words) == [folder / kept.id / "consent.wav"]
        await stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id=kept.id))
        assert everything(folder) == []
        again = await refusal(stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id=voice.id)))
        assert (type(again), again.code) == (NotFound, "tts.unknown_voice")


async def test_remains_of_a_crash_are_removed_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    async with serve(learning(folder)) as stub:
        voice = (await stub.AddVoice(request())).voice
    (folder / voice.id).rename(folder / f".deleting-{voice.id}")
    (folder / ".adding-x").mkdir()
    async with serve(learning(folder)) as stub:
        assert await cloned(stub) == {}
    assert everything(folder) == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"statement": ""}, "tts.consent_missing"),
        ({"statement": "  \n "}, "tts.consent_missing"),
        ({"statement": "yes"}, "tts.consent_statement"),
        ({"statement": "x" * 2001}, "tts.consent_statement"),
        ({"name": ""}, "tts.consent_name"),
        ({"name": "A\nB"}, "tts.consent_name"),
        ({"id": "../../etc"}, "tts.consent_id"),
        ({"given_unix_s": 0}, "tts.consent_time"),
        ({"recording_wav": bytes(1_000_000)}, "tts.consent_recording"),
    ],
)
async def test_voice_without_a_full_consent_is_refused(tmp_path: Path, changed: dict[str, Any], code: str) -> None:
    async with serve(learning(tmp_path / "voices")) as stub:
        refused = await refusal(stub.AddVoice(request(consent=changed_consent(**changed))))
        assert (type(refused), refused.code) == (InvalidRequest, code)
        missing = await refusal(stub.AddVoice(request(consent=None)))
        assert missing.code == "tts.consent_missing"
        assert "consent of the person" in missing.message
    assert everything(tmp_path) == []


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\nb", "a\0b"])
async def test_unusable_names_are_refused(tmp_path: Path, name: str) -> None:
    async with serve(learning(tmp_path)) as stub:
        assert (await refusal(stub.AddVoice(request(name=name)))).code == "tts.voice_name"


async def test_same_recording_under_the_same_name_takes_the_later_consent(tmp_path: Path) -> None:
    later = changed_consent(id="cons_ffffffff", recording_wav=b"")
    async with serve(learning(tmp_path)) as stub:
        voice = (await stub.AddVoice(request())).voice
        same = (await stub.AddVoice(request(consent=later))).voice
        assert (same.id, same.consent.id) == (voice.id, "cons_ffffffff")
        assert len(await cloned(stub)) == 1
    assert not (tmp_path / voice.id / "consent.wav").exists()


async def test_list_says_for_which_languages_a_voice_can_be_added(tmp_path: Path) -> None:
    async with serve(learning(tmp_path)) as stub:
        support = (await stub.ListVoices(pb.ListVoicesRequest())).cloning
        assert (tuple(support.languages), support.unavailable_reason) == (LANGUAGES, "")


async def test_engine_without_a_folder_names_the_setting() -> None:
    async with serve(learning(None)) as stub:
        support = (await stub.ListVoices(pb.ListVoicesRequest())).cloning
        assert list(support.languages) == []
        assert "section [tts] of the script" in support.unavailable_reason
        refused = await refusal(stub.AddVoice(request(consent=None)))
        assert isinstance(refused, Unsupported)
        assert refused.message == support.unavailable_reason


async def test_routed_engines_say_what_they_can_clone() -> None:
    routed = RoutedTones()
    async with serve(routed.adapter) as stub:
        support = (await stub.ListVoices(pb.ListVoicesRequest())).cloning
        assert list(support.languages) == ["en", "fr"]
        refused = await refusal(stub.AddVoice(request(language="hi")))
        assert (type(refused), refused.code) == (Unsupported, "tts.cloning_unsupported")
        assert "en, fr" in refused.message


async def test_oversized_message_is_refused(tmp_path: Path) -> None:
    async with serve(learning(tmp_path)) as stub:
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.AddVoice(request(reference_wav=bytes(MAX_RECORDING_BYTES)))
    assert refused.value.code() is StatusCode.RESOURCE_EXHAUSTED
