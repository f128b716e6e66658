"""Runs one turn: sends a clip, waits for the whole reply, and measures the response latency."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from anchor.session.v1 import session_pb2
from service_kit.errors import PeerFailed

from anchor_cli.client.playback import ReceivedReply
from anchor_cli.client.session_client import ServerEvent, SessionClient

# Time from the end of the clip to the turn's commit.
COMMIT_WITHIN_S = 15.0
# Time for the whole reply, in real time.
REPLY_WITHIN_S = 180.0
# The waterfall may arrive shortly after the end of the reply.
WATERFALL_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class TurnResult:
    """An answered turn. `response_ms` is the time from the last voiced sample sent to the first frame received."""

    transcript: str
    engine: str
    reply: ReceivedReply
    finished: session_pb2.ReplyFinished
    waterfall: session_pb2.LatencyWaterfall | None
    response_ms: float


async def run_turn(session: SessionClient, clip: bytes, listen_s: float | None = None) -> TurnResult:
    """Send `clip` and wait until the anchor has answered all of it.

    With `listen_s`, interrupts the reply after that many seconds of sound. A clip with pauses may cause several turns;
    the result is of the last one. Raises `PeerFailed` when no speech is detected (`turn.nothing_heard`), or when the
    reply does not end, fails (with its own code) or has no audio (`turn.no_sound`).
    """
    since = len(session.events)
    await session.play_clip(clip)
    try:
        await session.wait_until(lambda events: _last_commit(events[since:]), COMMIT_WITHIN_S, "turn")
    except PeerFailed as error:
        raise PeerFailed("turn.nothing_heard", f"the anchor detected no turn: {error.message}") from error
    if listen_s is not None:
        await session.wait_until(lambda events: _reply_begun(events[since:]), REPLY_WITHIN_S, "sound of the reply")
        await asyncio.sleep(listen_s)
        await session.send_message("interrupt")
    committed, ended = await session.wait_until(
        lambda events: _committed_and_ended(events[since:]), REPLY_WITHIN_S, "end of the reply"
    )
    turn_id = committed.message.turn_id
    if ended.name == "turn_failed":
        raise PeerFailed(ended.message.code, ended.message.message)
    reply = session.speaker.reply(turn_id)
    if reply.first_frame_at_s is None or session.speech_end_s is None:
        raise PeerFailed("turn.no_sound", "the reply had no audio")
    return TurnResult(
        transcript=committed.message.text,
        engine=next((e.message.engine for e in session.events if _is_of_turn(e, "reply_started", turn_id)), ""),
        reply=reply,
        finished=ended.message,
        waterfall=await _wait_for_waterfall(session, turn_id),
        response_ms=(reply.first_frame_at_s - session.speech_end_s) * 1000,
    )


def _is_of_turn(event: ServerEvent, name: str, turn_id: int) -> bool:
    return event.name == name and event.message.turn_id == turn_id


def _last_commit(events: Sequence[ServerEvent]) -> ServerEvent | None:
    """The commit of the last turn; None while newer speech is uncommitted."""
    for event in reversed(events):
        if event.name == "turn_committed":
            return event
        if event.name == "speech_started":
            return None
    return None


def _committed_and_ended(events: Sequence[ServerEvent]) -> tuple[ServerEvent, ServerEvent] | None:
    """The commit of the last turn and the end of its reply."""
    committed = _last_commit(events)
    if committed is None:
        return None
    for event in events:
        if event.name in {"reply_finished", "turn_failed"} and event.message.turn_id == committed.message.turn_id:
            return committed, event
    return None


def _reply_begun(events: Sequence[ServerEvent]) -> ServerEvent | None:
    """The first audio of the reply to the last turn, or the end of that reply."""
    committed = _last_commit(events)
    if committed is None:
        return None
    names = {"reply_audio", "reply_finished", "turn_failed"}
    return next((e for e in events if e.name in names and e.message.turn_id == committed.message.turn_id), None)


async def _wait_for_waterfall(session: SessionClient, turn_id: int) -> session_pb2.LatencyWaterfall | None:
    def find(events: Sequence[ServerEvent]) -> session_pb2.LatencyWaterfall | None:
        # The one sent at the first sound lacks the stages after it.
        for event in reversed(events):
            if _is_of_turn(event, "latency_waterfall", turn_id):
                return event.message
            if _is_of_turn(event, "reply_finished", turn_id):
                break
        return None

    try:
        return await session.wait_until(find, WATERFALL_WITHIN_S, "latency waterfall")
    except PeerFailed:
        # The turn is valid without one; the caller reports that it is missing.
        return None
