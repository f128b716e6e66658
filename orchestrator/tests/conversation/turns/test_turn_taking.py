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
    FlushSegment,
    OpenTurn,
    PausePlayback,
    PrefillPrompt,
    ReleaseReply,
    ReopenTurn,
    ReplyAudible,
    ReplyDone,
    ReplyFailed,
    ResumePlayback,
    SetTimer,
    SpeakPhrase,
    StartListening,
    StartReply,
    StopReply,
    TimerFired,
    TranscriptOverdue,
    Wait,
)
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from orchestrator.conversation.turns.anchor_state import AnchorPhase
from orchestrator.conversation.turns.endpointing import Endpointing
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import TurnTaking, UserState
from service_kit.errors import EngineFailed

RULES = TurnRules(Endpointing(floor_ms=200, ceiling_ms=1000, unjudged_ms=600, steepness=3))
# The user asks, the anchor answers aloud: where most interruptions begin.
ANSWERING = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2000),
    TurnEndPredicted(2000, 1.0, "rule"),
    TimerFired(2200),
    ReplyAudible(1),
]
# The user pauses, is answered in secret, and makes another sound.
RESUMED = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2096),
    SpeechStarted(2300, 2000),
]
OVER_IT = [*ANSWERING, SpeechStarted(3000, 2700)]


def after(events):
    """A policy that has seen all events but the last, and what it says to the last."""
    policy = TurnTaking(RULES)
    actions = []
    for event in events:
        actions = list(policy.handle(event))
    return policy, actions


def final(text, segment_id=1, alternatives=(), end_ms=2000):
    return FinalTranscript(segment_id, 1, text, end_ms, "en", alternatives)


def judged(probability, at_ms=2000):
    return TurnEndPredicted(at_ms, probability, "rule", 200)


def announced(judgement, wait_ms, decided_by, patience=1.0, at_ms=2000):
    return AnnounceWait(at_ms, Wait(wait_ms, WaitDecision[f"WAIT_DECISION_{decided_by}"]), patience, judgement)


