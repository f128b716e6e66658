"""A vLLM stub: its HTTP API without a model, as a program, so that a whole mesh runs against a real server.

    python stt-service/tests/transcription_stub.py --port 8000

It transcribes any clip with speech as the same words, one at a time, and simulates health, metrics and the sleep mode.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncGenerator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from transcription_server import TranscriptionServer

WORDS = "How is the weather looking for the weekend?"
# Of one word: long enough that a request can be met while it runs.
_WORD_S = 0.02


class TranscriptionStub(TranscriptionServer):
    """The test server, with the routes beside the transcription."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0
        self.asleep = False

    def text_of(self, pcm: bytes) -> str:
        """Return the words for sound, nothing for silence."""
        return WORDS if any(pcm) else ""

    async def _stream(self, text: str) -> AsyncGenerator[str]:
        self.running += 1
        try:
            async for event in super()._stream(text):
                await asyncio.sleep(_WORD_S)
                yield event
        finally:
            self.running -= 1

    async def health(self, request: Request) -> Response:
        """Ready."""
        return Response()

    async def metrics(self, request: Request) -> Response:
        """The requests under way, in Prometheus's format."""
        return PlainTextResponse(f'vllm:num_requests_running{{engine="0",model_name="voxtral"}} {self.running}.0\n')

    async def is_sleeping(self, request: Request) -> Response:
        """Whether it sleeps."""
        return JSONResponse({"is_sleeping": self.asleep})

    async def sleep(self, request: Request) -> Response:
        """Sleep."""
        self.asleep = True
        return Response()

    async def wake_up(self, request: Request) -> Response:
        """Wake."""
        self.asleep = False
        return Response()

    def app(self) -> Starlette:
        """The HTTP app."""
        return Starlette(
            routes=[
                Route("/v1/models", self.list_models),
                Route("/v1/audio/transcriptions", self.transcribe, methods=["POST"]),
                Route("/health", self.health),
                Route("/metrics", self.metrics),
                Route("/is_sleeping", self.is_sleeping),
                Route("/sleep", self.sleep, methods=["POST"]),
                Route("/wake_up", self.wake_up, methods=["POST"]),
            ]
        )


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A vLLM stub")
    parser.add_argument("--port", type=int, default=8000)
    uvicorn.run(TranscriptionStub().app(), port=parser.parse_args().port, log_level="error")


if __name__ == "__main__":
    main()
