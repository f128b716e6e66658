"""llama.cpp's real server, in its real process, on a tiny random model: the client, slots, damage, and the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator.conversation.model.ports import Persona, Prompt
from orchestrator.knowledge.passages import Passage
from orchestrator.llm.local.llama_client import LlamaClient, ModelServerDown
from orchestrator.llm.local.passage_prompt import passage_prompt
from orchestrator.llm.local.settings import LocalLlmSettings
from orchestrator.llm.local.slot_files import SlotFiles
from orchestrator.llm.openai import OpenAiModel, OpenAiSettings
from record_local_llm import record
from service_kit.errors import PeerFailed
from tiny_gguf import write_tiny_gguf

pytest.importorskip("xllamacpp")

FERRY = passage_prompt(Passage("ferry", "the ferry", ("A ticket costs four crowns.", "It leaves at six.")))
START_S = 60
RECORDED = Path(__file__).parents[2] / "orchestrator/tests/llm/local/recorded.json"


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def serving(
    model: Path, cache: Path, wait: bool = True
) -> AsyncGenerator[tuple[LlamaClient, LocalLlmSettings, asyncio.subprocess.Process]]:
    """The process with `model`, and a client of it."""
    port = free_port()
    environment = os.environ | {
        "LLM_HTTP_PORT": str(port),
        "LLM_LOCAL_MODEL_PATH": str(model),
        "LLM_LOCAL_CACHE_DIR": str(cache),
        "LLM_LOCAL_CONTEXT_TOKENS": "1024",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "llm_service", env=environment)
    settings = LocalLlmSettings(
        url=f"http://127.0.0.1:{port}", cache_dir=cache, connect_s=10, first_token_s=10, complete_s=7
    )
    try:
        async with LlamaClient(settings) as client, asyncio.timeout(START_S) as timeout:
            while wait:
                try:
                    await client.check_health()
                    break
                except ModelServerDown:
                    await asyncio.sleep(0.05)
            timeout.reschedule(None)
            yield client, settings, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer_to(client: LlamaClient, question: str) -> str:
    return "".join([piece async for piece in client.complete(FERRY.messages(question))])


async def test_answer_is_the_same_from_a_restored_slot(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (client, _, _):
        expected = await answer_to(client, "What does it cost?")
        await client.process_prompt(FERRY.messages(""))
        written = await client.save_slot("ferry.slot")
        assert (tmp_path / "ferry.slot").stat().st_size == written
        await client.process_prompt([{"role": "system", "content": "Something else altogether."}])
        await client.restore_slot("ferry.slot")
        assert await answer_to(client, "What does it cost?") == expected


async def test_restored_slot_saves_the_work_on_the_notes(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (client, settings, _):
        await client.process_prompt(FERRY.messages(""))
        await client.save_slot("ferry.slot")
        await client.process_prompt([{"role": "system", "content": "Something else altogether."}])
        await client.restore_slot("ferry.slot")
        async with httpx.AsyncClient(base_url=settings.url, timeout=30) as http:
            body = {"messages": FERRY.messages("What?"), "max_tokens": 1, "temperature": 0}
            timings = (await http.post("/v1/chat/completions", json=body)).json()["timings"]
    assert timings["cache_n"] > len(FERRY.system)
    assert timings["prompt_n"] < 40


async def test_missing_slot_file_is_an_error_and_nothing_else(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (client, _, _):
        with pytest.raises(PeerFailed, match="400"):
            await client.restore_slot("nothing.slot")
        await client.check_health()


async def test_slot_file_outside_the_folder_is_refused(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path / "inner") as (client, _, _):
        with pytest.raises(PeerFailed, match="400"):
            await client.save_slot("../outside.slot")
    assert not (tmp_path / "outside.slot").exists()


async def test_truncated_slot_file_never_reaches_the_server(model_file: Path, tmp_path: Path) -> None:
    files = SlotFiles(tmp_path, 10_000_000)
    async with serving(model_file, tmp_path) as (client, _, process):
        await client.process_prompt(FERRY.messages(""))
        assert files.record_save("ferry.slot", await client.save_slot("ferry.slot"))
        assert files.is_prepared("ferry.slot")
        content = (tmp_path / "ferry.slot").read_bytes()
        (tmp_path / "ferry.slot").write_bytes(content[: len(content) // 2])
        assert not files.is_prepared("ferry.slot")
        assert process.returncode is None


async def test_openai_engine_speaks_to_it(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (_, settings, _):
        own = OpenAiSettings(url=f"{settings.url}/v1", connect_s=10, max_reply_tokens=8, context_tokens=1024)
        persona = Persona("anchor", "Nora", "You are Nora.")
        async with OpenAiModel(own) as model:
            await model.probe()
            pieces = [piece async for piece in model.reply(Prompt("Hello?", "en", persona))]
    assert "".join(pieces)


async def test_identity_has_the_model_and_changes_with_it(model_file: Path, tmp_path: Path) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf", seed=1)
    async with serving(model_file, tmp_path) as (client, _, _):
        first = await client.fetch_identity()
    async with serving(other, tmp_path) as (client, _, _):
        assert await client.fetch_identity() != first
    assert "tiny" in first


async def test_sigterm_ends_the_process(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (_, _, process):
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.fixture(params=["missing", "junk", "half"])
def broken(request: pytest.FixtureRequest, model_file: Path, tmp_path: Path) -> tuple[Path, str]:
    """A model file that is missing, no GGUF file, or half fetched; and the code of its error."""
    path = tmp_path / "broken.gguf"
    if request.param != "missing":
        path.write_bytes(b"junk" if request.param == "junk" else model_file.read_bytes()[:20_000])
    return path, "models.missing" if request.param == "missing" else "llm.not_loaded"


async def test_damaged_model_is_reported_and_the_process_stays(broken: tuple[Path, str], tmp_path: Path) -> None:
    path, expected = broken
    async with serving(path, tmp_path, wait=False) as (client, _, process):
        reason = ""
        async with asyncio.timeout(START_S):
            while "broken.gguf" not in reason:
                with pytest.raises(ModelServerDown) as refused:
                    await client.check_health()
                reason = refused.value.message
                await asyncio.sleep(0.05)
        assert expected in reason
        assert process.returncode is None


def listeners(port: int) -> list[str]:
    """The addresses, as the kernel writes them, on which `port` is listened to."""
    lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    rows = [line.split() for line in lines]
    return [row[1] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]


async def test_process_listens_on_loopback_only(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (_, settings, _):
        port = int(settings.url.rpartition(":")[2])
        listening = listeners(port)
    assert listening == [f"0100007F:{port:04X}"]


def shape(value: object) -> object:
    """The keys of a JSON value at every depth; numbers and texts by their type."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def shapes(answer: dict[str, Any]) -> list[object]:
    """The distinct shapes of an answer's JSON, or of the events of its stream."""
    body: str = answer["body"]
    events = [line.removeprefix("data: ") for line in body.split("\n\n") if line.strip()]
    texts = [event for event in events if event != "[DONE]"] if body.startswith("data:") else [body]
    found: list[object] = []
    for text in texts:
        if (one := shape(json.loads(text))) not in found:
            found.append(one)
    return found


async def test_recorded_answers_are_shaped_like_the_servers(model_file: Path, tmp_path: Path) -> None:
    async with serving(model_file, tmp_path) as (_, settings, _):
        real = await asyncio.to_thread(record, settings.url)
    recorded = json.loads(RECORDED.read_text("utf-8"))
    assert recorded.keys() == real.keys()
    for name, answer in real.items():
        assert (recorded[name]["status"], recorded[name]["type"]) == (answer["status"], answer["type"]), name
        assert shapes(recorded[name]) == shapes(answer), name
