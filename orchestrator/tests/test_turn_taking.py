"""The turn-taking policy as a table: events in, actions out."""

from __future__ import annotations

import pytest
from orchestrator.conversation.endpointing import Endpointing
from orchestrator.conversation.events import (
    AnnounceFinal,
    AnnouncePartial,
    AnnounceWait,
    CommitSegment,
    CommitTurn,
    DropReply,
    Flush,
    Listen,
    OpenTurn,
    PausePlayback,
    ReleaseReply,
    ReopenTurn,
    ReplyAudible,
    ReplyDone,
    ResumePlayback,
    SayPhrase,
    StartReply,
    StopReply,
    TranscriptOverdue,
    WakeAt,
    Woken,
)
from orchestrator.conversation.messages import EndTurn, Interrupt, Pause, Resume, TextInput
from orchestrator.conversation.ports import FinalHeard, PartialHeard, TurnEndJudged, VoiceStarted, VoiceStopped
from orchestrator.conversation.turn import TurnRules
from orchestrator.conversation.turn_taking import Anchor, TurnTaking, User

RULES = TurnRules(Endpointing(floor_ms=200, ceiling_ms=1000, unjudged_ms=600))
# The user asks, the anchor answers aloud: where most interruptions begin.
ANSWERING = [
    VoiceStarted(1000, 700),
    VoiceStopped(2000),
    FinalHeard(1, 1, "a question", 2000),
    TurnEndJudged(2000, 1.0, "rule"),
    Woken(2200),
    ReplyAudible(1),
]
OVER_IT = [*ANSWERING, VoiceStarted(3000, 2700)]


def after(events):
    """A policy that has seen all events but the last, and what it says to the last."""
    policy = TurnTaking(RULES)
    actions = []
    for event in events:
        actions = list(policy.on(event))
    return policy, actions


def final(text, segment_id=1, alternatives=()):
    return FinalHeard(segment_id, 1, text, 2000, "en", alternatives)


