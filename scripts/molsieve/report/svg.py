"""Plots as plain SVG text: coloured by the page's style sheet, so light, dark and print all work.

A mark that carries ``data-tip`` shows it on hover (``workflow/report/page.js``), and the drawing of
the molecule named by ``data-molecule`` with it. Series are CSS classes ``series-1`` … ``series-6``
of a colour-blind safe palette (Okabe, Ito 2008); markers differ in shape as well as in colour.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

LEFT, RIGHT, TOP, BOTTOM = 64, 18, 16, 50
LEGEND_LINE = 20


@dataclass(frozen=True)
class Axis:
    """One linear axis: data range and the words beside it.

    ``ticks`` None: about five round numbers; else exactly these data values.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...] | None = None

    def positions(self) -> list[float]:
        """Data values that carry a tick."""
        return list(self.ticks) if self.ticks is not None else round_ticks(self.low, self.high)


def axis_over(label: str, *values: Sequence[float], margin: float = 0.06) -> Axis:
    """An axis that covers every finite number of ``values`` with a margin (0 to 1 if none)."""
    finite = [float(v) for group in values for v in group if math.isfinite(v)]
    if not finite:
        return Axis(label, 0.0, 1.0)
    low, high = min(finite), max(finite)
    room = margin * (high - low) or 0.05 * abs(high) or 0.5
    return Axis(label, low - room, high + room)


def axis_from_zero(label: str, *values: Sequence[float]) -> Axis:
    """An axis from zero to a little above the largest finite number of ``values``."""
    high = axis_over(label, [0.0], *values).high
    return Axis(label, 0.0, high)


def axis_of_rounds(rounds: Sequence[int]) -> Axis:
    """An axis with one tick a round and half a round of room on each side."""
    ticks = sorted(set(int(r) for r in rounds)) or [0]
    return Axis("round", ticks[0] - 0.5, ticks[-1] + 0.5, tuple(float(t) for t in ticks))


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high], about ``about`` of them."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / about))
    step = min(
        (m * power for m in (1, 2, 5, 10)),
        key=lambda s: abs(span / s - about),
    )
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick's number without needless digits, with a true minus sign."""
    return f"{value:.6g}".replace("-", "−")


