"""Client of `/ws/audio`: a continuous microphone, a speaker that plays in real time, and a record of all events."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from anchor.session.v1 import session_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from service_kit.audio import MICROPHONE
from service_kit.errors import Denied, InvalidRequest, PeerFailed
from service_kit.parsing.documents import parse_json
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from anchor_cli.client.audio_files import voiced_end_bytes
from anchor_cli.client.playback import Speaker

FRAME_MS = 20
REPORT_EVERY_S = 0.1
CONNECT_WITHIN_S = 5.0
# The client ends a session with more events, so that the record stays bounded.
MAX_EVENTS = 50_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A `ServerMessage`: its member's name, the member, and the arrival time in seconds of the loop's clock."""

    name: str
    message: Any
    at_s: float


class SessionClient:
    """One session; created by `open_session`, which owns its tasks.

    `events` records all events; `speaker` holds the replies. `speech_end_s` is the time at which the last voiced
    sample of the last clip was sent, in seconds of the loop's clock.
    """

    def __init__(self, socket: ClientConnection, speaker: Speaker | None = None) -> None:
        self.events: list[ServerEvent] = []
        self.speaker = speaker or Speaker()
        self.speech_end_s: float | None = None
        self._socket = socket
        self._clock = asyncio.get_running_loop().time
        self._clip: deque[bytes] = deque()
        self._voiced_frames_left = 0
        self._clip_ended = asyncio.Event()
        self._clip_ended.set()
        self._changed = asyncio.Condition()
        self._ended: str | None = None
        self._position = 0

    async def play_clip(self, pcm: bytes) -> None:
        """Send a clip (PCM16 mono 16 kHz) through the microphone in real time; returns when all of it has been sent.

        Raises `InvalidRequest` while another clip is playing, `PeerFailed` when the session ends.
        """
        if self._clip:
            raise InvalidRequest("talk.busy", "another clip is playing")
        size = MICROPHONE.bytes_for(FRAME_MS)
        self._voiced_frames_left = -(-voiced_end_bytes(pcm) // size)
        self._clip_ended.clear()
        self._clip.extend(pcm[start : start + size].ljust(size, b"\0") for start in range(0, len(pcm), size))
        await self._clip_ended.wait()
        if self._ended is not None:
            raise PeerFailed("talk.session_ended", self._ended)

    async def send_message(self, name: str, **fields: Any) -> None:
        """Send the `ClientMessage` member `name`."""
        await self._socket.send(json.dumps({"type": name, **fields}))

    async def wait_for(self, *names: str, within_s: float) -> ServerEvent:
        """Wait for the next event with one of these names, after the last event that this method returned.

        Raises `PeerFailed` on timeout (`talk.silent`) or when the session has ended.
        """

        def following(events: Sequence[ServerEvent]) -> ServerEvent | None:
            while self._position < len(events):
                self._position += 1
                if events[self._position - 1].name in names:
                    return events[self._position - 1]
            return None

        return await self.wait_until(following, within_s, " or ".join(names))

    async def wait_until(
        self, search: Callable[[Sequence[ServerEvent]], Found | None], within_s: float, description: str
    ) -> Found:
        """Wait until `search` of the recorded events returns a value; it is called again after each new event.

        `description` names the value in the error. Raises `PeerFailed` on timeout (`talk.silent`) or when the session
        has ended.
        """
        try:
            async with asyncio.timeout(within_s), self._changed:
                while (found := search(self.events)) is None:
                    if self._ended is not None:
                        raise PeerFailed("talk.session_ended", self._ended)
                    await self._changed.wait()
                return found
        except TimeoutError:
            last = ", ".join(event.name for event in self.events[-8:]) or "nothing"
            raise PeerFailed("talk.silent", f"no {description} within {within_s:g} s; last events: {last}") from None

    async def stream_events(self) -> AsyncIterator[ServerEvent]:
        """Yield all events from the first one until the session ends."""
        position = 0
        while True:
            async with self._changed:
                while position == len(self.events):
                    if self._ended is not None:
                        return
                    await self._changed.wait()
            yield self.events[position]
            position += 1

    async def run_microphone(self) -> None:
        """Send a 20 ms frame every 20 ms: the clip while one plays, silence otherwise."""
        silence = bytes(MICROPHONE.bytes_for(FRAME_MS))
        due_s = self._clock()
        while True:
            due_s += FRAME_MS / 1000
            await asyncio.sleep(due_s - self._clock())
            if not self._clip:
                await self._socket.send(silence)
                continue
            await self._socket.send(self._clip.popleft())
            self._voiced_frames_left -= 1
            if self._voiced_frames_left == 0:
                self.speech_end_s = self._clock()
            if not self._clip:
                self._clip_ended.set()

    async def run_speaker(self) -> None:
        """Report the playback progress every 100 ms while it changes."""
        reported: tuple[int, int] | None = None
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            progress = self.speaker.progress(self._clock())
            if progress is not None and progress != reported:
                reported = progress
                await self.send_message("playback_progress", turn_id=progress[0], played_ms=progress[1])

    async def run_receiver(self) -> None:
        """Receive audio and events until the server ends the session."""
        async for frame in self._socket:
            now_s = self._clock()
            if isinstance(frame, bytes):
                self.speaker.receive_frame(frame, now_s)
                continue
            event = _parse_event(frame, now_s)
            await self._record(event)

    async def mark_ended(self, reason: str) -> None:
        """Mark the session as ended and wake all waiters."""
        self._clip.clear()
        self._clip_ended.set()
        async with self._changed:
            self._ended = self._ended or reason
            self._changed.notify_all()

    async def _record(self, event: ServerEvent) -> None:
        if len(self.events) >= MAX_EVENTS:
            raise PeerFailed("talk.flooded", f"more than {MAX_EVENTS} events in one session")
        speaker, message = self.speaker, event.message
        match event.name:
            case "reply_started":
                speaker.start_reply(message.turn_id)
            case "reply_text":
                speaker.reply(message.turn_id).text += message.text
            case "reply_audio":
                speaker.start_audio(message.turn_id, message.offset_ms, event.at_s)
            case "playback_pause":
                speaker.pause(event.at_s)
            case "playback_resume":
                speaker.resume(event.at_s)
            case "playback_stop":
                speaker.stop(message.turn_id, event.at_s)
            case _:
                pass
        async with self._changed:
            self.events.append(event)
            self._changed.notify_all()


@asynccontextmanager
async def open_session(
    url: str,
    *,
    language: str = "",
    reports_playback: bool = True,
    microphone: bool = True,
    ticket: str = "",
    session_id: str = "",
    played: tuple[int, int] | None = None,
    received: tuple[int, int] | None = None,
    speaker: Speaker | None = None,
    waits: bool = False,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[SessionClient]:
    """Open a session at `url` (`ws://…/ws/audio`); leaving the context ends it.

    With `ticket`, it continues that conversation; `played` is the last (turn id, played milliseconds) reported in it,
    `session_id` the session whose connection dropped, and `received` (turn id, milliseconds) what `speaker` has of the
    interrupted reply. With `waits`, the session waits for a place when all are taken. `headers` are added to the
    handshake: `MeshSettings.authorization` carries the shared secret. Raises `Denied` when the server requires another
    secret, `PeerFailed` when no server responds, or the server's error when it refuses the session.
    """
    try:
        socket = await connect(
            url, additional_headers=headers, compression=None, max_size=1_048_576, open_timeout=CONNECT_WITHIN_S
        )
    except InvalidStatus as refused:
        if refused.response.status_code == Denied.http_status:
            raise Denied(
                "orchestrator.denied", f"the anchor at {url} requires its secret: set SHARED_SECRET, here or in .env"
            ) from refused
        raise PeerFailed("talk.unreachable", f"the server at {url} refused the session: {refused}") from refused
    except (OSError, InvalidHandshake, InvalidMessage) as error:
        raise PeerFailed("talk.unreachable", f"no anchor responds at {url}: {error}") from error
    async with socket:
        session = SessionClient(socket, speaker)
        await session.send_message(
            "session_start",
            language=language,
            sample_rate_hz=MICROPHONE.rate_hz,
            reports_playback=reports_playback,
            ticket=ticket,
            session_id=session_id,
            waits=waits,
            **({} if played is None else {"played": {"turn_id": played[0], "played_ms": played[1]}}),
            **({} if received is None else {"received": {"turn_id": received[0], "offset_ms": received[1]}}),
        )
        async with asyncio.TaskGroup() as tasks:
            receiver = tasks.create_task(_run_task(session, session.run_receiver()), name="session receiver")
            try:
                await session.wait_for("session_started", within_s=CONNECT_WITHIN_S)
                devices = [tasks.create_task(_run_task(session, session.run_speaker()), name="session speaker")]
                if microphone:
                    run_microphone = _run_task(session, session.run_microphone())
                    devices.append(tasks.create_task(run_microphone, name="session microphone"))
                yield session
                for device in devices:
                    device.cancel()
            finally:
                receiver.cancel()


async def _run_task(session: SessionClient, work: Coroutine[Any, Any, None]) -> None:
    """Run one task of the session; when the server closes the connection, mark the session as ended."""
    try:
        await work
        await session.mark_ended("the server closed the session")
    except ConnectionClosed as closed:
        reason = closed.rcvd.reason if closed.rcvd is not None else "the connection broke"
        await session.mark_ended(f"the session ended: {reason or 'no reason given'}")


def _parse_event(frame: str, now_s: float) -> ServerEvent:
    try:
        fields = parse_json(frame)
        name = fields.pop("type")
        server_message = json_format.ParseDict({name: fields}, session_pb2.ServerMessage(), ignore_unknown_fields=True)
        member: Message = getattr(server_message, name)
    except (ValueError, KeyError, AttributeError, json_format.ParseError) as error:
        raise PeerFailed("talk.not_understood", f"invalid server message: {frame[:200]!r}") from error
    return ServerEvent(name, member, now_s)
