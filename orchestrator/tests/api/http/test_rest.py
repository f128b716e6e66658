"""`/interact` and `/conversation` over a real server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import wave
from collections.abc import AsyncGenerator
from dataclasses import replace
from io import BytesIO
from urllib.parse import unquote

import httpx
import pytest
from api_support import TONE, TONE_MS, FakeSessions, recording, serve_apis, tone
from orchestrator.api.http.answer_format import percent_encode
from orchestrator.api.limits import ApiLimits
from orchestrator.conversation.messages.client import PlaybackProgress, TextInput, TurnDetection
from service_kit.errors import AtCapacity

LIMITS = ApiLimits(
    max_upload_bytes=1_000_000, max_upload_audio_s=5, max_answer_audio_s=2, max_uploads=2, decode_timeout_s=60
)


@pytest.fixture
def sessions():
    return FakeSessions()


@pytest.fixture
async def http(sessions):
    async with api_client(sessions, LIMITS) as client:
        yield client


@contextlib.asynccontextmanager
async def api_client(sessions: FakeSessions, limits: ApiLimits) -> AsyncGenerator[httpx.AsyncClient]:
    async with serve_apis(sessions, limits) as host, httpx.AsyncClient(base_url=f"http://{host}", timeout=30) as client:
        yield client


def wav_file(seconds: float = 1.0) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(tone(seconds, 16_000).tobytes())
    return file.getvalue()


def samples_of(file: bytes) -> bytes:
    with wave.open(BytesIO(file)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (24_000, 1, 2)
        return reader.readframes(reader.getnframes())


def code_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "retryable"}
    return error["code"]


async def test_recording_is_answered_in_speech(http, sessions):
    files = {"file": ("question.wav", wav_file())}
    answer = await http.post("/interact", files=files, data={"language": "de", "voice": "ada", "format": "wav"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    assert samples_of(answer.content) == TONE
    assert unquote(answer.headers["x-anchor-transcript"]) == "1000 ms"
    assert unquote(answer.headers["x-anchor-reply"]) == "You said 1000 ms. Grüße, 🙂"
    assert answer.headers["x-anchor-ticket"] == "ticket-1"
    start = sessions.starts[0]
    assert (start.language, start.voice, start.turn_detection) == ("de", "ada", TurnDetection.TURN_DETECTION_MANUAL)
    assert sessions.heard == [tone(1, 16_000).tobytes()]
    assert PlaybackProgress(1, TONE_MS) in sessions.commands
    assert sessions.open_count == 0


async def test_answer_is_available_as_json(http):
    files = {"file": ("question.ogg", recording("ogg", "libopus", 1.0))}
    answer = (await http.post("/interact", files=files, headers={"Accept": "application/json"})).json()
    audio = answer.pop("audio")
    assert (audio["format"], audio["sample_rate_hz"]) == ("wav", 24_000)
    assert samples_of(base64.b64decode(audio["base64"])) == TONE
    transcript = answer.pop("transcript")
    assert 950 < int(transcript.removesuffix(" ms")) < 1050
    assert answer == {
        "ticket": "ticket-1",
        "turn_id": 1,
        "reply": f"You said {transcript}. Grüße, 🙂",
        "language": "de",
        "engine": "echo",
        "duration_ms": TONE_MS,
        "interrupted": False,
        "waterfall": {
            "turn_id": 1,
            "speech_end_ms": 900,
            "turn_committed_ms": 210,
            "first_audio_ms": 340,
            "budget_ms": 0,
        },
    }


@pytest.mark.parametrize("sent", [{"json": {"text": "hello"}}, {"data": {"text": "hello"}}])
async def test_question_may_be_written(http, sessions, sent):
    answer = await http.post("/interact", **sent)
    assert answer.status_code == 200
    assert unquote(answer.headers["x-anchor-transcript"]) == "hello"
    assert sessions.commands[0] == TextInput("hello")


async def test_ticket_continues_its_conversation(http):
    begun = await http.post("/conversation/start", json={"language": "de", "voice_profile": "ada", "patience": 1.5})
    assert begun.status_code == 201
    ticket = begun.json()["ticket"]
    host = http.base_url.netloc.decode()
    assert begun.json() == {
        "conversation_id": ticket,
        "ticket": ticket,
        "websocket": f"ws://{host}/ws/audio",
        "language": "de",
        "voice": "ada",
        "persona": "anchor",
        "patience": 1.5,
        "created_unix_s": 1_700_000_000.0,
        "open": False,
    }
    await http.post("/interact", json={"text": "hello", "ticket": ticket})
    history = (await http.get(f"/conversation/{ticket}")).json()
    assert history["messages"] == [
        {"role": "user", "text": "hello", "interrupted": False},
        {"role": "anchor", "text": "You said hello.", "interrupted": False},
    ]
    assert (await http.delete(f"/conversation/{ticket}")).status_code == 204
    assert code_of(await http.get(f"/conversation/{ticket}")) == "session.unknown_ticket"


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/anchor", "/anchor/ws/audio"),
        ("/studio/anchor/", "/studio/anchor/ws/audio"),
        ("/", "/ws/audio"),
        ("//elsewhere.test", "/ws/audio"),
        ("@elsewhere.test/", "/ws/audio"),
        ("/a?b", "/ws/audio"),
    ],
)
async def test_websocket_address_has_the_path_that_a_proxy_removed(http, prefix, path):
    begun = await http.post("/conversation/start", json={}, headers={"X-Forwarded-Prefix": prefix})
    assert begun.json()["websocket"] == f"ws://{http.base_url.netloc.decode()}{path}"


async def test_unknown_resources_are_not_found(http):
    for method in ("GET", "DELETE"):
        answer = await http.request(method, "/conversation/lost")
        assert (answer.status_code, code_of(answer)) == (404, "session.unknown_ticket")
    answer = await http.get("/nowhere")
    assert (answer.status_code, code_of(answer)) == (404, "http.404")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"json": {"text": ""}}, 400, "session.bad_message"),
        ({"json": {"text": "x" * 100_000}}, 400, "session.bad_message"),
        ({"json": {"text": 5}}, 400, "session.bad_message"),
        ({"json": {"text": "a", "colour": "b"}}, 400, "session.bad_message"),
        ({"json": {}}, 400, "session.bad_message"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "session.bad_message"),
        ({"content": b"x", "headers": {"Content-Type": "audio/wav"}}, 422, "session.unknown_content_type"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "http.400"),
        ({"json": {"text": "a", "format": "mp3"}}, 422, "session.unknown_format"),
        ({"json": {"text": "a", "ticket": "lost"}}, 404, "session.unknown_ticket"),
        ({"json": {"text": "a", "language": "xx"}}, 400, "session.unknown_language"),
        ({"data": {"file": "not a file"}}, 400, "session.bad_message"),
        ({"files": {"audio": b"x"}}, 400, "session.bad_message"),
        ({"files": {"file": b"x"}, "data": {"text": "a"}}, 400, "session.bad_message"),
        ({"files": {"file": b""}}, 400, "session.no_audio"),
        ({"files": {"file": b"no recording"}}, 400, "session.unknown_container"),
        ({"files": {"file": bytes(1_000_001)}}, 400, "session.upload_too_large"),
        ({"files": {"file": bytes(2_000_000)}}, 400, "session.upload_too_large"),
        ({"files": {"file": wav_file(6)}}, 400, "session.audio_too_long"),
        ({"json": {"text": "fail"}}, 503, "llm.gone"),
        ({"json": {"text": "break"}}, 503, "stt.gone"),
        ({"json": {"text": "leave"}}, 503, "tts.gone"),
    ],
)
async def test_invalid_questions_are_refused_with_a_code(http, sessions, sent, status, code):
    answer = await http.post("/interact", **sent)
    assert (answer.status_code, code_of(answer)) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert sessions.open_count == 0


async def test_full_house_refuses_at_once_and_says_when_to_come_again(http, sessions):
    sessions.no_room = AtCapacity("admission.at_capacity", "all places are taken", retry_after_s=17)
    answer = await http.post("/interact", files={"file": b"a recording that is not even decoded"})
    assert (answer.status_code, code_of(answer)) == (503, "admission.at_capacity")
    assert answer.headers["retry-after"] == "17"
    assert sessions.starts == []


async def test_answer_times_out(sessions):
    async with api_client(sessions, replace(LIMITS, answer_timeout_s=0.3)) as http:
        answer = await http.post("/interact", json={"text": "hang"})
    assert (answer.status_code, code_of(answer)) == (503, "session.answer_timeout")
    assert "retry-after" in answer.headers
    assert sessions.open_count == 0


async def exchange_raw(http: httpx.AsyncClient, head: str, pieces: list[bytes]) -> bytes:
    """Send a request that is never completed; return the server's response up to its closing."""
    reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
    try:
        writer.write(f"POST /interact HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode())
        for piece in pieces:
            writer.write(piece)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_incomplete_body_times_out(sessions):
    async with api_client(sessions, replace(LIMITS, upload_timeout_s=0.3)) as http:
        answer = await exchange_raw(http, "Content-Type: application/json\r\nContent-Length: 20", [b'{"text":'])
    assert b"session.upload_stalled" in answer


async def test_body_of_excessive_declared_length_is_not_read(http):
    answer = await exchange_raw(http, "Content-Type: application/json\r\nContent-Length: 99999999999", [])
    assert b"session.upload_too_large" in answer


async def test_chunked_body_is_limited_while_it_arrives(http, caplog):
    async def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while True:
            yield bytes(65_536)
            await asyncio.sleep(0)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    # The server closes while the client still sends, and the system may then drop the response.
    with contextlib.suppress(httpx.TransportError):
        await asyncio.wait_for(http.post("/interact", content=endless(), headers=headers), 30)
    assert "session.upload_too_large" in [getattr(record, "code", "") for record in caplog.records]
    assert (await http.post("/interact", json={"text": "hello"})).status_code == 200


async def test_conversation_start_fields_are_validated(http):
    answer = await http.post("/conversation/start", json={"language": 5})
    assert (answer.status_code, code_of(answer)) == (400, "session.bad_message")
    assert "language" in answer.json()["error"]["message"]
    assert code_of(await http.post("/conversation/start", json={"language": "xx"})) == "session.unknown_language"


async def test_answer_without_speech_reports_the_failure(http):
    answer = await http.post("/interact", json={"text": "mute"}, headers={"Accept": "application/json"})
    assert answer.json()["failure"] == {"code": "tts.gone", "message": "captions only", "retryable": True}
    assert answer.json()["duration_ms"] == 0
    answer = await http.post("/interact", json={"text": "mute"})
    assert answer.headers["x-anchor-failure"] == "tts.gone"
    assert samples_of(answer.content) == b""


async def test_apology_after_a_failed_reply_is_complete(http):
    answer = (await http.post("/interact", json={"text": "stumble"}, headers={"Accept": "application/json"})).json()
    assert answer["reply"].endswith("🙂 Sorry.")
    assert (answer["failure"]["code"], answer["duration_ms"], answer["interrupted"]) == ("llm.gone", TONE_MS, False)


async def test_endless_answer_is_interrupted(http):
    answer = await http.post("/interact", json={"text": "long"}, headers={"Accept": "application/json"})
    assert (answer.json()["interrupted"], answer.json()["duration_ms"]) == (True, 2_000)


async def test_disconnect_ends_the_session(http, sessions):
    asking = asyncio.create_task(http.post("/interact", json={"text": "hang"}))
    async with asyncio.timeout(20):
        while not sessions.open_count:
            await asyncio.sleep(0.005)
    asking.cancel()
    await sessions.wait_all_closed()


async def test_recordings_beyond_the_upload_slots_are_refused(http, sessions):
    held = [asyncio.create_task(http.post("/interact", json={"text": "hang"})) for _ in range(2)]
    async with asyncio.timeout(20):
        while sessions.open_count < 2:
            await asyncio.sleep(0.005)
    answer = await http.post("/interact", json={"text": "hello"})
    assert (answer.status_code, code_of(answer)) == (503, "session.too_many_uploads")
    assert sessions.open_count == 2
    for asking in held:
        asking.cancel()
    await sessions.wait_all_closed()


async def test_unexpected_error_is_reported_without_details(http, caplog):
    for answer in (await http.get("/bug"), await http.post("/interact", json={"text": "crash"})):
        assert (answer.status_code, code_of(answer)) == (500, "internal")
    assert "a bug" in caplog.text


async def test_ticket_is_not_logged(http, caplog):
    await http.get("/conversation/secret-ticket")
    assert "request failed" in caplog.text
    assert all("secret-ticket" not in str(vars(record)) for record in caplog.records if record.name != "httpx")


def test_long_header_text_ends_with_an_ellipsis():
    for text in ("x" * 5000, "ü" * 2000, "न" * 400):
        assert len(percent_encode(text)) <= 3000
        assert unquote(percent_encode(text)).endswith("…")
        assert text.startswith(unquote(percent_encode(text))[:-1])
    assert unquote(percent_encode("a\r\nb \ud83d")) == "a\r\nb ?"


async def test_name_of_an_unknown_field_is_shortened_and_printable(http):
    answer = await http.post("/conversation/start", json={"\n12:00 INFO \x1b[2J" + "x" * 5000: 1})
    message = answer.json()["error"]["message"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "session.bad_message")
    assert message.isprintable()
    assert len(message) < 200
