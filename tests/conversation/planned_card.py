"""A simulated card that runs a plan of `anchor plan`, with the GPU monitor's policy and the orchestrator's ladder.

The plan, the policy, the ladder and the parking are the real ones; the driver, the engines and the clock are not.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from anchor_cli.plan.budget import Card
from anchor_cli.plan.catalogue import read_catalogue
from anchor_cli.plan.env_file import plan_settings
from anchor_cli.plan.overrides import build_planner
from anchor_cli.plan.report import plan_as_json
from gpu_monitor.engine import Device, GpuProcess
from gpu_monitor.findings.findings import Findings, MemoryAnalyser
from gpu_monitor.findings.plan_verdict import PlanVerdict
from gpu_monitor.findings.pressure import PressureLevel
from gpu_monitor.memory.plan import PlannedMemory, read_plan
from gpu_monitor.memory.self_report import EngineState, ReceivedReport, SelfReport
from gpu_monitor.settings import GpuSettings
from orchestrator.conversation.model.degradation import DegradationBoard
from orchestrator.memory_pressure.controller import MemoryPressureController
from orchestrator.memory_pressure.degradation_ladder import DegradationLadder
from orchestrator.memory_pressure.degradation_ladder import PressureLevel as LadderPressure
from orchestrator.memory_pressure.engine_parking import EngineParking
from orchestrator.memory_pressure.parkable_engine import ParkableEngine, ParkingState

GIB = 2**30
MIB = 2**20
# The monitor's names of the engines' services.
SERVICES = {"stt": "stt-service", "tts": "tts-service", "llm": "ollama"}
# What a driver holds for itself; `anchor plan` assumes 0.5 GiB.
DRIVER_BYTES = 600 * MIB
LOAD_S = 6.0
UNLOAD_S = 1.0


@dataclass(slots=True)
class SimulatedService:
    """A service that takes what its plan assigns; an `EngineControl` for its engine."""

    planned: PlannedMemory
    # Bytes that are free on the card.
    free_bytes: Callable[[], int]
    # Whether the CUDA context stays while it is parked.
    keeps_context: bool
    # Share of its activations in use.
    activity: float = 0.0
    # Memory beyond the plan, which it frees when it parks.
    leaked_bytes: int = 0
    # Granted at loading; 0 while parked.
    loaded_bytes: int = 0
    parked: bool = False

    @property
    def on_card(self) -> bool:
        return self.planned.total_bytes > 0

    @property
    def held_bytes(self) -> int:
        if not self.on_card:
            return 0
        if self.parked:
            return self.planned.context_bytes if self.keeps_context else 0
        return self.loaded_bytes + int(self.activity * self.planned.activations_bytes) + self.leaked_bytes

    def load(self) -> None:
        """Take weights, cache and context, or less where less is free."""
        planned = self.planned
        self.parked = False
        self.loaded_bytes = 0
        needed_bytes = planned.weights_bytes + planned.kv_cache_bytes + planned.context_bytes
        self.loaded_bytes = max(0, min(needed_bytes, self.free_bytes()))

    async def state(self) -> ParkingState:
        if not self.on_card:
            return ParkingState.FIXED
        return ParkingState.PARKED if self.parked else ParkingState.AWAKE

    async def park(self) -> None:
        await asyncio.sleep(UNLOAD_S)
        self.parked, self.loaded_bytes, self.leaked_bytes = True, 0, 0

    async def wake(self) -> None:
        await asyncio.sleep(LOAD_S)
        self.load()

    def report(self) -> SelfReport:
        """As the services report themselves: without the CUDA context."""
        if self.planned.service == "stt-service" and not self.parked:
            # vLLM does not report its weights.
            return SelfReport(complete=False)
        state = EngineState.PARKED if self.parked else EngineState.AWAKE
        held_bytes = 0 if self.parked else max(0, self.held_bytes - self.planned.context_bytes)
        return SelfReport(state, other_bytes=held_bytes)


@dataclass(slots=True)
class Observed:
    """What happened: `steps` and `levels` whenever they changed, with the time."""

    steps: list[tuple[float, tuple[str, ...]]] = field(default_factory=list[tuple[float, tuple[str, ...]]])
    levels: list[tuple[float, PressureLevel]] = field(default_factory=list[tuple[float, PressureLevel]])
    # Services that leaked, or used more than planned, at any time.
    leaking: set[str] = field(default_factory=set[str])
    over_plan: set[str] = field(default_factory=set[str])

    def highest(self) -> tuple[str, ...]:
        """The most steps that were in force at once."""
        return max((steps for _, steps in self.steps), key=len)


class PlannedCard:
    """One card with its plan, from the start of the services on."""

    def __init__(self, card: Card, folder: Path, *, driver_figures: bool, park_all_after_s: float = 0) -> None:
        """`driver_figures`: whether the driver reports each process; otherwise only the services report themselves."""
        planner = build_planner(read_catalogue(), [], None)
        memory_plan = planner.plan(card)
        settings = plan_settings(memory_plan, planner.models)
        plan_path = folder / "planned.json"
        plan_path.write_text(json.dumps(plan_as_json(memory_plan, settings)))
        plan = read_plan(plan_path)
        limit_gb = float(settings["GPU_MEMORY_LIMIT_GB"])
        self.analyser = MemoryAnalyser(plan, GpuSettings(memory_limit_gb=limit_gb))
        self.card = card
        self.driver_figures = driver_figures
        self.foreign_bytes = 0
        self.reading_interval_s = 2.0
        by_name = {planned.service: planned for planned in plan.services}
        self.services = {
            engine: SimulatedService(by_name[service], lambda: self.free_bytes, keeps_context=engine != "llm")
            for engine, service in SERVICES.items()
        }
        board = DegradationBoard()
        self.engines = {name: ParkableEngine(name, service) for name, service in self.services.items()}
        self.parking = EngineParking(self.engines, board, park_all_after_s=park_all_after_s)
        self.controller = MemoryPressureController(DegradationLadder(), self.parking, board, has_small_voice=False)
        self.observed = Observed()
        self.now_s = asyncio.get_running_loop().time

    @property
    def used_bytes(self) -> int:
        return DRIVER_BYTES + self.foreign_bytes + sum(service.held_bytes for service in self.services.values())

    @property
    def free_bytes(self) -> int:
        return max(0, self.card.total_bytes - self.used_bytes)

    @property
    def steps(self) -> tuple[str, ...]:
        """The degradation steps in force."""
        return tuple(cast("list[str]", self.controller.describe()["steps"]))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Start the services one after another, under the eyes of the monitor."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.controller.running())
            monitor = asyncio.create_task(self._monitor())
            try:
                for service in self.services.values():
                    await asyncio.sleep(30)
                    service.load()
                yield
            finally:
                monitor.cancel()
                await asyncio.wait([monitor])

    async def converse(self, until_s: float) -> None:
        """Hold one session with a turn every 20 s: 4 s of speech, and a reply of 8 s."""
        self.parking.on_sessions_changed(1)
        async with self.engines["stt"].use():
            while self.now_s() < until_s:
                await self._use("stt", 4)
                async with asyncio.TaskGroup() as reply:
                    reply.create_task(self._use("llm", 5))
                    if not self.controller.degraded_mode().text_only:
                        reply.create_task(self._use("tts", 8))
                await asyncio.sleep(8)
        self.parking.on_sessions_changed(0)

    def take_foreign(self, wanted_bytes: int) -> None:
        """Another process takes up to `wanted_bytes`, as far as they are free."""
        self.foreign_bytes = 0
        self.foreign_bytes = min(wanted_bytes, self.free_bytes)

    async def _use(self, name: str, for_s: float) -> None:
        service = self.services[name]
        async with self.engines[name].use(1.5):
            service.activity = 1.0
            await asyncio.sleep(for_s)
            service.activity = 0.3

    async def _monitor(self) -> None:
        while True:
            findings = self._read()
            level = findings.pressures[0].level
            self.controller.on_pressure(LadderPressure[level.name])
            await asyncio.sleep(self.reading_interval_s)
            self._observe(level, findings)

    def _read(self) -> Findings:
        processes = tuple(
            GpuProcess(number, service.planned.service, service.planned.service, service.held_bytes)
            for number, service in enumerate(self.services.values())
            if self.driver_figures and service.held_bytes
        )
        reports = {service.planned.service: ReceivedReport(service.report()) for service in self.services.values()}
        used_bytes = min(self.used_bytes, self.card.total_bytes)
        device = Device(0, "GPU-0", self.card.title, self.card.total_bytes, used_bytes, processes=processes)
        return self.analyser.on_reading(self.now_s(), [device], reports)

    def _observe(self, level: PressureLevel, findings: Findings) -> None:
        steps = self.steps
        observed = self.observed
        if not observed.steps or observed.steps[-1][1] != steps:
            observed.steps.append((self.now_s(), steps))
        if not observed.levels or observed.levels[-1][1] is not level:
            observed.levels.append((self.now_s(), level))
        observed.leaking |= {name for name, trend in findings.trends.items() if trend.leaking}
        observed.over_plan |= {name for name, verdict in findings.verdicts.items() if verdict is PlanVerdict.OVER}
