"""Preparing passages in the background."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from llama_stub import SLOT_CONTENT, LlamaStub, serve_llama
from orchestrator.knowledge.folder import KnowledgeFolder
from orchestrator.knowledge.passages import Passage
from orchestrator.llm.local import preparation
from orchestrator.llm.local.llama_client import LlamaClient
from orchestrator.llm.local.passage_prompt import passage_prompt
from orchestrator.llm.local.preparation import PassagePreparation
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.local.slot_files import SlotFiles
from service_kit.tasks import background

TOPICS = ("ferry", "tram", "castle")


def write_passage(folder: Path, name: str, text: str = "It is open.", extra: str = "") -> None:
    (folder / f"{name}.md").write_text(f"---\ntitle: the {name}\n{extra}---\n{text}\n", "utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    for name in TOPICS:
        write_passage(folder, name)
    write_passage(folder, "fähre", extra="language: de\n")
    write_passage(folder, "anchor", extra="kind: about\n")
    return folder


@pytest.fixture
def stub(tmp_path: Path) -> LlamaStub:
    return LlamaStub(tmp_path / "slots")


@asynccontextmanager
async def preparing(stub: LlamaStub, folder: Path, **own: float) -> AsyncGenerator[PassagePreparation]:
    knowledge = KnowledgeFolder(folder, rescan_s=0)
    async with serve_llama(stub) as url:
        settings = LocalLlmSettings.model_validate(
            {"url": url, "cache_dir": stub.folder, "connect_s": 10, "prepare_after_s": 0.1, **own}
        )
        async with LlamaClient(settings) as client:
            preparation = PassagePreparation(client, knowledge, settings)
            async with background(preparation.run(), "preparation"):
                yield preparation


async def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.005)


def topics(stub: LlamaStub) -> list[str]:
    return sorted(system.split(":")[0].removeprefix("Notes on the ") for system in stub.prepared)


async def test_english_passages_are_prepared_once(stub: LlamaStub, folder: Path):
    async with preparing(stub, folder) as preparation:
        await until(lambda: preparation.prepared_count == 3)
        seen = len(stub.requests)
        await asyncio.sleep(0.3)
        assert len(stub.requests) == seen
    assert topics(stub) == sorted(TOPICS)


async def test_prepared_passages_outlast_the_process(stub: LlamaStub, folder: Path):
    async with preparing(stub, folder) as preparation:
        await until(lambda: preparation.prepared_count == 3)
    async with preparing(stub, folder) as preparation:
        await until(lambda: preparation.prepared_count == 3)
    assert len(stub.requests) == 3


async def test_only_a_changed_passage_is_prepared_again(stub: LlamaStub, folder: Path):
    async with preparing(stub, folder) as preparation:
        await until(lambda: preparation.prepared_count == 3)
        write_passage(folder, "tram", "It is closed.")
        os.utime(folder / "tram.md", (1, 1))
        await until(lambda: len(stub.requests) == 4)
        await until(lambda: preparation.prepared_count == 3)
    assert stub.prepared[-1].startswith("Notes on the tram: It is closed.")


async def test_turn_cancels_preparation_until_it_is_quiet(stub: LlamaStub, folder: Path):
    stub.hangs = True
    async with preparing(stub, folder) as preparation:
        await until(lambda: len(stub.requests) == 1)
        preparation.on_turn()
        await until(lambda: stub.cancelled == 1)
        stub.hangs = False
        await until(lambda: preparation.prepared_count == 3)


async def test_server_that_is_down_is_tried_again(stub: LlamaStub, folder: Path):
    stub.failing = True
    async with preparing(stub, folder) as preparation:
        await until(lambda: len(stub.requests) >= 2)
        stub.failing = False
        await until(lambda: preparation.prepared_count == 3)


async def test_size_of_the_folder_is_bounded(stub: LlamaStub, folder: Path):
    async with preparing(stub, folder, cache_mb=0) as preparation:
        await asyncio.sleep(0.3)
        assert preparation.prepared_count == 0
    assert stub.slot_actions == []


async def test_full_folder_ends_the_preparation(stub: LlamaStub, folder: Path, monkeypatch: pytest.MonkeyPatch):
    refusals: list[str] = []

    class TwoFiles(SlotFiles):
        def __init__(self, path: Path, max_bytes: int) -> None:
            super().__init__(path, 2 * len(SLOT_CONTENT))

        def make_room(self, wanted: Collection[str]) -> bool:
            has_room = super().make_room(wanted)
            if not has_room:
                refusals.append("full")
            return has_room

    monkeypatch.setattr(preparation, "SlotFiles", TwoFiles)
    async with preparing(stub, folder):
        await until(lambda: len(refusals) >= 3)
    assert len(stub.prepared) == 2


async def test_long_passage_is_cut_at_a_sentence():
    prompt = passage_prompt(Passage("long", "a long story", tuple(f"Sentence number {n} is here." for n in range(900))))
    notes = prompt.system.partition("\n\n")[0]
    assert len(notes) < 4_100
    assert notes.endswith("is here.")
