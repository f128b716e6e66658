"""Notifications between reports, and their encoding."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_monitor.codec import to_watch_response
from gpu_monitor.findings.exhaustion import Exhaustion, ExhaustionCause
from gpu_monitor.findings.findings import NO_FINDINGS, Findings
from gpu_monitor.findings.leak import MemoryTrend
from gpu_monitor.findings.notifications import LeakChanged, NotificationTracker, PlanVerdictChanged
from gpu_monitor.findings.plan_verdict import PlanVerdict
from gpu_monitor.findings.pressure import Pressure, PressureLevel
from gpu_monitor.memory.service_memory import ServiceMemory

OVER, UNDER, WITHIN, UNKNOWN = PlanVerdict.OVER, PlanVerdict.UNDER, PlanVerdict.WITHIN, PlanVerdict.UNKNOWN
LEAK = MemoryTrend(100.0, 90.0, 50, leaking=True)
CALM = MemoryTrend(1.0, -1.0, 5, leaking=False)


def verdict(verdict: PlanVerdict) -> Findings:
    return findings(verdicts={"tts-service": verdict})


def findings(
    verdicts: Mapping[str, PlanVerdict] | None = None,
    trends: Mapping[str, MemoryTrend] | None = None,
    exhaustion: Exhaustion | None = None,
) -> Findings:
    services = {"tts-service": ServiceMemory("tts-service", driver_bytes=30, planned_bytes=20)}
    found = {0: exhaustion} if exhaustion else {}
    return Findings({}, found, services, verdicts or {}, trends or {})


def test_service_within_plan_sends_no_notification():
    tracker = NotificationTracker()
    assert [tracker.update(found) for found in (verdict(UNKNOWN), verdict(WITHIN), NO_FINDINGS)] == [[], [], []]


def test_verdict_change_is_sent_once_with_figures():
    tracker = NotificationTracker()
    assert tracker.update(verdict(OVER)) == [PlanVerdictChanged("tts-service", OVER, used_bytes=30, planned_bytes=20)]
    assert tracker.update(verdict(OVER)) == []
    assert tracker.update(verdict(UNDER)) == [PlanVerdictChanged("tts-service", UNDER, 30, 20)]
    assert tracker.update(verdict(WITHIN)) == [PlanVerdictChanged("tts-service", WITHIN, 30, 20)]
    assert tracker.update(verdict(WITHIN)) == []


def test_vanished_service_over_plan_is_sent_once():
    tracker = NotificationTracker()
    tracker.update(verdict(OVER))
    assert tracker.update(NO_FINDINGS) == [PlanVerdictChanged("tts-service", UNKNOWN)]
    assert tracker.update(NO_FINDINGS) == []


def test_leak_is_sent_when_it_begins_and_ends():
    tracker = NotificationTracker()
    assert tracker.update(findings(trends={"tts-service": CALM})) == []
    assert tracker.update(findings(trends={"tts-service": LEAK})) == [LeakChanged("tts-service", True, LEAK)]
    assert tracker.update(findings(trends={"tts-service": LEAK})) == []
    assert tracker.update(findings(trends={"tts-service": CALM})) == [LeakChanged("tts-service", False, CALM)]
    tracker.update(findings(trends={"tts-service": LEAK}))
    assert tracker.update(NO_FINDINGS) == [LeakChanged("tts-service", False)]


def test_exhaustion_is_sent_when_cause_or_service_changes():
    tracker = NotificationTracker()
    grows = Exhaustion(0, ExhaustionCause.GROWTH, "tts-service", free_bytes=9)
    ended = Exhaustion(0, free_bytes=40)
    assert tracker.update(findings(exhaustion=grows)) == [grows]
    assert tracker.update(findings(exhaustion=Exhaustion(0, ExhaustionCause.GROWTH, "tts-service", free_bytes=8))) == []
    other = Exhaustion(0, ExhaustionCause.GROWTH, "ollama", free_bytes=8)
    assert tracker.update(findings(exhaustion=other)) == [other]
    assert tracker.update(findings(exhaustion=ended)) == [ended]
    assert tracker.update(findings(exhaustion=ended)) == []


def test_exhaustion_of_a_lost_device_ends():
    tracker = NotificationTracker()
    tracker.update(findings(exhaustion=Exhaustion(0, ExhaustionCause.PLAN)))
    assert tracker.update(NO_FINDINGS) == [Exhaustion(0)]


def test_new_watcher_receives_the_current_state_only():
    tracker = NotificationTracker()
    tracker.update(verdict(OVER))
    # The readings in between were skipped.
    assert tracker.update(verdict(OVER)) == []
    assert NotificationTracker().update(verdict(OVER)) == [PlanVerdictChanged("tts-service", OVER, 30, 20)]


def test_every_notification_is_encoded():
    exhaustion = to_watch_response(
        Exhaustion(1, ExhaustionCause.PLAN, "ollama", free_bytes=5, outstanding_bytes=7)
    ).exhaustion_changed
    assert (exhaustion.device_index, exhaustion.cause, exhaustion.service) == (1, ExhaustionCause.PLAN, "ollama")
    assert (exhaustion.free_bytes, exhaustion.outstanding_bytes) == (5, 7)
    assert not exhaustion.HasField("seconds_to_full")
    plan = to_watch_response(PlanVerdictChanged("ollama", OVER, 30, 20)).plan_verdict_changed
    assert (plan.service, plan.verdict, plan.used_bytes, plan.planned_bytes) == ("ollama", OVER, 30, 20)
    leak = to_watch_response(LeakChanged("ollama", True, LEAK)).leak_changed
    assert (leak.leaking, leak.trend.growth_bytes, leak.trend.leaking) == (True, 50, True)
    assert not to_watch_response(LeakChanged("ollama", False)).leak_changed.HasField("trend")
    assert to_watch_response(Pressure(1, PressureLevel.HIGH)).pressure_changed.level == PressureLevel.HIGH
