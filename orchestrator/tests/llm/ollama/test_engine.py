"""The Ollama model against the Ollama stub."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import ollama_stub
import pytest
from ollama_stub import OllamaStub, StubSection, WireFault
from ollama_support import FAST, PERSONA, PROMPT, connected_model
from orchestrator.conversation.model.ports import Message, Prompt
from orchestrator.llm.ollama.engine import OllamaModel, OllamaSettings
from service_kit.engines.script import Fault
from service_kit.errors import AnchorError, AtCapacity, PeerFailed


async def text_of(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def collect(pieces: AsyncIterator[str], heard: list[str]) -> None:
    async for piece in pieces:
        heard.append(piece)  # noqa: PERF401 - pieces before a failure count


async def test_reply_streams_token_by_token():
    async with connected_model(StubSection(**FAST)) as (model, _):
        assert [piece async for piece in model.reply(PROMPT)] == [
            *("Good", " evening", ",", " Grüße", " nach", " Köln", "."),
        ]


async def test_every_request_has_the_same_options():
    history = (Message("user", "Hello"), Message("anchor", "Good evening."))
    other = Prompt(text="Go on.", language="en", persona=PERSONA, history=history)
    async with connected_model(StubSection(**FAST), context_tokens=4096) as (model, stub):
        await model.prefill(PROMPT)
        await text_of(model.reply(PROMPT))
        await text_of(model.reply(other))
    warm, first, second = stub.requests
    messages = second.pop("messages")
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0] == first.pop("messages")[0]
    assert first == second
    assert first["think"] is False
    assert first["keep_alive"] == -1
    assert first["options"] == {"num_ctx": 4096, "num_predict": 400, "temperature": 0.2}
    assert warm["options"] == {**first["options"], "num_predict": 1}


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ({"fault": Fault.ERROR, "fault_after_tokens": 3}, "llm.failed"),
        ({"wire_fault": WireFault.TRUNCATED_LINE, "fault_after_tokens": 3}, "llm.garbled"),
        ({"wire_fault": WireFault.NO_DONE}, "llm.truncated"),
    ],
)
async def test_broken_stream_is_distinguished_from_a_complete_one(section: dict[str, object], code: str):
    heard: list[str] = []
    async with connected_model(StubSection(**FAST, **section)) as (model, _):
        with pytest.raises(PeerFailed) as caught:
            await collect(model.reply(PROMPT), heard)
    assert caught.value.code == code
    assert "".join(heard).startswith("Good evening,")


async def test_stream_that_stalls_times_out():
    heard: list[str] = []
    section = StubSection(**{**FAST, "tokens_per_second": 1_000_000}, fault=Fault.HANG, fault_after_tokens=3)
    async with connected_model(section, between_tokens_s=1) as (model, _):
        with pytest.raises(PeerFailed) as caught:
            await collect(model.reply(PROMPT), heard)
    assert caught.value.code == "llm.silent"
    assert "".join(heard).startswith("Good evening,")


async def test_slow_first_token_times_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("orchestrator.llm.ollama.engine.MAX_FIRST_TOKEN_S", 0.2)
    async with connected_model(StubSection(fault=Fault.HANG, **FAST)) as (model, stub):
        with pytest.raises(PeerFailed, match="no token in time"):
            await text_of(model.reply(PROMPT))
        await until_closed(stub)


async def until_closed(stub: OllamaStub) -> None:
    async with asyncio.timeout(20):
        while stub.open:
            await asyncio.sleep(0.005)


async def test_closing_the_reply_closes_the_connection():
    async with connected_model(StubSection(fault=Fault.ENDLESS, **{**FAST, "tokens_per_second": 200})) as (model, stub):
        async with aclosing(model.reply(PROMPT)) as pieces:
            assert await anext(pieces) == "Good"
            assert stub.open == 1
        await until_closed(stub)


async def test_missing_model_error_explains_how_to_pull_it():
    async with connected_model(StubSection(model="other", **FAST)) as (model, _):
        with pytest.raises(PeerFailed, match="run `ollama pull mistral`") as caught:
            await text_of(model.reply(PROMPT))
    assert caught.value.code == "llm.model_missing"
    assert not caught.value.retryable


async def test_full_server_error_is_retryable():
    async with connected_model(StubSection(wire_fault=WireFault.BUSY, **FAST)) as (model, _):
        with pytest.raises(AtCapacity, match="maximum pending requests"):
            await text_of(model.reply(PROMPT))
        assert await text_of(model.reply(PROMPT)) == FAST["replies"][0]


async def test_absent_server_is_unreachable():
    async with OllamaModel(OllamaSettings(url="http://127.0.0.1:9", connect_s=0.5, preload=False)) as model:
        with pytest.raises(PeerFailed, match="no model server at") as caught:
            await text_of(model.reply(PROMPT))
    assert caught.value.code == "llm.unreachable"


async def test_credentials_of_the_server_are_sent_and_never_shown():
    async with OllamaModel(OllamaSettings(url="http://me:hush@127.0.0.1:9", connect_s=0.5, preload=False)) as model:
        assert model._client.base_url.userinfo == b"me:hush"
        with pytest.raises(PeerFailed, match=r"no model server at http://\*\*\*@127\.0\.0\.1:9") as caught:
            await text_of(model.reply(PROMPT))
    assert "hush" not in str(caught.value)


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncGenerator[OllamaModel]:
    """Yield a model whose server sends these bytes for any request, and closes."""

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(on_connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        OllamaModel(OllamaSettings(url=f"http://127.0.0.1:{port}", preload=False, connect_s=30)) as model,
    ):
        yield model


OK = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (OK + b'{"message": {"content": "' + b"x" * 100_000, "llm.garbled"),
        (OK + b'["not", "an", "object"]\n', "llm.garbled"),
        (OK + b"\xff\xfe\n", "llm.garbled"),
        (OK + b'{"message": {"content": 7}}\n', "llm.garbled"),
        (OK + b'\n{"error": "CUDA error: out of memory"}\n', "llm.failed"),
        (OK, "llm.truncated"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{}\n", "llm.connection_lost"),
        (b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n" + b"<html>" + b"x" * 9000, "llm.refused"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 99\r\n\r\n", "llm.refused"),
        (b"this is not HTTP\r\n\r\n", "llm.unreachable"),
    ],
)
async def test_invalid_response_fails_with_a_code(answer: bytes, code: str):
    async with raw_server(answer) as model:
        with pytest.raises(AnchorError) as caught:
            await text_of(model.reply(PROMPT))
    assert caught.value.code == code
    assert len(caught.value.message) < 5000


@pytest.mark.parametrize("answer", [b'{"models": ["mistral"]}', b'{"models": 7}', b'{"models": {"name": "mistral"}}'])
async def test_invalid_model_list_is_garbled(answer: bytes):
    async with raw_server(OK + answer) as model:
        with pytest.raises(PeerFailed) as caught:
            await model.probe()
    assert caught.value.code == "llm.garbled"


async def test_text_in_the_last_line_counts():
    answer = OK + b'{"message": {"content": "All of it."}, "done": true}'
    async with raw_server(answer) as model:
        assert await text_of(model.reply(PROMPT)) == "All of it."


def test_stub_runs_as_a_process(tmp_path: Path, unused_tcp_port: int):
    script = tmp_path / "script.toml"
    script.write_text('[llm]\nmodel = "mistral"\nreplies = ["Hi."]\nfirst_token_delay_ms = 0\n')
    command = [sys.executable, ollama_stub.__file__, "--port", str(unused_tcp_port)]
    process = subprocess.Popen([*command, "--script", str(script)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{unused_tcp_port}", trust_env=False) as client:
            for _ in range(400):
                try:
                    version = client.get("/api/version").json()
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            else:
                pytest.fail("the stub did not listen within 20 s")
            assert version == {"version": "0.0.0-scripted"}
            assert client.get("/api/tags").json()["models"][0]["name"] == "mistral"
            assert client.get("/api/ps").json()["models"] == []
            body = {"model": "mistral", "messages": [{"role": "user", "content": "Hello"}]}
            lines = [
                httpx.Response(200, content=line).json() for line in client.post("/api/chat", json=body).iter_lines()
            ]
            running = client.get("/api/ps").json()["models"][0]
            assert running["size_vram"] == running["size"]
    finally:
        # SIGKILL: the stub has nothing to save, and a coverage tool in it may wait for its own lock on SIGTERM.
        process.kill()
        process.wait(10)
    assert "".join(line["message"]["content"] for line in lines) == "Hi."
    assert lines[-1]["done_reason"] == "stop"
    assert lines[-1]["eval_count"] == 2
