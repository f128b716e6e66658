"""Barge-in: the user speaks over the reply. Pause on candidate, stop on evidence, go on after a false alarm.

Evidence is words that are the user's own and more than a listener's "mhm", or speech that lasts. What is neither (a
cough, a backchannel, the echo of the anchor's own words) lets the reply go on where it was held. Where the anchor's own
voice is found in the microphone, what that voice does not explain is all that counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from orchestrator.conversation.echo.acoustic_echo import EchoEstimate
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, is_echo, words_of
from orchestrator.conversation.messages.server import BargeInVerdict
from orchestrator.conversation.turns.backchannels import listener_words

# Voice activity tells the end of speech this much later: until then, speech that is over seems to go on.
_EDGE_MS = 100
# A recogniser this sure of a single word is believed, however short the sound was.
_SURE = 0.7
# A voice over the anchor's echo is looked for this often.
_LISTEN_AGAIN_MS = 200
# Who answers a question repeats the anchor's words ("tea or coffee?" "coffee"): fewer than this are no echo then.
_ECHO_OF_A_QUESTION = 3


def has_words(text: str) -> bool:
    """Whether a transcript holds anything that was said, in any script."""
    return any(character.isalnum() for character in text)


@dataclass(frozen=True, slots=True)
class BargeInRules:
    """The numbers of barge-in."""

    # Speech this long stops the reply, words or no words.
    stop_ms: int = 500
    # Speech this long stops it even when all that was understood are backchannels or echo; and a reply that waits for
    # a transcript of something shorter goes on after this long.
    hold_ms: int = 1_000
    # A single word in a sound shorter than this is as likely a cough that the recogniser made a word of.
    min_speech_ms: int = 180
    # So it is, while the sound goes on, until it has lasted for this long; unless the word asks for silence.
    one_word_ms: int = 300
    # Fewer words than this stop nothing by themselves, unless one of them asks for silence.
    min_words: int = 1
    # While a session's first reply has sounded for less than this, the client's echo canceller is still learning, and
    # a sound does not yet pause the reply.
    settling_ms: int = 300
    # Whether the anchor's own voice is looked for in the microphone.
    echo_defence: bool = True
    # Where the anchor's own voice is heard, so much sound that is not that voice pauses the reply, and stops it.
    pause_near_end_ms: int = 140
    stop_near_end_ms: int = 300

    def is_only_echo(self, echo_estimate: EchoEstimate | None) -> bool:
        """Whether the anchor's own voice is all that is heard, or all but a moment that nobody says a word in."""
        return echo_estimate is not None and echo_estimate.near_end_ms < self.min_speech_ms


class TranscriptClass(Enum):
    """What a transcript makes of the user's sound."""

    NOTHING = auto()
    WEAK = auto()
    BACKCHANNEL = auto()
    ECHO = auto()
    WORDS = auto()


_FALSE_ALARMS = {
    TranscriptClass.NOTHING: BargeInVerdict.BARGE_IN_VERDICT_COUGH,
    TranscriptClass.WEAK: BargeInVerdict.BARGE_IN_VERDICT_COUGH,
    TranscriptClass.BACKCHANNEL: BargeInVerdict.BARGE_IN_VERDICT_BACKCHANNEL,
    TranscriptClass.ECHO: BargeInVerdict.BARGE_IN_VERDICT_ECHO,
}


def is_transcript_echo(text: str, playback: PlaybackContext) -> bool:
    """Whether a transcript is the anchor's own voice, heard again."""
    if playback.asking and len(words_of(text)) < _ECHO_OF_A_QUESTION:
        return False
    return is_echo(text, playback.text)


def classify_transcript(
    text: str,
    voiced_ms: int,
    playback: PlaybackContext,
    rules: BargeInRules,
    *,
    confidence: float | None = None,
    more: bool = False,
) -> TranscriptClass:
    """What `text`, understood in a sound of `voiced_ms`, says about who spoke and why; `more` may be said."""
    words = words_of(text)
    echo_estimate = playback.echo_estimate
    if rules.is_only_echo(echo_estimate) or is_transcript_echo(text, playback):
        return TranscriptClass.ECHO
    if not words:
        return TranscriptClass.NOTHING
    listener = listener_words(playback.language)
    if listener.is_backchannel(words, asked=playback.asking, unfinished=more):
        return TranscriptClass.BACKCHANNEL
    asks_for_silence = listener.has_stop(words)
    if echo_estimate is not None:
        voiced_ms = min(voiced_ms, echo_estimate.near_end_ms)
        if voiced_ms < rules.stop_near_end_ms and not asks_for_silence:
            # The words may be the echo's, misheard: the sound itself must show that somebody speaks.
            return TranscriptClass.WEAK if more else TranscriptClass.ECHO
    least_ms = rules.one_word_ms if more and not asks_for_silence else rules.min_speech_ms
    if len(words) == 1 and voiced_ms < least_ms and (confidence is None or confidence < _SURE):
        return TranscriptClass.WEAK
    if len(words) >= rules.min_words or asks_for_silence:
        return TranscriptClass.WORDS
    return TranscriptClass.WEAK


