"""What is asked of CTranslate2 and made of its answers, with a library that plays its part; then the real model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from service_kit.audio import to_float
from stt_service.engines.whisper.decoding import ClipOptions, ModelOptions, WhisperModel

LOOP = ["Ġha"] * 60
VOCABULARY = ["Ġyes", "Ġno", "Ġha", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|hi|>", "<|transcribe|>"]


class FakeWhisper:
    """Answers with its results, one after another, and records what it is asked."""

    n_mels = 80
    is_multilingual = True

    def __init__(self, *results: Any) -> None:
        self._results = list(results)
        self.windows: list[int] = []
        self.asked: list[dict[str, Any]] = []
        self.languages = [("<|hi|>", 0.6), ("<|de|>", 0.3), ("<|en|>", 0.1)]

    def encode(self, features: Any) -> Any:
        self.windows.append(features.shape[-1])
        return SimpleNamespace(shape=[1, features.shape[-1] // 2, 512])

    def detect_language(self, encoded: Any) -> Any:
        return [self.languages]

    def generate(self, encoded: Any, prompts: list[list[str]], **asked: Any) -> Any:
        self.asked.append({"prompt": prompts[0], **asked})
        return [self._results.pop(0) if len(self._results) > 1 else self._results[0]]

    def align(self, encoded: Any, start: list[int], texts: list[list[int]], frames: int) -> Any:
        self.asked.append({"start": start, "texts": texts, "frames": frames})
        alignments = [(at, 5 * at) for at in range(len(texts[0]))]
        return [SimpleNamespace(alignments=alignments, text_token_probs=[0.9] * len(texts[0]))]


def result(*tokens: str, score: float = -0.1, no_speech: float = 0.0) -> Any:
    ids = [VOCABULARY.index(token) if token in VOCABULARY else 99 for token in tokens]
    return SimpleNamespace(sequences=[list(tokens)], sequences_ids=[ids], scores=[score], no_speech_prob=no_speech)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Load a model that gives these results: `loaded(*results) -> (model, fake)`; its warm-up is not in the fake."""
    import ctranslate2

    (tmp_path / "vocabulary.txt").write_text("\n".join(VOCABULARY))

    def load(*results: Any, multilingual: bool = True) -> tuple[WhisperModel, FakeWhisper]:
        fake = FakeWhisper(result("Ġyes"))
        fake.is_multilingual = multilingual
        monkeypatch.setattr(ctranslate2.models, "Whisper", lambda *_, **__: fake)
        model = WhisperModel(ModelOptions(str(tmp_path)))
        fake._results, fake.asked, fake.windows = list(results), [], []
        return model, fake

    return load


def seconds(length: float) -> np.ndarray:
    return np.zeros(int(16_000 * length), np.float32)


@pytest.mark.parametrize(("clip_s", "window_s"), [(0.1, 8), (7, 8), (7.01, 8.02), (12, 13), (29.5, 30), (40, 30)])
def test_the_window_is_the_clip_and_a_second(loaded: Any, clip_s: float, window_s: float) -> None:
    model, fake = loaded(result("Ġyes"))
    model.transcribe(seconds(clip_s), ClipOptions("en"))
    # Frames of 10 ms, an even number.
    assert fake.windows == [pytest.approx(window_s * 100, abs=1)]
    assert fake.windows[0] % 2 == 0


def test_the_prompt_has_the_language_and_asks_for_times(loaded: Any) -> None:
    model, fake = loaded(result("Ġyes"))
    model.transcribe(seconds(2), ClipOptions("de", beam_size=3))
    asked = fake.asked[0]
    assert asked["prompt"] == ["<|startoftranscript|>", "<|de|>", "<|transcribe|>"]
    # Two seconds of six tokens, and eight more; CTranslate2 allows half of what it is asked for.
    assert (asked["max_length"], asked["beam_size"]) == (2 * 20, 3)
    model.transcribe(seconds(30), ClipOptions("de"))
    assert fake.asked[1]["max_length"] == 2 * 188


