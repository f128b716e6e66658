"""A person at a client that plays at once: talks, listens, comes back after a lost connection, and notes everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from anchor_cli.client.playback import ReceivedReply, Speaker
from anchor_cli.client.session_client import ServerEvent, SessionClient, open_session
from orchestrator.conversation.model.history import heard_text
from orchestrator.conversation.model.ports import SpeechMark
from service_kit.audio import SPEECH
from service_kit.errors import AnchorError, PeerFailed
from websockets.exceptions import ConnectionClosed

# The loudest sample of a window that counts as audible, of 32767.
AUDIBLE_PEAK = 300
# A connection on which no pong comes for so long is dead; a page notices as soon.
PONG_WITHIN_S = 2.0
POLL_S = 0.02
RECONNECT_EVERY_S = 0.1


@dataclass(frozen=True)
class Span:
    """A stretch of time on the loop's clock, in seconds."""

    start_s: float
    end_s: float


class AudibleSpeaker(Speaker):
    """A speaker that records when it was audible, over all connections of a conversation.

    `cancelled_frames` counts the frames that arrived for a reply after it was stopped.
    """

    def __init__(self) -> None:
        super().__init__()
        self.audible: list[Span] = []
        self.cancelled_frames = 0

    def start_reply(self, turn_id: int) -> None:
        super().start_reply(turn_id)
        # After a reconnect, this replaces the text that is known of the reply.
        self.reply(turn_id).text = ""

    def start_audio(self, turn_id: int, offset_ms: int, now_s: float) -> None:
        if offset_ms == 0 and self.reply(turn_id).received_ms:
            # Another server answers the turn anew.
            self.advance_to(now_s)
            self.replies[turn_id] = ReceivedReply(turn_id, self.reply(turn_id).text)
        super().start_audio(turn_id, offset_ms, now_s)

    def receive_frame(self, pcm: bytes, now_s: float) -> None:
        if self._playing is not None and self._playing.stopped:
            self.cancelled_frames += 1
        super().receive_frame(pcm, now_s)

    def advance_to(self, now_s: float) -> None:
        reply, since_s = self._playing, self._now_s
        before_ms = 0.0 if reply is None else reply.played_ms
        super().advance_to(now_s)
        if reply is None or reply.first_frame_at_s is None or reply.played_ms <= before_ms:
            return
        played = reply.pcm[SPEECH.bytes_for(int(before_ms)) : SPEECH.bytes_for(int(reply.played_ms))]
        if is_audible(bytes(played)):
            start_s = max(since_s, reply.first_frame_at_s)
            self._add(Span(start_s, start_s + (reply.played_ms - before_ms) / 1000))

    def _add(self, span: Span) -> None:
        """Add a span, joined to the previous one where they touch."""
        if self.audible and span.start_s - self.audible[-1].end_s < 0.05:
            span = Span(self.audible.pop().start_s, span.end_s)
        self.audible.append(span)


