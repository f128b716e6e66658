"""Interruptions: what speech over the reply is held to be, and when."""

from __future__ import annotations

import pytest
from orchestrator.conversation.echo.transcript_echo import PlaybackContext
from orchestrator.conversation.messages.client import EndTurn, Interrupt, Pause, Resume
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.model.events import (
    AnnounceBargeIn,
    CommitSegment,
    PausePlayback,
    ReplyAudible,
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
from orchestrator.conversation.turns.barge_in import BargeInRules, TranscriptClass, classify_transcript
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.conversation.turns.turn_taking import AnchorPhase, TurnTaking

STORY = PlaybackContext("once upon a time there was a king", "en")
QUESTION = PlaybackContext("would you like tea or coffee?", "en", asking=True)

READINGS = {
    "nothing is nothing": ("", 400, STORY, None, TranscriptClass.NOTHING),
    "punctuation is nothing": (" ... ", 400, STORY, None, TranscriptClass.NOTHING),
    "a word is a word": ("Berlin", 250, STORY, None, TranscriptClass.WORDS),
    "even a stop in a very short sound is weak": ("no", 150, STORY, None, TranscriptClass.WEAK),
    "unless the recogniser is sure": ("no", 150, STORY, 0.9, TranscriptClass.WORDS),
    "which it must say": ("no", 150, STORY, 0.3, TranscriptClass.WEAK),
    "two words are no cough": ("wait please", 150, STORY, None, TranscriptClass.WORDS),
    "a backchannel is one": ("Mmmhm.", 400, STORY, None, TranscriptClass.BACKCHANNEL),
    "and more words are none": ("yeah but", 400, STORY, None, TranscriptClass.WORDS),
    "in another language it is a word": ("genau", 400, STORY, None, TranscriptClass.WORDS),
    "in its own it is not": ("genau", 400, PlaybackContext("es war einmal", "de"), None, TranscriptClass.BACKCHANNEL),
    "the anchor's words are an echo": ("a time there", 400, STORY, None, TranscriptClass.ECHO),
    "a quotation with words of one's own is not": ("did you say a king", 400, STORY, None, TranscriptClass.WORDS),
    "assent after a question is an answer": ("yes", 400, QUESTION, None, TranscriptClass.WORDS),
    "humming after a question is not": ("mhm", 400, QUESTION, None, TranscriptClass.BACKCHANNEL),
    "nor is a choice that was offered an echo": ("coffee", 400, QUESTION, None, TranscriptClass.WORDS),
    "but the whole question is": ("you like tea or coffee", 400, QUESTION, None, TranscriptClass.ECHO),
}


@pytest.mark.parametrize(("text", "voiced_ms", "playback", "confidence", "reading"), READINGS.values(), ids=READINGS)
def test_of_a_transcript(text, voiced_ms, playback, confidence, reading):
    assert classify_transcript(text, voiced_ms, playback, BargeInRules(), confidence=confidence) is reading


def test_the_beginning_of_a_backchannel_is_waited_with():
    assert classify_transcript("of", 300, STORY, BargeInRules(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("of course", 300, STORY, BargeInRules(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("yeah of", 300, STORY, BargeInRules(), more=True) is TranscriptClass.BACKCHANNEL
    assert classify_transcript("of", 300, STORY, BargeInRules()) is TranscriptClass.WORDS
    assert classify_transcript("Berlin", 280, STORY, BargeInRules(), more=True) is TranscriptClass.WEAK
    assert classify_transcript("stop", 280, STORY, BargeInRules(), more=True) is TranscriptClass.WORDS
    assert classify_transcript("of Berlin", 300, STORY, BargeInRules(), more=True) is TranscriptClass.WORDS


def test_fewer_words_than_asked_for_are_weak_unless_one_says_stop():
    rules = BargeInRules(min_words=3)
    assert classify_transcript("what about", 400, STORY, rules) is TranscriptClass.WEAK
    assert classify_transcript("what about Berlin", 400, STORY, rules) is TranscriptClass.WORDS
    assert classify_transcript("wait", 400, STORY, rules) is TranscriptClass.WORDS


# Over time --------------------------------------------------------------------------------------------------------

AUDIBLE_MS = 2_250
ANSWERING = [
    SpeechStarted(1000, 700),
    SpeechStopped(2000),
    FinalTranscript(1, 1, "a question", 2000),
    TurnEndPredicted(2000, 1.0, "rule"),
    TimerFired(2500),
    ReplyAudible(1, AUDIBLE_MS),
]
OVER_IT = [*ANSWERING, SpeechStarted(3000, 2700)]


def settled(verdict):
    return AnnounceBargeIn(2, 1, verdict)


def partial(text, end_ms, playback=STORY):
    return PartialTranscript(2, text, end_ms), playback


def final(text, end_ms=3300, playback=STORY):
    return FinalTranscript(2, 1, text, end_ms), playback


def after(events, rules=None):
    """A policy that has seen all events but the last, and what it says to the last about the reply."""
    policy = TurnTaking(TurnRules(barge_in=rules or BargeInRules()))
    actions = []
    for event in events:
        actions = policy.handle(*event) if isinstance(event, tuple) else policy.handle(event)
    kinds = (AnnounceBargeIn, CommitSegment, PausePlayback, ResumePlayback, SpeakPhrase, StartReply, StopReply)
    return policy, [action for action in actions if isinstance(action, kinds)]


FALSE_ALARM = [ResumePlayback(1), CommitSegment(2)]

TABLE = {
    "the speech edge pauses": (OVER_IT, [PausePlayback(1)]),
    "a backchannel does not stop": ([*OVER_IT, partial("yeah", 3250)], []),
    "nor does it when it lasts half a second": ([*OVER_IT, partial("yeah yeah", 3400), TimerFired(3500)], []),
    "after a second it does": (
        [*OVER_IT, partial("yeah yeah", 3400), TimerFired(3500), TimerFired(4000)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "what follows a backchannel stops": (
        [*OVER_IT, partial("yeah", 3250), partial("yeah but", 3450)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "a backchannel lets the reply go on": (
        [*OVER_IT, partial("yeah", 3250), SpeechStopped(3300), final("yeah")],
        [settled(Verdict.BARGE_IN_VERDICT_BACKCHANNEL), *FALSE_ALARM],
    ),
    "an echo lets it go on": (
        [*OVER_IT, partial("a time", 3250), SpeechStopped(3300), final("a time there")],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), *FALSE_ALARM],
    ),
    "an echo with the user's words in it does not": (
        [*OVER_IT, partial("a time", 3250), SpeechStopped(3300), final("a time please stop talking")],
        [
            settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "a time please stop talking"),
        ],
    ),
    "a word too early to be one is waited with": ([*OVER_IT, partial("what", 3150)], []),
    "and counts when the speech goes on": (
        [*OVER_IT, partial("what", 3150), TimerFired(3400)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "but not when it was as short as a cough": (
        [*OVER_IT, partial("what", 3150), SpeechStopped(3170), final("what", 3170)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), *FALSE_ALARM],
    ),
    "a transcript that does not come in a second is not waited for": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000)],
        [ResumePlayback(1)],
    ),
    "and stops the reply when it comes all the same": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), final("what did you say", 3250)],
        [
            settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS),
            StopReply(1),
            StartReply(2, 1, "what did you say"),
            CommitSegment(2),
        ],
    ),
    "or settles the cough, without another word to the client": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), final("", 3250)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "one that never comes is not apologised for": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000), TranscriptOverdue(2)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "nor is it when the reply has ended meanwhile": (
        [*OVER_IT, SpeechStopped(3200), TimerFired(4000), ReplyDone(1), TranscriptOverdue(2)],
        [CommitSegment(2)],
    ),
    "but what was meant is": (
        [*OVER_IT, TimerFired(3500), SpeechStopped(3700), TranscriptOverdue(2)],
        [CommitSegment(2), SpeakPhrase(2, "apology")],
    ),
    "speech that resumes before the verdict pauses again": (
        [*OVER_IT, SpeechStopped(3250), TimerFired(4000), SpeechStarted(4300, 4000)],
        [PausePlayback(1)],
    ),
    "and adds up": (
        [*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200), TimerFired(3750)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "the transcript of the first half does not settle the second": (
        [*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200), final("mhm", 3250)],
        [],
    ),
    "the client's word ends the turn, and the reply": (
        [*OVER_IT, EndTurn()],
        [StopReply(1)],
    ),
    "once the reply is over, nothing is interrupted": (
        [*OVER_IT, ReplyDone(1), SpeechStopped(3300), final("yeah")],
        [StartReply(2, 1, "yeah")],
    ),
    "but its last words may still echo": (
        [*ANSWERING, ReplyDone(1), SpeechStarted(3000, 2700), SpeechStopped(3300), final("was a king")],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), CommitSegment(2)],
    ),
    "though not for as long as people speak": (
        [*ANSWERING, ReplyDone(1), SpeechStarted(3000, 2700), SpeechStopped(4100), final("was a king", 4100)],
        [StartReply(2, 1, "was a king")],
    ),
    "what was meant is not taken for an echo afterwards": (
        [*OVER_IT, TimerFired(3500), SpeechStopped(3900), final("was a king", 3900)],
        [StartReply(2, 1, "was a king")],
    ),
    "nor is what the client vouches for": (
        [*OVER_IT, EndTurn(), final("was a king")],
        [StartReply(2, 1, "was a king"), CommitSegment(2)],
    ),
    "a reply that the client holds is not let go by a cough": (
        [*ANSWERING, Pause(), SpeechStarted(3000, 2700), SpeechStopped(3200), final("", 3200)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "but by the client": (
        [*ANSWERING, Pause(), SpeechStarted(3000, 2700), SpeechStopped(3200), final("", 3200), Resume()],
        [ResumePlayback(1)],
    ),
    "nothing is left to settle after the client's interrupt": (
        [*OVER_IT, Interrupt(), TimerFired(3500)],
        [],
    ),
}


@pytest.mark.parametrize(("events", "actions"), TABLE.values(), ids=TABLE)
def test_over_a_reply(events, actions):
    assert after(events)[1] == actions


SETTLING = [*ANSWERING, SpeechStarted(AUDIBLE_MS + 100, AUDIBLE_MS - 200)]

SETTLING_TABLE = {
    "a sound pauses nothing": (SETTLING, []),
    "words stop": (
        [*SETTLING, partial("what did you say", AUDIBLE_MS + 280)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_WORDS), StopReply(1)],
    ),
    "speech that outlasts it pauses": ([*SETTLING, TimerFired(AUDIBLE_MS + 300)], [PausePlayback(1)]),
    "and stops after half a second": (
        [*SETTLING, TimerFired(AUDIBLE_MS + 300), TimerFired(AUDIBLE_MS + 600)],
        [settled(Verdict.BARGE_IN_VERDICT_STOP_DURATION), StopReply(1)],
    ),
    "a sound that is over before it is a cough, and nothing has to go on": (
        [*SETTLING, SpeechStopped(AUDIBLE_MS + 250), final("", AUDIBLE_MS + 250)],
        [settled(Verdict.BARGE_IN_VERDICT_COUGH), CommitSegment(2)],
    ),
    "the anchor's echo is one": (
        [*SETTLING, SpeechStopped(AUDIBLE_MS + 280), final("once upon", AUDIBLE_MS + 280)],
        [settled(Verdict.BARGE_IN_VERDICT_ECHO), CommitSegment(2)],
    ),
}


