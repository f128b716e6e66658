"""A speaker that plays replies at the pace of real time. Pure: the time comes in as a parameter."""

from __future__ import annotations

from dataclasses import dataclass, field

from service_kit.audio import SPEECH


@dataclass(slots=True)
class SpokenReply:
    """What came of one reply. Times are seconds of the loop's clock; None until it happened."""

    turn_id: int
    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    first_frame_at_s: float | None = None
    last_frame_at_s: float | None = None
    played_ms: float = 0.0
    stopped: bool = False

    @property
    def received_ms(self) -> float:
        """How much sound has come."""
        return SPEECH.ms_of(len(self.pcm))


class Speaker:
    """Plays one reply at a time: sound as it comes, on hold while paused, nothing more once stopped."""

    def __init__(self) -> None:
        self.replies: dict[int, SpokenReply] = {}
        self._playing: SpokenReply | None = None
        self._offset_bytes = 0
        self._paused = False
        self._now_s = 0.0

    def reply(self, turn_id: int) -> SpokenReply:
        """The record of turn `turn_id`'s reply."""
        return self.replies.setdefault(turn_id, SpokenReply(turn_id))

    def place(self, turn_id: int, offset_ms: int, now_s: float) -> None:
        """The next frames belong to this turn, from `offset_ms` on."""
        self.advance(now_s)
        if self._playing is None or self._playing.turn_id != turn_id:
            self._playing = self.reply(turn_id)
            self._paused = False
        self._offset_bytes = SPEECH.bytes_for(offset_ms)

    def hear(self, pcm: bytes, now_s: float) -> None:
        """Take a frame; one that belongs to no reply, or to a stopped one, is dropped."""
        self.advance(now_s)
        reply = self._playing
        if reply is None or reply.stopped:
            return
        if reply.first_frame_at_s is None:
            reply.first_frame_at_s = now_s
        reply.last_frame_at_s = now_s
        if self._offset_bytes > len(reply.pcm):
            reply.pcm.extend(bytes(self._offset_bytes - len(reply.pcm)))
        reply.pcm[self._offset_bytes : self._offset_bytes + len(pcm)] = pcm
        self._offset_bytes += len(pcm)

    def pause(self, now_s: float) -> None:
        """Hold."""
        self.advance(now_s)
        self._paused = True

    def resume(self, now_s: float) -> None:
        """Go on."""
        self.advance(now_s)
        self._paused = False

    def stop(self, turn_id: int, now_s: float) -> None:
        """Drop what of this reply has not been played."""
        self.advance(now_s)
        self.reply(turn_id).stopped = True

    def advance(self, now_s: float) -> None:
        """Play up to `now_s`."""
        elapsed_ms = (now_s - self._now_s) * 1000
        self._now_s = now_s
        reply = self._playing
        if reply is not None and not reply.stopped and not self._paused:
            reply.played_ms = min(reply.played_ms + elapsed_ms, reply.received_ms)

    def progress(self, now_s: float) -> tuple[int, int] | None:
        """Turn and milliseconds of the reply last played; None before the first sound."""
        self.advance(now_s)
        reply = self._playing
        if reply is None or reply.first_frame_at_s is None:
            return None
        return reply.turn_id, round(reply.played_ms)
