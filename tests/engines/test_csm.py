"""The engine `csm` on tiny random weights: its audio is noise, so the tests check behaviour."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import csm_weights
import numpy as np
import pytest
import torch
from offline import WATCHED, spoken_offline
from service_kit.audio import to_float
from service_kit.engines.info import engine_class
from service_kit.errors import EngineFailed, InvalidRequest, NotFound
from spoken_service import in_voice, pcm_of, recording, service, spoken
from tts_service.engine import PhraseRequest, Samples, Voice
from tts_service.engines import ENGINES
from tts_service.engines.csm.config import CsmConfig
from tts_service.engines.csm.engine import CsmEngine
from tts_service.engines.csm.frames import DECODE_RAMP, PromptTurn
from tts_service.engines.csm.loading import to_half_precision
from tts_service.engines.csm.model import FrameModel
from tts_service.engines.phrase_limits import max_frames, max_speech_ms
from tts_service.settings import TtsSettings

TEXT = "hello there"
SHORT = PhraseRequest(0, TEXT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("csm") / "csm-1b"
    csm_weights.write_folder(made)
    return made


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> TtsSettings:
    return TtsSettings(engine="csm", csm_model=folder, csm_voices=tmp_path / "voices", csm_device="cpu")


@pytest.fixture
async def engine(settings: TtsSettings) -> AsyncGenerator[CsmEngine]:
    made = CsmEngine(CsmConfig.from_settings(settings))
    async with made.lifespan():
        yield made


def engine_of(settings: TtsSettings, **changed: object) -> CsmEngine:
    return CsmEngine(CsmConfig.from_settings(settings.model_copy(update=changed)))


async def samples_of(engine: CsmEngine, text: str, voice: int = 0) -> np.ndarray:
    async with engine.synthesize(PhraseRequest(0, text), in_voice(engine.voices()[voice])) as speech:
        pieces = [piece.samples async for piece in speech if isinstance(piece, Samples)]
    return np.concatenate([*pieces, np.zeros(0, np.float32)])


async def test_reply_has_audio_and_word_marks(settings: TtsSettings) -> None:
    async with service(settings) as stub:
        events = await spoken(stub, TEXT)
    sound = to_float(pcm_of(events))
    assert 0.5 < sound.size / 24_000 <= max_frames(TEXT, 1) / 1000 + 0.1
    assert sound.std() > 0.01
    marks = [
        (event.speech_mark.text_start, event.speech_mark.text_end) for event in events if event.HasField("speech_mark")
    ]
    assert marks == [(0, 5), (6, 11)]


def test_frames_equal_those_of_the_library(folder: Path) -> None:
    model = csm_weights.model()
    tokenizer = csm_weights.tokenizer()
    # Practically greedy.
    frames = FrameModel(model, tokenizer, 1e-6)
    sound = np.random.default_rng(2).normal(0, 0.1, 24_000).astype(np.float32)
    reference = frames.encode_audio(sound)
    assert reference.shape == (13, csm_weights.BOOKS)
    frames.start_phrase([PromptTurn(0, "so I said", reference), PromptTurn(0, TEXT)], 1)
    ours = np.stack([frame for frame in (frames.next_frame() for _ in range(12)) if frame is not None])

    def ids(text: str) -> list[int]:
        return [0, *tokenizer.encode(text, add_special_tokens=False).ids, 1]

    prompt = torch.tensor([[*ids("[0]so I said"), *[2] * 13, 3, *ids("[0]" + TEXT)]])
    theirs = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        input_values=torch.from_numpy(sound)[None, None],
        input_values_cutoffs=torch.tensor([[sound.size]]),
        max_new_tokens=12,
        do_sample=False,
        depth_decoder_do_sample=False,
    )
    assert np.array_equal(ours, theirs[0, : len(ours)].clamp(max=csm_weights.CODES - 1).numpy())
    assert len(np.unique(ours)) > 10


async def test_prefix_decodings_equal_one_whole_decoding(engine: CsmEngine) -> None:
    frames = engine._ready[0].model
    codes = np.random.default_rng(3).integers(0, csm_weights.CODES, (60, csm_weights.BOOKS))
    whole = frames.decode_frames(codes)
    assert whole.size == 60 * 1920
    for count in (4, 12, 24, 49):
        assert np.allclose(whole[: count * 1920], frames.decode_frames(codes[:count]), atol=1e-5)


async def test_first_audio_comes_before_the_end_of_the_phrase(engine: CsmEngine) -> None:
    async with engine.synthesize(SHORT, in_voice(engine.voices()[0])) as speech:
        sizes = [piece.samples.size // 1920 async for piece in speech if isinstance(piece, Samples)]
    assert sizes[:3] == list(DECODE_RAMP[:3])


async def test_same_seed_repeats_the_speech_and_another_does_not(engine: CsmEngine, settings: TtsSettings) -> None:
    first = await samples_of(engine, TEXT)
    await samples_of(engine, "quite another phrase")
    assert np.array_equal(first, await samples_of(engine, TEXT))
    other = engine_of(settings, csm_seed=2)
    async with other.lifespan():
        assert not np.array_equal(first, await samples_of(other, TEXT))


async def test_speakers_and_texts_differ(engine: CsmEngine) -> None:
    first = await samples_of(engine, TEXT)
    assert not np.array_equal(first, await samples_of(engine, TEXT, voice=1))
    assert not np.array_equal(first, await samples_of(engine, "hullo there"))


async def test_endless_speech_is_truncated_at_its_limit(engine: CsmEngine) -> None:
    for text in (TEXT, "yes"):
        assert (await samples_of(engine, text)).size == int(max_speech_ms(text)) * 24


async def test_leaving_a_phrase_waits_for_one_step_and_frees_the_slot(engine: CsmEngine) -> None:
    loop = asyncio.get_running_loop()
    text = "hello " * 10
    began_s = loop.time()
    await samples_of(engine, text)
    whole_s = loop.time() - began_s
    async with engine.synthesize(PhraseRequest(0, text), in_voice(engine.voices()[0])) as speech:
        await anext(speech)
        assert engine.free_slots == 0
        left_s = loop.time()
    assert loop.time() - left_s < whole_s / 2
    assert engine.free_slots == 1


async def test_cancelling_stops_after_the_current_step(engine: CsmEngine) -> None:
    async def speak() -> None:
        async with engine.synthesize(PhraseRequest(0, "hello " * 30), in_voice(engine.voices()[0])) as speech:
            async for _ in speech:
                begun.set()

    begun = asyncio.Event()
    speaking = asyncio.create_task(speak())
    await begun.wait()
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert engine.free_slots == 1
    with pytest.raises(EngineFailed, match="before the prompt"):
        engine._ready[0].model.next_frame()


async def test_second_phrase_waits_for_the_first(engine: CsmEngine) -> None:
    alone = await samples_of(engine, TEXT)
    first, second = await asyncio.gather(samples_of(engine, TEXT), samples_of(engine, TEXT))
    assert np.array_equal(first, alone)
    assert np.array_equal(second, alone)


async def test_phrase_without_audio_is_retried_once(
    settings: TtsSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    csm_weights.write_folder(tmp_path / "ending", ends=True)
    ending = engine_of(settings, csm_model=tmp_path / "ending")
    async with ending.lifespan():
        caplog.clear()
        assert (await samples_of(ending, TEXT)).size == 0
    assert [record.message for record in caplog.records] == ["phrase retried"]


async def test_full_context_is_an_error(settings: TtsSettings, tmp_path: Path) -> None:
    csm_weights.write_folder(tmp_path / "short", positions=64)
    short = engine_of(settings, csm_model=tmp_path / "short")
    async with short.lifespan():
        with pytest.raises(EngineFailed, match="context_full"):
            await samples_of(short, "hello " * 20)
        # The phrase uses the room in the context, and no more.
        assert (await samples_of(short, "hello there")).size <= 64 * 1920


async def test_cloning_does_not_delay_speech(engine: CsmEngine) -> None:
    async with engine.synthesize(PhraseRequest(0, TEXT), in_voice(engine.voices()[0])) as speech:
        await anext(speech)
        adding = [engine.add_voice(f"Ana {number}", recording(3), "hello", "en") for number in range(8)]
        results = asyncio.gather(*adding, return_exceptions=True)
        # The requests are queued before the next step.
        await asyncio.sleep(0)
        pieces = [piece async for piece in speech]
    assert pieces
    # Requests beyond the queue are refused; every other one is cloned, also after the end of the speech.
    cloned = sum(isinstance(voice, Voice) for voice in await results)
    assert len(engine.voices()) == 2 + cloned


async def test_deleted_voice_is_not_spoken(engine: CsmEngine) -> None:
    with pytest.raises(NotFound, match="unknown_voice"):
        async with engine.synthesize(SHORT, in_voice(Voice("gone", "Gone", ("en",)))) as speech:
            await anext(speech)
    assert engine.free_slots == 1


def test_missing_model_names_the_setting() -> None:
    with pytest.raises(InvalidRequest, match="TTS_CSM_MODEL"):
        engine_class(ENGINES, "csm")(TtsSettings(engine="csm"))


def test_importing_the_engine_does_not_import_torch() -> None:
    code = "import sys, tts_service.engines.csm.engine; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_network_access(settings: TtsSettings, tmp_path: Path) -> None:
    wav = tmp_path / "ana.wav"
    wav.write_bytes(recording(2.5))
    assert spoken_offline(settings.model_dump_json(), "csm", wav) > 1


def test_half_precision_leaves_the_codec_in_full() -> None:
    model = to_half_precision(csm_weights.model())
    frames = FrameModel(model, csm_weights.tokenizer(), 0.9)
    sound = np.random.default_rng(2).normal(0, 0.1, 48_000).astype(np.float32)
    frames.start_phrase([PromptTurn(0, "so I said", frames.encode_audio(sound)), PromptTurn(0, TEXT)], 1)
    generated = np.stack([frame for frame in (frames.next_frame() for _ in range(8)) if frame is not None])
    assert generated.shape == (8, csm_weights.BOOKS)
    assert np.array_equal(
        frames.decode_frames(generated),
        FrameModel(csm_weights.model(), csm_weights.tokenizer(), 0.9).decode_frames(generated),
    )
    assert {parameter.dtype for parameter in model.backbone_model.parameters()} == {torch.bfloat16}
    # Rounded rotary frequencies would turn late positions by more than a radian.
    buffers = [name for name, buffer in model.named_buffers() if buffer.dtype == torch.bfloat16]
    assert buffers == []
    whole = csm_weights.model().backbone_model.rotary_emb.inv_freq
    assert torch.equal(model.backbone_model.rotary_emb.inv_freq, whole)
    assert model.depth_decoder.model.embed_tokens.weight.data_ptr() == (
        model.backbone_model.embed_tokens.embed_audio_tokens.weight.data_ptr()
    )


def test_network_watch_ends_a_process_that_connects() -> None:
    code = WATCHED + "import socket; socket.create_connection(('localhost', 9))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 7
