"""The decode loop's step against the model's authors' own slow loop, and slots beside each other."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import higgs_weights
import numpy as np
import pytest
import torch
from anchor_cli.plan.catalogue import read_catalogue
from service_kit.errors import EngineFailed
from tts_service.engines import cuda_graph
from tts_service.engines.cuda_graph import capture_graph
from tts_service.engines.higgs.delay import Codebooks, FrameAssembler, apply_delay
from tts_service.engines.higgs.model import step as step_module
from tts_service.engines.higgs.model.decode_slots import CACHED_PREFIX_TOKENS, DecodeSlots
from tts_service.engines.higgs.model.loading import load_language_model, load_tokenizer
from tts_service.engines.higgs.model.sampling import (
    SamplingRule,
    force_delay_pattern,
    sample_codes,
    warped_probabilities,
)
from tts_service.engines.higgs.model.step import SpeechModel
from tts_service.engines.higgs.prompt import (
    QUIET_ROOM,
    PhrasePrompt,
    VoiceReference,
    build_voice_prefix,
    tokenize_phrase,
)

BOOKS = Codebooks(8, 1024, 1025)
PROMPT = (*range(3, 23), higgs_weights.AUDIO_BOS)
CPU = torch.device("cpu")
# Greedy, and without drawing again.
PLAIN = SamplingRule(temperature=1.0, ras_repeats=10**6)


@pytest.fixture(scope="module")
def lm() -> Any:
    return higgs_weights.language_model()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("higgs-audio")
    higgs_weights.write_model(folder)
    return folder


def ending_soon(lm: Any, push: float) -> Any:
    """A copy of `lm` whose books are the likelier to end the more `push` is."""
    made = higgs_weights.language_model()
    head = made.audio_lm_head.weight.view(8, 1026, -1)
    head[:, BOOKS.eos] *= push
    return made


def rows_of(model: SpeechModel, slot: int, count: int, noise: bool) -> torch.Tensor:
    rows = []
    for _ in range(count):
        if noise:
            model.draws[slot, 0].exponential_()
        model.step()
        rows.append(model.row[slot].clone())
    return torch.stack(rows)


def reading(lm: Any, rule: SamplingRule, slot: int = 1) -> SpeechModel:
    model = SpeechModel(lm, 3, 256, rule)
    model.start_slot(slot, model.prefill(slot, [PROMPT], 0))
    model.active[slot] = 1
    return model


def test_greedy_rows_equal_the_authors_loop(lm: Any) -> None:
    theirs = lm.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=60, do_sample=False)
    ours = rows_of(reading(lm, PLAIN), 1, 59, noise=False)
    assert torch.equal(ours, theirs[0, 1:60])
    assert ours.unique().numel() > 20


def test_sampled_rows_equal_the_authors_loop(lm: Any) -> None:
    torch.manual_seed(5)
    options = {"do_sample": True, "temperature": 0.7, "top_k": 50, "top_p": 0.9}
    theirs = lm.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=60, **options)
    model = reading(lm, SamplingRule(0.7, 50, 0.9, ras_repeats=10**6))
    torch.manual_seed(5)
    # Their loop draws for the first row too, though it can only be BOS.
    torch.empty(8, 1026).exponential_()
    ours = rows_of(model, 1, 59, noise=True)
    assert torch.equal(ours, theirs[0, 1:60])
    assert ours.unique().numel() > 100


def test_end_is_where_the_authors_loop_has_it(lm: Any) -> None:
    made = ending_soon(lm, 4.0)
    theirs = made.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=200, do_sample=False)[0]
    assert len(theirs) < 200
    ours = rows_of(reading(made, PLAIN), 1, len(theirs) - 1, noise=False)
    assert torch.equal(ours, theirs[1:])
    assert (ours[-1] == BOOKS.eos).all()


def test_voice_prefill_equals_the_authors_model(lm: Any) -> None:
    frames = np.random.default_rng(3).integers(0, 1024, (12, 8))
    rows = apply_delay(frames, BOOKS)
    before, after = tuple(PROMPT), (5, 6, 7, 8, 9, 10, 11, higgs_weights.AUDIO_BOS)
    ids = torch.tensor([[*before, *[higgs_weights.AUDIO] * len(rows), *after]])
    theirs = lm.generate(
        input_ids=ids,
        audio_input_ids=torch.tensor(rows)[None],
        audio_input_ids_mask=torch.ones((1, len(rows)), dtype=torch.bool),
        max_new_tokens=40,
        do_sample=False,
    )
    model = SpeechModel(lm, 2, 256, PLAIN)
    # In two goes, as a voice and its phrase are.
    start = model.prefill(0, [before, rows], 0)
    model.start_slot(0, model.prefill(0, [after], start))
    model.active[0] = 1
    assert torch.equal(rows_of(model, 0, 39, noise=False), theirs[0, -39:])


def test_step_runs_eagerly_without_a_gpu(lm: Any) -> None:
    model = SpeechModel(lm, 1, 64, PLAIN)
    assert capture_graph(model.step, CPU) == model.step


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_step_equals_the_eager_one() -> None:
    lm = higgs_weights.language_model().cuda()
    spoken = []
    for wrap in (capture_graph, lambda step, device: step):
        model = SpeechModel(lm, 2, 256, PLAIN)
        step = wrap(model.step, torch.device("cuda"))
        model.start_slot(0, model.prefill(0, [PROMPT], 0))
        model.active[0] = 1
        rows = []
        for _ in range(40):
            step()
            rows.append(model.row[0].clone())
        spoken.append(torch.stack(rows))
    assert torch.equal(*spoken)


def slots_of(folder: Path, slots: int = 3, context: int = 512) -> DecodeSlots:
    model = SpeechModel(load_language_model(folder, CPU), slots, context, SamplingRule(temperature=0.8))
    return DecodeSlots(model, model.step, load_tokenizer(folder))


def spoken(slots: DecodeSlots, slot: int, steps: int, others: frozenset[int] = frozenset()) -> list[list[int]]:
    return [slots.step(others | {slot})[slot].tolist() for _ in range(steps)]


def test_slot_is_independent_of_other_slots(model_folder: Path) -> None:
    utterance = PhrasePrompt("hello there", "higgs", (None,), 7)
    alone = slots_of(model_folder)
    alone.prefill(1, utterance)
    among = slots_of(model_folder)
    among.prefill(0, PhrasePrompt("something quite different", "higgs", (None,), 9))
    among.step(frozenset({0}))
    among.prefill(1, utterance)
    among.prefill(2, PhrasePrompt("and a third", "higgs", (None,), 11))
    # One that has begun may have to wait while others are stepped.
    among.step(frozenset({0, 2}))
    assert spoken(alone, 1, 30) == spoken(among, 1, 30, frozenset({0, 2}))


def test_slot_keeps_no_state_of_earlier_phrases(model_folder: Path) -> None:
    utterance = PhrasePrompt("hello there", "higgs", (None,), 7)
    fresh, used = slots_of(model_folder), slots_of(model_folder)
    used.prefill(1, PhrasePrompt("a longer phrase that was broken off in the middle", "higgs", (None,), 3))
    spoken(used, 1, 40)
    used.step(frozenset({2}))
    for slots in (fresh, used):
        slots.prefill(1, utterance)
    assert spoken(fresh, 1, 30) == spoken(used, 1, 30)


def test_cached_voice_equals_a_prefilled_one(model_folder: Path) -> None:
    reference = VoiceReference("this is me", np.random.default_rng(3).integers(0, 1024, (20, 8)))
    utterance = PhrasePrompt("hello there", "me", (reference,), 7)
    slots = slots_of(model_folder)
    slots.prefill(0, utterance)
    first = spoken(slots, 0, 20)
    slots.prefill(2, utterance)
    cached = spoken(slots, 2, 20)
    slots.evict_voice("me")
    slots.prefill(1, utterance)
    assert first == cached == spoken(slots, 1, 20)
    slots.prefill(1, PhrasePrompt("hello there", "higgs", (None,), 7))
    assert first != spoken(slots, 1, 20)


def test_prompt_without_room_for_speech_is_refused(model_folder: Path) -> None:
    slots = slots_of(model_folder, context=256)
    with pytest.raises(EngineFailed, match="context_full"):
        slots.prefill(0, PhrasePrompt("word " * 100, "higgs", (None,), 7))


def test_least_recently_used_prefixes_leave_by_tokens(model_folder: Path) -> None:
    slots = slots_of(model_folder, context=2048)

    def learn(voice: str, frames: int) -> int:
        reference = VoiceReference("this is me", np.zeros((frames, 8), np.int64))
        slots.prefill(0, PhrasePrompt("hello", voice, (reference,), 7))
        (keys, _) = slots._prefixes[voice, QUIET_ROOM]
        return keys.shape[2]

    # Of casts with four references, four fit; of short voices many.
    size = learn("cast-0", 1486)
    for number in range(1, 16):
        learn(f"cast-{number}", 1486)
    kept = CACHED_PREFIX_TOKENS // size
    assert [voice for voice, _ in slots._prefixes] == [f"cast-{number}" for number in range(16 - kept, 16)]
    per_token = 2 * 2 * 2 * 8 * 4
    assert slots.prefix_bytes == kept * size * per_token <= CACHED_PREFIX_TOKENS * per_token
    short = learn("short-0", 20)
    for number in range(1, 20):
        learn(f"short-{number}", 20)
    assert len(slots._prefixes) >= min(20, CACHED_PREFIX_TOKENS // short)
    assert slots.prefix_bytes <= CACHED_PREFIX_TOKENS * per_token


def test_cached_prefixes_are_those_of_the_plan() -> None:
    shape = read_catalogue().models["higgs-v2"].shape
    assert shape is not None
    assert shape.cached_voice_tokens == CACHED_PREFIX_TOKENS


def test_a_mask_is_never_beside_grouped_queries() -> None:
    # PyTorch has no fused kernel for both: it would copy keys and values, and hold the scores in full precision.
    source = inspect.getsource(step_module)
    assert "enable_gqa=" not in source
    assert source.count("scaled_dot_product_attention(") == 2


def test_graph_is_captured_on_the_devices_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[object] = [None]

    @contextmanager
    def on_device(device: torch.device) -> Generator[None]:
        current.append(device)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", on_device)
    second = torch.device("cuda:1")
    captured: list[object] = []
    monkeypatch.setattr(cuda_graph, "_capture", lambda step: captured.append(current[-1]) or step)
    capture_graph(lambda: None, second)
    assert captured == [second]
    assert current == [None]


def test_control_tokens_are_removed_from_text(model_folder: Path) -> None:
    encode = load_tokenizer(model_folder)
    assert tokenize_phrase(encode, "hello <|eot_id|>there") == tokenize_phrase(encode, "hello  there")
    end_of_turn = encode("<|eot_id|>")[0]
    assert tokenize_phrase(encode, "hello <|eot_id|> there<|audio_out_bos|>").count(end_of_turn) == 1
    assert build_voice_prefix(encode, (None,), BOOKS)[0][0] == encode("<|begin_of_text|>")[0]


def test_repeated_code_is_sampled_again() -> None:
    logits = torch.zeros(1, 2, 1026)
    logits[0, :, 7] = 20.0
    draws = torch.ones(1, 2, 2, 1026)
    draws[0, 1, :, 9] = 1e-12
    recent = torch.full((1, 7, 2), 1024)
    recent[0, :2, 0] = 7
    recent[0, :1, 1] = 7
    assert sample_codes(
        logits, torch.tensor(0.3), draws, recent, SamplingRule(temperature=0.3), Codebooks(2, 1024, 1025)
    ).tolist() == [[9, 7]]


def test_control_codes_are_not_repeats() -> None:
    logits = torch.zeros(1, 2, 1026)
    logits[0, :, 1025] = 20.0
    draws = torch.ones(1, 2, 2, 1026)
    draws[0, 1, :, 9] = 1e-12
    recent = torch.full((1, 7, 2), 1025)
    assert sample_codes(
        logits, torch.tensor(0.3), draws, recent, SamplingRule(temperature=0.3), Codebooks(2, 1024, 1025)
    ).tolist() == [[1025, 1025]]


def test_top_k_and_top_p_limit_the_codes() -> None:
    logits = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]).log_softmax(-1)
    assert (warped_probabilities(logits, SamplingRule(1.0, 3, 1.0), torch.tensor(1.0)) > 0).tolist() == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert (warped_probabilities(logits, SamplingRule(1.0, 5, 0.7), torch.tensor(1.0)) > 0).tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert (warped_probabilities(logits, SamplingRule(1.0, 5, 0.1), torch.tensor(1.0)) > 0).tolist() == [
        True,
        False,
        False,
        False,
        False,
    ]


def test_delay_pattern_forces_bos_and_eos() -> None:
    books = Codebooks(4, 1024, 1025)
    logits = torch.zeros(3, 4, 1026)
    allowed = force_delay_pattern(logits, torch.tensor([2, 9, 9]), torch.tensor([0, 0, 2]), books).isfinite()
    assert allowed.sum(-1).tolist() == [[1026, 1026, 1, 1], [1026] * 4, [1, 1, 1026, 1026]]
    assert allowed[0, 2, books.bos]
    assert allowed[2, 0, books.eos]


def test_frames_are_reassembled_from_delayed_rows() -> None:
    frames = np.random.default_rng(3).integers(0, 1024, (20, 8))
    assembler = FrameAssembler(BOOKS)
    rows = apply_delay(frames, BOOKS)
    assert (rows[0] == BOOKS.bos).all()
    assert (rows[-1] == BOOKS.eos).all()
    back = [frame for row in rows[1:] if (frame := assembler.push_row(row)) is not None]
    assert np.array_equal(np.stack(back), frames)
    assert assembler.ended


@pytest.mark.parametrize(("settings", "reason"), [(None, "there is no"), ('{"model_type": "higgs_audio"}', "older")])
def test_folder_of_another_model_is_refused(tmp_path: Path, settings: str | None, reason: str) -> None:
    if settings:
        (tmp_path / "config.json").write_text(settings)
    with pytest.raises(EngineFailed, match=reason):
        load_language_model(tmp_path, CPU)


def test_model_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)
