"""The proxies damage connections as they say: what is measured through them is the mesh's reaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from fault_proxy import FaultProxy
from listener import AudibleSpeaker
from mesh_launcher import reserve_ports
from message_proxy import EVERY, Doubling, Dropping, Mangle, MessageProxy, Swapping
from service_kit.audio import SPEECH
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON_S = 2.0


@asynccontextmanager
async def proxied_echo() -> AsyncGenerator[FaultProxy]:
    """A proxy in front of a server that returns every byte."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    with reserve_ports(1) as (port,):
        proxy = FaultProxy(port, server.sockets[0].getsockname()[1])
        await proxy.start()
        yield proxy
        await proxy.close()
    server.close()


async def opened(proxy: FaultProxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def returned(ends: Ends, data: bytes) -> bytes:
    ends[1].write(data)
    async with asyncio.timeout(SOON_S):
        return await ends[0].readexactly(len(data))


async def test_a_proxy_passes_bytes_until_it_cuts() -> None:
    async with proxied_echo() as proxy:
        ends = await opened(proxy)
        assert await returned(ends, b"x" * 200_000) == b"x" * 200_000
        proxy.cut(refuse=True)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await returned(ends, b"y")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await returned(await opened(proxy), b"y")
        proxy.mend()
        again = await opened(proxy)
        assert await returned(again, b"z") == b"z"
        again[1].close()


async def test_a_frozen_connection_stands_and_passes_nothing() -> None:
    async with proxied_echo() as proxy:
        ends = await opened(proxy)
        assert await returned(ends, b"a") == b"a"
        proxy.freeze(new=False)
        ends[1].write(b"b")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ends[0].readexactly(1)
        other = await opened(proxy)
        assert await returned(other, b"c") == b"c"
        proxy.mend()
        async with asyncio.timeout(SOON_S):
            assert await ends[0].readexactly(1) == b"b"
        for _, writer in (ends, other):
            writer.close()


async def test_a_delay_keeps_the_order() -> None:
    async with proxied_echo() as proxy:
        ends = await opened(proxy)
        await returned(ends, b"a")
        proxy.delay(0.1)
        began_s = asyncio.get_running_loop().time()
        assert await returned(ends, b"0123456789") == b"0123456789"
        assert asyncio.get_running_loop().time() - began_s >= 0.2
        ends[1].close()


@pytest.mark.parametrize(
    ("mangle", "expected"), [(Dropping(), "01235"), (Doubling(), "0123445"), (Swapping(), "012354")]
)
async def test_frames_are_lost_doubled_and_swapped(mangle: Mangle, expected: str) -> None:
    received: list[bytes] = []

    async def collect(socket: ServerConnection) -> None:
        received.extend([bytes(message) async for message in socket])
        await socket.close()

    async with serve(collect, "127.0.0.1", 0) as server:
        with reserve_ports(1) as (port,):
            proxy = MessageProxy(port, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            proxy.mangle = mangle
            await proxy.start()
            async with connect(f"ws://127.0.0.1:{port}") as client:
                for number in range(EVERY + 1):
                    await client.send(str(number).encode())
            async with asyncio.timeout(SOON_S):
                while len(received) < len(expected):
                    await asyncio.sleep(0.01)
            await proxy.close()
    assert b"".join(received).decode() == expected


def test_a_speaker_notes_what_was_audible_and_what_came_after_a_stop() -> None:
    speaker = AudibleSpeaker()
    second = b"\x00\x10" * SPEECH.rate_hz
    speaker.start_reply(1)
    speaker.start_audio(1, 0, 10.0)
    speaker.receive_frame(second, 10.0)
    for tenth in range(1, 31):
        speaker.advance_to(10.0 + tenth / 10)
    speaker.receive_frame(bytes(len(second)), 13.0)
    speaker.advance_to(14.0)
    (audible,) = speaker.audible
    assert (audible.start_s, audible.end_s) == pytest.approx((10.0, 11.0), abs=0.01)
    speaker.stop(1, 14.0)
    speaker.receive_frame(second, 14.0)
    assert speaker.cancelled_frames == 1
