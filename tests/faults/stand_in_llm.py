"""A language model on the real wire that answers in time, late, wrongly or never, at `/v1/chat/completions`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator

FIRST_TOKEN_S = 0.3
TOKENS_PER_S = 60.0
SLOW_TOKEN_S = 0.7
MAX_BODY_BYTES = 1_000_000

FAULTS = ("refuse", "silent", "error", "empty", "cut", "garbage", "wrong type", "endless", "slow", "no done")


class StandInLlm:
    """Listens on a port of the loopback; `answer` is what it says, `fault` how it fails (None: not at all)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer = ""
        self.fault: str | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Stop listening and end all requests."""
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self.fault != "refuse":
                await self._respond(reader, writer)
                await writer.drain()
                writer.close()
        except (OSError, asyncio.IncompleteReadError):
            # The orchestrator has given the request up.
            pass
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lengths = [line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length")]
        body = await reader.readexactly(min(int(lengths[0]) if lengths else 0, MAX_BODY_BYTES))
        if head.startswith("get"):
            writer.write(_head("200 OK", "application/json") + b'{"data":[]}')
            return
        if self.fault == "error":
            writer.write(_head("500 Internal Server Error", "application/json") + b'{"error":"out of memory"}')
            return
        writer.write(_head("200 OK", "text/event-stream"))
        await writer.drain()
        # A prefill, which is no answer.
        words = self.answer.split()[:1] if json.loads(body).get("max_tokens") == 1 else self.answer.split()
        async for piece in self._pieces(words):
            writer.write(piece)
            await writer.drain()

    async def _pieces(self, words: list[str]) -> AsyncGenerator[bytes]:
        fault = self.fault
        if fault == "silent":
            await asyncio.Event().wait()
        await asyncio.sleep(FIRST_TOKEN_S)
        if fault == "garbage":
            yield b"\x00\xff\xfe{{" * 64 + b"\n\n"
            return
        if fault == "wrong type":
            yield b'data: {"choices": 7}\n\n'
            return
        while fault != "empty":
            for number, word in enumerate(words):
                if fault == "cut" and number == len(words) // 2:
                    return
                text = word if number == 0 and fault != "endless" else f" {word}"
                yield b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"
                await asyncio.sleep(SLOW_TOKEN_S if fault == "slow" else 1 / TOKENS_PER_S)
            if fault != "endless":
                break
        if fault != "no done":
            yield b"data: [DONE]\n\n"


def _head(status: str, kind: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()
