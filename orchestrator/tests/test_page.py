"""The web page: how it is served, and a conversation in a real browser with a scripted server behind it."""

import asyncio
import math
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from orchestrator.conversation import messages as m
from orchestrator.edges.codec import client_from_json, server_to_json
from orchestrator.edges.page import page_routes
from playwright.async_api import Page, async_playwright, expect
from service_kit.http import http_server

WEB = Path(__file__).parents[2] / "web"
CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP anchor.example 127.0.0.1",
)
SPEECH_HZ = 24_000
# 20 ms of PCM16 at 16 kHz.
FRAME_BYTES = 640


# ---------------------------------------------------------------------------------------------------------------
# Routes


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(page_routes(WEB))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://anchor") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/main.js", "text/javascript"),
        ("/playback.worklet.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ],
)
async def test_every_file_comes_with_its_type_and_a_strict_policy(client: httpx.AsyncClient, path: str, kind: str):
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert not any("unsafe" in rule or "http" in rule for rule in policy)


async def test_whatever_the_page_refers_to_is_there(client: httpx.AsyncClient):
    html = (await client.get("/")).text
    named = [part.split('"')[0] for mark in ('href="', 'src="') for part in html.split(mark)[1:]]
    assert {"style.css", "main.js", "icon.svg"} <= set(named)
    for name in named:
        assert (await client.get(f"/{name}")).status_code == 200


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/..%2fpyproject.toml", "/package.json", "/none.js"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str):
    assert (await client.get(path)).status_code == 404


async def test_files_of_other_kinds_are_left_out(tmp_path: Path):
    for name in ("index.html", "notes.txt", "app.js"):
        (tmp_path / name).write_text("x")
    paths = [getattr(route, "path", "") for route in page_routes(tmp_path).routes]
    assert paths == ["/", "/app.js"]


# ---------------------------------------------------------------------------------------------------------------
# In a browser

in_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")


def tone(duration_ms: int) -> bytes:
    """A quiet tone, PCM16 at 24 kHz."""
    count = SPEECH_HZ * duration_ms // 1000
    return struct.pack(f"<{count}h", *(round(4000 * math.sin(index / 12)) for index in range(count)))


def loudest(pcm: bytearray) -> int:
    """The largest sample of PCM16."""
    return max((abs(sample) for (sample,) in struct.iter_unpack("<h", pcm)), default=0)


