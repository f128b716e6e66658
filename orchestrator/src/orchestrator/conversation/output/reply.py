"""A reply: one task that thinks and speaks until it has been heard. Cancelling that task is barge-in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from service_kit.errors import AnchorError, PeerFailed
from service_kit.tasks import run_together

from orchestrator.conversation.connection.outbox import Outbox
from orchestrator.conversation.echo.playback_reference import PlaybackReference
from orchestrator.conversation.echo.transcript_echo import PlaybackContext, playback_context
from orchestrator.conversation.messages.server import ReplyFinished, ReplyStarted, ReplyText, ServerMessage, TurnFailed
from orchestrator.conversation.model.history import heard_text
from orchestrator.conversation.model.idle_timeout import IdleTimeout
from orchestrator.conversation.model.ports import TextToSpeech
from orchestrator.conversation.observability.waterfall import Waterfall
from orchestrator.conversation.output.playout import Playout
from orchestrator.conversation.output.synthesis import Delivery, ReplySynthesis
from orchestrator.metrics import SPEECH_WASTED_MS, UNDERRUN_MS, UNDERRUNS

log = logging.getLogger(__name__)

# A model that writes nothing for this long has failed.
_THINK_DEADLINE_S = 8.0


class Reply:
    """One reply to one revision of a turn. Until `release`, the client learns nothing of it."""

    def __init__(
        self,
        *,
        turn_id: int,
        engine: Callable[[], str],
        words: Callable[[], AsyncGenerator[str]],
        voices: Sequence[TextToSpeech],
        delivery: Delivery,
        outbox: Outbox,
        reports_playback: bool,
        waterfall: Waterfall,
        on_audible: Callable[[], None],
        sounded: PlaybackReference,
    ) -> None:
        self.turn_id = turn_id
        self.waterfall = waterfall
        self.playout = Playout(turn_id, outbox, reports_playback, self._audible, self._progressed, sounded)
        self._synthesis = ReplySynthesis(
            turn_id=turn_id,
            voices=voices,
            delivery=delivery,
            playout=self.playout,
            waterfall=waterfall,
            tell=self._tell,
        )
        self._engine = engine
        self._words = words
        self._apology = delivery.apology
        self._language = delivery.language
        self._outbox = outbox
        self._reports = reports_playback
        self._on_audible = on_audible
        self._now_s = asyncio.get_running_loop().time
        self._released = False
        self._untold: list[ServerMessage] = []

    def release(self) -> None:
        """Let it be seen and heard."""
        self._released = True
        self._outbox.send(ReplyStarted(self.turn_id, self._engine()))
        for message in self._untold:
            self._outbox.send(message)
        self._untold.clear()
        self.playout.release()

    async def run(self) -> None:
        """Think, speak, and wait until all of it has been heard."""
        await run_together(
            self._traced("think", self._think), self._traced("speak", self._synthesis.run), self.playout.run()
        )

    def finished(self, interrupted: bool) -> ReplyFinished:
        """What became of it, for the client and for history."""
        voicing = self._synthesis
        heard_ms = self.playout.heard_ms
        heard = heard_text(voicing.text, voicing.marks, heard_ms, None if interrupted else voicing.duration_ms)
        if voicing.is_lost and not interrupted:
            # What could not be spoken was shown.
            heard = voicing.text.strip()
        reckoned = interrupted and not voicing.marks
        return ReplyFinished(self.turn_id, heard, heard_ms, interrupted, estimated=reckoned or not self._reports)

    def playback_context(self, for_ms: int) -> PlaybackContext:
        """What of it may echo in an utterance that began `for_ms` ago."""
        voicing = self._synthesis
        if not self.playout.sent_ms:
            return PlaybackContext(language=self._language)
        return playback_context(
            voicing.text,
            voicing.marks,
            at_ms=self.playout.heard_ms,
            for_ms=for_ms,
            duration_ms=voicing.duration_ms,
            language=self._language,
        )

    def account(self) -> dict[str, int]:
        """Count, once it is over, what it cost and what it lacked; the figures, for the log."""
        wasted_ms = self.playout.wasted_ms
        underruns, underrun_ms = self.playout.underruns()
        SPEECH_WASTED_MS.observe(wasted_ms)
        UNDERRUNS.inc(underruns)
        UNDERRUN_MS.inc(underrun_ms)
        return {"wasted_ms": round(wasted_ms), "underruns": underruns, "underrun_ms": round(underrun_ms)}

    async def _traced(self, stage: str, work: Callable[[], Awaitable[None]]) -> None:
        with self.waterfall.trace.stage(stage):
            await work()

    async def _think(self) -> None:
        try:
            async with IdleTimeout(_THINK_DEADLINE_S) as deadline, aclosing(self._words()) as words:
                async for delta in words:
                    deadline.reset()
                    self._say(delta)
        except TimeoutError:
            self._break_off(PeerFailed("llm.silent", f"the model wrote nothing for {_THINK_DEADLINE_S:.0f} s"))
        except AnchorError as error:
            self._break_off(error)
        self._synthesis.end_text()

    def _break_off(self, error: AnchorError) -> None:
        """What was begun is finished with an apology, in the same breath."""
        log.warning("reply broke off", extra={"code": error.code, "reason": error.message})
        self.waterfall.trace.fail(error.code, "think")
        self._tell(TurnFailed(self.turn_id, error.code, error.message))
        text = self._synthesis.text
        gap = " " if text and not text.endswith((" ", "\n")) else ""
        self._say(gap + self._apology)

    def _say(self, delta: str) -> None:
        if not delta:
            return
        self.waterfall.reached("first_token", self._now_s())
        self._synthesis.add_text(delta)
        self._tell(ReplyText(self.turn_id, delta))

    def _tell(self, message: ServerMessage) -> None:
        if self._released:
            self._outbox.send(message)
        else:
            self._untold.append(message)

    def _progressed(self) -> None:
        self._synthesis.on_playback_progress()

    def _audible(self) -> None:
        self.waterfall.reached("first_frame_sent", self._now_s())
        self._on_audible()
