"""The contract of all engines that clone voices, on tiny random weights."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import csm_weights
import higgs_service
import numpy as np
import pocket_weights
import pytest
from anchor.tts.v1 import tts_pb2 as pb
from grpc import StatusCode, aio
from service_kit.audio import to_float
from service_kit.errors import InvalidRequest, NotFound, Unsupported
from spoken_service import CONSENT, pcm_of, recording, service, spoken
from tts_service.engines.csm.config import CsmConfig
from tts_service.engines.csm.engine import CsmEngine
from tts_service.engines.higgs.config import HiggsConfig
from tts_service.engines.higgs.engine import HiggsEngine
from tts_service.engines.pocket_tts.engine import PocketConfig, PocketEngine
from tts_service.settings import TtsSettings

TEXT = "hello there"


@dataclass(frozen=True)
class Case:
    """One cloning engine. `settings` takes the model's folder and the folder of the cloned voices."""

    name: str
    write_model: Callable[[Path], object]
    settings: Callable[[Path, Path], TtsSettings]
    create: Callable[[TtsSettings], Any]
    built_in: tuple[str, ...]
    unknown_language: str
    # Name of the setting for the folder of the cloned voices.
    voices_setting: str
    # Tolerances of equal and of different audio; None where equal audio is equal to the bit.
    tolerances: tuple[float, float] | None = None


CASES = (
    Case(
        "csm",
        csm_weights.write_folder,
        lambda model, voices: TtsSettings(engine="csm", csm_model=model, csm_voices=voices, csm_device="cpu"),
        lambda settings: CsmEngine(CsmConfig.from_settings(settings)),
        ("csm-0", "csm-1"),
        "es",
        "csm_voices",
    ),
    Case(
        "higgs",
        higgs_service.write_folders,
        higgs_service.settings_for,
        lambda settings: HiggsEngine(HiggsConfig.from_settings(settings)),
        ("higgs",),
        "xx",
        "higgs_voices",
    ),
    Case(
        "pocket-tts",
        pocket_weights.write_folder,
        lambda model, voices: TtsSettings(engine="pocket-tts", pocket_model=model, pocket_voices=voices),
        lambda settings: PocketEngine(PocketConfig.from_settings(settings)),
        ("alba",),
        "es",
        "pocket_voices",
        # The number of frames that the codec gets at once depends on time, and the last bits of a sample on that.
        (1e-3, 5e-3),
    ),
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cloning") / "model"
    if case.name == "higgs":
        made.mkdir()
    case.write_model(made)
    return made


@pytest.fixture
def settings(case: Case, folder: Path, tmp_path: Path) -> TtsSettings:
    return case.settings(folder, tmp_path / "voices")


def is_same_audio(first: bytes, second: bytes, tolerance: float | None) -> bool:
    if tolerance is None:
        return first == second
    one, other = to_float(first), to_float(second)
    return np.allclose(one, other[: one.size], atol=tolerance)


def stored_files(settings: TtsSettings, case: Case) -> list[str]:
    """The names of everything in the folder of the cloned voices."""
    return sorted(path.name for path in getattr(settings, case.voices_setting).rglob("*"))


async def voice_ids(stub: Any) -> list[str]:
    return [voice.id for voice in (await stub.ListVoices(pb.ListVoicesRequest())).voices]


async def test_voice_is_cloned_spoken_kept_over_a_restart_and_deleted(case: Case, settings: TtsSettings) -> None:
    same, different = case.tolerances or (None, None)
    async with service(settings) as stub:
        # An engine may keep a voice of its own there.
        before = stored_files(settings, case)
        plain = pcm_of(await spoken(stub, TEXT))
        request = pb.AddVoiceRequest(
            name="Ana",
            reference_wav=recording(3),
            reference_transcript="hello all",
            language="en-GB",
            consent=CONSENT,
        )
        voice = (await stub.AddVoice(request)).voice
        assert voice.cloned
        assert list(voice.languages) == ["en"]
        assert {"consent.json", "consent.wav", "voice.json", voice.id} < set(stored_files(settings, case))
        cloned = pcm_of(await spoken(stub, TEXT, voice.id))
        assert not is_same_audio(cloned, plain, different)
    async with service(settings) as stub:
        assert await voice_ids(stub) == [*case.built_in, voice.id]
        assert is_same_audio(pcm_of(await spoken(stub, TEXT, voice.id)), cloned, same)
        await stub.DeleteVoice(pb.DeleteVoiceRequest(voice_id=voice.id))
        assert await voice_ids(stub) == list(case.built_in)
        assert stored_files(settings, case) == before
        with pytest.raises(aio.AioRpcError) as refused:
            await spoken(stub, TEXT, voice.id)
        assert refused.value.code() is StatusCode.INVALID_ARGUMENT


async def test_unusable_recordings_and_languages_are_refused(case: Case, settings: TtsSettings) -> None:
    engine = case.create(settings)
    async with engine.lifespan():
        with pytest.raises(InvalidRequest, match="unknown_language"):
            await engine.add_voice("Ana", recording(3), "hola", case.unknown_language)
        for wav, code in (
            (recording(1), "reference_length"),
            (recording(20), "reference_length"),
            (recording(3, rate_hz=8000), "reference_wav"),
            (recording(3, loudness=0), "reference_silent"),
            (b"no sound", "reference_wav"),
        ):
            with pytest.raises(InvalidRequest, match=code):
                await engine.add_voice("Ana", wav, "hello", "en")


async def test_built_in_voices_cannot_be_deleted(case: Case, settings: TtsSettings) -> None:
    engine = case.create(settings)
    async with engine.lifespan():
        with pytest.raises(NotFound, match="unknown_voice"):
            await engine.delete_voice(case.built_in[0])


async def test_cloning_without_a_folder_names_the_setting(case: Case, settings: TtsSettings) -> None:
    engine = case.create(settings.model_copy(update={case.voices_setting: None}))
    async with engine.lifespan():
        with pytest.raises(Unsupported, match=f"TTS_{case.voices_setting.upper()}"):
            await engine.add_voice("Ana", recording(3), "hello", "en")
