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
    FirstFrameSent,
    FirstSampleHeard,
    FlushSegment,
    OpenTurn,
    PausePlayback,
    PrefillPrompt,
    ReleaseReply,
    ReopenTurn,
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
# A question whose answer is heard: where most interruptions start.
ANSWERING = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2000),
    TurnEndPredicted(2000, 1.0, "rule"),
    TimerFired(2200),
    FirstFrameSent(1),
    FirstSampleHeard(1, 2250),
]
# A pause with a speculative reply, then resumed speech.
RESUMED = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2096),
    SpeechStarted(2300, 2000),
]
OVER_IT = [*ANSWERING, SpeechStarted(3000, 2700)]
# The user goes on after the answer was sent, before the client reports that any of it was played.
OVERDUE = [SpeechStarted(1000, 700), SpeechStopped(2000), TranscriptOverdue(1)]
APOLOGY_HEARD = [FirstFrameSent(1), FirstSampleHeard(1, 8100)]
GOING_ON = [*ANSWERING[:6], SpeechStarted(2300, 2000)]
CONTINUATION = AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_CONTINUATION)


def after(events):
    """A policy after all events, and its actions for the last one."""
    policy = TurnTaking(RULES)
    actions = []
    for event in events:
        actions = list(policy.handle(event))
    return policy, actions


def final(text, segment_id=1, alternatives=(), end_ms=2000):
    return FinalTranscript(segment_id, 1, text, end_ms, "en", alternatives)


def predicted(probability, at_ms=2000):
    return TurnEndPredicted(at_ms, probability, "rule", 200)


def announced(prediction, wait_ms, decided_by, patience=1.0, at_ms=2000):
    return AnnounceWait(at_ms, Wait(wait_ms, WaitDecision[f"WAIT_DECISION_{decided_by}"]), patience, prediction)


