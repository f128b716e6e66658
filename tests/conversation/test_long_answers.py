"""One-shot questions with the longest replies: all of the speech, faster than it sounds, and no time-out."""

from __future__ import annotations

import asyncio

import pytest
from orchestrator.api.limits import ApiLimits
from orchestrator.api.streaming.one_shot import ask_question, one_shot_session_start
from orchestrator.conversation.model.services import Services
from orchestrator.conversation.session.registry import SessionRegistry
from orchestrator.conversation.turns.turn import TurnRules
from orchestrator.settings import OrchestratorSettings
from scripted_services import ScriptedLlm, ScriptedStt, ScriptedVad, UserSpeech
from sentence_tts import STORY, WORD_MS, SentenceTts
from service_kit.audio import SPEECH
from stage import PERSONA

MAX_CHARS = OrchestratorSettings.model_fields["max_reply_chars"].default
LONGEST = " ".join([STORY] * (MAX_CHARS // (len(STORY) + 1)))


async def no_status() -> None:
    raise AssertionError("nobody asks")


@pytest.mark.parametrize("real_time_factor", [0.01, 0.3, 0.9])
async def test_longest_reply_is_returned_whole(real_time_factor: float) -> None:
    llm = ScriptedLlm()
    llm.replies = [LONGEST]
    services = Services(
        voice_activity=ScriptedVad(),
        speech_to_text=ScriptedStt(UserSpeech()),
        language_model=lambda: llm,
        text_to_speech=SentenceTts(real_time_factor=real_time_factor),
        personas={"anchor": PERSONA},
        system_status=no_status,
    )
    limits = ApiLimits()
    loop = asyncio.get_running_loop()
    async with SessionRegistry(
        services=services, rules=TurnRules(), language="en", persona="anchor", capacity=1
    ) as registry:
        began_s = loop.time()
        answer = await ask_question(registry, one_shot_session_start(), "tell me everything", limits)
        took_s = loop.time() - began_s
    speech_s = len(LONGEST.split()) * WORD_MS / 1000
    # Longer than the time-out, which it had to sound in before.
    assert speech_s > 1.5 * limits.answer_timeout_s
    assert answer.reply == LONGEST
    assert SPEECH.ms_of(len(answer.pcm)) == speech_s * 1000
    assert (answer.interrupted, answer.failure) == (False, None)
    assert took_s < speech_s * real_time_factor + 0.15 * speech_s
