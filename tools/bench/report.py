"""Turns measurements into one `Row` for each run, and rows into Markdown tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from footprint import Footprint
from load_result import LoadResult

BEGIN, END = "<!-- bench: figures begin -->", "<!-- bench: figures end -->"
# A number of sessions holds while load adds less than this to the 95th percentile of the overhead.
ADDED_LIMIT_MS = 100.0
# The series of levels measured with `ANCHOR_MULTIPLEX=false`.
PLAIN_GRPC = "plain gRPC"
# Groups beside the services: the load client; supervisor and benchmark together.
CLIENT, LAUNCHER = "client", "launcher"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, 95th percentile and number of values, in milliseconds; zeros when there were none."""

    p50: float
    p95: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float], less: float = 0.0) -> Spread:
        """The spread of `values`, each reduced by `less`."""
        if not values:
            return cls(0.0, 0.0, 0)
        p50, p95 = np.percentile(values, (50, 95)) - less
        return cls(round(float(p50), 1), round(float(p95), 1), len(values))

    def __str__(self) -> str:
        return f"{self.p50:.0f} / {self.p95:.0f}" if self.count else "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One run of a number of sessions."""

    series: str
    sessions: int
    overhead_ms: Spread
    # Last voiced sample sent → speech_stopped received.
    stop_edge_ms: Spread
    # Onset of an interruption → last frame received, and → playback_pause or playback_stop received.
    last_frame_ms: Spread
    silence_ms: Spread
    # Processor seconds for each minute of each session, and memory at the end, by service.
    cpu_s_per_session_minute: Mapping[str, float]
    rss_mib: Mapping[str, int]
    # Shares of one processor.
    client_share: float
    launcher_share: float
    others_share: float
    stolen_share: float
    busy_share: Mapping[int, float]
    # Share of the client's frames sent more than 20 ms late.
    late_share: float
    # Failures, with their counts.
    failures: Mapping[str, int]

    @property
    def cpu_s(self) -> float:
        """Processor seconds for each minute of each session, over all services."""
        return round(sum(self.cpu_s_per_session_minute.values()), 3)

    @property
    def client_is_late(self) -> bool:
        """Whether the load client was too slow for its users, so that the waits are not the anchor's."""
        return self.late_share > 0.01


def make_row(series: str, sessions: int, model_delay_ms: float, result: LoadResult, footprint: Footprint) -> Row:
    """The row of one run; `model_delay_ms` is the sum of the models' delays."""
    minutes = sessions * footprint.seconds / 60
    services = footprint.cpu_s.keys() - {CLIENT, LAUNCHER}
    return Row(
        series=series,
        sessions=sessions,
        overhead_ms=Spread.of(result.waits_ms, less=model_delay_ms),
        stop_edge_ms=Spread.of(result.stop_edges_ms),
        last_frame_ms=Spread.of(result.last_frames_ms),
        silence_ms=Spread.of(result.silences_ms),
        cpu_s_per_session_minute={name: round(footprint.cpu_s[name] / minutes, 3) for name in sorted(services)},
        rss_mib={name: footprint.rss_bytes[name] >> 20 for name in sorted(services)},
        client_share=round(footprint.cpu_s[CLIENT] / footprint.seconds, 2),
        launcher_share=round(footprint.cpu_s[LAUNCHER] / footprint.seconds, 2),
        others_share=round(footprint.others_share, 2),
        stolen_share=round(footprint.stolen_share, 2),
        busy_share={cpu: round(share, 2) for cpu, share in footprint.busy_share.items()},
        late_share=round(result.late_frames / max(1, result.frames), 4),
        failures=dict(Counter(result.failures)),
    )


def added_p95_ms(level: Row, base: Row) -> float:
    """The 95th percentile of the overhead above that of `base`."""
    return level.overhead_ms.p95 - base.overhead_ms.p95


def is_sustained(level: Row, base: Row) -> bool:
    """Whether this number of sessions holds: answers, no failures, and little added overhead."""
    return bool(level.overhead_ms.count) and not level.failures and added_p95_ms(level, base) < ADDED_LIMIT_MS


def max_sessions(levels: Sequence[Row], base: Row) -> int:
    """The most sessions that hold, with all smaller levels holding too."""
    held = 0
    for level in sorted(levels, key=lambda level: level.sessions):
        if not is_sustained(level, base):
            break
        held = level.sessions
    return held


def waits_table(rows: Sequence[Row]) -> str:
    """Overhead, barge-in and processor time of each run; times are median and 95th percentile, in milliseconds."""
    lines = [
        "| run | overhead | end of speech reported | barge-in: last frame | barge-in: silence "
        "| CPU s per session-minute | turns / barge-ins | failures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.series}, {row.sessions} sessions | {row.overhead_ms} | {row.stop_edge_ms} | {row.last_frame_ms} "
        f"| {row.silence_ms} | {row.cpu_s:.2f} | {row.overhead_ms.count} / {row.silence_ms.count} "
        f"| {sum(row.failures.values())} |"
        for row in rows
    ]
    return "\n".join(lines)


def services_table(few: Row, many: Row) -> str:
    """Processor time and memory of each service, in two runs."""
    lines = [
        f"| service | CPU s per session-minute at {few.sessions} | RSS MiB "
        f"| CPU s per session-minute at {many.sessions}, one core | RSS MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {few.cpu_s_per_session_minute[name]:.3f} | {few.rss_mib[name]} "
        f"| {many.cpu_s_per_session_minute[name]:.3f} | {many.rss_mib[name]} |"
        for name in few.rss_mib
    ]
    lines.append(
        f"| all | {few.cpu_s:.3f} | {sum(few.rss_mib.values())} | {many.cpu_s:.3f} | {sum(many.rss_mib.values())} |"
    )
    return "\n".join(lines)


def levels_table(levels: Sequence[Row], base: Row) -> str:
    """Results by number of sessions; times are median and 95th percentile, in milliseconds.

    Levels of the series `PLAIN_GRPC` follow the others of as many sessions.
    """
    ordered = sorted(levels, key=lambda level: (level.sessions, level.series == PLAIN_GRPC))
    lines = [
        "| sessions | overhead | p95 added | barge-in: silence "
        "| CPU s per session-minute | services, % of the core | client, % of its core | late frames "
        "| others, % of a core | failures |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {level.sessions}{f', {PLAIN_GRPC}' if level.series == PLAIN_GRPC else ''} "
        f"| {level.overhead_ms} | {added_p95_ms(level, base):.0f} | {level.silence_ms} "
        f"| {level.cpu_s:.2f} | {level.cpu_s * level.sessions / 60:.0%} | {level.client_share:.0%} "
        f"| {level.late_share:.1%}{' (too slow)' if level.client_is_late else ''} "
        f"| {level.others_share + level.stolen_share:.0%} | {sum(level.failures.values())} |"
        for level in ordered
    ]
    return "\n".join(lines)


def replace_figures(page: Path, figures: str) -> None:
    """Put `figures` between the marks of the page. Raises ValueError when it has none."""
    before, mark, rest = page.read_text("utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{page} has no place for figures, or {len(old)} characters without an end")
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}", "utf-8")