TABLE = {
    "speech opens a turn and starts listening at its pre-roll": (
        [SpeechStarted(1000, 700)],
        [OpenTurn(1), PrefillPrompt(1), StartListening(700)],
    ),
    "silence flushes the segment and sets the default wait": (
        [SpeechStarted(1000, 700), SpeechStopped(2000)],
        [FlushSegment(1), SetTimer(2600)],
    ),
    "confident prediction shortens the wait": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(1.0)],
        [announced(predicted(1.0), 200, "FLOOR"), SetTimer(2200)],
    ),
    "incomplete sentence lengthens the wait": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(0.0)],
        [announced(predicted(0.0), 1000, "CEILING"), SetTimer(3000)],
    ),
    "uncertain prediction sets the wait by its probability": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(0.5)],
        [announced(predicted(0.5), 300, "PREDICTION"), SetTimer(2300)],
    ),
    "second prediction of a silence replaces the first": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(0.0), predicted(0.5)],
        [announced(predicted(0.5), 300, "PREDICTION"), SetTimer(2300)],
    ),
    "replaced prediction does not commit the turn at its timer": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("to"), predicted(1.0), predicted(0.0), TimerFired(2200)],
        [],
    ),
    "replaced prediction does not commit the turn at a late transcript": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(1.0), TimerFired(2200), predicted(0.0), final("to")],
        [AnnounceFinal(1, 1, "to", "en", None), StartReply(1, 1, "to")],
    ),
    "silence without a prediction is announced at its end": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question"), TimerFired(2600)],
        [
            announced(None, 600, "NO_JUDGEMENT"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
    ),
    "prediction of an ended silence is ignored": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), TurnEndPredicted(2000, 1.0, "rule")],
        [],
    ),
    "partial transcripts are announced": (
        [SpeechStarted(1000, 700), PartialTranscript(1, "a qu", 1500)],
        [AnnouncePartial(1, "a qu")],
    ),
    "final transcript starts a speculative reply": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question", alternatives=("a quest",))],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question", ("a quest",))],
    ),
    "final transcript during speech starts a speculative reply": (
        [SpeechStarted(1000, 700), final("a question")],
        [AnnounceFinal(1, 1, "a question", "en", None), StartReply(1, 1, "a question")],
    ),
    "same transcript starts no second reply": (
        [SpeechStarted(1000, 700), final("a question"), SpeechStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None)],
    ),
    "changed transcript replaces the speculative reply": (
        [SpeechStarted(1000, 700), final("a"), SpeechStopped(2000), final("a question")],
        [AnnounceFinal(1, 2, "a question", "en", None), DropReply(1), StartReply(1, 2, "a question")],
    ),
    "case and punctuation do not change a transcript": (
        [SpeechStarted(1000, 700), final("a question"), SpeechStopped(2000), final("A question?")],
        [AnnounceFinal(1, 2, "A question?", "en", None)],
    ),
    "resumed speech sets a timer for the speculative reply": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final("a question"), SpeechStarted(2300, 2000)],
        [SetTimer(2700), StartListening(2000)],
    ),
    "new words drop the speculative reply": (
        [*RESUMED, PartialTranscript(1, "a question about", 2500)],
        [AnnouncePartial(1, "a question about"), DropReply(1)],
    ),
    "repeated words keep the speculative reply": (
        [*RESUMED, PartialTranscript(1, "A quest", 2500), PartialTranscript(1, "A question", 2550)],
        [AnnouncePartial(1, "A question")],
    ),
    "long resumed speech drops the speculative reply without words": (
        [*RESUMED, TimerFired(2700)],
        [DropReply(1)],
    ),
    "speculative reply is dropped once": (
        [*RESUMED, TimerFired(2700), PartialTranscript(1, "a question about", 2900)],
        [AnnouncePartial(1, "a question about")],
    ),
    "cough with the same transcript keeps the speculative reply": (
        [*RESUMED, SpeechStopped(2500), final("a question", end_ms=2500), TimerFired(2700)],
        [],
    ),
    "commit after a cough releases the speculative reply": (
        [*RESUMED, SpeechStopped(2500), final("a question", end_ms=2500), predicted(1.0, 2500), TimerFired(2700)],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "changed transcript after resumed speech replaces the reply": (
        [*RESUMED, SpeechStopped(2500), final("a question mark", end_ms=2500)],
        [AnnounceFinal(1, 2, "a question mark", "en", None), DropReply(1), StartReply(1, 2, "a question mark")],
    ),
    "transcript requested before resumed speech starts no reply": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), final("a", end_ms=2096)],
        [AnnounceFinal(1, 1, "a", "en", None)],
    ),
    "transcript requested before resumed speech does not commit the turn": (
        [
            *(SpeechStarted(1000, 700), SpeechStopped(2000), SpeechStarted(2300, 2000), SpeechStopped(2600)),
            *(final("a", end_ms=2096), predicted(1.0, 2600), TimerFired(2800)),
        ],
        [],
    ),
    "fourth transcript starts no speculative reply": (
        [SpeechStarted(1000, 700), *map(final, ["a", "a b", "a b c", "a b c d"])],
        [AnnounceFinal(1, 4, "a b c d", "en", None), DropReply(1)],
    ),
    "commit answers the fourth transcript": (
        [
            *(SpeechStarted(1000, 700), *map(final, ["a", "a b", "a b c"]), SpeechStopped(2000)),
            *(final("a b c d"), predicted(1.0), TimerFired(2200)),
        ],
        [CommitSegment(1), StartReply(1, 4, "a b c d"), CommitTurn(1, "a b c d"), ReleaseReply(1)],
    ),
    "ten seconds of speech start a speculative reply": (
        [SpeechStarted(1000, 700), SpeechStopped(11_000), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None), StartReply(1, 1, "much")],
    ),
    "more than ten seconds of speech start no speculative reply": (
        [SpeechStarted(1000, 700), SpeechStopped(11_001), final("much", end_ms=11_096)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "more than ten seconds of ongoing speech start no speculative reply": (
        [SpeechStarted(1000, 700), final("much", end_ms=11_001)],
        [AnnounceFinal(1, 1, "much", "en", None)],
    ),
    "failed speculative reply is started again at the commit": (
        [*ANSWERING[:4], ReplyFailed(1, EngineFailed("session.reply_broke", "it broke")), TimerFired(2200)],
        [CommitSegment(1), StartReply(1, 2, "a question"), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "end of the wait commits the turn and releases the reply": (
        ANSWERING[:5],
        [CommitSegment(1), CommitTurn(1, "a question"), ReleaseReply(1)],
    ),
    "outdated timer does nothing": (
        [*ANSWERING[:4], TimerFired(2100)],
        [],
    ),
    "end of the wait without a transcript does nothing yet": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), predicted(1.0), TimerFired(2200)],
        [],
    ),
    "transcript after the end of the wait is answered at once": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), TimerFired(2600), final("a question")],
        [
            AnnounceFinal(1, 1, "a question", "en", None),
            StartReply(1, 1, "a question"),
            CommitSegment(1),
            CommitTurn(1, "a question"),
            ReleaseReply(1),
        ],
    ),
    "long sound without words is answered with did_not_catch": (
        [SpeechStarted(1000, 700), SpeechStopped(2000), final(" ... "), predicted(0.1), TimerFired(2990)],
        [CommitSegment(1), SpeakPhrase(1, "did_not_catch")],
    ),
    "short sound without words is ignored": (
        [SpeechStarted(1000, 700), SpeechStopped(1300), final(""), predicted(1.0, 1300), TimerFired(1900)],
        [CommitSegment(1)],
    ),
    "overdue transcript is answered with an apology": (
        OVERDUE,
        [SpeakPhrase(1, "apology"), OpenTurn(2)],
    ),
    "words after the apology are answered": (
        [*OVERDUE, *APOLOGY_HEARD, ReplyDone(1), final("a question")],
        [
            AnnounceFinal(2, 1, "a question", "en", None),
            StartReply(2, 1, "a question"),
            CommitSegment(1),
            CommitTurn(2, "a question"),
            ReleaseReply(2),
        ],
    ),
    "words during the apology stop it and are answered": (
        [*OVERDUE, *APOLOGY_HEARD, final("a question")],
        [
            AnnounceFinal(2, 1, "a question", "en", None),
            StopReply(1),
            StartReply(2, 1, "a question"),
            CommitSegment(1),
            CommitTurn(2, "a question"),
            ReleaseReply(2),
        ],
    ),
    "no words after the apology are not answered": (
        [*OVERDUE, *APOLOGY_HEARD, ReplyDone(1), final("")],
        [AnnounceFinal(2, 1, "", "en", None), CommitSegment(1)],
    ),
    "speech after the apology belongs to the overdue turn": (
        [*OVERDUE, *APOLOGY_HEARD, ReplyDone(1), SpeechStarted(9000, 8700), SpeechStopped(9500)],
        [FlushSegment(1), SetTimer(10100)],
    ),
    "late speech leaves a segment open that has no transcript": (
        [*OVERDUE, *APOLOGY_HEARD, ReplyDone(1), SpeechStarted(60_000, 59_700)],
        [StartListening(59_700)],
    ),
    "a segment without a transcript ends after five minutes": (
        [*OVERDUE, *APOLOGY_HEARD, ReplyDone(1), SpeechStarted(302_000, 301_700)],
        [CommitSegment(1), StartListening(301_700)],
    ),
    "speech over the apology pauses it": (
        [*OVERDUE, *APOLOGY_HEARD, SpeechStarted(9000, 8700)],
        [PausePlayback(1), SetTimer(9500), StartListening(8700)],
    ),
    "a cough over the apology keeps the overdue turn": (
        [*OVERDUE, *APOLOGY_HEARD, SpeechStarted(9000, 8700), SpeechStopped(9200), TranscriptOverdue(1)],
        [AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_COUGH), ResumePlayback(1)],
    ),
    "transcript of a closed segment is ignored": (
        [*ANSWERING, ReplyDone(1), final("late")],
        [],
    ),
    "speech before the first frame reopens the turn": (
        [*ANSWERING[:5], SpeechStarted(2500, 2200)],
        [ReopenTurn(1), DropReply(1), StartListening(2200)],
    ),
    "reopened turn keeps its text": (
        [*ANSWERING[:5], SpeechStarted(2500, 2200), SpeechStopped(3000), final("and more", segment_id=2)],
        [AnnounceFinal(1, 2, "a question and more", "en", None), StartReply(1, 2, "a question and more")],
    ),
    "speech before the first sample was heard pauses the reply": (
        GOING_ON,
        [OpenTurn(2), PausePlayback(1), SetTimer(2800), StartListening(2000)],
    ),
    "words before the first sample was heard reopen the turn": (
        [*GOING_ON, PartialTranscript(2, "and more", 2700)],
        [
            AnnouncePartial(2, "and more"),
            *(CONTINUATION, ReopenTurn(1), DropReply(1)),
            AnnouncePartial(1, "a question and more"),
        ],
    ),
    "half a second of speech before the first sample was heard reopens the turn": (
        [*GOING_ON, TimerFired(2800)],
        [CONTINUATION, ReopenTurn(1), DropReply(1)],
    ),
    "a final transcript with words reopens the turn and is answered with it": (
        [*GOING_ON, SpeechStopped(2700), final("and more", segment_id=2)],
        [
            AnnounceFinal(2, 1, "and more", "en", None),
            *(CONTINUATION, ReopenTurn(1), DropReply(1)),
            AnnounceFinal(1, 2, "a question and more", "en", None),
            StartReply(1, 2, "a question and more"),
        ],
    ),
    "end_turn in mid-continuation reopens the turn": (
        [*GOING_ON, EndTurn()],
        [CONTINUATION, ReopenTurn(1), DropReply(1), FlushSegment(2)],
    ),
    "speech that began before the first sample was heard reopens the turn": (
        [*ANSWERING[:6], FirstSampleHeard(1, 2400), SpeechStarted(2380, 2100), PartialTranscript(2, "and more", 2700)],
        [
            AnnouncePartial(2, "and more"),
            *(CONTINUATION, ReopenTurn(1), DropReply(1)),
            AnnouncePartial(1, "a question and more"),
        ],
    ),
    "a late report that the first sample was heard makes it a barge-in": (
        [*GOING_ON, FirstSampleHeard(1, 2250), PartialTranscript(2, "stop", 2700)],
        [AnnouncePartial(2, "stop"), AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "cough before the first sample was heard resumes the reply": (
        [*GOING_ON, SpeechStopped(2500), final("", segment_id=2)],
        [
            AnnounceFinal(2, 1, "", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_COUGH),
            ResumePlayback(1),
            CommitSegment(2),
        ],
    ),
    "words after a cough still reopen the turn": (
        [
            *(*GOING_ON, SpeechStopped(2500), final("", segment_id=2), SpeechStarted(2900, 2600)),
            PartialTranscript(3, "and more", 3300),
        ],
        [
            AnnouncePartial(3, "and more"),
            AnnounceBargeIn(3, 1, Verdict.BARGE_IN_VERDICT_CONTINUATION),
            *(ReopenTurn(1), DropReply(1), AnnouncePartial(1, "a question and more")),
        ],
    ),
    "speech before a typed turn's reply was heard interrupts it": (
        [TextInput("hello"), FirstFrameSent(1), SpeechStarted(1000, 700), PartialTranscript(1, "wait", 1400)],
        [AnnouncePartial(2, "wait"), AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "speech over the reply pauses it": (
        OVER_IT,
        [OpenTurn(2), PausePlayback(1), SetTimer(3500), StartListening(2700)],
    ),
    "words over the reply stop it": (
        [*OVER_IT, PartialTranscript(2, "stop", 3200)],
        [AnnouncePartial(2, "stop"), AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "partial without words does not stop the reply": (
        [*OVER_IT, PartialTranscript(2, " - ", 3200)],
        [AnnouncePartial(2, " - ")],
    ),
    "half a second of speech over the reply stops it": (
        [*OVER_IT, TimerFired(3500)],
        [AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "short sound without words resumes the reply": (
        [*OVER_IT, SpeechStopped(3200), final("", segment_id=2)],
        [
            AnnounceFinal(2, 1, "", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_COUGH),
            ResumePlayback(1),
            CommitSegment(2),
        ],
    ),
    "words in the final transcript stop the reply and are answered": (
        [*OVER_IT, SpeechStopped(3200), final("stop", segment_id=2)],
        [
            AnnounceFinal(2, 1, "stop", "en", None),
            AnnounceBargeIn(2, 1, Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "stop"),
        ],
    ),
    "finished reply is not stopped": (
        [*OVER_IT, ReplyDone(1), TimerFired(3500)],
        [],
    ),
    "interrupt stops the reply": ([*ANSWERING, Interrupt()], [StopReply(1)]),
    "interrupt without a reply does nothing": ([Interrupt()], []),
    "pause pauses the reply": ([*ANSWERING, Pause()], [PausePlayback(1)]),
    "resume resumes the reply": ([*ANSWERING, Pause(), Resume()], [ResumePlayback(1)]),
    "a typed turn is answered at once": (
        [TextInput("hello")],
        [OpenTurn(1), StartReply(1, 1, "hello"), CommitTurn(1, "hello"), ReleaseReply(1)],
    ),
    "a typed turn stops the reply": (
        [*ANSWERING, TextInput("hello")],
        [StopReply(1), OpenTurn(2), StartReply(2, 1, "hello"), CommitTurn(2, "hello"), ReleaseReply(2)],
    ),
    "end_turn flushes the segment without a wait": (
        [SpeechStarted(1000, 700), EndTurn()],
        [FlushSegment(1)],
    ),
    "end_turn without a turn does nothing": ([EndTurn()], []),
}


@pytest.mark.parametrize(("events", "actions"), TABLE.values(), ids=TABLE.keys())
def test_policy_actions(events, actions):
    assert after(events)[1] == actions


def test_user_state_and_anchor_phase_follow_the_events():
    policy, _ = after(ANSWERING)
    assert (policy.user_state, policy.anchor_phase) == (UserState.SILENT, AnchorPhase.SPEAKING)
    policy, _ = after([*OVER_IT, TimerFired(3500)])
    assert (policy.user_state, policy.anchor_phase) == (UserState.SPEAKING, AnchorPhase.IDLE)
    policy, _ = after([*ANSWERING, ReplyDone(1)])
    assert policy.anchor_phase is AnchorPhase.IDLE


def test_long_segment_is_closed_at_the_next_speech_start():
    policy, _ = after([SpeechStarted(1000, 700), SpeechStopped(27_000), final("much")])
    actions = policy.handle(SpeechStarted(27_300, 27_000))
    assert actions == [CommitSegment(1), StartListening(27_000)]
    policy.handle(SpeechStopped(28_000))
    assert policy.handle(final("more", segment_id=2))[0] == AnnounceFinal(1, 2, "much more", "en", None)


def test_turn_ids_continue_in_a_resumed_conversation():
    assert TurnTaking(RULES, last_turn_id=7).handle(SpeechStarted(0, 0))[0] == OpenTurn(8)


def test_patience_applies_from_the_next_silence():
    policy, _ = after([SpeechStarted(1000, 700), SpeechStopped(2000), predicted(0.5)])
    policy.endpointing.patience = 2.0
    policy.handle(SpeechStarted(2200, 2000))
    policy.handle(SpeechStopped(3000))
    assert policy.handle(predicted(0.5, 3000))[0] == announced(predicted(0.5, 3000), 600, "PREDICTION", 2.0, 3000)


def test_cut_off_turn_raises_the_learned_floor():
    policy, _ = after([*ANSWERING[:5], SpeechStarted(2600, 2300)])
    policy.handle(SpeechStopped(3000))
    assert policy.handle(predicted(1.0, 3000))[0] == announced(predicted(1.0, 3000), 400, "HABIT", at_ms=3000)


def test_continued_turn_raises_the_learned_floor_when_its_reply_was_sent():
    policy, _ = after([*GOING_ON, PartialTranscript(2, "and more", 2700), SpeechStopped(3000)])
    assert policy.handle(predicted(1.0, 3000))[0] == announced(predicted(1.0, 3000), 250, "HABIT", at_ms=3000)


def test_continued_turn_commits_with_all_its_words():
    policy, _ = after([*GOING_ON, PartialTranscript(2, "and more", 2700), SpeechStopped(3000)])
    policy.handle(final("and more", segment_id=2, end_ms=3000))
    policy.handle(predicted(1.0, 3000))
    assert policy.handle(TimerFired(3250)) == [
        CommitSegment(2),
        CommitTurn(1, "a question and more"),
        ReleaseReply(1),
    ]


def test_turn_ended_by_command_does_not_raise_the_learned_floor():
    policy, _ = after([*RESUMED[:3], EndTurn(), SpeechStarted(2600, 2300)])
    assert policy.endpointing.learned_floor.least_wait_ms == 0


def test_turn_without_speculation_is_answered_when_it_commits():
    policy = TurnTaking(RULES)
    policy.speculates = False
    for event in (SpeechStarted(1000, 700), SpeechStopped(2000)):
        policy.handle(event)
    assert policy.handle(final("a question")) == [AnnounceFinal(1, 1, "a question", "en", None)]
    assert policy.handle(TimerFired(2600))[-3:] == [
        StartReply(1, 1, "a question"),
        CommitTurn(1, "a question"),
        ReleaseReply(1),
    ]
    policy.speculates = True
    policy.handle(ReplyDone(1))
    for event in (SpeechStarted(5000, 4700), SpeechStopped(6000)):
        policy.handle(event)
    assert StartReply(2, 1, "another") in policy.handle(final("another", segment_id=2, end_ms=6000))


def test_skipped_speech_closes_its_segment_and_opens_no_turn():
    policy = TurnTaking(RULES)
    assert policy.skip_speech() == [CommitSegment(1)]
    assert policy.listening_since_ms is None
    assert policy.handle(SpeechStopped(2000)) == []
    assert policy.handle(EndTurn()) == []
    policy.handle(SpeechStarted(3000, 2700))
    assert policy.handle(SpeechStopped(4000))[0] == FlushSegment(2)
