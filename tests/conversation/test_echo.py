"""Echo suppression: the anchor does not interrupt itself, and users still can."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.conversation.messages.server import BargeInVerdict as Verdict
from orchestrator.conversation.model.ports import SpeechAudio
from orchestrator.conversation.turns.barge_in import BargeInThresholds
from orchestrator.conversation.turns.turn import TurnRules
from scripted_services import ScriptedTts, ScriptedTtsStream
from speech_signals import speech_like
from stage import FRAME_MS, Stage

SECONDS = 20
ANCHOR = speech_like(1, SECONDS)
ANCHOR_16_KHZ = speech_like(1, SECONDS, 16_000)
USER = speech_like(2, SECONDS, 16_000)
STORY = " ".join(f"word{number}" for number in range(30))
ECHO_FRAMES = 5


class SpeechLikeTts(ScriptedTts):
    """TTS with speech-like audio."""

    def open(self, voice, language, style):
        opened = super().open(voice, language, style)
        return _SpeechLikeStream(opened)


class _SpeechLikeStream:
    def __init__(self, opened) -> None:
        self._opened = opened

    async def __aenter__(self):
        self._stream: ScriptedTtsStream = await self._opened.__aenter__()
        return self

    async def __aexit__(self, *failure):
        return await self._opened.__aexit__(*failure)

    async def send_text(self, text) -> None:
        await self._stream.send_text(text)

    async def end_text(self) -> None:
        await self._stream.end_text()

    async def speech(self):
        async for event in self._stream.speech():
            if isinstance(event, SpeechAudio):
                start = event.offset_ms * 24
                yield SpeechAudio(event.offset_ms, ANCHOR[start : start + len(event.pcm) // 2].tobytes())
            else:
                yield event


class EchoingStage(Stage):
    """A stage whose microphone picks up the playback 0.1 s later, and speech-like user audio."""

    def __init__(self) -> None:
        super().__init__()
        self.tts = SpeechLikeTts()
        self.gain_db = -15.0

    async def _source(self):
        loop = asyncio.get_running_loop()
        samples = FRAME_MS * 16
        echo_frames = [np.zeros(samples)] * ECHO_FRAMES
        frames, before_ms, next_s = 0, 0.0, loop.time()
        while not self._ended:
            for command in self._commands:
                yield command
            self._commands.clear()
            played_ms = self.client.played.get(1, 0.0)
            start = round(before_ms) * 16
            played = ANCHOR_16_KHZ[start : start + samples] if played_ms > before_ms else np.zeros(samples)
            before_ms = played_ms
            echo_frames.append(played * 10 ** (self.gain_db / 20))
            at = frames * samples % (len(USER) - samples)
            sound = echo_frames.pop(0) + (USER[at : at + samples] if self._loud else 0)
            yield np.rint(sound).astype("<i2").tobytes()
            frames += 1
            next_s += FRAME_MS / 1000
            await asyncio.sleep(next_s - loop.time())


@pytest.fixture
async def stage() -> EchoingStage:
    return EchoingStage()


async def begin_story(stage: EchoingStage, played_ms: int) -> None:
    stage.anchor_will_say(STORY, "All right.")
    stage.command(client_messages.TextInput("tell me a story"))
    await stage.until_played(played_ms)


async def mistranscribe_echo(stage: EchoingStage) -> None:
    """Let the STT transcribe words that were not spoken from the echo."""
    for word in ("ogre", "approach", "nine", "hello", "there"):
        stage.user_speech.words.append(word)
        await stage.silence(600)


@pytest.mark.parametrize("gain_db", [-5, -25])
@pytest.mark.parametrize("reports", [True, False])
async def test_acoustic_echo_does_not_interrupt_with_any_transcript(stage, gain_db, reports):
    stage.gain_db, stage.reports_playback = gain_db, reports
    async with stage:
        await begin_story(stage, 1_000)
        await mistranscribe_echo(stage)
        finished = await stage.until(server_messages.ReplyFinished)
        await stage.silence(2_000)
    assert not finished.interrupted
    assert finished.heard_text == STORY
    # Until enough audio can be compared, every sound pauses the reply.
    assert len(stage.client.of_type(server_messages.PlaybackPause)) <= 2
    verdicts = [message.verdict for message in stage.client.of_type(server_messages.BargeInSettled)]
    assert set(verdicts[1:]) <= {Verdict.BARGE_IN_VERDICT_ECHO}
    assert [role for role, _ in stage.history] == ["user", "anchor"]


async def test_without_echo_suppression_mistranscribed_echo_interrupts(stage):
    stage.rules = TurnRules(barge_in=BargeInThresholds(echo_defence=False))
    async with stage:
        await begin_story(stage, 1_000)
        await mistranscribe_echo(stage)
        finished = await stage.until(server_messages.ReplyFinished)
    assert finished.interrupted


async def test_user_speech_over_the_echo_stops_the_reply(stage):
    async with stage:
        await begin_story(stage, 2_500)
        began_ms = stage.now_ms
        await stage.user("please tell me something else")
        await stage.until(server_messages.PlaybackStop)
        stopped_ms = next(
            at_ms for at_ms, message in stage.client.messages if isinstance(message, server_messages.PlaybackStop)
        )
        await stage.until(server_messages.ReplyFinished, 2)
    assert stopped_ms - began_ms <= 700
    assert stage.history[2] == ("user", "please tell me something else")


async def test_user_speech_without_echo_stops_the_reply_in_450_ms(stage):
    stage.gain_db = -200
    async with stage:
        await begin_story(stage, 2_500)
        began_ms = stage.now_ms
        await stage.user("please stop")
        await stage.until(server_messages.PlaybackStop)
        stopped_ms = next(
            at_ms for at_ms, message in stage.client.messages if isinstance(message, server_messages.PlaybackStop)
        )
    assert stopped_ms - began_ms <= 450
