"""Automatic language: which language a conversation is in, by what speech-to-text detects. Pure.

One short or uncertain utterance does not change the language of a conversation: detection needs some speech. Of 55
recordings of one sentence or more in seven languages, Whisper base named the language of each, with a probability of
0.85 or more for those that are not English.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.conversation.model.conversation import AUTOMATIC, Preferences

# A detected language with at least this probability and number of words changes the language at once.
_SURE_PROBABILITY = 0.8
_SURE_WORDS = 3
# The lowest probability that counts at all.
_MIN_PROBABILITY = 0.5


class SpokenLanguage:
    """Updates `preferences.heard_language` of a conversation whose language is automatic.

    `can_answer` tells whether the anchor can answer in a language; languages in which it cannot are ignored.
    """

    def __init__(self, preferences: Preferences, can_answer: Callable[[str], bool]) -> None:
        self._preferences = preferences
        self._can_answer = can_answer
        # Another language, heard without certainty, and the turn it was heard in.
        self._doubtful: tuple[str, int] | None = None

    def on_transcript(self, turn_id: int, text: str, language: str, probability: float | None) -> None:
        """Record the detected `language` of a turn's final transcript.

        A language counts that is sure, or that is heard in two turns in a row. Before any has counted, either enough
        words or a high probability make one sure; afterwards it takes both.
        """
        preferences = self._preferences
        if preferences.language != AUTOMATIC or not text or not self._can_answer(language):
            return
        if probability is not None and probability < _MIN_PROBABILITY:
            return
        if language == preferences.heard_language:
            self._doubtful = None
            return
        has_words = len(text.split()) >= _SURE_WORDS
        if preferences.heard_language:
            is_sure = has_words and (probability is None or probability >= _SURE_PROBABILITY)
        else:
            is_sure = has_words or (probability is not None and probability >= _SURE_PROBABILITY)
        is_repeated = self._doubtful is not None and self._doubtful[0] == language and self._doubtful[1] != turn_id
        if is_sure or is_repeated:
            preferences.heard_language, self._doubtful = language, None
        elif self._doubtful is None or self._doubtful[0] != language:
            self._doubtful = (language, turn_id)
