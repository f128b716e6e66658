"""One trial: a listener asks aloud, something fails, and the notes say what the listener heard, saw and lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from anchor_cli.client.audio_files import load_clip
from anchor_cli.client.session_client import ServerEvent
from faulty_mesh import LONG_ANSWER, QUESTION, SHORT_ANSWER, FaultyMesh
from invariants import Notes, violations
from listener import POLL_S, Listener, Span, listening
from matrix import Expected, Fault, Phase
from mesh_launcher import PROJECT
from service_kit.errors import AnchorError

CLIP = PROJECT / "content/questions/bridge.wav"
# The microphone's streams are open by then.
OPENED_S = 1.0
INTO_SPEECH_S = 0.3
INTO_REPLY_MS = 700
# The longest wait for the end of a turn: a fault, its recovery, and an answer.
SETTLE_WITHIN_S = 60.0
# Who was cut off and hears nothing asks again.
REPEAT_AFTER_S = 2.5
MAX_ASKS = 3
BASELINE_WITHIN_S = 60.0
FOLLOW_UP = "tell me more, please ({})"
FOLLOW_UP_WITHIN_S = 5.0
INTERRUPT_AFTER_S = 0.3
STORED_WITHIN_S = 10.0
ENDS = frozenset({"reply_finished", "turn_failed"})


class Trial:
    """What one listener does in one mesh; use `running`. All times are on the loop's clock, in seconds."""

    def __init__(self, mesh: FaultyMesh, listener: Listener) -> None:
        self.mesh = mesh
        self.listener = listener
        self.began_s = math.inf
        self.ended_s = -math.inf
        self._clock = asyncio.get_running_loop().time
        self._clip = load_clip(CLIP)
        self._faulting: list[asyncio.Task[None]] = []
        self._since = 0
        self._asks = 0
        # How often the question has to be stored at least, and at most.
        self._said = [0, 0]
        self._follow_ups = 0
        self._owed_since_s: float | None = None
        self._owed: list[Span] = []
        self._asked_whole = False
        self._asked_in = ""
        self._cut_off: dict[int, str] = {}

    @classmethod
    @asynccontextmanager
    async def running(cls, mesh: FaultyMesh, *, by_message: bool = False) -> AsyncGenerator[Trial]:
        """A trial with a listener in a new conversation; faults that still last at the end are let go of."""
        async with listening(mesh.messages_url if by_message else mesh.url) as listener:
            trial = cls(mesh, listener)
            try:
                await asyncio.sleep(OPENED_S)
                yield trial
            finally:
                for task in trial._faulting:
                    task.cancel()
                await asyncio.gather(*trial._faulting, return_exceptions=True)

    async def inject(self, fault: Fault) -> None:
        """Begin a fault, which ends by itself."""
        begun = asyncio.Event()

        async def run() -> None:
            async with fault.inject(self.mesh):
                self.began_s = min(self.began_s, self._clock())
                begun.set()
                await asyncio.sleep(fault.lasts_s)
            self.ended_s = max(self.ended_s, self._clock())

        task, waiting = asyncio.create_task(run()), asyncio.create_task(begun.wait())
        self._faulting.append(task)
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not begun.is_set():
            task.result()

    async def ask(self, *, again: bool = False) -> None:
        """Ask the question aloud."""
        if not again:
            self._since = len(self.listener.events)
            self._said[0] += 1
            self._asks = 0
        self._asks += 1
        self._said[1] += 1
        self._owed_since_s = None
        await self.listener.until(lambda: self.listener.talk, 60, "connection")
        self._asked_in = self.listener.session_ids[-1]
        talk = self.listener.sessions[-1]
        self._asked_whole = await self.listener.play_clip(self._clip)
        self._owed_since_s = talk.speech_end_s if self._asked_whole and talk.speech_end_s else self._clock()

    async def settle(self, expected: Expected) -> None:
        """Wait for the end of the turn; ask again where the connection took the question. Raises `AssertionError`."""
        until_s = self._clock() + SETTLE_WITHIN_S
        while not self._is_settled(expected):
            assert self._clock() < until_s, f"the turn did not end: {self._story()}"
            if self._must_repeat():
                self._close_owed()
                await self.ask(again=True)
            await asyncio.sleep(POLL_S)
        self._close_owed()

    async def finish(self) -> Notes:
        """Wait until everything works again, and return the notes."""
        await asyncio.gather(*self._faulting)
        recovered_s = None
        try:
            await self.mesh.until_ready(BASELINE_WITHIN_S)
            await self.listener.until(lambda: not self._active_notices(), BASELINE_WITHIN_S, "end of the notices")
            await self._follow_up()
            recovered_s = self._clock()
        except (TimeoutError, AnchorError):
            # The checker says so: I4.
            pass
        return await self._stored_notes(recovered_s)

    # Turns -----------------------------------------------------------------------------------------------------------

    def question_turns(self) -> set[int]:
        """The turns that the question was committed in."""
        return {
            event.message.turn_id
            for event in self.listener.events[self._since :]
            if event.name == "turn_committed" and self.mesh.is_question(event.message.text)
        }

    def answers(self) -> Sequence[ServerEvent]:
        """The ends of replies to the question."""
        turns = self.question_turns()
        return [e for e in self.listener.events[self._since :] if e.name in ENDS and e.message.turn_id in turns]

    def _is_settled(self, expected: Expected) -> bool:
        ends = self.answers()
        if expected is Expected.ENDED and ends:
            return True
        if any(end.name == "reply_finished" and end.message.heard_text == self.mesh.llm.answer for end in ends):
            return True
        return self._note_cut_off()

    def _note_cut_off(self) -> bool:
        """Whether the server says that it cut a reply to the question off; notes the words that were played of it."""
        events = self.listener.events[self._since :]
        if not any(event.name == "error" and event.message.code == "session.cut_off" for event in events):
            return False
        begun = [e.message.turn_id for e in events if e.name == "reply_audio"]
        turns = [turn_id for turn_id in begun if turn_id in self.question_turns()]
        if not turns:
            return False
        turn_id, played_ms = self.listener.played_at_loss or (0, 0)
        if turn_id != turns[-1]:
            return False
        self._cut_off[turn_id] = self.listener.words_played(turn_id, played_ms)
        return bool(self._cut_off[turn_id])

    def _must_repeat(self) -> bool:
        """Whether the connection took the question, and nothing is answered."""
        listener = self.listener
        if listener.talk is None or self._owed_since_s is None or self._asks >= MAX_ASKS:
            return False
        if self._asked_whole and listener.session_ids[-1] == self._asked_in:
            return False
        names = [event.name for event in listener.sessions[-1].events]
        begun = max((at for at, name in enumerate(names) if name in {"turn_committed", "reply_started"}), default=-1)
        ended = max((at for at, name in enumerate(names) if name in ENDS), default=-1)
        if begun > ended:
            return False
        quiet_since_s = listener.sessions[-1].events[ended].at_s
        last_s = max(self._owed_since_s, quiet_since_s, *(loss.end_s for loss in listener.losses))
        return self._clock() - last_s > REPEAT_AFTER_S

    async def _follow_up(self) -> None:
        """Type questions until the language model answers one aloud, and interrupt it. Raises `AnchorError`."""
        until_s = self._clock() + BASELINE_WITHIN_S
        while True:
            self._follow_ups += 1
            try:
                if await self._ask_for_more(FOLLOW_UP.format(self._follow_ups)) == "openai":
                    return
            except AnchorError:
                if self._clock() > until_s:
                    raise

    async def _ask_for_more(self, text: str) -> str:
        """Type a question, interrupt the reply when it is audible, and return its engine. Raises `AnchorError`."""
        since = len(self.listener.events)
        await self.listener.send_message("text_input", text=text)
        try:
            started = await self.listener.until_event("reply_started", FOLLOW_UP_WITHIN_S, since)
            await self.listener.until_event("reply_audio", FOLLOW_UP_WITHIN_S, since)
            await asyncio.sleep(INTERRUPT_AFTER_S)
        finally:
            await self.listener.send_message("interrupt")
        await self.listener.until(
            lambda: any(event.name in ENDS for event in self.listener.events[since:]), FOLLOW_UP_WITHIN_S, "reply's end"
        )
        # Frames that come now are of a reply that was cancelled.
        await asyncio.sleep(INTERRUPT_AFTER_S)
        return started.message.engine

    def _close_owed(self) -> None:
        if self._owed_since_s is not None:
            self._owed.append(Span(self._owed_since_s, self._clock()))
            self._owed_since_s = None

    # Notes -----------------------------------------------------------------------------------------------------------

    def _active_notices(self) -> set[str]:
        active: set[str] = set()
        for event in self.listener.events:
            if event.name == "session_started":
                active.clear()
            elif event.name == "service_notice":
                (active.add if event.message.active else active.discard)(event.message.code)
        return active

    def _explained(self) -> list[Span]:
        """When an impairment was visible: by a notice, by an error until the reply's end, by a lost connection."""
        spans: list[Span] = list(self.listener.losses)
        since_s: dict[str, float] = {}
        for event in self.listener.events:
            match event.name:
                case "service_notice" if event.message.active:
                    since_s.setdefault(event.message.code, event.at_s)
                case "service_notice":
                    spans.append(Span(since_s.pop(event.message.code, event.at_s), event.at_s))
                case "error":
                    since_s.setdefault("error", event.at_s)
                case "reply_finished" | "turn_failed" if "error" in since_s:
                    spans.append(Span(since_s.pop("error"), event.at_s))
                case "session_started":
                    spans += [Span(at_s, event.at_s) for at_s in since_s.values()]
                    since_s.clear()
                case _:
                    pass
        return [*spans, *(Span(at_s, math.inf) for at_s in since_s.values())]

    async def _stored_notes(self, recovered_s: float | None) -> Notes:
        """The notes, as soon as what they say is stored, or after some time all the same."""
        until_s = self._clock() + STORED_WITHIN_S
        while True:
            notes = self._notes(recovered_s)
            if self._clock() > until_s or not any(line.startswith("I2") for line in violations(notes)):
                return notes
            await asyncio.sleep(0.2)

    def _notes(self, recovered_s: float | None) -> Notes:
        finished = {e.message.turn_id: e.message.heard_text for e in self.listener.events if e.name == "reply_finished"}
        committed = self._committed(finished)
        texts = [FOLLOW_UP.format(number) for number in range(1, self._follow_ups + 1)]
        # What was typed into a connection that broke may not have arrived.
        said = {text: (int(text in committed.values()), 1) for text in texts}
        if not self.mesh.real_speech:
            said[QUESTION] = (self._said[0], self._said[1])
        return Notes(
            began_s=self.began_s,
            ended_s=self.ended_s,
            owed=self._owed,
            audible=self.listener.speaker.audible,
            explained=self._explained(),
            committed=committed,
            heard=finished,
            cut_off={turn_id: words for turn_id, words in self._cut_off.items() if turn_id not in finished},
            stored=self.mesh.stored_turns(self.listener.ticket),
            said=said,
            cancelled_frames=self.listener.speaker.cancelled_frames,
            recovered_s=recovered_s,
        )

    def _committed(self, finished: Mapping[int, str]) -> dict[int, str]:
        """The user's words by turn; a turn that a restart cut off before its answer goes on under another number."""
        committed: dict[int, str] = {}
        for event in self.listener.events:
            if event.name == "turn_committed":
                committed[event.message.turn_id] = event.message.text
            elif event.name == "error" and event.message.code == "session.cut_off" and committed:
                newest = max(committed)
                if newest not in finished and newest not in self._cut_off:
                    del committed[newest]
        return committed

    def _story(self) -> str:
        """The events since the question, in short."""
        told = {"turn_committed": "text", "error": "code", "service_notice": "code", "reply_finished": "heard_text"}
        names = [
            f"{event.name} {getattr(event.message, told[event.name])!r}" if event.name in told else event.name
            for event in self.listener.events[self._since :]
        ]
        return ", ".join(name for name in names if name not in {"speech_mark", "reply_text", "partial_transcript"})


