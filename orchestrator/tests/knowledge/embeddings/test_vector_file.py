"""The file of vectors: what is saved is loaded, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from orchestrator.knowledge.embeddings import vector_file
from orchestrator.knowledge.embeddings.frames import DIMENSIONS, Vector
from orchestrator.knowledge.embeddings.vector_file import VectorFile, VectorsDamaged


def unit_vectors(count: int) -> list[Vector]:
    drawn = np.random.default_rng(5).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return list(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def saved(path: Path, count: int = 300) -> list[Vector]:
    vectors = unit_vectors(count)
    store = VectorFile(path, "model 1")
    for number, vector in enumerate(vectors):
        store.add(key(number), vector)
    store.write(store.snapshot())
    return vectors


def test_search_is_exact(tmp_path: Path):
    store = VectorFile(tmp_path / "vectors", "model 1")
    vectors = unit_vectors(300)
    for number, vector in enumerate(vectors):
        store.add(key(number), vector)
    found = store.similarities(vectors[7], [key(7), key(8), key(7)])
    assert found == pytest.approx([1, float(vectors[8] @ vectors[7]), 1], abs=1e-6)
    with pytest.raises(KeyError):
        store.similarities(vectors[7], [key(999)])


def test_loaded_vectors_have_the_saved_cosines(tmp_path: Path):
    path = tmp_path / "folder" / "vectors"
    vectors = saved(path)
    store = VectorFile(path, "model 1")
    store.load()
    assert len(store) == len(vectors)
    found = store.similarities(vectors[7], [key(number) for number in range(len(vectors))])
    assert found == pytest.approx(np.array(vectors) @ vectors[7], abs=1e-3)


def test_vectors_of_another_model_are_ignored(tmp_path: Path):
    saved(tmp_path / "vectors")
    store = VectorFile(tmp_path / "vectors", "model 2")
    store.load()
    assert len(store) == 0


def test_missing_file_is_empty(tmp_path: Path):
    store = VectorFile(tmp_path / "vectors", "model 1")
    store.load()
    assert key(0) not in store


@pytest.mark.parametrize("position", [0, 20, 60, 2_000, -1])
def test_damaged_file_is_refused(tmp_path: Path, position: int):
    path = tmp_path / "vectors"
    saved(path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(VectorsDamaged):
        VectorFile(path, "model 1").load()


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_truncated_file_is_refused(tmp_path: Path, size: int):
    path = tmp_path / "vectors"
    saved(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(VectorsDamaged):
        VectorFile(path, "model 1").load()


def test_a_file_at_its_limit_is_loaded_with_the_first_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(vector_file, "_MAX_ROWS", 200)
    vectors = saved(tmp_path / "vectors", 300)
    store = VectorFile(tmp_path / "vectors", "model 1")
    store.load()
    assert [number for number in range(300) if key(number) in store] == list(range(200))
    assert store.similarities(vectors[199], [key(199)]) == pytest.approx([1], abs=1e-3)


def test_the_largest_file_that_is_written_can_be_read():
    """With a long model name: the header's share of the limit holds it."""
    store = VectorFile(Path("unused"), "m" * 500)
    store.add(key(0), unit_vectors(1)[0])
    row_bytes = 16 + 2 * DIMENSIONS
    largest = len(store.snapshot()) + (vector_file._MAX_ROWS - 1) * row_bytes
    assert vector_file._MAX_FILE_BYTES - 2 * row_bytes < largest <= vector_file._MAX_FILE_BYTES


def test_retained_vectors_stay_and_others_go(tmp_path: Path):
    path = tmp_path / "vectors"
    vectors = saved(path, 5)
    store = VectorFile(path, "model 1")
    store.load()
    store.retain({key(1), key(4)})
    store.add(key(9), vectors[0])
    assert (key(0) in store, key(1) in store, len(store)) == (False, True, 3)
    assert store.similarities(vectors[4], [key(4)]) == pytest.approx([1], abs=1e-3)
    assert store.similarities(vectors[0], [key(9)]) == pytest.approx([1], abs=1e-3)


def test_failed_write_leaves_no_file(tmp_path: Path):
    path = tmp_path / "vectors"
    path.mkdir()
    store = VectorFile(path, "model 1")
    with pytest.raises(OSError, match="vectors"):
        store.write(store.snapshot())
    assert list(tmp_path.iterdir()) == [path]