def is_audible(pcm: bytes) -> bool:
    """Whether speech (PCM16 mono) is more than silence."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.int32)
    return bool(samples.size) and int(np.abs(samples).max()) >= AUDIBLE_PEAK


class Listener:
    """One conversation over many connections; created by `listening`, which owns its tasks.

    `losses` are the times without a connection. All times are on the loop's clock, in seconds.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.speaker = AudibleSpeaker()
        self.losses: list[Span] = []
        self.sessions: list[SessionClient] = []
        self.session_ids: list[str] = []
        self.ticket = ""
        self.talk: SessionClient | None = None
        # The playback position, as turn and milliseconds, when the connection was lost last.
        self.played_at_loss: tuple[int, int] | None = None
        self._clock = asyncio.get_running_loop().time

    @property
    def events(self) -> Sequence[ServerEvent]:
        """All events of all connections."""
        return [event for session in self.sessions for event in session.events]

    async def until(self, search: Callable[[], object], within_s: float, description: str) -> None:
        """Wait until `search` returns something true. Raises `PeerFailed` on timeout."""
        until_s = self._clock() + within_s
        while not search():
            if self._clock() > until_s:
                last = ", ".join(event.name for event in self.events[-10:]) or "nothing"
                raise PeerFailed("listener.waited", f"no {description} within {within_s:g} s; last events: {last}")
            await asyncio.sleep(POLL_S)

    async def until_event(self, name: str, within_s: float, since: int = 0) -> ServerEvent:
        """Wait for an event with this name after the first `since` events."""
        found: list[ServerEvent] = []
        await self.until(
            lambda: found.extend(event for event in self.events[since:] if event.name == name) or found, within_s, name
        )
        return found[0]

    async def send_message(self, name: str, **fields: object) -> None:
        """Send a message as soon as there is a connection."""
        while True:
            await self.until(lambda: self.talk, 60, "connection")
            assert self.talk is not None
            try:
                await self.talk.send_message(name, **fields)
            except ConnectionClosed:
                await asyncio.sleep(RECONNECT_EVERY_S)
            else:
                return

    async def play_clip(self, pcm: bytes) -> bool:
        """Speak; returns whether all of it was sent on one connection."""
        await self.until(lambda: self.talk, 60, "connection")
        talk = self.talk
        assert talk is not None
        try:
            await talk.play_clip(pcm)
        except PeerFailed:
            return False
        return self.talk is talk

    def words_played(self, turn_id: int, played_ms: float) -> str:
        """The words of a reply that were played, by its marks."""
        marks = [
            SpeechMark(event.message.text_start, event.message.text_end, event.message.offset_ms)
            for event in self.events
            if event.name == "speech_mark" and event.message.turn_id == turn_id
        ]
        return heard_text(self.speaker.reply(turn_id).text, marks, round(played_ms), None)

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        while True:
            try:
                async with open_session(self.url, **self._place(), speaker=self.speaker) as talk:
                    started = talk.events[0].message
                    self.ticket = started.ticket
                    self.session_ids.append(started.session_id)
                    if self.losses:
                        self.losses[-1] = Span(self.losses[-1].start_s, self._clock())
                    self.sessions.append(talk)
                    self.talk = talk
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(_watch_connection(talk))
                        await _until_ended(talk)
            except* (AnchorError, OSError, ConnectionClosed):
                if self.talk is not None:
                    self.losses.append(Span(self._clock(), float("inf")))
                    self.played_at_loss = self.speaker.progress(self._clock())
                self.talk = None
            await asyncio.sleep(RECONNECT_EVERY_S)

    async def run_speaker(self) -> None:
        """Play on, with and without a connection."""
        while True:
            await asyncio.sleep(0.05)
            self.speaker.advance_to(self._clock())

    def _place(self) -> dict[str, object]:
        """Where the conversation goes on after a reconnect."""
        if not self.ticket:
            return {}
        place: dict[str, object] = {"ticket": self.ticket, "session_id": self.session_ids[-1]}
        if progress := self.speaker.progress(self._clock()):
            turn_id = progress[0]
            place |= {"played": progress, "received": (turn_id, int(self.speaker.reply(turn_id).received_ms))}
        return place


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[Listener]:
    """A listener in a new conversation at `url`; leaving the context hangs up."""
    listener = Listener(url)
    running = [asyncio.create_task(listener.run()), asyncio.create_task(listener.run_speaker())]
    try:
        await listener.until(lambda: listener.talk, 10, "connection")
        yield listener
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)


async def _until_ended(talk: SessionClient) -> None:
    """Wait until the server or the network ends the session. Raises `PeerFailed` then."""
    await talk.wait_until(lambda events: None, 3600, "end of the session")


async def _watch_connection(talk: SessionClient) -> None:
    """Tear down a connection on which nothing answers any more."""
    while True:
        pong = await talk._socket.ping()
        try:
            async with asyncio.timeout(PONG_WITHIN_S):
                await pong
        except TimeoutError:
            talk._socket.transport.abort()
            return
        await asyncio.sleep(PONG_WITHIN_S / 4)
