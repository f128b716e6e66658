"""Clients outside the protocol: raw sockets and hand-made frames."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

TEXT, BINARY, PING, CONTINUATION = 1, 2, 9, 0
START = {"type": "session_start"}


def websocket_frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A masked WebSocket frame, with a mask of zeros."""
    head = bytes([(0x80 if last else 0) | opcode])
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + struct.pack(">H", len(payload))
    return head + length + bytes(4) + payload


def json_frame(**message: object) -> bytes:
    """A text frame with a JSON message."""
    return websocket_frame(TEXT, json.dumps(message).encode())


@contextmanager
def raw_websocket(port: int, path: str = "/ws/audio") -> Iterator[socket.socket]:
    """A socket after its WebSocket handshake; it is not read, and pings stay unanswered."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        host = f"127.0.0.1:{port}"
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        yield client


async def flood(port: int, payload: bytes, for_s: float, *, reads: bool = True) -> int:
    """Send `payload` repeatedly to a session as fast as possible; return the bytes sent before the socket broke."""
    return await asyncio.to_thread(_flood, port, payload, for_s, reads)


def _flood(port: int, payload: bytes, for_s: float, reads: bool) -> int:
    sent = 0
    until_s = time.monotonic() + for_s
    with raw_websocket(port) as client:
        reader = threading.Thread(target=_discard_input, args=(client,))
        client.sendall(json_frame(**START))
        client.settimeout(0.2)
        if reads:
            reader.start()
        try:
            while time.monotonic() < until_s:
                try:
                    sent += client.send(payload)
                except TimeoutError:
                    continue
                except OSError:
                    break
        finally:
            client.close()
            if reads:
                reader.join()
    return sent


def _discard_input(client: socket.socket) -> None:
    while True:
        try:
            if not client.recv(65_536):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def is_closed_by_server(client: socket.socket) -> bool:
    """Whether the server has closed this connection; pending data is read first."""
    client.setblocking(False)
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