@dataclass(slots=True)
class BargeInCandidate:
    """One candidate, from the speech edge that raised it until it is settled.

    Fed with what happens, it answers with a verdict once there is one. `alarms_ms` are the moments at which it wants
    to be asked again, with `at`.
    """

    rules: BargeInRules
    # Where the present stretch of speech began.
    since_ms: int
    # The reply is held from this moment on.
    pause_ms: int
    paused: bool = False
    speaking: bool = True
    # What of the anchor's own voice was found in it when that was last looked for.
    echo_estimate: EchoEstimate | None = None
    # How long earlier stretches were: voiced, and all in all.
    _voiced_ms: int = 0
    _reading: TranscriptClass = TranscriptClass.NOTHING
    _partial: tuple[str, PlaybackContext] = ("", PlaybackContext())
    # When it looks for another voice in an echo again.
    _listen_ms: int = 0
    _alarms_ms: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._expect_speech()

    def alarms_ms(self) -> list[int]:
        """The moments asked for since this was last called."""
        alarms_ms, self._alarms_ms = self._alarms_ms, []
        return alarms_ms

    def on_speech_started(self, at_ms: int) -> None:
        """The user, who had fallen silent, speaks again before the verdict."""
        self.since_ms, self.speaking = at_ms, True
        self._expect_speech()

    def on_speech_stopped(self, at_ms: int) -> None:
        """The user is silent; the transcript will tell."""
        self._voiced_ms = self._voiced_until(at_ms)
        self.speaking = False
        self._alarms_ms.append(max(at_ms, self.since_ms + self.rules.hold_ms))

    def on_partial(self, text: str, end_ms: int, playback: PlaybackContext) -> BargeInVerdict | None:
        """What has been understood so far."""
        self._partial = (text, playback)
        return self._read_partial(end_ms)

    def on_final(
        self, text: str, confidence: float | None, playback: PlaybackContext, *, more: bool = False
    ) -> BargeInVerdict | None:
        """What was understood; where there is `more` to come, it is no more than a partial."""
        self._reading = classify_transcript(
            text, self._voiced_ms, playback, self.rules, confidence=confidence, more=more
        )
        if self._reading is TranscriptClass.WORDS:
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS
        return None if more else _FALSE_ALARMS[self._reading]

    def on_timer(self, now_ms: int) -> BargeInVerdict | None:
        """Whether time alone has brought a verdict."""
        if not self.speaking:
            return None
        if self.echo_estimate is not None:
            if now_ms >= self._listen_ms:
                self._listen_ms = now_ms + _LISTEN_AGAIN_MS
                self._alarms_ms.append(self._listen_ms)
            loud = self.echo_estimate.near_end_ms >= self.rules.stop_near_end_ms
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION if loud else None
        voiced_ms = self._voiced_until(now_ms)
        listening = self._reading in (TranscriptClass.BACKCHANNEL, TranscriptClass.ECHO)
        if voiced_ms >= (self.rules.hold_ms if listening else self.rules.stop_ms):
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION
        if self._reading is TranscriptClass.WEAK and voiced_ms >= self.rules.min_speech_ms + _EDGE_MS:
            return self._read_partial(now_ms)
        return None

    @property
    def is_only_echo(self) -> bool:
        """Whether all that is heard is the anchor itself."""
        return self.echo_estimate is not None and self.echo_estimate.near_end_ms < self.rules.pause_near_end_ms

    def waits_too_long(self, now_ms: int) -> bool:
        """Whether the user is silent, and the transcript has had its time: the reply goes on without a verdict."""
        return not self.speaking and now_ms >= self.since_ms + self.rules.hold_ms

    def _read_partial(self, until_ms: int) -> BargeInVerdict | None:
        text, playback = self._partial
        self._reading = classify_transcript(text, self._voiced_until(until_ms), playback, self.rules, more=True)
        if self._reading is TranscriptClass.WORDS:
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS
        if self.speaking and self._reading is TranscriptClass.WEAK:
            self._expect_word(until_ms)
        elif self.speaking and self._reading is not TranscriptClass.NOTHING:
            self._expect(self.rules.hold_ms)
        return None

    def _voiced_until(self, at_ms: int) -> int:
        return self._voiced_ms + (max(0, at_ms - self.since_ms) if self.speaking else 0)

    def _expect_word(self, now_ms: int) -> None:
        """Ask again when the speech will have gone on for long enough for a single word."""
        for word_ms in (self.rules.min_speech_ms + _EDGE_MS, self.rules.one_word_ms + _EDGE_MS):
            if self._voiced_until(now_ms) < word_ms:
                self._expect(word_ms)

    def _expect_speech(self) -> None:
        if not self.paused and self.pause_ms > self.since_ms:
            self._alarms_ms.append(self.pause_ms)
        self._expect(self.rules.stop_ms)

    def _expect(self, voiced_ms: int) -> None:
        """Ask again when this much has been voiced."""
        self._alarms_ms.append(self.since_ms + max(0, voiced_ms - self._voiced_ms))