@dataclass
class Plot:
    """Marks drawn in data coordinates on one pair of axes.

    Numbers that are not finite are left out. ``name`` of a series, where given, enters the legend.
    """

    x: Axis
    y: Axis
    description: str
    width: int = 640
    height: int = 400
    _marks: list[str] = field(default_factory=list)
    _legend: dict[str, str] = field(default_factory=dict)

    def _to_x(self, value: float) -> float:
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return LEFT + share * (self.width - LEFT - RIGHT)

    def _to_y(self, value: float) -> float:
        share = (value - self.y.low) / (self.y.high - self.y.low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def points(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        series: int,
        name: str = "",
        *,
        tips: Sequence[str] = (),
        molecules: Sequence[str] = (),
        y_errors: Sequence[float] | Sequence[tuple[float, float]] = (),
        size: float = 4.0,
        hollow: bool = False,
        fills: Sequence[str] = (),
    ) -> None:
        """Markers at (xs, ys); ``y_errors`` are half lengths or (low, high) data values.

        ``fills``: colours of their own, ``#rrggbb``.
        """
        self._enter(name, _marker(series, 0, 0, 4.5, hollow, ""))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            if i < len(y_errors):
                self._error_bar(x, y, y_errors[i], series)
            extra = f' data-tip="{escape(tips[i])}"' if i < len(tips) else ""
            if i < len(molecules):
                extra += f' data-molecule="{escape(molecules[i])}"'
            if i < len(fills):
                extra += f' style="fill:{escape(fills[i])}"'
            self._marks.append(_marker(series, self._to_x(x), self._to_y(y), size, hollow, extra))

    def _error_bar(
        self, x: float, y: float, error: float | tuple[float, float], series: int
    ) -> None:
        low, high = error if isinstance(error, tuple) else (y - error, y + error)
        if math.isfinite(low) and math.isfinite(high):
            low, high = max(low, self.y.low), min(high, self.y.high)
            self._marks.append(
                f'<path class="error series-{series}" d="M{self._to_x(x):.1f} '
                f'{self._to_y(low):.1f}V{self._to_y(high):.1f}"/>'
            )

    def line(
        self, xs: Sequence[float], ys: Sequence[float], style: str = "guide", name: str = ""
    ) -> None:
        """A line through (xs, ys); ``style`` is a CSS class, ``guide`` a grey dashed one."""
        finite = [
            (x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)
        ]
        path = "L".join(f"{self._to_x(x):.1f} {self._to_y(y):.1f}" for x, y in finite)
        self._enter(name, f'<path class="line {style}" d="M-8 0H8"/>')
        if path:
            self._marks.append(
                f'<path class="line {style}" d="M{path}" clip-path="url(#{self._frame_id()})"/>'
            )

    def diagonal(self, name: str = "") -> None:
        """The line y = x."""
        low, high = max(self.x.low, self.y.low), min(self.x.high, self.y.high)
        self.line([low, high], [low, high], name=name)

    def band(self, x_low: float, x_high: float, y_low: float, y_high: float, name: str) -> None:
        """A shaded rectangle, clipped to the axes."""
        x0, x1 = max(x_low, self.x.low), min(x_high, self.x.high)
        y0, y1 = max(y_low, self.y.low), min(y_high, self.y.high)
        self._enter(name, '<rect class="band" x="-7" y="-6" width="14" height="12"/>')
        if x1 > x0 and y1 > y0:
            self._marks.append(
                f'<rect class="band" x="{self._to_x(x0):.1f}" y="{self._to_y(y1):.1f}" '
                f'width="{self._to_x(x1) - self._to_x(x0):.1f}" '
                f'height="{self._to_y(y0) - self._to_y(y1):.1f}"/>'
            )

    def _frame_id(self) -> str:
        """Name of the clipping frame, unlike that of the page's other plots."""
        return f"frame-{zlib.crc32(self.description.encode()):08x}"

    def _enter(self, name: str, symbol: str) -> None:
        if name:
            self._legend.setdefault(name, symbol)

    def svg(self) -> str:
        """The plot as an ``<svg>`` element."""
        legend, lines = self._legend_svg()
        height = self.height + LEGEND_LINE * lines
        body = "".join([self._axes(), *self._marks])
        return (
            f'<svg class="plot" role="img" width="{self.width}" '
            f'viewBox="0 0 {self.width} {height}" '
            f'aria-label="{escape(self.description)}">{legend}'
            f'<g transform="translate(0 {LEGEND_LINE * lines})">{body}</g></svg>'
        )

    def _axes(self) -> str:
        right, bottom = self.width - RIGHT, self.height - BOTTOM
        parts = []
        for value in self.x.positions():
            x = f"{self._to_x(value):.1f}"
            parts.append(f'<path class="grid" d="M{x} {TOP}V{bottom}"/>')
            parts.append(
                f'<text class="tick" x="{x}" y="{bottom + 18}" text-anchor="middle">'
                f"{tick_text(value)}</text>"
            )
        for value in self.y.positions():
            y = self._to_y(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
            parts.append(
                f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
                f"{tick_text(value)}</text>"
            )
        middle_x, middle_y = (LEFT + right) / 2, (TOP + bottom) / 2
        return (
            f'<clipPath id="{self._frame_id()}"><rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" '
            f'height="{bottom - TOP}"/></clipPath>{"".join(parts)}'
            f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
            f'<text class="label" x="{middle_x}" y="{self.height - 10}" text-anchor="middle">'
            f"{escape(self.x.label)}</text>"
            f'<text class="label" transform="translate(15 {middle_y}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )

    def _legend_svg(self) -> tuple[str, int]:
        """Legend entries flowed over as many lines as they need: (SVG, lines)."""
        parts, x, line = [], float(LEFT), 0
        for name, symbol in self._legend.items():
            length = 34 + 6.6 * len(name)
            if x > LEFT and x + length > self.width - RIGHT:
                x, line = float(LEFT), line + 1
            y = 12 + LEGEND_LINE * line
            parts.append(
                f'<g transform="translate({x + 9:.0f} {y})">{symbol}'
                f'<text class="tick" x="14" y="4">{escape(name)}</text></g>'
            )
            x += length
        return "".join(parts), line + 1 if parts else 0


def _marker(series: int, x: float, y: float, size: float, hollow: bool, extra: str) -> str:
    """One of five shapes of about equal area: series 2 a diamond, 3 and 5 triangles, 4 a square."""
    kind = f'class="mark series-{series}{" hollow" if hollow else ""}"{extra}'
    if series == 2:
        return _polygon(kind, x, y, size, ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)))
    if series == 3:
        return _polygon(kind, x, y, size, ((0, -1.25), (1.15, 0.9), (-1.15, 0.9)))
    if series == 4:
        return _polygon(kind, x, y, size, ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)))
    if series == 5:
        return _polygon(kind, x, y, size, ((0, 1.25), (1.15, -0.9), (-1.15, -0.9)))
    return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'


def _polygon(
    kind: str, x: float, y: float, size: float, corners: Sequence[tuple[float, float]]
) -> str:
    path = "L".join(f"{x + size * dx:.1f} {y + size * dy:.1f}" for dx, dy in corners)
    return f'<path {kind} d="M{path}z"/>'