TABLE = {
    "speech opens a turn and is listened to from its pre-roll on": (
        [SpeechStarted(1000, 700)],
        [OpenTurn(1), PrefillPrompt(1), StartListening(700)],
    ),
    "silence asks for the transcript, and waits even without a judgement": (
        [SpeechStarted(1000, 700), SpeechStopped(2000)],
        [FlushSegment(1), SetTimer(2600)],
    ),
    "a sure judgement shortens the wait": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(1.0)],
        [announced(judged(1.0), 200, "FLOOR"), SetTimer(2200)],
    ),
    "a hanging sentence lengthens it": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(0.0)],
        [announced(judged(0.0), 1000, "CEILING"), SetTimer(3000)],
    ),
    "what is neither is for the prediction to decide": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(0.5)],
        [announced(judged(0.5), 300, "PREDICTION"), SetTimer(2300)],
    ),
    "the same silence may be judged again": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(0.0), judged(0.5)],
        [announced(judged(0.5), 300, "PREDICTION"), SetTimer(2300)],
    ),
    "a first judgement that is taken back does not commit the turn at its alarm": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("to"), judged(1.0), judged(0.0), TimerFired(2200)],
        [],
    ),
    "nor when only the transcript was waited for": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(1.0), TimerFired(2200), judged(0.0), final("to")],
        [AnnounceFinal(1, 1, "to", "en", None), StartReply(1, 1, "to")],
    ),
    "a silence that nobody judged is told to be one when it is over": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question"), TimerFired(2600)],
        [
            announced(None, 600, "NO_JUDGEMENT"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
    ),
    "a judgement on a silence that is over means nothing": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), TurnEndPredicted(2000, 1.0, "rule")],
        [],
    ),
    "partials are told": (
        [SpeechStarted(1000, 700), PartialTranscript(1, "a qu", 1500)],
        [AnnouncePartial(1, "a qu")],
    ),
    "a transcript begins a held reply": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question", alternatives=("a quest",))],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question", ("a quest",))],
    ),
    "a transcript that comes unprompted does so while the user is still thought to speak": (
        [SpeechStarted(1000, 700), final("a question")],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question")],
    ),
    "the same transcript is not paid for twice": (
        [SpeechStarted(1000, 700), final("a question"), SpeechStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None)],
    ),
    "another transcript begins another reply": (
        [SpeechStarted(1000, 700), final("a"), SpeechStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None), DropReply(1), StartReply(1, 2, "a question")],
    ),
    "the same words in other dress are the same words": (
        [SpeechStarted(1000, 700), final("a question"), SpeechStopped(2000), final("A question?")],
        [AnnounceFinal(1, 2, "A question?", "en", None)],
    ),
    "speech that goes on makes the held reply doubtful": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question"), SpeechStarted(2300, 2000)],
        [SetTimer(2700), StartListening(2000)],
    ),
    "words that it does not answer drop it": (
        [*RESUMED, PartialTranscript(1, "a question about", 2500)],
        [AnnouncePartial(1, "a question about"), DropReply(1)],
    ),
    "words that it answers do not": (
        [*RESUMED, PartialTranscript(1, "A quest", 2500), PartialTranscript(1, "A question", 2550)],
        [AnnouncePartial(1, "A question")],
    ),
    "speech that lasts drops it without words": (
        [*RESUMED, TimerFired(2700)],
        [DropReply(1)],
    ),
    "and drops it once": (
        [*RESUMED, TimerFired(2700), PartialTranscript(1, "a question about", 2900)],
        [AnnouncePartial(1, "a question about")],
    ),
    "a cough, and the same transcript again, keep it": (
        [*RESUMED, SpeechStopped(2500), final("a question", end_ms=2500), TimerFired(2700)],
        [],
    ),
    "and it is what the commit releases": (
        [*RESUMED, SpeechStopped(2500), final("a question", end_ms=2500), judged(1.0, 2500), TimerFired(2700)],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "another transcript after it does not": (
        [*RESUMED, SpeechStopped(2500), final("a question mark", end_ms=2500)],
        [AnnounceFinal(1, 2, "a question mark", "en", None), DropReply(1), StartReply(1, 2, "a question mark")],
    ),
    "a transcript that was asked for before speech went on is not answered": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), final("a", end_ms=2096)],
        [AnnounceFinal(1, 1, "a", "en", None)],
    ),
    "nor is the turn over with it": (
        [
            *(SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), SpeechStopped(2600)),
            *(final("a", end_ms=2096), judged(1.0, 2600), TimerFired(2800)),
        ],
        [],
    ),
    "a fourth transcript is only answered when the turn is over": (
        [SpeechStarted(1000, 700), *map(final, ["a", "a b", "a b c", "a b c d"])],
        [AnnounceFinal(1, 4, "a b c d", "en", None), DropReply(1)],
    ),
    "and then it is": (
        [
            *(SpeechStarted(1000, 700), *map(final, ["a", "a b", "a b c"]), SpeechStopped(2000)),
            *(final("a b c d"), judged(1.0), TimerFired(2200)),
        ],
        [CommitSegment(1), StartReply(1, 4, "a b c d"), CommitTurn(1, "a b c d"), ReleaseReply(1)],
    ),
    "ten seconds of speech are answered before the turn is over": (
        [SpeechStarted(1000, 700), SpeechStopped(11_000), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None), StartReply(1, 1, "much")],
    ),
    "more than ten are not": (
        [SpeechStarted(1000, 700), SpeechStopped(11_001), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "nor while the user still speaks": (
        [SpeechStarted(1000, 700), final("much", end_ms=11_001)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "a held reply that broke is begun again when the turn is over": (
        [*ANSWERING[:4], ReplyFailed(1, EngineFailed("session.reply_broke", "it broke")), TimerFired(2200)],
        [CommitSegment(1), StartReply(1, 2, "a question"), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "the end of the wait releases the reply": (
        ANSWERING[:5],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "an old alarm does nothing": (
        [*ANSWERING[:4], TimerFired(2100)],
        [],
    ),
    "without a transcript yet, the end of the wait waits on": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), judged(1.0), TimerFired(2200)],
        [],
    ),
    "and the transcript, when it comes, is answered at once": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), TimerFired(2600), final("a question")],
        [
            AnnounceFinal(1, 1, "a question", "en", None),
            StartReply(1, 1, "a question"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
    ),
    "a long sound without words is answered honestly": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final(" ... "), judged(0.1), TimerFired(2990)],
        [CommitSegment(1), SpeakPhrase(1, "did_not_catch")],
    ),
    "a short one is let go": (
        [SpeechStarted(1000, 700), SpeechStopped(1300), final(""), judged(1.0, 1300), TimerFired(1900)],
        [CommitSegment(1)],
    ),
    "a transcript that never comes is apologised for": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), TranscriptOverdue(1)],
        [CommitSegment(1), SpeakPhrase(1, "apology")],
    ),
    "a transcript of a closed segment is too late": (
        [*ANSWERING, ReplyDone(1), final("late")],
        [],
    ),
    "speech before anything was heard takes the answer back": (
        [*ANSWERING[:5], SpeechStarted(2500, 2200)],
        [DropReply(1), ReopenTurn(1), StartListening(2200)],
    ),
    "a reopened turn keeps what was said before": (
        [*ANSWERING[:5], SpeechStarted(2500, 2200), SpeechStopped(3000), final("and more", segment_id=2)],
        [AnnounceFinal(1, 2, "a question and more", "en", None), StartReply(1, 2, "a question and more")],
    ),
    "speech over the reply pauses it": (
        OVER_IT,
        [OpenTurn(2), PausePlayback(1), SetTimer(3500), StartListening(2700)],
    ),
    "words stop it": (
        [*OVER_IT, PartialTranscript(2, "stop", 3200)],
        [AnnouncePartial(2, "stop"), AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "a partial without words does not": (
        [*OVER_IT, PartialTranscript(2, " - ", 3200)],
        [AnnouncePartial(2, " - ")],
    ),
    "half a second of speech stops it": (
        [*OVER_IT, TimerFired(3500)],
        [AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "a short sound without words lets it go on": (
        [*OVER_IT, SpeechStopped(3200), final("", segment_id=2)],
        [
            AnnounceFinal(2, 1, "", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_COUGH),
            ResumePlayback(1),
            CommitSegment(2),
        ],
    ),
    "words in the final stop it and are answered": (
        [*OVER_IT, SpeechStopped(3200), final("stop", segment_id=2)],
        [
            AnnounceFinal(2, 1, "stop", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "stop"),
        ],
    ),
    "a reply that ends by itself is not stopped again": (
        [*OVER_IT, ReplyDone(1), TimerFired(3500)],
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
        [SpeechStarted(1000, 700), EndTurn()],
        [FlushSegment(1)],
    ),
    "the end of a turn that is none is nothing": ([EndTurn()], []),
}


@pytest.mark.parametrize(("events", "actions"), TABLE.values(), ids=TABLE.keys())
def test_the_policy_says(events, actions):
    assert after(events)[1] == actions


def test_the_axes_follow_the_conversation():
    policy, _ = after(ANSWERING)
    assert (policy.user_state, policy.anchor_phase) == (UserState.SILENT, AnchorPhase.SPEAKING)
    policy, _ = after([*OVER_IT, TimerFired(3500)])
    assert (policy.user_state, policy.anchor_phase) == (UserState.SPEAKING, AnchorPhase.IDLE)
    policy, _ = after([*ANSWERING, ReplyDone(1)])
    assert policy.anchor_phase is AnchorPhase.IDLE


def test_a_long_segment_is_closed_at_the_next_speech_edge():
    policy, _ = after([SpeechStarted(1000, 700), SpeechStopped(27_000), final("much")])
    actions = policy.handle(SpeechStarted(27_300, 27_000))
    assert actions == [CommitSegment(1), StartListening(27_000)]
    policy.handle(SpeechStopped(28_000))
    assert policy.handle(final("more", segment_id=2))[0] == AnnounceFinal(1, 2, "much more", "en", None)


def test_turn_numbers_go_on_in_a_resumed_conversation():
    assert TurnTaking(RULES, last_turn_id=7).handle(SpeechStarted(0, 0))[0] == OpenTurn(8)


def test_patience_holds_from_the_next_silence_on():
    policy, _ = after([SpeechStarted(1000, 700), SpeechStopped(2000), judged(0.5)])
    policy.endpointing.patience = 2.0
    policy.handle(SpeechStarted(2200, 2000))
    policy.handle(SpeechStopped(3000))
    assert policy.handle(judged(0.5, 3000))[0] == announced(judged(0.5, 3000), 600, "PREDICTION", 2.0, 3000)


def test_a_turn_that_was_cut_off_teaches_the_least_wait_and_says_so():
    policy, _ = after([*ANSWERING[:5], SpeechStarted(2600, 2300)])
    policy.handle(SpeechStopped(3000))
    assert policy.handle(judged(1.0, 3000))[0] == announced(judged(1.0, 3000), 400, "HABIT", at_ms=3000)


def test_a_turn_that_the_user_ended_by_command_teaches_nothing():
    policy, _ = after([*RESUMED[:3], EndTurn(), SpeechStarted(2600, 2300)])
    assert policy.endpointing.learned_floor.least_wait_ms == 0
