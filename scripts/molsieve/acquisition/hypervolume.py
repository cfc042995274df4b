"""Hypervolume: how much of the space of utilities a set of candidates dominates.

Utilities are maximised. The hypervolume of points (N, D) over a reference point is the volume of
all that lies above the reference and below at least one of the points (Zitzler, Thiele, IEEE Trans.
Evol. Comput. 3, 257 (1999)). It is the only known figure of a set that rises whenever the set
comes closer to the true Pareto front. moocore computes it exactly (Fonseca, Paquete, López-Ibáñez,
IEEE CEC 2006, 1157; 4 objectives: Guerreiro, Fonseca, 2018).

What one more point adds is asked of a decomposition instead: the part of space that no point
dominates, cut into disjoint boxes (the idea of Lacour, Klamroth, Fonseca, Comput. Oper. Res. 79,
347 (2017), and of Yang, Emmerich, Deutz, Bäck, J. Glob. Optim. 75, 3 (2019)); the sum over boxes of
the volume below the point is exact, and any number of points share one decomposition.
"""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np

HELD_AT_ONCE = 4_000_000
"""Numbers of a (points, boxes) table held in memory at a time."""


def hypervolume(points: np.ndarray, reference: np.ndarray | float = 0.0) -> float:
    """Volume dominated by ``points`` (N, D) above ``reference``; a point with NaN counts nothing.

    Returns:
        In the product of the utilities' units; 0 of no points.
    """
    above = _above(points, reference)
    return float(moocore.hypervolume(above, ref=0.0, maximise=True)) if len(above) else 0.0


def hypervolume_contributions(
    points: np.ndarray, reference: np.ndarray | float = 0.0
) -> np.ndarray:
    """(N,) what the hypervolume of the front would lose without each of its points alone.

    0 for points that are dominated, equal, NaN or not above the reference.
    """
    shifted = np.asarray(points, float) - reference
    counts = (shifted > 0).all(axis=1)
    lost = np.zeros(len(shifted))
    if counts.any():
        lost[counts] = moocore.hv_contributions(shifted[counts], ref=0.0, maximise=True)
    return lost


@dataclass(frozen=True)
class Undominated:
    """Disjoint half-open boxes that fill what no point dominates above a reference.

    ``lower``, ``upper``: (B, D); an upper end is infinite where nothing bounds the box.
    """

    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def above(cls, points: np.ndarray, reference: np.ndarray | float = 0.0) -> Undominated:
        """The boxes above ``points`` (N, D); points that dominate nothing make none."""
        points = np.atleast_2d(np.asarray(points, float))
        dimensions = points.shape[1]
        corner = np.broadcast_to(np.asarray(reference, float), (1, dimensions))
        boxes = cls(corner.copy(), np.full((1, dimensions), np.inf))
        points = points[~np.isnan(points).any(axis=1)]
        # Balanced points first: a third of the boxes of any other order that was tried.
        for point in points[np.argsort(-(points - corner).min(axis=1), kind="stable")]:
            boxes = boxes.without(point)
        return boxes

    def without(self, point: np.ndarray) -> Undominated:
        """The boxes left when ``point`` (D,) dominates all that is below it."""
        lower, upper, _ = _cut(self.lower, self.upper, np.broadcast_to(point, self.lower.shape))
        return Undominated(lower, upper)

    def improvements(self, points: np.ndarray) -> np.ndarray:
        """Hypervolume that each of ``points`` (…, D) alone would add; (…,), never negative."""
        points = np.asarray(points, float)
        flat = np.nan_to_num(points.reshape(-1, points.shape[-1]), nan=-np.inf)
        gained = np.zeros(len(flat))
        inside = np.flatnonzero((flat > self.lower.min(axis=0)).all(axis=1))
        chunk = max(1, HELD_AT_ONCE // max(1, len(self.lower)))
        for first in range(0, len(inside), chunk):
            some = inside[first : first + chunk]
            gained[some] = self._volumes(flat[some]).sum(axis=1)
        return gained.reshape(points.shape[:-1])

    def _volumes(self, points: np.ndarray) -> np.ndarray:
        """(P, B) volume of each box below each point, coordinate by coordinate to save memory."""
        volume = np.ones((len(points), len(self.lower)))
        for d in range(points.shape[1]):
            side = np.minimum(points[:, d, None], self.upper[:, d]) - self.lower[:, d]
            volume *= np.maximum(side, 0.0, out=side)
        return volume


class DrawnFronts:
    """S fronts that begin alike and grow apart: what is not dominated in each of S draws."""

    def __init__(self, boxes: Undominated, draws: int):
        self.draws = draws
        self.lower, self.upper = np.tile(boxes.lower, (draws, 1)), np.tile(boxes.upper, (draws, 1))
        self.owner = np.repeat(np.arange(draws), len(boxes.lower))

    def mean_improvement(self, points: np.ndarray) -> float:
        """What a candidate adds, its utilities (S, D) of each draw against the draw's front."""
        side = np.minimum(points[self.owner], self.upper) - self.lower
        return float(np.maximum(side, 0.0, out=side).prod(axis=1).sum()) / self.draws

    def add(self, points: np.ndarray) -> None:
        """The fronts with a candidate, its utilities (S, D) of each draw."""
        self.lower, self.upper, kept = _cut(self.lower, self.upper, points[self.owner])
        self.owner = self.owner[kept]


def _cut(
    lower: np.ndarray, upper: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (B, D) less what is below a point, of each its own (B, D): what is left of them.

    A box is cut once a coordinate: above the point there, below it in the coordinates before.

    Returns:
        lower and upper ends (N, D), and of which box (N,) each is a part.
    """
    hit = (lower < points).all(axis=1)
    lowers, uppers, parts = [lower[~hit]], [upper[~hit]], [np.flatnonzero(~hit)]
    lower, upper, points, part = lower[hit], upper[hit], points[hit], np.flatnonzero(hit)
    for d in range(points.shape[1]):
        out = upper[:, d] > points[:, d]
        piece = lower[out].copy()
        piece[:, d] = points[out, d]
        lowers.append(piece)
        uppers.append(upper[out].copy())
        parts.append(part[out])
        upper[:, d] = np.minimum(upper[:, d], points[:, d])
    return np.concatenate(lowers), np.concatenate(uppers), np.concatenate(parts)


def _above(points: np.ndarray, reference: np.ndarray | float) -> np.ndarray:
    """Points less the reference, of those that lie above it in every coordinate."""
    shifted = np.atleast_2d(np.asarray(points, float) - reference)
    return shifted[(shifted > 0).all(axis=1)]
