"""The gRPC server: what its callers get for messages that it cannot read."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from anchor.stt.v1 import stt_pb2, stt_pb2_grpc
from grpc import aio
from service_kit.errors import ERROR_CODE_KEY
from service_kit.testing.plugin import serve_grpc

SERVICE = "anchor.stt.v1.SpeechToTextService"


class Reader(stt_pb2_grpc.SpeechToTextServiceServicer):
    """Reads all messages of a call."""

    async def Transcribe(self, request_iterator: Any, context: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        async for _ in request_iterator:
            await context.write(stt_pb2.TranscribeResponse())


async def test_message_of_another_type_is_the_callers_mistake(caplog: pytest.LogCaptureFixture) -> None:
    def add(server: aio.Server) -> None:
        stt_pb2_grpc.add_SpeechToTextServiceServicer_to_server(Reader(), server)

    async with serve_grpc(SERVICE, add) as channel:
        call = channel.stream_stream(f"/{SERVICE}/Transcribe")()
        await call.write(b"\xff\xff\xff")
        with pytest.raises(aio.AioRpcError) as refused:
            await call.read()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(refused.value.trailing_metadata() or ())[ERROR_CODE_KEY] == "rpc.undecodable"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
