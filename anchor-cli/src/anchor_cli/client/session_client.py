"""A person at `/ws/audio`: a microphone that never stops, a speaker that plays in real time, and a record of all."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from anchor.session.v1 import session_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from service_kit.audio import MICROPHONE
from service_kit.errors import InvalidRequest, PeerFailed
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from anchor_cli.client.audio_files import voiced_end_bytes
from anchor_cli.client.playback import Speaker

FRAME_MS = 20
REPORT_EVERY_S = 0.1
CONNECT_WITHIN_S = 5.0
# A session that tells more than this is out of its mind: the record ends it instead of growing on.
MOST_EVENTS = 50_000

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Event:
    """A `ServerMessage`: the name of its member, the member, and when it came, in seconds of the loop's clock."""

    name: str
    message: Any
    at_s: float


class Talk:
    """One session; made by `open_talk`, which owns its tasks.

    `events` is the record; `speaker` holds the replies. `spoken_until_s` is when the last voiced sample of the last
    clip was sent, in seconds of the loop's clock.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.events: list[Event] = []
        self.speaker = Speaker()
        self.spoken_until_s: float | None = None
        self._socket = socket
        self._clock = asyncio.get_running_loop().time
        self._clip: deque[bytes] = deque()
        self._voiced_frames_left = 0
        self._clip_ended = asyncio.Event()
        self._clip_ended.set()
        self._told = asyncio.Condition()
        self._ended: str | None = None
        self._seen = 0

    async def play(self, pcm: bytes) -> None:
        """Speak: 16 kHz PCM16, at the pace of real time; returns when all of it has been sent.

        Raises `InvalidRequest` while another clip is being played, `PeerFailed` when the session ends meanwhile.
        """
        if self._clip:
            raise InvalidRequest("talk.busy", "one clip at a time")
        size = MICROPHONE.bytes_for(FRAME_MS)
        self._voiced_frames_left = -(-voiced_end_bytes(pcm) // size)
        self._clip_ended.clear()
        self._clip.extend(pcm[start : start + size].ljust(size, b"\0") for start in range(0, len(pcm), size))
        await self._clip_ended.wait()
        if self._ended is not None:
            raise PeerFailed("talk.session_ended", self._ended)

    async def say(self, name: str, **fields: Any) -> None:
        """Send a `ClientMessage` by its member's name."""
        await self._socket.send(json.dumps({"type": name, **fields}))

    async def until(self, *names: str, within_s: float) -> Event:
        """The next event with one of these names, after the one this method returned last.

        Raises `PeerFailed` when it does not come in time (`talk.silent`) or cannot come any more.
        """

        def following(events: Sequence[Event]) -> Event | None:
            while self._seen < len(events):
                self._seen += 1
                if events[self._seen - 1].name in names:
                    return events[self._seen - 1]
            return None

        return await self.find(following, within_s, " or ".join(names))

    async def find(self, search: Callable[[Sequence[Event]], Found | None], within_s: float, wanted: str) -> Found:
        """What `search` finds in the record, asked again whenever that grows; `wanted` names it for people.

        Raises `PeerFailed` when there is nothing in time (`talk.silent`) or nothing can come any more.
        """
        try:
            async with asyncio.timeout(within_s), self._told:
                while (found := search(self.events)) is None:
                    if self._ended is not None:
                        raise PeerFailed("talk.session_ended", self._ended)
                    await self._told.wait()
                return found
        except TimeoutError:
            last = ", ".join(event.name for event in self.events[-8:]) or "nothing at all"
            raise PeerFailed("talk.silent", f"no {wanted} within {within_s:g} s; last came {last}") from None

    async def told(self) -> AsyncIterator[Event]:
        """All events from the first on, until the session ends."""
        position = 0
        while True:
            async with self._told:
                while position == len(self.events):
                    if self._ended is not None:
                        return
                    await self._told.wait()
            yield self.events[position]
            position += 1

    async def run_microphone(self) -> None:
        """Send a frame every 20 ms: of the clip while there is one, of silence otherwise."""
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
                self.spoken_until_s = self._clock()
            if not self._clip:
                self._clip_ended.set()

    async def run_speaker(self) -> None:
        """Report what has been played, every 100 ms while something is."""
        reported: tuple[int, int] | None = None
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            progress = self.speaker.progress(self._clock())
            if progress is not None and progress != reported:
                reported = progress
                await self.say("playback_progress", turn_id=progress[0], played_ms=progress[1])

    async def run_ears(self) -> None:
        """Take what the server sends until it ends the session."""
        async for frame in self._socket:
            now_s = self._clock()
            if isinstance(frame, bytes):
                self.speaker.hear(frame, now_s)
                continue
            event = _event(frame, now_s)
            await self._take(event)

    async def end(self, reason: str) -> None:
        """Note that nothing more will come."""
        self._clip.clear()
        self._clip_ended.set()
        async with self._told:
            self._ended = self._ended or reason
            self._told.notify_all()

    async def _take(self, event: Event) -> None:
        if len(self.events) >= MOST_EVENTS:
            raise PeerFailed("talk.flooded", f"more than {MOST_EVENTS} events in one session")
        speaker, message = self.speaker, event.message
        match event.name:
            case "reply_text":
                speaker.reply(message.turn_id).text += message.text
            case "reply_audio":
                speaker.place(message.turn_id, message.offset_ms, event.at_s)
            case "playback_pause":
                speaker.pause(event.at_s)
            case "playback_resume":
                speaker.resume(event.at_s)
            case "playback_stop":
                speaker.stop(message.turn_id, event.at_s)
            case _:
                pass
        async with self._told:
            self.events.append(event)
            self._told.notify_all()