class ScriptedServer:
    """The far end of the page's socket: hears a little, answers, and tells what the page said."""

    def __init__(self) -> None:
        self.start: m.SessionStart | None = None
        self.query: dict[str, str] = {}
        self.microphone = bytearray()
        self.heard: list[m.ClientMessage] = []
        self.socket: WebSocket | None = None

    def app(self) -> FastAPI:
        app = FastAPI()
        app.include_router(page_routes(WEB))
        app.add_api_websocket_route("/ws/audio", self.converse)
        return app

    async def converse(self, socket: WebSocket) -> None:
        await socket.accept()
        self.socket, self.query = socket, dict(socket.query_params)
        try:
            while True:
                frame = await socket.receive()
                if frame["type"] == "websocket.disconnect":
                    return
                if (text := frame.get("text")) is not None:
                    await self.take(client_from_json(text, max_text_chars=2000))
                else:
                    self.microphone += frame["bytes"]
        except WebSocketDisconnect:
            return

    async def take(self, message: m.ClientMessage) -> None:
        self.heard.append(message)
        match message:
            case m.SessionStart():
                self.start = message
                await self.say(m.SessionStarted("s1", "ticket-1", "en", "", "nadia", 16000, SPEECH_HZ, False))
            case m.RequestStatus():
                ready = m.ServiceHealth.SERVICE_HEALTH_READY
                services = (
                    m.ServiceStatus("speech to text", ready, "pocketsphinx", "en-us"),
                    m.ServiceStatus("voice", m.ServiceHealth.SERVICE_HEALTH_LOADING, "espeak", "en"),
                )
                await self.say(m.SystemStatus(services, m.GpuStatus(False, "no NVIDIA driver here")))
            case _:
                pass

    async def say(self, *events: m.ServerMessage) -> None:
        assert self.socket
        for event in events:
            await self.socket.send_text(server_to_json(event))

    async def ask(self, turn: int, text: str) -> None:
        """The user's words, as they are recognised."""
        await self.say(m.SpeechStarted(1000), m.PartialTranscript(turn, text[: len(text) // 2]))
        await self.say(m.SpeechStopped(2000), m.FinalTranscript(turn, 1, text), m.TurnCommitted(turn, text))

    async def answer(self, turn: int, text: str, duration_ms: int) -> None:
        """The anchor's words and their sound."""
        assert self.socket
        await self.say(m.ReplyStarted(turn, "scripted"), m.ReplyText(turn, text), m.ReplyAudio(turn, 0))
        half = len(text) // 2
        await self.say(m.SpeechMark(turn, 0, half, 0), m.SpeechMark(turn, half, len(text), duration_ms // 2))
        pcm = tone(duration_ms)
        for start in range(0, len(pcm), 4800):
            await self.socket.send_bytes(pcm[start : start + 4800])
        await self.say(m.ReplyAudioEnded(turn, duration_ms))

    async def played_ms(self, turn: int) -> int:
        return max(
            (each.played_ms for each in self.heard if isinstance(each, m.PlaybackProgress) and each.turn_id == turn),
            default=0,
        )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
async def server() -> AsyncGenerator[tuple[ScriptedServer, str]]:
    scripted = ScriptedServer()
    http = http_server(scripted.app(), "127.0.0.1", 0)
    task = asyncio.create_task(http.serve())
    while not http.started:
        await asyncio.sleep(0.005)
    try:
        yield scripted, f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}"
    finally:
        http.should_exit = True
        await task


@asynccontextmanager
async def browser_page(**options: object) -> AsyncGenerator[Page]:
    """A page of a fresh browser that fails the test when the page's script does."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS)
        page = await browser.new_page(**options)  # type: ignore[arg-type]
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        yield page
        await browser.close()
        assert complaints == []


@in_browser
async def test_one_speaks_hears_interrupts_and_writes(server: tuple[ScriptedServer, str]):
    far, address = server
    async with browser_page() as page:
        await page.goto(f"{address}/?token=from-the-address")
        await page.click("#talk")
        await expect(page.locator("#connection")).to_have_text("connected")
        # The browser's fake microphone beeps about once a second.
        await until(lambda: loudest(far.microphone) > 1000)
        assert len(far.microphone) % FRAME_BYTES == 0
        assert far.start
        assert (far.start.sample_rate_hz, far.start.reports_playback) == (16000, True)
        assert far.query == {"token": "from-the-address"}
        await expect(page.locator("#services")).to_contain_text("pocketsphinx")

        await far.say(m.Error("stt.unavailable", "tcp handshaker shutdown", retryable=True))
        await expect(page.locator("#notice")).to_have_text("The anchor cannot hear you at the moment. Writing works.")
        await far.say(m.Error("stt.back", "stt works again", retryable=False))
        await expect(page.locator("#notice")).to_be_hidden()

        await far.ask(1, "What is the news?")
        await expect(page.locator(".said-user")).to_contain_text("What is the news?")
        await far.answer(1, "Good evening. Here is the news.", 600)
        await until(lambda: any(isinstance(each, m.PlaybackProgress) and each.played_ms == 600 for each in far.heard))
        await far.say(m.ReplyFinished(1, "Good evening. Here is the news.", 600, False, False))
        await far.say(m.LatencyWaterfall(1, 1000, first_token_ms=350, first_sample_heard_ms=610))
        await expect(page.locator(".details")).to_contain_text("first sound after 0.61 s")

        await page.fill("#text", "Tell me more.")
        await page.press("#text", "Enter")
        await until(lambda: m.TextInput("Tell me more.") in far.heard)
        await far.say(m.TurnCommitted(2, "Tell me more."))
        await far.answer(2, "There is so much to tell that it takes long.", 1500)
        await until(lambda: any(isinstance(each, m.PlaybackProgress) and each.turn_id == 2 for each in far.heard))
        await page.click("#interrupt")
        await until(lambda: m.Interrupt() in far.heard)
        await far.say(m.PlaybackStop(2))
        await asyncio.sleep(0.1)
        before = await far.played_ms(2)
        await far.say(m.ReplyFinished(2, "There is so", before, True, False))
        await expect(page.locator(".cut-off")).to_have_text(" much to tell that it takes long.")
        await asyncio.sleep(0.3)
        assert await far.played_ms(2) == before < 1500


@in_browser
async def test_what_was_no_turn_is_let_go(server: tuple[ScriptedServer, str]):
    far, address = server
    async with browser_page() as page:
        await page.goto(address)
        await page.click("#talk")
        await expect(page.locator("#connection")).to_have_text("connected")
        await far.ask(1, "What is the news?")
        await far.answer(1, "Good evening.", 300)
        await far.say(m.PartialTranscript(2, "Mhm."), m.PartialTranscript(3, "evening"), m.PartialTranscript(4, "Stop"))
        await expect(page.locator(".said-user .provisional")).to_have_text(["Mhm.", "evening", "Stop"])
        await far.say(
            m.BargeInSettled(2, 1, m.BargeInVerdict.BARGE_IN_VERDICT_BACKCHANNEL),
            m.BargeInSettled(3, 1, m.BargeInVerdict.BARGE_IN_VERDICT_ECHO),
            m.BargeInSettled(4, 1, m.BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS),
        )
        await expect(page.locator(".said-user")).to_contain_text(["What is the news?", "Mhm.", "Stop"])
        await expect(page.locator(".said-user .provisional")).to_have_text(["Stop"])


@in_browser
async def test_a_dropped_line_is_taken_up_again_with_the_ticket(server: tuple[ScriptedServer, str]):
    far, address = server
    async with browser_page() as page:
        await page.goto(address)
        await page.click("#talk")
        await expect(page.locator("#connection")).to_have_text("connected")
        far.start = None
        assert far.socket
        await far.socket.close(1011)
        await expect(page.locator("#connection")).to_have_text("reconnecting…")
        await until(lambda: far.start is not None)
        assert far.start
        assert far.start.ticket == "ticket-1"
        await expect(page.locator("#connection")).to_have_text("connected")

        await far.say(m.SessionEnded("session.idle", "Nobody spoke for a long time."))
        await far.socket.close(1000)
        await expect(page.locator("#connection")).to_have_text("session over")
        await expect(page.locator("#notice")).to_have_text("Nobody spoke for a long time.")
        await expect(page.locator("#talk")).to_be_disabled()


@in_browser
async def test_a_page_without_sound_says_why_and_takes_writing(server: tuple[ScriptedServer, str]):
    far, address = server
    async with browser_page() as page:
        # Another host over plain HTTP: browsers give it neither a microphone nor worklets.
        await page.goto(address.replace("127.0.0.1", "anchor.example"))
        await expect(page.locator("#notice")).to_contain_text("https://")
        await page.fill("#text", "Hello")
        await page.press("#text", "Enter")
        await until(lambda: m.TextInput("Hello") in far.heard)
        assert far.start
        assert not far.start.reports_playback
        await far.say(m.TurnCommitted(1, "Hello"))
        await far.answer(1, "Good evening <b>everyone</b>.", 100)
        await expect(page.locator(".said-anchor .heard")).to_have_text("Good evening <b>everyone</b>.")


@in_browser
async def test_the_microphone_is_resampled_without_aliases(server: tuple[ScriptedServer, str]):
    _, address = server
    measure = """async ([rate, tone]) => {
        const { Resampler } = await import("/resampler.js");
        const resampler = new Resampler(rate, 16000);
        const out = [];
        for (let i = 0; i < rate / 2; i += 1) {
            resampler.push(Math.sin(2 * Math.PI * tone * i / rate), (sample) => out.push(sample));
        }
        const middle = out.slice(1000, 7000);
        return [out.length, Math.sqrt(2 * middle.reduce((sum, x) => sum + x * x, 0) / middle.length)];
    }"""
    async with browser_page() as page:
        await page.goto(address)
        for rate in (8000, 44_100, 48_000, 96_000):
            count, speech = await page.evaluate(measure, [rate, 1000])
            assert count == pytest.approx(8000, abs=2)
            assert speech == pytest.approx(1.0, abs=0.01)
        for rate in (44_100, 48_000, 96_000):
            _, alias = await page.evaluate(measure, [rate, 10_000])
            assert alias < 0.002, f"10 kHz at {rate} Hz leaks into 16 kHz"
