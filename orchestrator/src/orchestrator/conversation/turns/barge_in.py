"""Barge-in detection: the user speaks over the reply. Pause at once, stop on evidence, resume after a false alarm.

Evidence is words of the user's own beyond a backchannel, or speech that lasts. Anything else (a cough, a backchannel,
the echo of the anchor's words) resumes the reply where it was paused. When the microphone holds echo of the anchor (the
far end), only near-end sound counts.

A recogniser finds words in coughs, laughter and hums too, with low confidence: such words are in doubt, and the reply
stays paused until the transcript is more certain, or the speech is too long for a cough.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from orchestrator.conversation.echo.acoustic_echo import EchoEstimate
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, is_echo, words_of
from orchestrator.conversation.messages.server import BargeIn, BargeInVerdict
from orchestrator.conversation.turns.backchannels import listener_words

# Delay of `SpeechStopped`: until it arrives, speech that has ended seems to continue.
_EDGE_MS = 100
# Confidence at which a single word counts, however short the sound, and from which a partial counts. Moonshine has 0.1
# to 0.68 for coughs and hums, and 0.7 or more for most people within half a second of speech; for single words in
# laughter it has up to 0.78 (docs/evaluation.md).
_SURE = 0.7
_SURE_OF_ONE_WORD = 0.8
# Below this confidence a final of so few words is in doubt. Whisper base has 0.2 to 0.37 for coughs, laughter and hums,
# and 0.44 or more for short interruptions (docs/evaluation.md).
_UNSURE = 0.4
_FEW_WORDS = 3
# Interval at which near-end speech is looked for in echo.
_ECHO_CHECK_MS = 200
# An answer to a question repeats its words ("tea or coffee?" "coffee"): fewer words than this are no echo then.
_ECHO_OF_A_QUESTION = 3


def has_words(text: str) -> bool:
    """Whether a transcript contains a letter or digit, in any script."""
    return any(character.isalnum() for character in text)


@dataclass(frozen=True, slots=True)
class BargeInThresholds:
    """Thresholds of barge-in, in milliseconds unless noted. `settings.py` takes its defaults from here."""

    # Speech of this length stops the reply, with or without words.
    stop_ms: int = 500
    # Speech of this length stops it even when its transcript is only backchannels, echo or words in doubt; and a paused
    # reply resumes after this time when no transcript of a shorter sound arrives.
    hold_ms: int = 1_000
    # A single word in a shorter sound counts as a cough that speech-to-text turned into a word.
    min_speech_ms: int = 180
    # The same, while the sound continues; words that ask for silence are exempt.
    one_word_ms: int = 300
    # The fewest words that stop the reply (a count); words that ask for silence are exempt.
    min_words: int = 1
    # For this long into a session's first reply no sound pauses it: the client's echo canceller is still adapting.
    settling_ms: int = 300
    # Whether echo of the anchor's voice is looked for in the microphone.
    echo_defence: bool = True
    # In echo, near-end sound of these lengths pauses and stops the reply.
    pause_near_end_ms: int = 140
    stop_near_end_ms: int = 300

    def with_choice(self, choice: BargeIn) -> BargeInThresholds:
        """These thresholds with what the user chose."""
        stop_ms = self.stop_ms if choice.stop_ms is None else choice.stop_ms
        min_words = self.min_words if choice.min_words is None else choice.min_words
        return replace(self, stop_ms=stop_ms, hold_ms=max(stop_ms, self.hold_ms), min_words=min_words)

    def is_only_echo(self, echo_estimate: EchoEstimate | None) -> bool:
        """Whether the sound is echo, apart from near-end sound too short for a word."""
        return echo_estimate is not None and echo_estimate.near_end_ms < self.min_speech_ms


class TranscriptClass(Enum):
    """What the transcript of a sound over the reply amounts to."""

    NOTHING = auto()
    WEAK = auto()
    DOUBTFUL = auto()
    BACKCHANNEL = auto()
    ECHO = auto()
    WORDS = auto()


_FALSE_ALARMS = {
    TranscriptClass.NOTHING: BargeInVerdict.BARGE_IN_VERDICT_COUGH,
    TranscriptClass.WEAK: BargeInVerdict.BARGE_IN_VERDICT_COUGH,
    TranscriptClass.DOUBTFUL: BargeInVerdict.BARGE_IN_VERDICT_COUGH,
    TranscriptClass.BACKCHANNEL: BargeInVerdict.BARGE_IN_VERDICT_BACKCHANNEL,
    TranscriptClass.ECHO: BargeInVerdict.BARGE_IN_VERDICT_ECHO,
}


def is_transcript_echo(text: str, playback: PlaybackContext) -> bool:
    """Whether a transcript repeats what the anchor was saying."""
    if playback.asking and len(words_of(text)) < _ECHO_OF_A_QUESTION:
        return False
    return is_echo(text, playback.text)


def classify_transcript(
    text: str,
    voiced_ms: int,
    playback: PlaybackContext,
    rules: BargeInThresholds,
    *,
    confidence: float | None = None,
    more: bool = False,
    is_partial: bool = False,
) -> TranscriptClass:
    """Classify the transcript `text` of a sound of `voiced_ms`; with `more`, the user is still speaking."""
    words = words_of(text)
    echo_estimate = playback.echo_estimate
    if rules.is_only_echo(echo_estimate) or is_transcript_echo(text, playback):
        return TranscriptClass.ECHO
    listener = listener_words(playback.language)
    if listener.is_backchannel(words, asked=playback.asking, unfinished=more):
        return TranscriptClass.BACKCHANNEL
    asks_for_silence = listener.has_stop(words)
    if voiced_ms < rules.hold_ms and confidence is not None:
        one_word = len(words) <= 1 and not asks_for_silence
        partial_counts = confidence >= (_SURE_OF_ONE_WORD if one_word else _SURE)
        final_counts = len(words) > _FEW_WORDS or confidence >= _UNSURE
        if not (partial_counts if is_partial else final_counts):
            return TranscriptClass.DOUBTFUL
    if not words:
        return TranscriptClass.NOTHING
    if echo_estimate is not None:
        voiced_ms = min(voiced_ms, echo_estimate.near_end_ms)
        if voiced_ms < rules.stop_near_end_ms and not asks_for_silence:
            # The words may be misrecognised echo: only enough near-end sound shows that the user speaks.
            return TranscriptClass.WEAK if more else TranscriptClass.ECHO
    least_ms = rules.one_word_ms if more and not asks_for_silence else rules.min_speech_ms
    if len(words) == 1 and voiced_ms < least_ms and (confidence is None or confidence < _SURE):
        return TranscriptClass.WEAK
    if len(words) >= rules.min_words or asks_for_silence:
        return TranscriptClass.WORDS
    return TranscriptClass.WEAK


@dataclass(slots=True)
class BargeInCandidate:
    """One possible barge-in, from the speech edge that opened it until its verdict.

    Each `on_...` method returns the verdict once there is one. `alarms_ms` are the times at which `on_timer` is to be
    called.
    """

    rules: BargeInThresholds
    # Start of the current stretch of speech.
    since_ms: int
    # When the reply is paused.
    pause_ms: int
    paused: bool = False
    speaking: bool = True
    # The latest estimate of echo in the sound; None when there is none.
    echo_estimate: EchoEstimate | None = None
    # Voiced length of earlier stretches.
    _voiced_ms: int = 0
    _class: TranscriptClass = TranscriptClass.NOTHING
    # The latest partial, and its confidence.
    _partial: tuple[str, float | None, PlaybackContext] = ("", None, PlaybackContext())
    # When to look for near-end speech in echo next.
    _echo_check_ms: int = 0
    _alarms_ms: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self._expect_speech()

    def alarms_ms(self) -> list[int]:
        """Return and clear the timers requested since the last call."""
        alarms_ms, self._alarms_ms = self._alarms_ms, []
        return alarms_ms

    def on_speech_started(self, at_ms: int) -> None:
        """The user speaks again before the verdict."""
        self.since_ms, self.speaking = at_ms, True
        self._expect_speech()

    def on_speech_stopped(self, at_ms: int) -> None:
        """The user is silent; the transcript decides."""
        self._voiced_ms = self._voiced_until(at_ms)
        self.speaking = False
        self._alarms_ms.append(max(at_ms, self.since_ms + self.rules.hold_ms))

    def on_partial(
        self, text: str, confidence: float | None, end_ms: int, playback: PlaybackContext
    ) -> BargeInVerdict | None:
        """Classify a partial transcript."""
        self._partial = (text, confidence, playback)
        return self._classify_partial(end_ms)

    def on_final(
        self, text: str, confidence: float | None, playback: PlaybackContext, *, more: bool = False
    ) -> BargeInVerdict | None:
        """Classify a final transcript; with `more` to come, it decides no more than a partial does."""
        self._class = classify_transcript(text, self._voiced_ms, playback, self.rules, confidence=confidence, more=more)
        if self._class is TranscriptClass.WORDS:
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS
        return None if more else _FALSE_ALARMS[self._class]

    def on_timer(self, now_ms: int) -> BargeInVerdict | None:
        """Decide by the duration of the speech."""
        if not self.speaking:
            return None
        if self.echo_estimate is not None:
            if now_ms >= self._echo_check_ms:
                self._echo_check_ms = now_ms + _ECHO_CHECK_MS
                self._alarms_ms.append(self._echo_check_ms)
            loud = self.echo_estimate.near_end_ms >= self.rules.stop_near_end_ms
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION if loud else None
        voiced_ms = self._voiced_until(now_ms)
        is_held = self._class in (TranscriptClass.BACKCHANNEL, TranscriptClass.ECHO, TranscriptClass.DOUBTFUL)
        if voiced_ms >= (self.rules.hold_ms if is_held else self.rules.stop_ms):
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_DURATION
        if self._class is TranscriptClass.WEAK and voiced_ms >= self.rules.min_speech_ms + _EDGE_MS:
            return self._classify_partial(now_ms)
        return None

    @property
    def is_only_echo(self) -> bool:
        """Whether the sound is only the anchor's echo."""
        return self.echo_estimate is not None and self.echo_estimate.near_end_ms < self.rules.pause_near_end_ms

    def waits_too_long(self, now_ms: int) -> bool:
        """Whether the transcript of a finished sound is overdue, so that the reply resumes without a verdict."""
        return not self.speaking and now_ms >= self.since_ms + self.rules.hold_ms

    def _classify_partial(self, until_ms: int) -> BargeInVerdict | None:
        text, confidence, playback = self._partial
        voiced_ms = self._voiced_until(until_ms)
        self._class = classify_transcript(
            text, voiced_ms, playback, self.rules, confidence=confidence, more=True, is_partial=True
        )
        if self._class is TranscriptClass.WORDS:
            return BargeInVerdict.BARGE_IN_VERDICT_STOP_WORDS
        if self.speaking and self._class is TranscriptClass.WEAK:
            self._expect_word(until_ms)
        elif self.speaking and self._class is not TranscriptClass.NOTHING:
            self._expect(self.rules.hold_ms)
        return None

    def _voiced_until(self, at_ms: int) -> int:
        return self._voiced_ms + (max(0, at_ms - self.since_ms) if self.speaking else 0)

    def _expect_word(self, now_ms: int) -> None:
        """Request timers for when the speech is long enough for a single word."""
        for word_ms in (self.rules.min_speech_ms + _EDGE_MS, self.rules.one_word_ms + _EDGE_MS):
            if self._voiced_until(now_ms) < word_ms:
                self._expect(word_ms)

    def _expect_speech(self) -> None:
        if not self.paused and self.pause_ms > self.since_ms:
            self._alarms_ms.append(self.pause_ms)
        self._expect(self.rules.stop_ms)

    def _expect(self, voiced_ms: int) -> None:
        """Request a timer for when this much has been voiced."""
        self._alarms_ms.append(self.since_ms + max(0, voiced_ms - self._voiced_ms))
