"""Clients that keep to no rules: bare sockets, and frames made by hand."""

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


def frame(opcode: int, payload: bytes = b"", *, last: bool = True) -> bytes:
    """A masked WebSocket frame, with the mask that changes nothing."""
    head = bytes([(0x80 if last else 0) | opcode])
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + struct.pack(">H", len(payload))
    return head + length + bytes(4) + payload


def said(**message: object) -> bytes:
    """A text frame with a message."""
    return frame(TEXT, json.dumps(message).encode())


@contextmanager
def raw_websocket(port: int, path: str = "/ws/audio") -> Iterator[socket.socket]:
    """A socket behind its handshake. Nobody reads it, nobody answers its pings."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        host = f"127.0.0.1:{port}"
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        yield client


async def flood(port: int, payload: bytes, for_s: float, *, reads: bool = True) -> int:
    """Send `payload` over and over to a session, as fast as it goes; the bytes that left until the socket broke."""
    return await asyncio.to_thread(_flood, port, payload, for_s, reads)


def _flood(port: int, payload: bytes, for_s: float, reads: bool) -> int:
    sent = 0
    until_s = time.monotonic() + for_s
    with raw_websocket(port) as client:
        reader = threading.Thread(target=_read_all, args=(client,))
        client.sendall(said(**START))
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


def _read_all(client: socket.socket) -> None:
    while True:
        try:
            if not client.recv(65_536):
                return
        except TimeoutError:
            continue
        except OSError:
            return


def is_put_out(client: socket.socket) -> bool:
    """Whether the server has ended this connection; what it still said is read first."""
    client.setblocking(False)
    try:
        while client.recv(65_536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