async def try_fault(mesh: FaultyMesh, fault: Fault | None, phase: Phase) -> Notes:
    """Ask once, with a fault in this phase (None: without one), and return the notes."""
    mesh.llm.answer = LONG_ANSWER if phase is Phase.ANCHOR_SPEAKING else SHORT_ANSWER
    async with Trial.running(mesh, by_message=fault is not None and fault.by_message) as trial:
        listener = trial.listener
        if phase is Phase.IDLE and fault is not None:
            await trial.inject(fault)
        asking = asyncio.create_task(trial.ask())
        try:
            match phase:
                case Phase.IDLE:
                    pass
                case Phase.USER_SPEAKING:
                    await listener.until_event("speech_started", 10)
                    await asyncio.sleep(INTO_SPEECH_S)
                case Phase.THINKING:
                    await listener.until_event("speech_stopped", 10)
                case Phase.ANCHOR_SPEAKING:
                    turn_id = (await listener.until_event("reply_audio", 15)).message.turn_id
                    await listener.until(
                        lambda: listener.speaker.reply(turn_id).played_ms > INTO_REPLY_MS, 10, "sound of the reply"
                    )
            if phase is not Phase.IDLE and fault is not None:
                await trial.inject(fault)
            await asking
        finally:
            asking.cancel()
            await asyncio.wait((asking,))
        await trial.settle(fault.expected if fault is not None else Expected.HEARD)
        return await trial.finish()
