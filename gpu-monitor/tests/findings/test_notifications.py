"""What a watcher is told between reports."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_monitor.codec import changed
from gpu_monitor.findings.exhaustion import Cause, Exhaustion
from gpu_monitor.findings.findings import NOTHING_FOUND, Findings
from gpu_monitor.findings.leak import Trend
from gpu_monitor.findings.notifications import LeakChanged, News, VerdictChanged
from gpu_monitor.findings.plan_verdict import Verdict
from gpu_monitor.findings.pressure import Level, Pressure
from gpu_monitor.memory.service_memory import ServiceMemory

OVER, UNDER, WITHIN, UNKNOWN = Verdict.OVER, Verdict.UNDER, Verdict.WITHIN, Verdict.UNKNOWN
LEAK = Trend(100.0, 90.0, 50, leaking=True)
CALM = Trend(1.0, -1.0, 5, leaking=False)


def verdict(verdict: Verdict) -> Findings:
    return findings(verdicts={"tts-service": verdict})


def findings(
    verdicts: Mapping[str, Verdict] | None = None,
    trends: Mapping[str, Trend] | None = None,
    exhaustion: Exhaustion | None = None,
) -> Findings:
    services = {"tts-service": ServiceMemory("tts-service", driver_bytes=30, planned_bytes=20)}
    found = {0: exhaustion} if exhaustion else {}
    return Findings({}, found, services, verdicts or {}, trends or {})


def test_a_service_that_keeps_to_its_plan_is_no_news():
    news = News()
    assert [news.of(found) for found in (verdict(UNKNOWN), verdict(WITHIN), NOTHING_FOUND)] == [[], [], []]


def test_a_service_over_its_plan_is_told_once_with_its_figures():
    news = News()
    assert news.of(verdict(OVER)) == [VerdictChanged("tts-service", OVER, used_bytes=30, planned_bytes=20)]
    assert news.of(verdict(OVER)) == []
    assert news.of(verdict(UNDER)) == [VerdictChanged("tts-service", UNDER, 30, 20)]
    assert news.of(verdict(WITHIN)) == [VerdictChanged("tts-service", WITHIN, 30, 20)]
    assert news.of(verdict(WITHIN)) == []


def test_a_service_that_vanished_over_its_plan_is_told_once():
    news = News()
    news.of(verdict(OVER))
    assert news.of(NOTHING_FOUND) == [VerdictChanged("tts-service", UNKNOWN)]
    assert news.of(NOTHING_FOUND) == []


def test_leaks_are_told_when_they_begin_and_end():
    news = News()
    assert news.of(findings(trends={"tts-service": CALM})) == []
    assert news.of(findings(trends={"tts-service": LEAK})) == [LeakChanged("tts-service", True, LEAK)]
    assert news.of(findings(trends={"tts-service": LEAK})) == []
    assert news.of(findings(trends={"tts-service": CALM})) == [LeakChanged("tts-service", False, CALM)]
    news.of(findings(trends={"tts-service": LEAK}))
    assert news.of(NOTHING_FOUND) == [LeakChanged("tts-service", False)]


def test_a_risk_is_told_when_its_cause_or_whom_it_is_of_changes_and_not_with_every_figure():
    news = News()
    grows = Exhaustion(0, Cause.GROWTH, "tts-service", free_bytes=9)
    ended = Exhaustion(0, free_bytes=40)
    assert news.of(findings(exhaustion=grows)) == [grows]
    assert news.of(findings(exhaustion=Exhaustion(0, Cause.GROWTH, "tts-service", free_bytes=8))) == []
    other = Exhaustion(0, Cause.GROWTH, "ollama", free_bytes=8)
    assert news.of(findings(exhaustion=other)) == [other]
    assert news.of(findings(exhaustion=ended)) == [ended]
    assert news.of(findings(exhaustion=ended)) == []


def test_the_risk_of_a_device_that_is_lost_is_over():
    news = News()
    news.of(findings(exhaustion=Exhaustion(0, Cause.PLAN)))
    assert news.of(NOTHING_FOUND) == [Exhaustion(0)]


def test_a_watcher_who_was_away_hears_where_it_ended_and_nothing_of_between():
    news = News()
    news.of(verdict(OVER))
    # What lay between was never given to it.
    assert news.of(verdict(OVER)) == []
    assert News().of(verdict(OVER)) == [VerdictChanged("tts-service", OVER, 30, 20)]


def test_all_news_travel():
    exhaustion = changed(Exhaustion(1, Cause.PLAN, "ollama", free_bytes=5, outstanding_bytes=7)).exhaustion_changed
    assert (exhaustion.device_index, exhaustion.cause, exhaustion.service) == (1, Cause.PLAN, "ollama")
    assert (exhaustion.free_bytes, exhaustion.outstanding_bytes) == (5, 7)
    assert not exhaustion.HasField("seconds_to_full")
    plan = changed(VerdictChanged("ollama", OVER, 30, 20)).plan_verdict_changed
    assert (plan.service, plan.verdict, plan.used_bytes, plan.planned_bytes) == ("ollama", OVER, 30, 20)
    leak = changed(LeakChanged("ollama", True, LEAK)).leak_changed
    assert (leak.leaking, leak.trend.growth_bytes, leak.trend.leaking) == (True, 50, True)
    assert not changed(LeakChanged("ollama", False)).leak_changed.HasField("trend")
    assert changed(Pressure(1, Level.HIGH, 0.5)).pressure_changed.level == Level.HIGH
