"""The turn-taking policy as a table: events in, actions out."""

from __future__ import annotations

import pytest
from orchestrator.conversation.messages.client import EndTurn, Interrupt, Pause, Resume, TextInput
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.messages.server import WaitDecision
from orchestrator.conversation.model.events import (
    AnnounceBargeIn,
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
    ReplyFailed,
    ResumePlayback,
    SayPhrase,
    StartReply,
    StopReply,
    TranscriptOverdue,
    WakeAt,
    WarmModel,
    Woken,
)
from orchestrator.conversation.model.ports import FinalHeard, PartialHeard, TurnEndJudged, VoiceStarted, VoiceStopped
from orchestrator.conversation.turns.anchor_state import Anchor
from orchestrator.conversation.turns.endpointing import Endpointing, Wait
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking, User
from service_kit.errors import EngineFailed

RULES = TurnRules(Endpointing(floor_ms=200, ceiling_ms=1000, unjudged_ms=600, steepness=3))
# The user asks, the anchor answers aloud: where most interruptions begin.
ANSWERING = [
    VoiceStarted(1000, 700),
    VoiceStopped(2000),
    FinalHeard(1, 1, "a question", 2000),
    TurnEndJudged(2000, 1.0, "rule"),
    Woken(2200),
    ReplyAudible(1),
]
# The user pauses, is answered in secret, and makes another sound.
RESUMED = [VoiceStarted(1000, 700), VoiceStopped(2000), FinalHeard(1, 1, "a question", 2096), VoiceStarted(2300, 2000)]
OVER_IT = [*ANSWERING, VoiceStarted(3000, 2700)]


def after(events):
    """A policy that has seen all events but the last, and what it says to the last."""
    policy = TurnTaking(RULES)
    actions = []
    for event in events:
        actions = list(policy.on(event))
    return policy, actions


def final(text, segment_id=1, alternatives=(), end_ms=2000):
    return FinalHeard(segment_id, 1, text, end_ms, "en", alternatives)


def judged(probability, at_ms=2000):
    return TurnEndJudged(at_ms, probability, "rule", 200)


def announced(judgement, wait_ms, decided_by, patience=1.0, at_ms=2000):
    return AnnounceWait(at_ms, Wait(wait_ms, WaitDecision[f"WAIT_DECISION_{decided_by}"]), patience, judgement)


