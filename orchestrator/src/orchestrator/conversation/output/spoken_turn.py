"""Who spoke a turn, and when by the clock: builds `turn_spoken`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from orchestrator.conversation.messages.server import TurnSpoken
from orchestrator.conversation.observability.waterfall import Waterfall


@dataclass(frozen=True, slots=True)
class Speaker:
    """The persona, voice and language of one reply. An empty `voice` is the language's default."""

    persona: str
    name: str
    voice: str
    language: str


class SpokenTurns:
    """Builds the messages of one session, whose times stay in order even if the machine's clock is set meanwhile."""

    def __init__(self) -> None:
        self._zero_unix_s = time.time() - asyncio.get_running_loop().time()

    def message(
        self,
        turn_id: int,
        speaker: Speaker,
        waterfall: Waterfall,
        *,
        began_s: float | None = None,
        ended_s: float | None = None,
    ) -> TurnSpoken:
        """The message about a turn; `began_s` and `ended_s` of its reply are on the loop's clock, None if unknown."""
        user_began_s, user_ended_s = waterfall.user_span_s or (None, None)
        return TurnSpoken(
            turn_id=turn_id,
            user_began_unix_s=self._unix_s(user_began_s),
            user_ended_unix_s=self._unix_s(user_ended_s),
            reply_began_unix_s=self._unix_s(began_s),
            reply_ended_unix_s=self._unix_s(ended_s),
            persona=speaker.persona,
            speaker=speaker.name,
            voice=speaker.voice,
            language=speaker.language,
        )

    def _unix_s(self, at_s: float | None) -> float | None:
        """A time of the loop's clock as seconds since 1970, to the millisecond."""
        return None if at_s is None else round(self._zero_unix_s + at_s, 3)