TABLE = {
    "speech opens a turn and is listened to from its pre-roll on": (
        [VoiceStarted(1000, 700)],
        [OpenTurn(1), Listen(700)],
    ),
    "silence asks for the transcript, and waits even without a judgement": (
        [VoiceStarted(1000, 700), VoiceStopped(2000)],
        [Flush(1), WakeAt(2600)],
    ),
    "a sure judgement shortens the wait": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), TurnEndJudged(2000, 1.0, "rule")],
        [AnnounceWait(2000, 1.0, "rule", 200), WakeAt(2200)],
    ),
    "a hanging sentence lengthens it": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), TurnEndJudged(2000, 0.0, "rule")],
        [AnnounceWait(2000, 0.0, "rule", 1000), WakeAt(3000)],
    ),
    "a judgement on a silence that is over means nothing": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), VoiceStarted(2300, 2000), TurnEndJudged(2000, 1.0, "rule")],
        [],
    ),
    "partials are told": (
        [VoiceStarted(1000, 700), PartialHeard(1, "a qu", 1500)],
        [AnnouncePartial(1, "a qu")],
    ),
    "a transcript begins a held reply": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final("a question", alternatives=("a quest",))],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question", ("a quest",))],
    ),
    "a transcript that comes unprompted does so while the user is still thought to speak": (
        [VoiceStarted(1000, 700), final("a question")],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question")],
    ),
    "the same transcript is not paid for twice": (
        [VoiceStarted(1000, 700), final("a question"), VoiceStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None)],
    ),
    "another transcript begins another reply": (
        [VoiceStarted(1000, 700), final("a"), VoiceStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None), DropReply(1), StartReply(1, 2, "a question")],
    ),
    "speech that goes on drops the held reply": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final("a question"), VoiceStarted(2300, 2000)],
        [DropReply(1), Listen(2000)],
    ),
    "the end of the wait releases the reply": (
        ANSWERING[:5],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "an old alarm does nothing": (
        [*ANSWERING[:4], Woken(2100)],
        [],
    ),
    "without a transcript yet, the end of the wait waits on": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), Woken(2600)],
        [],
    ),
    "and the transcript, when it comes, is answered at once": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), Woken(2600), final("a question")],
        [
            AnnounceFinal(1, 1, "a question", "en", None),
            StartReply(1, 1, "a question"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
    ),
    "a long sound without words is answered honestly": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final(" ... "), Woken(2600)],
        [CommitSegment(1), SayPhrase(1, "did_not_catch")],
    ),
    "a short one is let go": (
        [VoiceStarted(1000, 700), VoiceStopped(1300), final(""), Woken(1900)],
        [CommitSegment(1)],
    ),
    "a transcript that never comes is apologised for": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), TranscriptOverdue(1)],
        [CommitSegment(1), SayPhrase(1, "apology")],
    ),
    "a transcript of a closed segment is too late": (
        [*ANSWERING, ReplyDone(1), final("late")],
        [],
    ),
    "speech before anything was heard takes the answer back": (
        [*ANSWERING[:5], VoiceStarted(2500, 2200)],
        [DropReply(1), ReopenTurn(1), Listen(2200)],
    ),
    "a reopened turn keeps what was said before": (
        [*ANSWERING[:5], VoiceStarted(2500, 2200), VoiceStopped(3000), final("and more", segment_id=2)],
        [AnnounceFinal(1, 2, "a question and more", "en", None), StartReply(1, 2, "a question and more")],
    ),
    "speech over the reply pauses it": (
        OVER_IT,
        [OpenTurn(2), PausePlayback(1), WakeAt(3500), Listen(2700)],
    ),
    "words stop it": (
        [*OVER_IT, PartialHeard(2, "stop", 3200)],
        [AnnouncePartial(2, "stop"), StopReply(1)],
    ),
    "a partial without words does not": (
        [*OVER_IT, PartialHeard(2, " - ", 3200)],
        [AnnouncePartial(2, " - ")],
    ),
    "half a second of speech stops it": (
        [*OVER_IT, Woken(3500)],
        [StopReply(1)],
    ),
    "a short sound without words lets it go on": (
        [*OVER_IT, VoiceStopped(3200), final("", segment_id=2)],
        [AnnounceFinal(2, 1, "", "en", None), CommitSegment(2), ResumePlayback(1)],
    ),
    "words in the final stop it and are answered": (
        [*OVER_IT, VoiceStopped(3200), final("stop", segment_id=2)],
        [AnnounceFinal(2, 1, "stop", "en", None), StopReply(1), StartReply(2, 1, "stop")],
    ),
    "a reply that ends by itself is not stopped again": (
        [*OVER_IT, ReplyDone(1), Woken(3500)],
        [],
    ),
    "interrupt stops the reply": ([*ANSWERING, Interrupt()], [StopReply(1)]),
    "interrupt in silence does nothing": ([Interrupt()], []),
    "pause and resume reach the reply": ([*ANSWERING, Pause()], [PausePlayback(1)]),
    "resume": ([*ANSWERING, Pause(), Resume()], [ResumePlayback(1)]),
    "a typed turn is answered at once": (
        [TextInput("hello")],
        [OpenTurn(1), StartReply(1, 1, "hello"), CommitTurn(1, "hello"), ReleaseReply(1)],
    ),
    "a typed turn stops the reply": (
        [*ANSWERING, TextInput("hello")],
        [StopReply(1), OpenTurn(2), StartReply(2, 1, "hello"), CommitTurn(2, "hello"), ReleaseReply(2)],
    ),
    "the client's word ends the turn without a wait": (
        [VoiceStarted(1000, 700), EndTurn()],
        [Flush(1)],
    ),
    "the end of a turn that is none is nothing": ([EndTurn()], []),
}


@pytest.mark.parametrize(("events", "actions"), TABLE.values(), ids=TABLE.keys())
def test_the_policy_says(events, actions):
    assert after(events)[1] == actions


def test_the_axes_follow_the_conversation():
    policy, _ = after(ANSWERING)
    assert (policy.user, policy.anchor) == (User.SILENT, Anchor.SPEAKING)
    policy, _ = after([*OVER_IT, Woken(3500)])
    assert (policy.user, policy.anchor) == (User.SPEAKING, Anchor.IDLE)
    policy, _ = after([*ANSWERING, ReplyDone(1)])
    assert policy.anchor is Anchor.IDLE


def test_a_long_segment_is_closed_at_the_next_speech_edge():
    policy, _ = after([VoiceStarted(1000, 700), VoiceStopped(27_000), final("much")])
    actions = policy.on(VoiceStarted(27_300, 27_000))
    assert actions == [DropReply(1), CommitSegment(1), Listen(27_000)]
    policy.on(VoiceStopped(28_000))
    assert policy.on(final("more", segment_id=2))[0] == AnnounceFinal(1, 2, "much more", "en", None)


def test_turn_numbers_go_on_in_a_resumed_conversation():
    assert TurnTaking(RULES, last_turn_id=7).on(VoiceStarted(0, 0))[0] == OpenTurn(8)


@pytest.mark.parametrize(("probability", "wait_ms"), [(1.0, 200), (0.5, 450), (0.0, 1200), (7.0, 200), (-1.0, 1200)])
def test_the_wait_falls_with_doubt(probability, wait_ms):
    assert Endpointing().wait_ms(probability) == wait_ms
