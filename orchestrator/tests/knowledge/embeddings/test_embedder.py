"""The real embedding process: its vectors against facts about language, its confinement, and its replacement."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from orchestrator.knowledge.embeddings.embedder import MAX_UNDER_WAY, EmbeddingProcess
from orchestrator.knowledge.embeddings.frames import DIMENSIONS, MAX_TEXT_CHARS, Kind
from service_kit.errors import AtCapacity, EngineFailed, NotReady
from service_kit.tasks import background

WITHIN_S = 60.0
# Translations of one sentence each, and what they are about is nothing alike.
TRANSLATIONS = [
    ("The ship leaves the harbour at six.", "Das Schiff verlässt den Hafen um sechs.", "Il traghetto parte alle sei."),
    ("My nose is bleeding.", "Ich habe Nasenbluten.", "Mi sanguina il naso."),
    ("Who won the chess tournament?", "Wer hat das Schachturnier gewonnen?", "Chi ha vinto il torneo di scacchi?"),
    ("Add the milk to the flour.", "Gib die Milch zum Mehl.", "Aggiungi il latte alla farina."),
]
# Answers questions by frames that are malformed in one way each.
BROKEN_CHILD = """
import struct, sys
header = struct.Struct("<BII")
def send(kind, number, payload=b""):
    sys.stdout.buffer.write(header.pack(kind, number, len(payload)) + payload)
    sys.stdout.buffer.flush()
send(1, 0)
while head := sys.stdin.buffer.read(header.size):
    kind, number, size = header.unpack(head)
    sys.stdin.buffer.read(size)
    send(5, number, eval(sys.argv[1]))
"""


@asynccontextmanager
async def running(embedder: EmbeddingProcess) -> AsyncGenerator[EmbeddingProcess]:
    async with background(embedder.run(), "embedder"), asyncio.timeout(WITHIN_S):
        await embedder.wait_ready()
        yield embedder


async def test_translations_are_nearer_than_other_sentences():
    async with running(EmbeddingProcess()) as embedder:
        vectors = np.array(
            [[await embedder.embed(text, is_question=False) for text in group] for group in TRANSLATIONS]
        )
    assert vectors.shape == (len(TRANSLATIONS), 3, DIMENSIONS)
    for one in range(3):
        for other in range(3):
            nearest = (vectors[:, one] @ vectors[:, other].T).argmax(axis=1)
            assert nearest.tolist() == [0, 1, 2, 3], (one, other)


async def test_questions_and_texts_are_embedded_differently():
    async with running(EmbeddingProcess()) as embedder:
        question = await embedder.embed("the ferry", is_question=True)
        text = await embedder.embed("the ferry", is_question=False)
        again = await embedder.embed("the ferry", is_question=True)
    assert np.array_equal(question, again)
    assert 0.5 < float(question @ text) < 0.999


async def test_odd_texts_have_vectors():
    async with running(EmbeddingProcess()) as embedder:
        for text in ("", "\0", "\ud800", "नमस्ते", "word " * MAX_TEXT_CHARS):
            vector = await embedder.embed(text, is_question=True)
            assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_process_has_no_environment_and_no_sockets():
    async with running(EmbeddingProcess()) as embedder:
        process = Path(f"/proc/{embedder.pid}")
        assert process.joinpath("environ").read_bytes() == b""
        if platform.machine() in ("x86_64", "aarch64"):
            assert "Seccomp:\t2" in process.joinpath("status").read_text()
        # Standard error may be a socket of the test runner.
        assert open_sockets(process) <= open_sockets(Path("/proc/self"))


def open_sockets(process: Path) -> set[str]:
    entries = [entry for entry in (process / "fd").iterdir() if entry.exists()]
    return {link for entry in entries if (link := str(entry.readlink())).startswith("socket:")}


async def test_killed_process_is_replaced():
    async with running(EmbeddingProcess()) as embedder:
        before = await embedder.embed("the ferry", is_question=True)
        pid = embedder.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while embedder.pid in (pid, None) or not embedder.ready:
            await asyncio.sleep(0.05)
        assert np.array_equal(before, await embedder.embed("the ferry", is_question=True))


async def test_question_fails_when_the_process_dies():
    async with running(EmbeddingProcess()) as embedder:
        assert embedder.pid is not None
        asking = asyncio.create_task(embedder.embed("word " * MAX_TEXT_CHARS, is_question=False))
        await asyncio.sleep(0)
        os.kill(embedder.pid, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="gone"):
            await asking


async def test_too_many_questions_are_refused():
    async with running(EmbeddingProcess()) as embedder:
        asking = [asyncio.create_task(embedder.embed(f"text {n}", is_question=True)) for n in range(MAX_UNDER_WAY)]
        await asyncio.sleep(0)
        with pytest.raises(AtCapacity):
            await embedder.embed("one more", is_question=True)
        await asyncio.gather(*asking)


async def test_question_before_the_start_is_refused():
    with pytest.raises(NotReady):
        await EmbeddingProcess().embed("the ferry", is_question=True)


@pytest.mark.parametrize(
    "payload",
    ["b''", "b'x' * 1536", "struct.pack('<384f', *[1.0] * 384)", "struct.pack('<384f', *[float('nan')] * 384)"],
)
async def test_malformed_vector_ends_the_process(payload: str):
    embedder = EmbeddingProcess((sys.executable, "-c", BROKEN_CHILD, payload))
    async with running(embedder):
        with pytest.raises(EngineFailed, match="gone"):
            await embedder.embed("the ferry", is_question=True)


async def test_reason_of_a_broken_package_is_reported():
    frame = struct.pack("<BII", Kind.BROKEN, 0, 7) + b"damaged"
    child = f"import sys; sys.stdout.buffer.write({frame!r})"
    with pytest.raises(EngineFailed, match="damaged"):
        await EmbeddingProcess((sys.executable, "-c", child)).run()
