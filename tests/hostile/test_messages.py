"""Messages of misbehaving clients are refused with a code, at low cost and without effect on other clients."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from anchor.session.v1 import session_pb2 as pb
from anchor.session.v1 import session_pb2_grpc
from grpc import Compression, StatusCode, aio
from responses import error_code, read_until_error, wait_closed, wait_for_message
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.e2e

MANY_CHARS = 100_000
MIB = 2**20
START = json.dumps({"type": "session_start"})


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("{}", "session.bad_message"),
        ("[" * 60_000, "session.bad_message"),
        ('{"type":"session_start","sample_rate_hz":' + "9" * 60_000 + "}", "session.bad_message"),
        ('{"type":"text_input","text":"hello"}', "session.start_expected"),
        (b"\0\0", "session.start_expected"),
        ('{"type":"session_start","sample_rate_hz":1}', "session.bad_sample_rate"),
        ('{"type":"session_start","sample_rate_hz":4294967295}', "session.bad_sample_rate"),
        ('{"type":"session_start","language":"tlh"}', "session.unknown_language"),
        ('{"type":"session_start","voice":"nobody"}', "session.unknown_voice"),
        ('{"type":"session_start","persona":"../../etc/passwd"}', "session.unknown_persona"),
        ('{"type":"session_start","ticket":"guess"}', "session.unknown_ticket"),
    ],
)
async def test_a_bad_first_message_is_refused_with_its_code(mesh, first, code: str) -> None:
    async with mesh.serving_bystander():
        with mesh.measure_cost(f"first message refused with {code}") as cost:
            async with connect(mesh.audio_url) as socket:
                await socket.send(first)
                assert (await wait_for_message(socket, "error"))["code"] == code
                assert await wait_closed(socket) == (1008, code)
    assert cost.memory_bytes < 16 * MIB


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\0" * 641, "session.bad_audio"),
        ('{"type":"set_language","language":"tlh"}', "session.unknown_language"),
        ('{"type":"set_voice","voice":"nobody"}', "session.unknown_voice"),
        ('{"type":"set_persona","persona":"nobody"}', "session.unknown_persona"),
        ('{"type":"set_style","pace":1e999}', "session.bad_message"),
        ('{"type":"text_input","text":"\\ud800"}', "session.bad_message"),
        (json.dumps({"type": "text_input", "text": "x" * 9_000}), "session.bad_message"),
        (START, "session.already_started"),
    ],
)
async def test_a_bad_message_is_answered_and_the_session_goes_on(mesh, frame, code: str) -> None:
    async with mesh.serving_bystander(), connect(mesh.audio_url) as socket:
        await socket.send(START)
        await wait_for_message(socket, "session_started")
        await socket.send(frame)
        assert (await wait_for_message(socket, "error"))["code"] == code
        await socket.send('{"type":"text_input","text":"are you there"}')
        await wait_for_message(socket, "reply_audio")


async def test_a_client_that_sends_only_bad_messages_is_disconnected(mesh) -> None:
    async with mesh.serving_bystander(), connect(mesh.audio_url) as socket:
        await socket.send(START)
        await wait_for_message(socket, "session_started")
        for _ in range(20):
            await socket.send(b"\0")
        assert await wait_closed(socket) == (1008, "session.too_many_bad_messages")


@pytest.mark.parametrize("path", ["/ws/audio", "/ws"])
@pytest.mark.parametrize("frame", [bytes(MANY_CHARS), json.dumps({"type": "text_input", "text": "x" * MANY_CHARS})])
async def test_a_frame_that_is_too_large_closes_the_socket(mesh, path: str, frame) -> None:
    async with mesh.serving_bystander():
        with mesh.measure_cost("frame of 100 kB") as cost:
            async with connect(f"ws://127.0.0.1:{mesh.http_port}{path}") as socket:
                if path == "/ws/audio":
                    await socket.send(START)
                await socket.send(frame)
                assert (await wait_closed(socket))[0] == 1009
    assert cost.memory_bytes < 16 * MIB


async def test_a_text_of_100_000_characters_is_refused_by_every_api(mesh) -> None:
    text = "x" * MANY_CHARS
    async with (
        mesh.serving_bystander(),
        httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http,
        aio.insecure_channel(mesh.grpc_target) as channel,
    ):
        with mesh.measure_cost("text of 100k characters to REST and gRPC") as cost:
            for body in ({"json": {"text": text}}, {"data": {"text": text}}):
                answer = await http.post("/interact", **body)
                assert (answer.status_code, answer.json()["error"]["code"]) in (
                    (400, "session.bad_message"),
                    (400, "http.400"),  # The limit on form fields applies first.
                )
            answer = await http.post("/conversation/start", json={"language": text})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "session.body_too_large")
            call = session_pb2_grpc.SessionServiceStub(channel).Converse()
            await call.write(pb.ConverseRequest(message=pb.ClientMessage(session_start=pb.SessionStart())))
            await call.write(pb.ConverseRequest(message=pb.ClientMessage(text_input=pb.TextInput(text=text))))
            while (message := (await call.read()).message).WhichOneof("message") != "error":
                pass
            assert message.error.code == "session.bad_message"
            call.cancel()
    assert cost.memory_bytes < 16 * MIB


@pytest.mark.parametrize("option", ["language", "voice", "persona", "ticket"])
async def test_unknown_options_are_refused_by_the_simple_apis(mesh, option: str) -> None:
    async with mesh.serving_bystander(), httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
        answer = await http.post("/interact", json={"text": "hello", option: "nothing of the kind"})
        assert answer.json()["error"]["code"] == f"session.unknown_{option}"
        async with connect(mesh.simple_url) as socket:
            # One second of raw samples: options are checked when there is something to answer.
            await socket.send(json.dumps({"type": "start", "format": "pcm16", option: "nothing of the kind"}))
            await socket.send(bytes(32_000))
            await socket.send('{"type":"end_stream"}')
            assert (await wait_for_message(socket, "error"))["code"] == f"session.unknown_{option}"


async def test_a_conversation_has_one_client_at_a_time(mesh) -> None:
    async with mesh.serving_bystander(), connect(mesh.audio_url) as first, connect(mesh.audio_url) as second:
        await first.send(START)
        ticket = (await wait_for_message(first, "session_started"))["ticket"]
        await second.send(json.dumps({"type": "session_start", "ticket": ticket}))
        assert (await wait_for_message(second, "error"))["code"] == "session.already_open"
        assert await wait_closed(second) == (1008, "session.already_open")
        async with httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
            answer = await http.post("/interact", json={"text": "hello", "ticket": ticket})
        assert answer.json()["error"]["code"] == "session.already_open"
        await first.send('{"type":"text_input","text":"still mine"}')
        await wait_for_message(first, "reply_audio")


async def test_guessed_tickets_are_refused_at_low_cost(mesh) -> None:
    guesses = 500
    async with mesh.serving_bystander(), httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
        started = (await http.post("/conversation/start", json={})).json()["ticket"]
        with mesh.measure_cost(f"{guesses} guessed tickets") as cost:
            for number in range(guesses):
                guess = started[:-4] + f"{number:04}"
                answer = await http.get(f"/conversation/{guess}")
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "session.unknown_ticket")
        assert len(started) >= 22
        assert (await http.get(f"/conversation/{started}")).status_code == 200
    # About 3 ms each on an idle machine, including the bystander's turns.
    assert cost.cpu_s / guesses < 0.05
    assert cost.memory_bytes < 16 * MIB


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
async def test_foreign_origins_and_hosts_are_refused(mesh, headers: dict[str, str]) -> None:
    code = "orchestrator.foreign_host" if "Host" in headers else "orchestrator.foreign_origin"
    async with mesh.serving_bystander(), httpx.AsyncClient(base_url=mesh.url, trust_env=False) as http:
        answer = await http.post("/conversation/start", json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
        for path in ("/ws/audio", "/ws"):
            address = f"ws://127.0.0.1:{mesh.http_port}{path}"
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address, **_as_websocket(headers)):
                    pass
            assert refused.value.response.status_code == 403
            assert code in (refused.value.response.body or b"").decode()


def _as_websocket(headers: dict[str, str]) -> dict[str, Any]:
    if "Origin" in headers:
        return {"origin": headers["Origin"]}
    return {"additional_headers": {}, "host": "127.0.0.1", "server_hostname": None} | {"create_connection": _Renamed}


class _Renamed(ClientConnection):
    """A connection with a foreign Host header."""

    async def handshake(self, *args: Any, **named: Any) -> None:
        connect_ = self.protocol.connect

        def renamed() -> Any:
            request = connect_()
            del request.headers["Host"]
            request.headers["Host"] = "evil.example"
            return request

        self.protocol.connect = renamed  # pyright: ignore[reportAttributeAccessIssue]
        await super().handshake(*args, **named)


@pytest.mark.parametrize(
    ("garbage", "status", "code"),
    [
        (b"\xff" * 1000, StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        (b"", StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        # Field 1000 of the request, and field 900 of the message, as of a newer client.
        (b"\xc2\x3e\x03abc", StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        (b"\x0a\x06\xa2\x38\x03abc", StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        (bytes(300_000), StatusCode.RESOURCE_EXHAUSTED, None),
    ],
)
async def test_garbage_ends_a_call_with_a_status(mesh, garbage: bytes, status: StatusCode, code: str | None) -> None:
    async with mesh.serving_bystander(), aio.insecure_channel(mesh.grpc_target) as channel:
        with mesh.measure_cost(f"garbage of {len(garbage)} bytes to gRPC") as cost:
            call = channel.stream_stream("/anchor.session.v1.SessionService/Converse")()
            await call.write(garbage)
            _, error = await read_until_error(call)
        assert error.code() is status
        assert error_code(error) == code
    assert cost.memory_bytes < 16 * MIB


async def test_a_compressed_message_is_limited_by_its_unpacked_size(mesh) -> None:
    bomb = bytes(200 * MIB)
    async with (
        mesh.serving_bystander(),
        aio.insecure_channel(mesh.grpc_target, compression=Compression.Gzip) as channel,
    ):
        call = channel.stream_stream("/anchor.session.v1.SessionService/Converse")()
        with mesh.measure_cost("message of 200 MiB, compressed to 200 KiB") as cost:
            await call.write(bomb)
            _, error = await read_until_error(call)
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert cost.memory_bytes < 16 * MIB
    # Far below a hundred times the cost of a normal turn, with margin for a slow machine.
    assert cost.cpu_s < 3.0 + cost.wall_s
