"""Calling another service: a channel that notices a silent peer, reads with a deadline, errors as ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

import grpc
from grpc import aio

from service_kit.errors import PeerFailed, from_rpc_error
from service_kit.rpc.multiplex.client import MultiplexedChannel
from service_kit.rpc.server import MAX_MESSAGE_BYTES

Message = TypeVar("Message")
Message_co = TypeVar("Message_co", covariant=True)
Message_contra = TypeVar("Message_contra", contravariant=True)

CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    # A stopped peer's kernel still acknowledges TCP. Measured against SIGSTOP, keepalive alone needed 62 s; with
    # the explicit ping timeout it was 3 s.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.http2.ping_timeout_ms", 1000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)


def open_channel(target: str) -> aio.Channel:
    """Return a channel to `target` (`host:port`); the caller closes it."""
    return aio.insecure_channel(target, options=list(CHANNEL_OPTIONS))


def open_service_channel(target: str, *, multiplex: bool) -> aio.Channel:
    """Return a channel to another service of the mesh, for generated stubs; use it as an async context manager.

    With `multiplex` (the setting `ANCHOR_MULTIPLEX`), its bidirectional calls share one stream, which takes effect
    inside the context. Without, each call has a stream of its own.
    """
    channel = open_channel(target)
    return MultiplexedChannel(channel).for_stubs if multiplex else channel


class Readable(Protocol[Message_co]):
    """The reading half of a grpc.aio call."""

    def read(self) -> Awaitable[Message_co | object]: ...


class Writable(Protocol[Message_contra]):
    """The writing half of a grpc.aio call."""

    def write(self, request: Message_contra) -> Awaitable[None]: ...

    def code(self) -> Awaitable[grpc.StatusCode]: ...

    def details(self) -> Awaitable[str]: ...

    def trailing_metadata(self) -> Awaitable[aio.Metadata]: ...

    def initial_metadata(self) -> Awaitable[aio.Metadata]: ...


async def read_message(call: Readable[Message], peer: str, within_s: float | None = None) -> Message | None:
    """The next message of a streaming call, or None at its end.

    Raises `PeerFailed` when nothing comes `within_s` seconds (None: wait for ever), and the call's own failure
    as the `AnchorError` it stands for.
    """
    try:
        if within_s is None:
            message = await call.read()
        else:
            async with asyncio.timeout(within_s):
                message = await call.read()
    except TimeoutError as error:
        raise PeerFailed(f"{peer}.silent", f"{peer} sent nothing for {within_s} s") from error
    except aio.AioRpcError as error:
        raise from_rpc_error(error, peer) from error
    return None if message is aio.EOF else message  # type: ignore[return-value]


async def write_message(call: Writable[Message_contra], message: Message_contra, peer: str) -> None:
    """Send one message of a streaming call; waits while the peer is slower than we are (that is backpressure)."""
    try:
        await call.write(message)
    except aio.AioRpcError as error:
        raise from_rpc_error(await _end_of(call), peer) from error
    except asyncio.InvalidStateError as error:
        # What grpc.aio raises for a write to a call that has ended already.
        raise PeerFailed(f"{peer}.unavailable", f"the call to {peer} has ended") from error


async def _end_of(call: Writable[Message_contra]) -> aio.AioRpcError:
    """How the call ended. A write that meets the end of its call reports INTERNAL, whatever it ended with."""
    return aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


async def await_response(call: Awaitable[Message], peer: str, within_s: float) -> Message:
    """The answer of a unary call, its failure or lateness as an `AnchorError`."""
    try:
        async with asyncio.timeout(within_s):
            return await call
    except TimeoutError as error:
        raise PeerFailed(f"{peer}.silent", f"{peer} did not answer within {within_s} s") from error
    except aio.AioRpcError as error:
        raise from_rpc_error(error, peer) from error
