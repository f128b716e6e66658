"""Interruptions: the policy's actions and verdicts for speech over a reply."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.transcript_echo import PlaybackContext
from orchestrator.conversation.messages.client import EndTurn, Interrupt, Pause, Resume
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.model.events import (
    AnnounceBargeIn,
    CommitSegment,
    FirstFrameSent,
    FirstSampleHeard,
    PausePlayback,
    ReplyDone,
    ResumePlayback,
    SetTimer,
    SpeakPhrase,
    StartReply,
    StopReply,
    TimerFired,
    TranscriptOverdue,
)
from orchestrator.conversation.model.ports import (
    FinalTranscript,
    PartialTranscript,
    SpeechStarted,
    SpeechStopped,
    TurnEndPredicted,
)
from orchestrator.conversation.turns.barge_in import BargeInThresholds
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import AnchorPhase, TurnTaking

STORY = PlaybackContext("once upon a time there was a king", "en")
SENT_MS = 2_250
ANSWERING = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2000),
    TurnEndPredicted(2000, 1.0, "rule"),
    TimerFired(2500),
    FirstFrameSent(1, SENT_MS),
    FirstSampleHeard(1, SENT_MS),
]
OVER_IT = [*ANSWERING, SpeechStarted(3000, 2700)]


def settled(verdict):
    return AnnounceBargeIn(2, 1, verdict)


def partial(text, end_ms, playback=STORY, confidence=None):
    return PartialTranscript(2, text, end_ms, confidence=confidence), playback


def final(text, end_ms=3300, playback=STORY, confidence=None):
    return FinalTranscript(2, 1, text, end_ms, confidence=confidence), playback


def after(events, rules=None):
    """A policy after all events, and its actions for the last one that concern the reply."""
    policy = TurnTaking(TurnRules(barge_in=rules or BargeInThresholds()))
    actions = []
    for event in events:
        actions = policy.handle(*event) if isinstance(event, tuple) else policy.handle(event)
    kinds = (AnnounceBargeIn, CommitSegment, PausePlayback, ResumePlayback, SpeakPhrase, StartReply, StopReply)
    return policy, [action for action in actions if isinstance(action, kinds)]


FALSE_ALARM = [ResumePlayback(1), CommitSegment(2)]

TABLE = {
    "speech pauses the reply": (OVER_IT, [PausePlayback(1)]),
    "backchannel does not stop the reply": ([*OVER_IT, partial("yeah", 3250)], []),
    "backchannel of half a second does not stop the reply": (
        [*OVER_IT, partial("yeah yeah", 3400), TimerFired(3500)],
        [],
    ),
    "backchannel of a second stops the reply": (
        [*OVER_IT, partial("yeah yeah", 3400), TimerFired(3500), TimerFired(4000)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "words that a recogniser guesses in a cough do not stop the reply": (
        [*OVER_IT, partial("no", 3250, confidence=0.3), partial("you know", 3450, confidence=0.4), TimerFired(3500)],
        [],
    ),
    "final that is empty settles them as a cough": (
        [*OVER_IT, partial("you know", 3250, confidence=0.4), SpeechStopped(3600), final("", 3600)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), *FALSE_ALARM],
    ),
    "final with low confidence settles them as a cough": (
        [
            *OVER_IT,
            partial("you know", 3250, confidence=0.4),
            SpeechStopped(3600),
            final("hello", 3600, confidence=0.3),
        ],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), *FALSE_ALARM],
    ),
    "guessed words that last for a second stop the reply": (
        [*OVER_IT, partial("you know", 3250, confidence=0.4), TimerFired(3500), TimerFired(4000)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "certain words after guessed ones stop the reply": (
        [*OVER_IT, partial("no", 3250, confidence=0.4), partial("what about", 3450, confidence=0.8)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "words after a backchannel stop the reply": (
        [*OVER_IT, partial("yeah", 3250), partial("yeah but", 3450)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "final backchannel resumes the reply": (
        [*OVER_IT, partial("yeah", 3250), SpeechStopped(3300), final("yeah")],
        [settled(Verdict.BARGE_IN_VERDICT_BACKCHANNEL), *FALSE_ALARM],
    ),
    "final echo resumes the reply": (
        [*OVER_IT, partial("a time", 3250), SpeechStopped(3300), final("a time there")],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), *FALSE_ALARM],
    ),
    "echo with other words stops the reply": (
        [*OVER_IT, partial("a time", 3250), SpeechStopped(3300), final("a time please stop talking")],
        [
            settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "a time please stop talking"),
        ],
    ),
    "single early word does not stop the reply yet": ([*OVER_IT, partial("what", 3150)], []),
    "single early word stops the reply when speech continues": (
        [*OVER_IT, partial("what", 3150), TimerFired(3400)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "single word in a sound as short as a cough resumes the reply": (
        [*OVER_IT, partial("what", 3150), SpeechStopped(3170), final("what", 3170)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), *FALSE_ALARM],
    ),
    "missing transcript resumes the reply after a second": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000)],
        [ResumePlayback(1)],
    ),
    "late transcript with words stops the resumed reply": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), final("what did you say", 3250)],
        [
            settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "what did you say"),
            CommitSegment(2),
        ],
    ),
    "late empty transcript settles the cough without a resume": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), final("", 3250)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "overdue transcript of a cough needs no apology": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000), TranscriptOverdue(2)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "overdue transcript after the reply's end needs no apology": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000), ReplyDone(1), TranscriptOverdue(2)],
        [CommitSegment(2)],
    ),
    "overdue transcript of long speech is answered with an apology": (
        [*OVER_IT, TimerFired(3500), SpeechStopped(3700), TranscriptOverdue(2)],
        [SpeakPhrase(2, "apology")],
    ),
    "speech that resumes before the verdict pauses again": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), SpeechStarted(4300, 4000)],
        [PausePlayback(1)],
    ),
    "speech before and after a pause adds up to a stop": (
        [*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200), TimerFired(3750)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "transcript of the first part does not settle the second": (
        [*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200), final("mhm", 3250)],
        [],
    ),
    "end_turn stops the reply": (
        [*OVER_IT, EndTurn()],
        [StopReply(1)],
    ),
    "backchannel after the reply's end is answered": (
        [*OVER_IT, ReplyDone(1), SpeechStopped(3300), final("yeah")],
        [StartReply(2, 1, "yeah")],
    ),
    "last words may echo after the reply's end": (
        [*ANSWERING, ReplyDone(1), SpeechStarted(3000, 2700), SpeechStopped(3300), final("was a king")],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), CommitSegment(2)],
    ),
    "long utterance after the reply's end is no echo": (
        [*ANSWERING, ReplyDone(1), SpeechStarted(3000, 2700), SpeechStopped(4100), final("was a king", 4100)],
        [StartReply(2, 1, "was a king")],
    ),
    "transcript after a stop by duration is no echo": (
        [*OVER_IT, TimerFired(3500), SpeechStopped(3900), final("was a king", 3900)],
        [StartReply(2, 1, "was a king")],
    ),
    "transcript after end_turn is no echo": (
        [*OVER_IT, EndTurn(), final("was a king")],
        [StartReply(2, 1, "was a king"), CommitSegment(2)],
    ),
    "cough does not resume a reply that the client paused": (
        [*ANSWERING, Pause(), SpeechStarted(3000, 2700), SpeechStopped(3200), final("", 3200)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "client resumes its paused reply after a cough": (
        [*ANSWERING, Pause(), SpeechStarted(3000, 2700), SpeechStopped(3200), final("", 3200), Resume()],
        [ResumePlayback(1)],
    ),
    "interrupt by the client closes the candidate": (
        [*OVER_IT, Interrupt(), TimerFired(3500)],
        [],
    ),
}


@pytest.mark.parametrize(("events", "actions"), TABLE.values(), ids=TABLE)
def test_actions_for_speech_over_a_reply(events, actions):
    assert after(events)[1] == actions


SETTLING = [*ANSWERING, SpeechStarted(SENT_MS + 100, SENT_MS - 200)]

SETTLING_TABLE = {
    "speech does not pause": (SETTLING, []),
    "words stop the reply": (
        [*SETTLING, partial("what did you say", SENT_MS + 280)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "speech beyond the settling time pauses": ([*SETTLING, TimerFired(SENT_MS + 300)], [PausePlayback(1)]),
    "speech of half a second stops the reply": (
        [*SETTLING, TimerFired(SENT_MS + 300), TimerFired(SENT_MS + 600)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "short sound is a cough and needs no resume": (
        [*SETTLING, SpeechStopped(SENT_MS + 250), final("", SENT_MS + 250)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "short echo is an echo and needs no resume": (
        [*SETTLING, SpeechStopped(SENT_MS + 280), final("once upon", SENT_MS + 280)],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), CommitSegment(2)],
    ),
}


@pytest.mark.parametrize(("events", "actions"), SETTLING_TABLE.values(), ids=SETTLING_TABLE)
def test_actions_while_the_echo_canceller_settles(events, actions):
    assert after(events)[1] == actions


def test_echo_canceller_settles_once_per_session():
    again = [
        *ANSWERING,
        ReplyDone(1),
        SpeechStarted(5000, 4700),
        SpeechStopped(6000),
        FinalTranscript(2, 1, "more", 6000),
    ]
    again += [TurnEndPredicted(6000, 1.0, "rule"), TimerFired(6500), FirstFrameSent(2, 6500), SpeechStarted(6600, 6300)]
    assert after(again)[1] == [PausePlayback(2)]


def test_settling_can_be_disabled():
    assert after(SETTLING, BargeInThresholds(settling_ms=0))[1] == [PausePlayback(1)]


def test_timers_are_set_for_every_deadline():
    policy = TurnTaking(TurnRules())
    timers_ms = []
    for event in [*SETTLING, partial("what", SENT_MS + 150), SpeechStopped(SENT_MS + 350)]:
        actions = policy.handle(*event) if isinstance(event, tuple) else policy.handle(event)
        timers_ms.append({action.at_ms for action in actions if isinstance(action, SetTimer)})
    # End of settling and half a second of speech; speech long enough for a stop word and for any word; a second
    # without a transcript.
    assert timers_ms[-3] == {SENT_MS + 300, SENT_MS + 600}
    assert timers_ms[-2] == {SENT_MS + 380, SENT_MS + 500}
    assert SENT_MS + 1_100 in timers_ms[-1]


def test_false_alarm_closes_the_turn_and_keeps_the_reply():
    policy, _ = after([*OVER_IT, SpeechStopped(3300), final("mhm")])
    assert policy.anchor_phase is AnchorPhase.SPEAKING
    assert policy.listening_since_ms is None


def test_listening_starts_at_the_first_speech_of_the_turn():
    policy, _ = after([*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200)])
    assert policy.listening_since_ms == 3000
