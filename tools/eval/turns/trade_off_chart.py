"""The trade-off between response delay and cut-offs, as an SVG written without a library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 40, 56
_COLOURS = ("#7a7a7a", "#c0392b", "#2471a3", "#1e8449", "#9a6c00", "#6c3483")

# Median delay in milliseconds, share of pauses cut off.
Point = tuple[float, float]
Scale = Callable[[float], float]


def render_chart(title: str, lines: Mapping[str, Sequence[Point]], target: Point, longest_ms: float) -> str:
    """Render an SVG: one line for each rule, and the target region left of and below `target`."""
    most = max([0.1, target[1] * 1.1, *(share for points in lines.values() for _, share in points)])

    def x(ms: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(ms, longest_ms) / longest_ms

    def y(share: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share / most

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<rect x="{x(0):.1f}" y="{y(target[1]):.1f}" width="{x(target[0]) - x(0):.1f}" '
        f'height="{y(0) - y(target[1]):.1f}" fill="#d5f0dd"/>',
        f'<text x="{x(0) + 6:.1f}" y="{y(target[1]) + 16:.1f}" fill="#1e8449">target</text>',
    ]
    parts += _axes(x, y, longest_ms, most)
    for number, (name, points) in enumerate(lines.items()):
        parts += _line(number, name, [(x(ms), y(share)) for ms, share in points if ms <= longest_ms])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes(x: Scale, y: Scale, longest_ms: float, most: float) -> list[str]:
    parts: list[str] = []
    for ms in range(0, int(longest_ms) + 1, 200):
        parts.append(f'<line x1="{x(ms):.1f}" y1="{y(0):.1f}" x2="{x(ms):.1f}" y2="{y(most):.1f}" stroke="#e6e6e6"/>')
        parts.append(f'<text x="{x(ms):.1f}" y="{y(0) + 18:.1f}" text-anchor="middle">{ms}</text>')
    step = 10 if most > 0.35 else 5
    for percent in range(0, int(most * 100) + 1, step):
        level = y(percent / 100)
        parts.append(
            f'<line x1="{x(0):.1f}" y1="{level:.1f}" x2="{x(longest_ms):.1f}" y2="{level:.1f}" stroke="#e6e6e6"/>'
        )
        parts.append(f'<text x="{x(0) - 8:.1f}" y="{level + 4:.1f}" text-anchor="end">{percent} %</text>')
    middle = (x(0) + x(longest_ms)) / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{HEIGHT - 14}" text-anchor="middle">median delay after the end of a turn, ms</text>'
    )
    parts.append(
        f'<text transform="translate(16 {(y(0) + y(most)) / 2:.1f}) rotate(-90)" text-anchor="middle">'
        "pauses in a sentence that were cut off</text>"
    )
    return parts


def _line(number: int, name: str, points: Sequence[Point]) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    label_y = _TOP + 18 * (number + 1)
    left, right = WIDTH - _RIGHT + 20, WIDTH - _RIGHT + 42
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
        *dots,
        f'<line x1="{left}" y1="{label_y}" x2="{right}" y2="{label_y}" stroke="{colour}" stroke-width="2.5"/>',
        f'<text x="{right + 6}" y="{label_y + 4}">{escape(name)}</text>',
    ]