def test_the_detected_language_is_one_of_ours(loaded: Any) -> None:
    model, fake = loaded(result("Ġyes"))
    clip = model.transcribe(seconds(2), ClipOptions())
    assert (clip.language, clip.language_probability) == ("de", 0.3)
    assert fake.asked[0]["prompt"][1] == "<|de|>"
    assert model.transcribe(seconds(2), ClipOptions("en")).language_probability is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (ClipOptions(min_language_probability=0.31), ""),
        (ClipOptions(min_language_probability=0.3), "yes"),
        (ClipOptions(left_to_other_model="de"), ""),
        (ClipOptions(left_to_other_model="en"), "yes"),
        # A language that is given counts, however improbable.
        (ClipOptions("de", min_language_probability=0.9, left_to_other_model="de"), "yes"),
    ],
)
def test_clip_in_an_unsure_or_another_models_language_is_only_identified(
    loaded: Any, options: ClipOptions, text: str
) -> None:
    model, fake = loaded(result("Ġyes"))
    clip = model.transcribe(seconds(2), options)
    assert (clip.text, clip.language) == (text, "de")
    assert clip.language_probability == (None if options.language else 0.3)
    assert len(fake.asked) == (1 if text else 0)


def test_a_model_of_english_alone_has_no_language_token(loaded: Any) -> None:
    model, fake = loaded(result("Ġyes"), multilingual=False)
    clip = model.transcribe(seconds(2), ClipOptions())
    assert (clip.text, clip.language, clip.language_probability) == ("yes", "en", None)
    assert fake.asked[0]["prompt"] == ["<|startoftranscript|>"]


def test_what_follows_the_end_of_the_clip_is_cut(loaded: Any) -> None:
    model, _ = loaded(result("<|0.00|>", "Ġyes", "<|1.80|>", "<|1.80|>", "Ġno", "<|2.40|>"))
    assert model.transcribe(seconds(2), ClipOptions("en")).text == "yes"


def test_a_loop_is_decoded_again_without_times(loaded: Any) -> None:
    model, fake = loaded(result(*LOOP), result("Ġno"))
    assert model.transcribe(seconds(9), ClipOptions("en")).text == "no"
    assert fake.asked[1]["prompt"][-1] == "<|notimestamps|>"
    assert len(fake.windows) == 1
    model, _ = loaded(result(*LOOP))
    assert model.transcribe(seconds(9), ClipOptions("en")).text == ""


FAST = [f"Ġ{letter}" for letter in "abcdefghijklmn"]


def test_speech_without_an_end_is_decoded_again(loaded: Any) -> None:
    # A second has fourteen tokens; these are as many, and have no end.
    model, fake = loaded(result(*FAST), result(*FAST, "Ġend"))
    assert model.transcribe(seconds(1), ClipOptions("en")).text.endswith("n end")
    assert [asked["max_length"] for asked in fake.asked] == [2 * 14, 2 * 224]
    assert len(fake.windows) == 1


@pytest.mark.parametrize(
    "first",
    [
        # An end token, which is not among the tokens, ...
        result(*FAST[:-1]),
        # ... a time at the clip's end, ...
        result(*FAST[:12], "<|0.90|>", "Ġno"),
        # ... and no speech.
        result(*FAST, score=-1.2, no_speech=0.9),
    ],
)
def test_other_text_is_decoded_once(loaded: Any, first: Any) -> None:
    model, fake = loaded(first, result("Ġno"))
    model.transcribe(seconds(1), ClipOptions("en"))
    assert len(fake.asked) == 1


def test_a_loop_without_an_end_is_not_made_longer(loaded: Any) -> None:
    # Too short to be compressed.
    model, fake = loaded(result(*["Ġha"] * 14))
    assert model.transcribe(seconds(1), ClipOptions("en")).text == ""
    assert [asked["prompt"][-1] for asked in fake.asked] == ["<|transcribe|>", "<|notimestamps|>"]
    # With an end, it may have been said.
    model, _ = loaded(result(*["Ġha"] * 8))
    assert model.transcribe(seconds(1), ClipOptions("en")).text == "ha ha ha ha ha ha ha ha"


