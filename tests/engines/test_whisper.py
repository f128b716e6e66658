"""stt-service with a Whisper of random weights: real loading, real decoding, over real gRPC. What it says is noise."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from anchor.stt.v1 import stt_pb2
from ctranslate2.converters import TransformersConverter
from microphone import hearing, speech
from service_kit.errors import AnchorError, Unsupported
from stt_service.settings import SttSettings
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

# CTranslate2 takes a vocabulary of this size for one of English only.
LANGUAGES = ("en",)
TIMESTAMPS = 1501
MELS = 80


def tokenizer_of_bytes() -> Tokenizer:
    """A letter a token, and Whisper's special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokens = ["endoftext", "startoftranscript", *LANGUAGES, "translate", "transcribe", "startoflm", "startofprev"]
    tokens += ["nospeech", "notimestamps"]
    tokenizer.add_special_tokens([AddedToken(f"<|{token}|>", special=True) for token in tokens])
    return tokenizer


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a converted Whisper, `whisper`, of 2 + 2 layers of 64."""
    import torch

    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("models")
    saved = folder / "transformers"
    tokenizer = tokenizer_of_bytes()
    ids = {token: tokenizer.token_to_id(f"<|{token}|>") for token in ("endoftext", "startoftranscript", *LANGUAGES)}
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size() + TIMESTAMPS,
            num_mel_bins=MELS,
            d_model=64,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=128,
            decoder_ffn_dim=128,
            max_source_positions=1500,
            max_target_positions=448,
            pad_token_id=ids["endoftext"],
            bos_token_id=ids["endoftext"],
            eos_token_id=ids["endoftext"],
            decoder_start_token_id=ids["startoftranscript"],
            suppress_tokens=[],
            begin_suppress_tokens=[ids["endoftext"]],
        )
    )
    # Letters stand out from timestamps and marks, so that what is written is text.
    with torch.no_grad():
        model.model.decoder.embed_tokens.weight[: ids["endoftext"]] *= 20
        # Each place has a letter of its own: the same one over and over would be dropped as a loop.
        model.model.decoder.embed_positions.weight *= 200
    model.generation_config = GenerationConfig(
        suppress_tokens=[],
        begin_suppress_tokens=[ids["endoftext"]],
        alignment_heads=[[1, 0]],
        lang_to_id={f"<|{language}|>": ids[language] for language in LANGUAGES},
        is_multilingual=True,
    )
    model.save_pretrained(saved)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(saved)  # noqa: S106
    tokenizer.save(str(saved / "tokenizer.json"))
    features = {"feature_size": MELS, "sampling_rate": 16_000, "hop_length": 160, "n_fft": 400, "chunk_length": 30}
    (saved / "preprocessor_config.json").write_text(json.dumps(features))
    converter = TransformersConverter(str(saved), copy_files=["tokenizer.json", "preprocessor_config.json"])
    converter.convert(str(folder / "whisper"), quantization="int8")
    return folder


@pytest.fixture
def settings(models_dir: Path) -> SttSettings:
    return SttSettings(
        engine="whisper",
        models_dir=models_dir,
        whisper_model=Path("whisper"),
        whisper_beam_size=2,
        max_streams=2,
    )


@pytest.fixture
def voice() -> bytes:
    return speech(2)


@pytest.fixture
async def service(settings: SttSettings) -> AsyncGenerator[Any]:
    """The service; call it for a microphone."""
    async with hearing(settings) as microphone:
        yield microphone


async def test_finals_have_text_language_and_confidence(service: Any, voice: bytes) -> None:
    async with service() as microphone:
        await microphone.configure()
        await microphone.speak(voice)
        await microphone.send(flush={"segment_id": 1})
        final = await microphone.final()
    assert isinstance(final.text, str)
    assert final.text
    assert final.language == "en"
    assert final.language_source == stt_pb2.LANGUAGE_SOURCE_ENGINE
    assert 0 < final.confidence < 1
    assert (final.start_ms, final.end_ms) == (0, 2000)


async def test_times_go_forward_from_partial_to_final_to_the_next_segment(service: Any, voice: bytes) -> None:
    async with service() as microphone:
        await microphone.configure(language="en", partials=True)
        await microphone.speak(voice, pause_s=0.05)
        partial = (await microphone.event()).partial_transcript
        assert partial.text
        assert partial.language == "en"
        await microphone.send(flush={"segment_id": 1})
        first = await microphone.final()
        assert 0 < partial.end_ms <= first.end_ms == 2000
        assert first.language_source == stt_pb2.LANGUAGE_SOURCE_CONFIG
        await microphone.send(commit={"segment_id": 1})
        await microphone.speak(voice)
        await microphone.send(flush={"segment_id": 2})
        second = await microphone.final()
    assert (second.segment_id, second.start_ms, second.end_ms) == (2, 2000, 4000)


async def test_the_same_clip_gives_the_same_words(service: Any, voice: bytes) -> None:
    texts: list[str] = []
    for _ in range(2):
        async with service() as microphone:
            await microphone.configure(language="en")
            await microphone.speak(voice)
            await microphone.send(flush={"segment_id": 1})
            texts.append((await microphone.final()).text)
    assert texts[0] == texts[1]


async def test_silence_is_an_empty_final(service: Any) -> None:
    async with service() as microphone:
        await microphone.configure()
        await microphone.speak(bytes(64_000))
        await microphone.send(flush={"segment_id": 1})
        assert (await microphone.final()).text == ""


async def test_microphones_at_one_time_all_get_their_finals(service: Any, voice: bytes) -> None:
    async def talk() -> str:
        async with service() as microphone:
            await microphone.configure(language="en", partials=True)
            await microphone.speak(voice, pause_s=0.01)
            await microphone.send(flush={"segment_id": 1})
            return (await microphone.final()).text

    async with asyncio.TaskGroup() as tasks:
        talks = [tasks.create_task(talk()) for _ in range(2)]
    assert talks[0].result() == talks[1].result() != ""


async def test_a_cancelled_call_frees_its_place(service: Any, voice: bytes) -> None:
    async with service() as first, service() as second:
        for microphone in (first, second):
            await microphone.configure()
            await microphone.speak(voice)
            await microphone.send(flush={"segment_id": 1})
        first.call.cancel()
        began_s = time.monotonic()
        while True:
            async with service() as third:
                try:
                    await third.configure()
                    await third.send(flush={"segment_id": 1})
                    assert (await third.final()).text == ""
                    break
                except AnchorError:
                    assert time.monotonic() - began_s < 30
                    await asyncio.sleep(0.02)


async def test_a_language_that_the_model_has_not_is_refused(service: Any) -> None:
    async with service() as microphone:
        await microphone.configure(language="de")
        with pytest.raises(Unsupported):
            await microphone.event()
