"""Degradations under GPU memory pressure, as a client sees them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from fake_engine_control import FakeEngineControl
from orchestrator.conversation.messages import client as client_messages
from orchestrator.conversation.messages import server as server_messages
from orchestrator.memory_pressure.controller import MemoryPressureController
from orchestrator.memory_pressure.degradation_ladder import DegradationLadder, PressureLevel
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.on_demand import OnDemandLlm, OnDemandStt, OnDemandTts
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState
from scripted_services import ScriptedTts
from service_kit.errors import PeerFailed


class PressureSetup:
    """A memory pressure controller for one stage, whose TTS and LLM can be parked."""

    def __init__(self, stage, *, small_voice: bool = True) -> None:
        self.engines = {"llm": FakeEngineControl(), "tts": FakeEngineControl()}
        engines = {name: ParkableEngine(name, engine) for name, engine in self.engines.items()}
        self.parking = EngineParking(engines, stage.degradation_board)
        self.fallback_tts = ScriptedTts()
        if small_voice:
            stage.fallback_tts = (self.fallback_tts,)
        self.memory_controller = MemoryPressureController(
            DegradationLadder(), self.parking, stage.degradation_board, has_small_voice=small_voice
        )
        stage.degraded_mode = self.memory_controller.degraded_mode
        stage.main_tts = OnDemandTts(stage.tts, engines["tts"], 1.5 if small_voice else None)
        stage.main_llm = OnDemandLlm(stage.llm, engines["llm"], wait_s=1.5)
        self._stage = stage
        stage.anchor_will_say("There is much to tell.")

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        async with self.memory_controller.running(), self._stage:
            self.parking.on_sessions_changed(1)
            await asyncio.sleep(0.1)
            yield

    def active_codes(self) -> list[str]:
        """The codes of all degradations that started, in order."""
        return [notice.code for notice in self._stage.client.of_type(server_messages.ServiceNotice) if notice.active]

    def ended_codes(self) -> list[str]:
        """The codes of all degradations that ended, in order."""
        return [
            notice.code for notice in self._stage.client.of_type(server_messages.ServiceNotice) if not notice.active
        ]


@pytest.fixture
async def pressure(stage) -> PressureSetup:
    return PressureSetup(stage)


async def ask(stage, count: int) -> server_messages.ReplyFinished:
    """Send a typed turn; return the end of its reply."""
    stage.command(client_messages.TextInput("tell me more"))
    return await stage.until(server_messages.ReplyFinished, count)


async def test_degradation_steps_are_announced_and_end_in_reverse_order(pressure, stage):
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(35)
        assert pressure.active_codes() == [
            "memory.short_contexts",
            "memory.parked_model",
            "memory.small_voice",
            "memory.text_only",
        ]
        status = stage.client.of_type(server_messages.SystemStatus)[-1]
        assert [entry.code for entry in status.degraded] == pressure.active_codes()
        pressure.memory_controller.on_pressure(PressureLevel.NONE)
        await asyncio.sleep(125)
        assert [code for code in pressure.ended_codes() if "waking" not in code] == [
            "memory.text_only",
            "memory.small_voice",
            "memory.parked_model",
            "memory.short_contexts",
        ]
        assert stage.client.of_type(server_messages.SystemStatus)[-1].degraded == ()
        assert {engine.current_state for engine in pressure.engines.values()} == {ParkingState.AWAKE}


async def test_short_contexts_halve_the_history_share(pressure, stage):
    stage.anchor_will_say("Once upon a time.")
    async with pressure.open():
        await ask(stage, 1)
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(1)
        await ask(stage, 2)
    assert [prompt.history_share for prompt in stage.llm.prompts] == [1.0, 0.5]


async def test_playing_reply_keeps_its_tts_when_degraded(pressure, stage):
    stage.anchor_will_say(" ".join(["word"] * 60))
    async with pressure.open():
        stage.command(client_messages.TextInput("tell me more"))
        await stage.until_played(500)
        pressure.memory_controller.on_pressure(PressureLevel.CRITICAL)
        await asyncio.sleep(6.2)
        assert pressure.memory_controller.degraded_mode().small_voice
        assert not stage.client.of_type(server_messages.ReplyFinished)
        finished = await stage.until(server_messages.ReplyFinished)
    assert not finished.interrupted
    assert finished.heard_text == " ".join(["word"] * 60)
    assert (len(stage.tts.opened_with), pressure.fallback_tts.opened_with) == (1, [])


async def test_fallback_tts_speaks_while_the_main_tts_is_degraded(pressure, stage):
    stage.conversation.preferences.voice = "ada"
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(25)
        await ask(stage, 1)
        assert pressure.fallback_tts.opened_with == [("", "en")]
        assert stage.tts.opened_with == []
        await asyncio.sleep(1)
        pressure.memory_controller.on_pressure(PressureLevel.NONE)
        await asyncio.sleep(100)
        await ask(stage, 2)
        assert stage.tts.opened_with == [("ada", "en")]


async def test_text_only_step_shows_captions_and_parks_the_tts(pressure, stage):
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.CRITICAL)
        await asyncio.sleep(30)
        finished = await ask(stage, 1)
        assert finished.heard_text == "There is much to tell."
        assert stage.client.pcm == b""
        assert pressure.engines["tts"].current_state is ParkingState.PARKED
    assert (stage.tts.opened_with, pressure.fallback_tts.opened_with) == ([], [])


async def test_small_voice_step_is_skipped_without_a_fallback_tts(stage):
    pressure = PressureSetup(stage, small_voice=False)
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(25)
        assert pressure.active_codes() == ["memory.short_contexts", "memory.parked_model", "memory.text_only"]
        assert pressure.memory_controller.describe()["skipped"] == {
            "small_voice": "TTS_FALLBACK_TARGET names no other voice"
        }
        pressure.memory_controller.on_pressure(PressureLevel.NONE)
        await asyncio.sleep(100)
        assert pressure.memory_controller.describe()["skipped"] == {}


async def test_engines_without_parkable_memory_skip_the_parking_steps(pressure, stage):
    for engine in pressure.engines.values():
        engine.current_state = ParkingState.FIXED
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.CRITICAL)
        await asyncio.sleep(60)
        assert pressure.active_codes() == ["memory.short_contexts"]
        assert set(pressure.memory_controller.describe()["skipped"]) == {"parked_model", "small_voice", "text_only"}


async def test_parked_llm_wakes_when_the_user_starts_to_speak(pressure, stage):
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(12)
        pressure.memory_controller.on_pressure(PressureLevel.NONE)
        await asyncio.sleep(20)
        assert pressure.engines["llm"].current_state is ParkingState.PARKED
        pressure.engines["llm"].move_s = 0.8
        await stage.user("tell me a very long story")
        assert pressure.engines["llm"].current_state is ParkingState.AWAKE
        assert "memory.llm_waking" in pressure.active_codes()
        await stage.silence(3000)
        await stage.until(server_messages.ReplyFinished)
    assert stage.llm.prefilled
    assert stage.history[-1] == ("anchor", "There is much to tell.")


async def test_slowly_waking_llm_is_awaited_for_the_first_token_timeout_only(pressure, stage):
    async with pressure.open():
        await pressure.parking.park("llm")
        pressure.engines["llm"].move_s = 20
        before_ms = stage.now_ms
        stage.command(client_messages.TextInput("hello"))
        await stage.until(server_messages.ReplyText)
        assert 1500 <= stage.now_ms - before_ms <= 2500


async def test_waking_tts_is_awaited(stage):
    pressure = PressureSetup(stage, small_voice=False)
    async with pressure.open():
        await pressure.parking.park("tts")
        pressure.engines["tts"].move_s = 2
        finished = await ask(stage, 1)
        assert finished.heard_ms > 0
    assert pressure.engines["tts"].moves == ["park", "wake"]
    assert len(stage.tts.opened_with) == 1


async def test_externally_parked_tts_wakes_on_refusal(stage):
    pressure = PressureSetup(stage, small_voice=False)
    async with pressure.open():
        pressure.engines["tts"].current_state = ParkingState.PARKED
        pressure.engines["tts"].move_s = 0.5
        stage.tts.failure = PeerFailed("tts.parked", "the engine is parked")
        stage.command(client_messages.TextInput("hello"))
        await asyncio.sleep(0.6)
        stage.tts.failure = None
        finished = await stage.until(server_messages.ReplyFinished)
        assert finished.heard_ms > 0
    assert pressure.engines["tts"].moves == ["wake"]


async def test_stt_stays_awake_while_a_stream_is_open(stage):
    engine = FakeEngineControl(ParkingState.PARKED)
    parked_engine = ParkableEngine("stt", engine)
    await parked_engine.refresh()
    running = asyncio.create_task(parked_engine.run())
    stt = OnDemandStt(stage.stt, parked_engine)
    async with stt.open("en"):
        assert engine.moves == ["wake"]
        assert not parked_engine.is_idle
    assert parked_engine.is_idle
    running.cancel()
    await asyncio.wait([running])


async def test_new_session_is_notified_of_current_degradations(pressure, stage):
    async with pressure.memory_controller.running():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(1)
        async with stage:
            await stage.until(server_messages.SystemStatus)
            assert pressure.active_codes() == ["memory.short_contexts"]


async def test_degradations_end_after_the_gpu_monitor_is_lost(pressure, stage):
    async with pressure.open():
        pressure.memory_controller.on_pressure(PressureLevel.HIGH)
        await asyncio.sleep(1)
        pressure.memory_controller.on_pressure(None)
        await asyncio.sleep(55)
        assert pressure.memory_controller.describe()["steps"] == ["short_contexts"]
        await asyncio.sleep(10)
        assert pressure.memory_controller.describe()["steps"] == []