@pytest.mark.parametrize(
    ("no_speech", "score", "text"), [(0.9, -1.2, ""), (0.9, -0.2, "yes"), (0.4, -1.2, "yes"), (0.1, -0.1, "yes")]
)
def test_silence_is_improbable_text_in_silence(loaded: Any, no_speech: float, score: float, text: str) -> None:
    model, _ = loaded(result("Ġyes", score=score, no_speech=no_speech))
    assert model.transcribe(seconds(2), ClipOptions("en")).text == text


def test_words_are_aligned_only_on_request(loaded: Any) -> None:
    model, fake = loaded(result("<|0.00|>", "Ġyes", "Ġno", "<|1.00|>"))
    assert model.transcribe(seconds(1), ClipOptions("en")).words == ()
    clip = model.transcribe(seconds(1), ClipOptions("en", word_times=True))
    assert [(word.text, word.start_ms, word.end_ms) for word in clip.words] == [("yes", 0, 100), ("no", 100, 1000)]
    assert fake.asked[-1] == {"start": [3, 4, 7], "texts": [[0, 1]], "frames": 100}


@pytest.fixture(scope="module")
def base(real_models: Path) -> WhisperModel:
    """The real model."""
    return WhisperModel(ModelOptions(str(real_models / "whisper-base")))


def test_the_real_model_transcribes_a_question(base: WhisperModel, ferry: bytes) -> None:
    clip = base.transcribe(to_float(ferry), ClipOptions(word_times=True))
    assert clip.text == "What is the latest on the ferry?"
    assert (clip.language, base.width) == ("en", 512)
    assert clip.language_probability is not None
    assert clip.language_probability > 0.9
    assert clip.confidence is not None
    assert 0.5 < clip.confidence < 1
    assert [word.text for word in clip.words] == clip.text.split()
    starts = [word.start_ms for word in clip.words]
    assert starts == sorted(starts)
    assert clip.words[-1].start_ms > 1000
    assert "hi" not in base.languages
    assert "de" in base.languages


def test_the_real_model_hears_no_words_in_silence(base: WhisperModel) -> None:
    assert base.transcribe(seconds(3), ClipOptions()).text == ""
    noise = np.random.default_rng(1).normal(0, 0.02, 48_000).astype(np.float32)
    assert base.transcribe(noise, ClipOptions()).text == ""


def test_a_question_in_a_longer_clip_is_not_repeated(base: WhisperModel, ferry: bytes) -> None:
    clip = np.concatenate([to_float(ferry), seconds(9)])
    assert base.transcribe(clip, ClipOptions("en")).text == "What is the latest on the ferry?"


def test_fast_speech_keeps_its_end(base: WhisperModel, fast: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = bounds_asked(base, monkeypatch)
    clip = base.transcribe(to_float(fast), ClipOptions("en"))
    assert clip.text.rstrip(".").endswith("in time")
    # More than the first bound allows, and so the second counts.
    assert len(bounds) == 2
    assert bounds[1] == 2 * 224


def test_speech_of_ordinary_speed_is_decoded_once(
    base: WhisperModel, ferry: bytes, football: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = bounds_asked(base, monkeypatch)
    for clip in (ferry, football):
        base.transcribe(to_float(clip), ClipOptions())
    assert len(bounds) == 2


def bounds_asked(model: WhisperModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The `max_length` of each decoding from now on."""
    asked: list[int] = []
    generate = model._model.generate

    class Recorder:
        def __getattr__(self, name: str) -> Any:
            return getattr(library, name)

        def generate(self, *args: Any, **options: Any) -> Any:
            asked.append(options["max_length"])
            return generate(*args, **options)

    library = model._model
    monkeypatch.setattr(model, "_model", Recorder())
    return asked
