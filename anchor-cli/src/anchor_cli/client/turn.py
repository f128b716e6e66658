"""One turn with the anchor, as the self-test and the demo hold it: a clip in, a reply out, the time it took."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from anchor.session.v1 import session_pb2
from service_kit.errors import PeerFailed

from anchor_cli.client.playback import SpokenReply
from anchor_cli.client.session_client import Event, Talk

# How long after a clip the turn may take until it is noticed to be over.
COMMIT_WITHIN_S = 15.0
# How long the whole reply may take, in real time.
REPLY_WITHIN_S = 180.0
# The waterfall may come a moment after the reply is over.
WATERFALL_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that was answered. `response_ms` is from the last voiced sample sent to the first frame received."""

    heard: str
    engine: str
    reply: SpokenReply
    finished: session_pb2.ReplyFinished
    waterfall: session_pb2.LatencyWaterfall | None
    response_ms: float


async def hold_turn(talk: Talk, clip: bytes, listen_s: float | None = None) -> Turn:
    """Play `clip`, go on listening as a microphone does, and wait until the anchor has answered all of it.

    With `listen_s`, interrupt the reply after so much of it. A clip with pauses may make several turns; the last one
    is told. Raises `PeerFailed` when nothing is heard (`turn.nothing_heard`), the reply does not come to an end, it
    fails (with its own code), or it is silent.
    """
    since = len(talk.events)
    await talk.play(clip)
    try:
        await talk.find(lambda events: _last_turn(events[since:]), COMMIT_WITHIN_S, "turn")
    except PeerFailed as error:
        raise PeerFailed("turn.nothing_heard", f"the anchor heard nothing to answer: {error.message}") from error
    if listen_s is not None:
        await talk.find(lambda events: _sounding(events[since:]), REPLY_WITHIN_S, "sound of the reply")
        await asyncio.sleep(listen_s)
        await talk.say("interrupt")
    committed, ended = await talk.find(lambda events: _answered(events[since:]), REPLY_WITHIN_S, "end of the reply")
    turn_id = committed.message.turn_id
    if ended.name == "turn_failed":
        raise PeerFailed(ended.message.code, ended.message.message)
    reply = talk.speaker.reply(turn_id)
    if reply.first_frame_at_s is None or talk.spoken_until_s is None:
        raise PeerFailed("turn.no_sound", "the reply came without sound")
    return Turn(
        heard=committed.message.text,
        engine=next((e.message.engine for e in talk.events if _is(e, "reply_started", turn_id)), ""),
        reply=reply,
        finished=ended.message,
        waterfall=await _waterfall(talk, turn_id),
        response_ms=(reply.first_frame_at_s - talk.spoken_until_s) * 1000,
    )


def _is(event: Event, name: str, turn_id: int) -> bool:
    return event.name == name and event.message.turn_id == turn_id


def _last_turn(events: Sequence[Event]) -> Event | None:
    """The commit of the last turn; None while somebody speaks whose turn is not over."""
    for event in reversed(events):
        if event.name == "turn_committed":
            return event
        if event.name == "speech_started":
            return None
    return None


def _answered(events: Sequence[Event]) -> tuple[Event, Event] | None:
    """The commit of the last turn and the end of its reply."""
    committed = _last_turn(events)
    if committed is None:
        return None
    for event in events:
        if event.name in {"reply_finished", "turn_failed"} and event.message.turn_id == committed.message.turn_id:
            return committed, event
    return None


def _sounding(events: Sequence[Event]) -> Event | None:
    """The first sign that the reply to the last turn sounds, or that it is over."""
    committed = _last_turn(events)
    if committed is None:
        return None
    signs = {"reply_audio", "reply_finished", "turn_failed"}
    return next((e for e in events if e.name in signs and e.message.turn_id == committed.message.turn_id), None)


async def _waterfall(talk: Talk, turn_id: int) -> session_pb2.LatencyWaterfall | None:
    def find(events: Sequence[Event]) -> session_pb2.LatencyWaterfall | None:
        return next((event.message for event in events if _is(event, "latency_waterfall", turn_id)), None)

    try:
        return await talk.find(find, WATERFALL_WITHIN_S, "latency waterfall")
    except PeerFailed:
        # A turn without one is still a turn; who prints it says so.
        return None
