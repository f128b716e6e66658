"""The voice is killed in mid-reply: the reply goes on where it broke, in one piece."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from anchor_cli.conversation_client import open_talk
from anchor_cli.sound import load_clip

pytestmark = pytest.mark.e2e

SENTENCES = [
    f"This is number {number} of the sentences of the evening, and it is as long as they are."
    for number in ("one", "two", "three", "four")
]
REPLY = " ".join(SENTENCES)
MS_PER_CHARACTER = 50
SCRIPT = f"""
[stt]
transcripts = ["what is new"]
[llm]
replies = ["{REPLY}"]
[tts]
ms_per_character = {MS_PER_CHARACTER}
"""


async def test_a_reply_goes_on_when_the_voice_was_killed_in_its_midst(scripted_mesh, questions) -> None:
    mesh = scripted_mesh(SCRIPT)
    async with open_talk(mesh.url) as talk:
        await talk.play(load_clip(questions[0].path))
        placed = await talk.until("reply_audio", within_s=10)
        await asyncio.sleep(1.5)
        killed = mesh.process_of("tts_service")
        os.kill(killed, signal.SIGKILL)
        finished = await talk.until("reply_finished", within_s=60)
    reply = talk.speaker.reply(placed.message.turn_id)
    assert finished.message.heard_text == reply.text == REPLY
    # Spoken, and not shown: all of it, but for a word said twice or a fade lost at the seam.
    assert [event.message for event in talk.events if event.name == "error"] == []
    assert reply.received_ms == pytest.approx(MS_PER_CHARACTER * len(REPLY), abs=1000)
    assert [event.message.offset_ms for event in talk.events if event.name == "reply_audio"] == [0]
    places = [event.message.offset_ms for event in talk.events if event.name == "speech_mark"]
    assert places == sorted(places)
    (turn,) = mesh.log_lines("turn finished")
    assert turn["underrun_ms"] <= 1500
