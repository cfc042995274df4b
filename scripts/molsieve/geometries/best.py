"""The best sound geometry each start of an attack has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molsieve.geometries.soundness import CHANGED, Soundness
from molsieve.potential.batches import AtomsBatch

NOT_FINITE = "the committee's energy or forces are not finite, or its members agree exactly"
NO_RISE = "no step raised the objective"


@dataclass(frozen=True)
class AttackResult:
    """What S starts climbed to, in the order of the batch.

    Attributes:
        positions: (N, 3) Å, the kept geometry of each start (its own where ``accepted`` is False).
        cell: (S, 3, 3) Å, its lattice vectors.
        accepted: (S,) L grew and the structure is still itself (or may have changed its bonds).
        rebonded: (S,) the kept geometry has other bonds than the start.
        reasons: S texts, empty where accepted.
        objective_start, objective: (S,) L at the displaced start and at the kept geometry.
        variance: (S,) u at the kept geometry, eV²/Å², of stresses eV²/Å⁶.
        energy_above_minimum: (S,) E − E_min at the kept geometry, eV, of the whole structure.
    """

    positions: Tensor
    cell: Tensor
    accepted: Tensor
    rebonded: Tensor
    reasons: list[str]
    objective_start: Tensor
    objective: Tensor
    variance: Tensor
    energy_above_minimum: Tensor


class Best:
    """Of every geometry offered, the sound one with the largest objective.

    Args of the constructor:
        home: where the starts begin, which is kept until something is better.
        may_rebond: a geometry with other bonds counts as sound, and is flagged.
    """

    def __init__(self, home: AtomsBatch, may_rebond: bool):
        self.kept, self.may_rebond, self.soundness = home, may_rebond, Soundness(home)
        device = home.positions.device
        empty = torch.full((home.n_structures,), torch.nan, dtype=torch.float64, device=device)
        self.objective_start, self.variance, self.above = empty, empty.clone(), empty.clone()
        self.objective = torch.full_like(empty, -torch.inf)
        self.rebonded = torch.zeros_like(empty, dtype=torch.bool)
        self.reasons = [NOT_FINITE] * home.n_structures
        self.offers = 0

    def offer(self, batch: AtomsBatch, objective: Tensor, variance: Tensor, above: Tensor) -> None:
        """Keep the structures of ``batch`` that are better and still themselves; (S,) each."""
        if not self.offers:
            self.objective_start = objective
        self.offers += 1
        better = torch.isfinite(objective) & (objective > self.objective)
        if not bool(better.any()):
            return
        faults = self.soundness.faults(batch)
        rebonded = torch.tensor([f == CHANGED for f in faults], device=better.device)
        sound = torch.tensor([not f for f in faults], device=better.device)
        take = better & (sound | (rebonded & self.may_rebond))
        self._tell(better, take, faults)
        atoms = take[batch.structure, None]
        self.kept = replace(
            self.kept,
            positions=torch.where(atoms, batch.positions, self.kept.positions),
            cell=torch.where(take[:, None, None], batch.cell, self.kept.cell),
        )
        self.objective = torch.where(take, objective, self.objective)
        self.variance = torch.where(take, variance, self.variance)
        self.above = torch.where(take, above, self.above)
        self.rebonded = torch.where(take, rebonded, self.rebonded)

    def _tell(self, better: Tensor, take: Tensor, faults: list[str]) -> None:
        """Why each start is not accepted, as far as is known now."""
        taken, nothing_yet = take.tolist(), torch.isinf(self.objective).tolist()
        for s in torch.nonzero(better)[:, 0].tolist():
            if taken[s]:
                self.reasons[s] = "" if self.offers > 1 else NO_RISE
            elif nothing_yet[s]:
                self.reasons[s] = faults[s]

    def result(self) -> AttackResult:
        """What is kept."""
        return AttackResult(
            positions=self.kept.positions,
            cell=self.kept.cell,
            accepted=torch.tensor([not r for r in self.reasons], dtype=torch.bool),
            rebonded=self.rebonded,
            reasons=list(self.reasons),
            objective_start=self.objective_start,
            objective=self.objective,
            variance=self.variance,
            energy_above_minimum=self.above,
        )
