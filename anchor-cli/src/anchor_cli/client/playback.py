"""A speaker that plays replies in real time. Pure: the time is a parameter."""

from __future__ import annotations

from dataclasses import dataclass, field

from service_kit.audio import SPEECH


@dataclass(slots=True)
class ReceivedReply:
    """The received part of one reply. Times are in seconds of the loop's clock, None until set."""

    turn_id: int
    text: str = ""
    pcm: bytearray = field(default_factory=bytearray)
    first_frame_at_s: float | None = None
    last_frame_at_s: float | None = None
    played_ms: float = 0.0
    stopped: bool = False
    # Times at which the next frame came after all audio had been played.
    underruns: int = 0

    @property
    def received_ms(self) -> float:
        """Duration of the received audio."""
        return SPEECH.ms_of(len(self.pcm))


class Speaker:
    """Plays one reply at a time as its audio arrives; holds while paused, drops audio after a stop.

    Playback of a reply begins `output_delay_s` after its first frame, as on an output device with that latency.
    """

    def __init__(self, output_delay_s: float = 0.0) -> None:
        self.output_delay_s = output_delay_s
        self.replies: dict[int, ReceivedReply] = {}
        self._playing: ReceivedReply | None = None
        self._offset_bytes = 0
        self._paused = False
        self._now_s = 0.0

    def reply(self, turn_id: int) -> ReceivedReply:
        """The reply of turn `turn_id`; created when missing."""
        return self.replies.setdefault(turn_id, ReceivedReply(turn_id))

    def start_reply(self, turn_id: int) -> None:
        """A reply to this turn starts. If one was stopped, this is another one: the turn was reopened."""
        if self.reply(turn_id).stopped:
            self.replies[turn_id] = ReceivedReply(turn_id)

    def start_audio(self, turn_id: int, offset_ms: int, now_s: float) -> None:
        """Assign the next frames to this turn's reply, from `offset_ms` on."""
        self.advance_to(now_s)
        if self._playing is not (reply := self.reply(turn_id)):
            self._playing = reply
            self._paused = False
        self._offset_bytes = SPEECH.bytes_for(offset_ms)

    def receive_frame(self, pcm: bytes, now_s: float) -> None:
        """Append a frame (PCM16 mono 24 kHz) to the current reply; dropped without one, or when it is stopped."""
        self.advance_to(now_s)
        reply = self._playing
        if reply is None or reply.stopped:
            return
        if reply.first_frame_at_s is None:
            reply.first_frame_at_s = now_s
        elif not self._paused and reply.played_ms >= reply.received_ms:
            reply.underruns += 1
        reply.last_frame_at_s = now_s
        if self._offset_bytes > len(reply.pcm):
            reply.pcm.extend(bytes(self._offset_bytes - len(reply.pcm)))
        reply.pcm[self._offset_bytes : self._offset_bytes + len(pcm)] = pcm
        self._offset_bytes += len(pcm)

    def pause(self, now_s: float) -> None:
        """Pause playback."""
        self.advance_to(now_s)
        self._paused = True

    def resume(self, now_s: float) -> None:
        """Resume playback."""
        self.advance_to(now_s)
        self._paused = False

    def stop(self, turn_id: int, now_s: float) -> None:
        """Stop this turn's reply and drop its unplayed audio."""
        self.advance_to(now_s)
        self.reply(turn_id).stopped = True

    def advance_to(self, now_s: float) -> None:
        """Advance playback to `now_s`."""
        since_s, self._now_s = self._now_s, now_s
        reply = self._playing
        if reply is None or reply.first_frame_at_s is None:
            return
        elapsed_ms = (now_s - max(since_s, reply.first_frame_at_s + self.output_delay_s)) * 1000
        if elapsed_ms > 0 and not reply.stopped and not self._paused:
            reply.played_ms = min(reply.played_ms + elapsed_ms, reply.received_ms)

    def progress(self, now_s: float) -> tuple[int, int] | None:
        """(turn id, played milliseconds) of the current reply; None before its first frame."""
        self.advance_to(now_s)
        reply = self._playing
        if reply is None or reply.first_frame_at_s is None:
            return None
        return reply.turn_id, round(reply.played_ms)
