"""Messages that no well-behaved client would send are refused by name, and cost nobody anything."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from anchor.session.v1 import session_pb2 as pb
from anchor.session.v1 import session_pb2_grpc
from grpc import Compression, StatusCode, aio
from responses import ending, error_code, grpc_ending, told
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
async def test_a_session_that_cannot_begin_is_refused_with_its_reason(ground, first, code: str) -> None:
    async with ground.unharmed():
        with ground.measured(f"first message refused with {code}") as cost:
            async with connect(ground.audio_url) as socket:
                await socket.send(first)
                assert (await told(socket, "error"))["code"] == code
                assert await ending(socket) == (1008, code)
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
async def test_a_bad_message_is_answered_and_the_session_goes_on(ground, frame, code: str) -> None:
    async with ground.unharmed(), connect(ground.audio_url) as socket:
        await socket.send(START)
        await told(socket, "session_started")
        await socket.send(frame)
        assert (await told(socket, "error"))["code"] == code
        await socket.send('{"type":"text_input","text":"are you there"}')
        await told(socket, "reply_audio")


async def test_a_client_that_sends_nothing_but_bad_messages_is_put_out(ground) -> None:
    async with ground.unharmed(), connect(ground.audio_url) as socket:
        await socket.send(START)
        await told(socket, "session_started")
        for _ in range(20):
            await socket.send(b"\0")
        assert await ending(socket) == (1008, "session.too_many_bad_messages")


@pytest.mark.parametrize("path", ["/ws/audio", "/ws"])
@pytest.mark.parametrize("frame", [bytes(MANY_CHARS), json.dumps({"type": "text_input", "text": "x" * MANY_CHARS})])
async def test_a_frame_that_is_too_large_closes_the_socket(ground, path: str, frame) -> None:
    async with ground.unharmed():
        with ground.measured("frame of 100 kB") as cost:
            async with connect(f"ws://127.0.0.1:{ground.http_port}{path}") as socket:
                if path == "/ws/audio":
                    await socket.send(START)
                await socket.send(frame)
                assert (await ending(socket))[0] == 1009
    assert cost.memory_bytes < 16 * MIB


async def test_a_text_of_a_hundred_thousand_characters_is_refused_at_every_door(ground) -> None:
    text = "x" * MANY_CHARS
    async with (
        ground.unharmed(),
        httpx.AsyncClient(base_url=ground.url, trust_env=False) as http,
        aio.insecure_channel(ground.grpc_target) as channel,
    ):
        with ground.measured("text of 100k characters at REST and gRPC") as cost:
            for body in ({"json": {"text": text}}, {"data": {"text": text}}):
                answer = await http.post("/interact", **body)
                assert (answer.status_code, answer.json()["error"]["code"]) in (
                    (400, "session.bad_message"),
                    (400, "http.400"),  # The form's own bound on a field comes first.
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


@pytest.mark.parametrize("wish", ["language", "voice", "persona", "ticket"])
async def test_what_is_not_here_is_refused_at_the_simple_doors_too(ground, wish: str) -> None:
    async with ground.unharmed(), httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
        answer = await http.post("/interact", json={"text": "hello", wish: "nothing of the kind"})
        assert answer.json()["error"]["code"] == f"session.unknown_{wish}"
        async with connect(ground.simple_url) as socket:
            # Raw samples of a second: the wish is looked at when there is something to answer.
            await socket.send(json.dumps({"type": "start", "format": "pcm16", wish: "nothing of the kind"}))
            await socket.send(bytes(32_000))
            await socket.send('{"type":"end_stream"}')
            assert (await told(socket, "error"))["code"] == f"session.unknown_{wish}"


async def test_a_conversation_has_one_client_at_a_time(ground) -> None:
    async with ground.unharmed(), connect(ground.audio_url) as first, connect(ground.audio_url) as second:
        await first.send(START)
        ticket = (await told(first, "session_started"))["ticket"]
        await second.send(json.dumps({"type": "session_start", "ticket": ticket}))
        assert (await told(second, "error"))["code"] == "session.already_open"
        assert await ending(second) == (1008, "session.already_open")
        async with httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
            answer = await http.post("/interact", json={"text": "hello", "ticket": ticket})
        assert answer.json()["error"]["code"] == "session.already_open"
        await first.send('{"type":"text_input","text":"still mine"}')
        await told(first, "reply_audio")


async def test_tickets_cannot_be_guessed_and_guessing_is_cheap_to_refuse(ground) -> None:
    guesses = 500
    async with ground.unharmed(), httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
        started = (await http.post("/conversation/start", json={})).json()["ticket"]
        with ground.measured(f"{guesses} guessed tickets") as cost:
            for number in range(guesses):
                guess = started[:-4] + f"{number:04}"
                answer = await http.get(f"/conversation/{guess}")
                assert (answer.status_code, answer.json()["error"]["code"]) == (404, "session.unknown_ticket")
        assert len(started) >= 22
        assert (await http.get(f"/conversation/{started}")).status_code == 200
    # Some 3 ms each on a quiet machine, the bystander's turns included.
    assert cost.cpu_s / guesses < 0.05
    assert cost.memory_bytes < 16 * MIB


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}])
async def test_foreign_pages_and_foreign_names_are_turned_away(ground, headers: dict[str, str]) -> None:
    code = "orchestrator.foreign_host" if "Host" in headers else "orchestrator.foreign_origin"
    async with ground.unharmed(), httpx.AsyncClient(base_url=ground.url, trust_env=False) as http:
        answer = await http.post("/conversation/start", json={}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, code)
        for path in ("/ws/audio", "/ws"):
            address = f"ws://127.0.0.1:{ground.http_port}{path}"
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
    """A connection that calls the server by a foreign name."""

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
        # Field 1000 of the request, and field 900 of the message: of a newer client, perhaps.
        (b"\xc2\x3e\x03abc", StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        (b"\x0a\x06\xa2\x38\x03abc", StatusCode.INVALID_ARGUMENT, "session.bad_message"),
        (bytes(300_000), StatusCode.RESOURCE_EXHAUSTED, None),
    ],
)
async def test_garbage_ends_a_call_with_a_status(ground, garbage: bytes, status: StatusCode, code: str | None) -> None:
    async with ground.unharmed(), aio.insecure_channel(ground.grpc_target) as channel:
        with ground.measured(f"garbage of {len(garbage)} bytes at gRPC") as cost:
            call = channel.stream_stream("/anchor.session.v1.SessionService/Converse")()
            await call.write(garbage)
            _, error = await grpc_ending(call)
        assert error.code() is status
        assert error_code(error) == code
    assert cost.memory_bytes < 16 * MIB


async def test_a_compressed_message_is_judged_by_what_it_unpacks_to(ground) -> None:
    bomb = bytes(200 * MIB)
    async with ground.unharmed(), aio.insecure_channel(ground.grpc_target, compression=Compression.Gzip) as channel:
        call = channel.stream_stream("/anchor.session.v1.SessionService/Converse")()
        with ground.measured("message of 200 MiB, compressed to 200 KiB") as cost:
            await call.write(bomb)
            _, error = await grpc_ending(call)
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert cost.memory_bytes < 16 * MIB
    # Far below the hundredfold of an honest turn's cost, with room for a slow machine.
    assert cost.cpu_s < 3.0 + cost.wall_s