@asynccontextmanager
async def open_talk(
    url: str, *, language: str = "", reports_playback: bool = True, microphone: bool = True
) -> AsyncGenerator[Talk]:
    """Open a session at `url` (`ws://…/ws/audio`) with its microphone on; leaving the context ends it.

    Raises `PeerFailed` when nobody answers there, or the server's own error when it declines.
    """
    try:
        socket = await connect(url, compression=None, max_size=1_048_576, open_timeout=CONNECT_WITHIN_S)
    except (OSError, InvalidHandshake, InvalidMessage) as error:
        raise PeerFailed("talk.unreachable", f"no anchor answers at {url}: {error}") from error
    async with socket:
        talk = Talk(socket)
        await talk.say(
            "session_start",
            language=language,
            sample_rate_hz=MICROPHONE.rate_hz,
            reports_playback=reports_playback,
        )
        async with asyncio.TaskGroup() as tasks:
            ears = tasks.create_task(_live(talk, talk.run_ears()), name="talk ears")
            try:
                await talk.until("session_started", within_s=CONNECT_WITHIN_S)
                limbs = [tasks.create_task(_live(talk, talk.run_speaker()), name="talk speaker")]
                if microphone:
                    limbs.append(tasks.create_task(_live(talk, talk.run_microphone()), name="talk microphone"))
                yield talk
                for limb in limbs:
                    limb.cancel()
            finally:
                ears.cancel()


async def _live(talk: Talk, life: Coroutine[Any, Any, None]) -> None:
    """Run a part of the talk; when the server closes the session, it ends, and the others learn why."""
    try:
        await life
        await talk.end("the server closed the session")
    except ConnectionClosed as closed:
        reason = closed.rcvd.reason if closed.rcvd is not None else "the connection broke"
        await talk.end(f"the session ended: {reason or 'no reason given'}")


def _event(frame: str, now_s: float) -> Event:
    try:
        fields = json.loads(frame)
        name = fields.pop("type")
        server_message = json_format.ParseDict({name: fields}, session_pb2.ServerMessage(), ignore_unknown_fields=True)
        member: Message = getattr(server_message, name)
    except (ValueError, KeyError, AttributeError, json_format.ParseError) as error:
        raise PeerFailed("talk.not_understood", f"not a message of this protocol: {frame[:200]!r}") from error
    return Event(name, member, now_s)