@pytest.mark.parametrize(("events", "actions"), SETTLING_TABLE.values(), ids=SETTLING_TABLE)
def test_while_the_echo_canceller_settles(events, actions):
    assert after(events)[1] == actions


def test_the_canceller_settles_once_a_session():
    again = [
        *ANSWERING,
        ReplyDone(1),
        SpeechStarted(5000, 4700),
        SpeechStopped(6000),
        FinalTranscript(2, 1, "more", 6000),
    ]
    again += [TurnEndPredicted(6000, 1.0, "rule"), TimerFired(6500), ReplyAudible(2, 6500), SpeechStarted(6600, 6300)]
    assert after(again)[1] == [PausePlayback(2)]


def test_nothing_needs_to_settle_when_it_is_switched_off():
    assert after(SETTLING, BargeInRules(settling_ms=0))[1] == [PausePlayback(1)]


def test_every_alarm_is_asked_for_in_time():
    policy = TurnTaking(TurnRules())
    alarms = []
    for event in [*SETTLING, partial("what", AUDIBLE_MS + 150), SpeechStopped(AUDIBLE_MS + 350)]:
        actions = policy.handle(*event) if isinstance(event, tuple) else policy.handle(event)
        alarms.append({action.at_ms for action in actions if isinstance(action, SetTimer)})
    # The end of settling and half a second of speech; speech long enough for a word, one that says stop and any; a
    # second without a transcript.
    assert alarms[-3] == {AUDIBLE_MS + 300, AUDIBLE_MS + 600}
    assert alarms[-2] == {AUDIBLE_MS + 380, AUDIBLE_MS + 500}
    assert AUDIBLE_MS + 1_100 in alarms[-1]


def test_a_false_alarm_leaves_the_anchor_speaking_and_the_user_without_a_turn():
    policy, _ = after([*OVER_IT, SpeechStopped(3300), final("mhm")])
    assert policy.anchor_phase is AnchorPhase.SPEAKING
    assert policy.listening_since_ms is None


def test_the_turn_is_listened_to_from_its_first_sound():
    policy, _ = after([*OVER_IT, SpeechStopped(3250), SpeechStarted(3500, 3200)])
    assert policy.listening_since_ms == 3000