TABLE = {
    "speech opens a turn and is listened to from its pre-roll on": (
        [VoiceStarted(1000, 700)],
        [OpenTurn(1), WarmModel(1), Listen(700)],
    ),
    "silence asks for the transcript, and waits even without a judgement": (
        [VoiceStarted(1000, 700), VoiceStopped(2000)],
        [Flush(1), WakeAt(2600)],
    ),
    "a sure judgement shortens the wait": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(1.0)],
        [announced(judged(1.0), 200, "FLOOR"), WakeAt(2200)],
    ),
    "a hanging sentence lengthens it": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(0.0)],
        [announced(judged(0.0), 1000, "CEILING"), WakeAt(3000)],
    ),
    "what is neither is for the prediction to decide": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(0.5)],
        [announced(judged(0.5), 300, "PREDICTION"), WakeAt(2300)],
    ),
    "the same silence may be judged again": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(0.0), judged(0.5)],
        [announced(judged(0.5), 300, "PREDICTION"), WakeAt(2300)],
    ),
    "a first judgement that is taken back does not commit the turn at its alarm": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final("to"), judged(1.0), judged(0.0), Woken(2200)],
        [],
    ),
    "nor when only the transcript was waited for": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(1.0), Woken(2200), judged(0.0), final("to")],
        [AnnounceFinal(1, 1, "to", "en", None), StartReply(1, 1, "to")],
    ),
    "a silence that nobody judged is told to be one when it is over": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final("a question"), Woken(2600)],
        [
            announced(None, 600, "NO_JUDGEMENT"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
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
    "the same words in other dress are the same words": (
        [VoiceStarted(1000, 700), final("a question"), VoiceStopped(2000), final("A question?")],
        [AnnounceFinal(1, 2, "A question?", "en", None)],
    ),
    "speech that goes on makes the held reply doubtful": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), final("a question"), VoiceStarted(2300, 2000)],
        [WakeAt(2700), Listen(2000)],
    ),
    "words that it does not answer drop it": (
        [*RESUMED, PartialHeard(1, "a question about", 2500)],
        [AnnouncePartial(1, "a question about"), DropReply(1)],
    ),
    "words that it answers do not": (
        [*RESUMED, PartialHeard(1, "A quest", 2500), PartialHeard(1, "A question", 2550)],
        [AnnouncePartial(1, "A question")],
    ),
    "speech that lasts drops it without words": (
        [*RESUMED, Woken(2700)],
        [DropReply(1)],
    ),
    "and drops it once": (
        [*RESUMED, Woken(2700), PartialHeard(1, "a question about", 2900)],
        [AnnouncePartial(1, "a question about")],
    ),
    "a cough, and the same transcript again, keep it": (
        [*RESUMED, VoiceStopped(2500), final("a question", end_ms=2500), Woken(2700)],
        [],
    ),
    "and it is what the commit releases": (
        [*RESUMED, VoiceStopped(2500), final("a question", end_ms=2500), judged(1.0, 2500), Woken(2700)],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "another transcript after it does not": (
        [*RESUMED, VoiceStopped(2500), final("a question mark", end_ms=2500)],
        [AnnounceFinal(1, 2, "a question mark", "en", None), DropReply(1), StartReply(1, 2, "a question mark")],
    ),
    "a transcript that was asked for before speech went on is not answered": (
        [VoiceStarted(1000, 700), VoiceStopped(2000), VoiceStarted(2300, 2000), final("a", end_ms=2096)],
        [AnnounceFinal(1, 1, "a", "en", None)],
    ),
    "nor is the turn over with it": (
        [
            *(VoiceStarted(1000, 700), VoiceStopped(2000), VoiceStarted(2300, 2000), VoiceStopped(2600)),
            *(final("a", end_ms=2096), judged(1.0, 2600), Woken(2800)),
        ],
        [],
    ),
    "a fourth transcript is only answered when the turn is over": (
        [VoiceStarted(1000, 700), *map(final, ["a", "a b", "a b c", "a b c d"])],
        [AnnounceFinal(1, 4, "a b c d", "en", None), DropReply(1)],
    ),
    "and then it is": (
        [
            *(VoiceStarted(1000, 700), *map(final, ["a", "a b", "a b c"]), VoiceStopped(2000)),
            *(final("a b c d"), judged(1.0), Woken(2200)),
        ],
        [CommitSegment(1), StartReply(1, 4, "a b c d"), CommitTurn(1, "a b c d"), ReleaseReply(1)],
    ),
    "ten seconds of speech are answered before the turn is over": (
        [VoiceStarted(1000, 700), VoiceStopped(11_000), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None), StartReply(1, 1, "much")],
    ),
    "more than ten are not": (
        [VoiceStarted(1000, 700), VoiceStopped(11_001), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "nor while the user still speaks": (
        [VoiceStarted(1000, 700), final("much", end_ms=11_001)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "a held reply that broke is begun again when the turn is over": (
        [*ANSWERING[:4], ReplyFailed(1, EngineFailed("session.reply_broke", "it broke")), Woken(2200)],
        [CommitSegment(1), StartReply(1, 2, "a question"), CommitTurn(1, "a question"), ReleaseReply(1)],
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
        [VoiceStarted(1000, 700), VoiceStopped(2000), judged(1.0), Woken(2200)],
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
        [VoiceStarted(1000, 700), VoiceStopped(2000), final(" ... "), judged(0.1), Woken(2990)],
        [CommitSegment(1), SayPhrase(1, "did_not_catch")],
    ),
    "a short one is let go": (
        [VoiceStarted(1000, 700), VoiceStopped(1300), final(""), judged(1.0, 1300), Woken(1900)],
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
        [AnnouncePartial(2, "stop"), AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "a partial without words does not": (
        [*OVER_IT, PartialHeard(2, " - ", 3200)],
        [AnnouncePartial(2, " - ")],
    ),
    "half a second of speech stops it": (
        [*OVER_IT, Woken(3500)],
        [AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "a short sound without words lets it go on": (
        [*OVER_IT, VoiceStopped(3200), final("", segment_id=2)],
        [
            AnnounceFinal(2, 1, "", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_COUGH),
            ResumePlayback(1),
            CommitSegment(2),
        ],
    ),
    "words in the final stop it and are answered": (
        [*OVER_IT, VoiceStopped(3200), final("stop", segment_id=2)],
        [
            AnnounceFinal(2, 1, "stop", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "stop"),
        ],
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
    assert actions == [CommitSegment(1), Listen(27_000)]
    policy.on(VoiceStopped(28_000))
    assert policy.on(final("more", segment_id=2))[0] == AnnounceFinal(1, 2, "much more", "en", None)


def test_turn_numbers_go_on_in_a_resumed_conversation():
    assert TurnTaking(RULES, last_turn_id=7).on(VoiceStarted(0, 0))[0] == OpenTurn(8)


def test_patience_holds_from_the_next_silence_on():
    policy, _ = after([VoiceStarted(1000, 700), VoiceStopped(2000), judged(0.5)])
    policy.patience.stretch = 2.0
    policy.on(VoiceStarted(2200, 2000))
    policy.on(VoiceStopped(3000))
    assert policy.on(judged(0.5, 3000))[0] == announced(judged(0.5, 3000), 600, "PREDICTION", 2.0, 3000)


def test_a_turn_that_was_cut_off_teaches_the_least_wait_and_says_so():
    policy, _ = after([*ANSWERING[:5], VoiceStarted(2600, 2300)])
    policy.on(VoiceStopped(3000))
    assert policy.on(judged(1.0, 3000))[0] == announced(judged(1.0, 3000), 400, "HABIT", at_ms=3000)


def test_a_turn_that_the_user_ended_by_command_teaches_nothing():
    policy, _ = after([*RESUMED[:3], EndTurn(), VoiceStarted(2600, 2300)])
    assert policy.patience.habit.least_wait_ms == 0
