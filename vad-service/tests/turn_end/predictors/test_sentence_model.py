"""The optional DistilBERT, as a tiny ONNX model of the same interface that the test builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from service_kit.errors import EngineFailed
from vad_service.turn_end.predictor import PartialTranscript, Pause
from vad_service.turn_end.predictors.sentence_model import SentenceModel
from vad_service.turn_end.predictors.text import TextPredictor

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "turn", "the", "lamp", "on", "##s", "hand", "##le"]
# Logits (unfinished, finished) that each piece adds.
EVIDENCE = {"the": (4.0, 0.0), "lamp": (0.0, 2.0), "##s": (0.0, 1.0), "[UNK]": (0.5, 0.0)}


def message(*fields: tuple[int, bytes | int]) -> bytes:
    """Encode fields by number as Protocol Buffers do: integers as varints, everything else length-delimited."""
    written = b""
    for number, value in fields:
        is_bytes = isinstance(value, bytes)
        written += varint(number << 3 | (2 if is_bytes else 0))
        written += varint(len(value)) + value if isinstance(value, bytes) else varint(value)
    return written


def varint(value: int) -> bytes:
    more, rest = divmod(value, 128)[0], value % 128
    return bytes([rest | 128]) + varint(more) if more else bytes([rest])


def onnx_model(inputs: tuple[str, ...], table: np.ndarray) -> bytes:
    """Build a model whose `logits` sum the rows of `table` of all pieces; field numbers are those of onnx.proto."""

    def value(name: str, kind: int, rank: int) -> bytes:
        shape = message(*[(1, message((2, b"d%d" % axis))) for axis in range(rank)])
        return message((1, name.encode()), (2, message((1, message((1, kind), (2, shape))))))

    weights = message(
        (1, table.shape[0]), (1, table.shape[1]), (2, 1), (8, b"table"), (9, table.astype("<f4").tobytes())
    )
    gather = message((1, b"table"), (1, b"input_ids"), (2, b"rows"), (4, b"Gather"))
    axis = message((1, b"axes"), (8, 1), (20, 7))
    no_axis = message((1, b"keepdims"), (3, 0), (20, 2))
    total = message((1, b"rows"), (2, b"logits"), (4, b"ReduceSum"), (5, axis), (5, no_axis))
    graph = message(
        (1, gather),
        (1, total),
        (2, b"sentence"),
        (5, weights),
        *[(11, value(name, 7, 2)) for name in inputs],
        (12, value("logits", 1, 2)),
    )
    return message((1, 7), (7, graph), (8, message((1, b""), (2, 11))))


def write_model(folder: Path, inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> None:
    folder.mkdir()
    table = np.array([EVIDENCE.get(piece, (0.0, 0.0)) for piece in VOCABULARY])
    (folder / "model.onnx").write_bytes(onnx_model(inputs, table))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")


@pytest.fixture
def model(tmp_path) -> SentenceModel:
    write_model(tmp_path / "finished")
    model = SentenceModel(tmp_path / "finished")
    model.load()
    return model


def softmax(unfinished: float, finished: float) -> float:
    return float(np.exp(finished) / (np.exp(unfinished) + np.exp(finished)))


@pytest.mark.parametrize(
    ("words", "unfinished", "finished"),
    [
        (["turn", "on", "the", "lamp"], 4, 2),
        (["turn", "on", "lamps"], 0, 3),
        (["handles"], 0, 1),
        # No piece is in the vocabulary, or not the whole word.
        (["sesame"], 0.5, 0),
        (["lampx"], 0.5, 0),
        # Punctuation and digits are dropped.
        (["la'mp", "42"], 0, 2),
        ([], 0, 0),
        # Only the last 48 pieces are used.
        (["the"] * 50 + ["turn"] * 48, 0, 0),
    ],
)
def test_word_pieces_give_the_probability(model, words: list[str], unfinished: float, finished: float):
    assert model.probability(words) == pytest.approx(softmax(unfinished, finished), abs=1e-5)


def test_a_model_without_an_attention_mask_works(tmp_path):
    write_model(tmp_path / "finished", inputs=("input_ids",))
    model = SentenceModel(tmp_path / "finished")
    model.load()
    assert model.probability(["lamp"]) == pytest.approx(softmax(0, 2), abs=1e-5)


@pytest.mark.parametrize("missing", ["model.onnx", "vocab.txt"])
def test_an_incomplete_model_is_refused_with_the_files_it_needs(tmp_path, missing: str):
    write_model(tmp_path / "finished")
    (tmp_path / "finished" / missing).unlink()
    with pytest.raises(EngineFailed, match=r"must hold model\.onnx and vocab\.txt"):
        SentenceModel(tmp_path / "finished").load()


def test_an_invalid_model_file_is_refused(tmp_path):
    write_model(tmp_path / "finished")
    (tmp_path / "finished" / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(EngineFailed):
        SentenceModel(tmp_path / "finished").load()


def test_the_model_serves_english_and_the_word_lists_the_rest(settings, tmp_path):
    write_model(tmp_path / "finished")
    predictor = TextPredictor(settings.model_copy(update={"models_dir": tmp_path, "sentence_model": "finished"}))
    predictor.load()

    def probability(text: str, language: str) -> float:
        pause = Pause(1000, 200, np.empty(0, np.float32), PartialTranscript(text, 1000), language)
        return predictor.predict(pause).probability

    assert probability("turn the LAMPS!", "en") == pytest.approx(softmax(4, 3), abs=1e-5)
    assert probability("ja", "de") > 0.8
    assert probability("...", "en") == settings.pause_probability
