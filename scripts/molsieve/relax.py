"""Geometry relaxation of many structures at once, on the mean of a committee.

Why own code: what costs is a committee call, so what counts is calls until convergence. The
batched optimisers of torch-sim 0.3 are gradient descent and FIRE, first-order methods that know
nothing of stiff bonds and soft torsions. A quasi-Newton method that starts from a chemical model
Hessian needs several times fewer calls: ten quinones from their GFN2-xTB minima to 0.05 eV/Å on
GFN1-xTB took 3.4 steps on average (ASE's FIRE 15.5, ASE's BFGS and L-BFGS 8.2). BFGS (Nocedal,
Wright, Numerical Optimization, ch. 6) on Cartesian coordinates, the inverse Hessian of a structure
dense ((3 n_atoms)² numbers, which suits molecules), the first one Lindh's.

Structures never see each other: the result of one does not depend on its company beyond rounding.
A converged or failed structure leaves, so no call is spent on it, and where only so many are moved
at once its seat goes to the next one waiting, the largest first: neighbours are of like size, and
little is padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from molsieve.chem.model_hessian import inverse_model_hessian
from molsieve.potential.verlet_lists import VerletLists
from molsieve.quasi_newton import bfgs_update, longest_of_an_atom

MAX_STEP_ANGSTROM = 0.2
"""Longest displacement of one atom in one step."""
MAX_DRIFT_ANGSTROM = 5.0
"""An atom that ends further than this from its start has left its molecule: a failure."""
ENERGY_RISE_EV = 1e-4
"""A step may raise the energy by this much (rounding of single-precision models)."""
REBUILT_AFTER_ANGSTROM = 0.3
"""Once an atom has gone so far the model Hessian is built anew, then after twice the way: a group
that turns takes its stiff directions along (a tenth fewer steps for quinones)."""
NARROWED_AT = 0.8
"""Padded arrays are copied to fit once they could be so much narrower."""
HESSIAN_NUMBERS = 2_000_000
"""Model Hessians are built for as many structures at a time as have so many entries (16 MB)."""
SEATED_NUMBERS = 60_000_000
"""Inverse Hessians are kept for as many structures at a time as have so many entries (480 MB)."""

Calculator = Callable[..., Any]
"""AtomsBatch → an object with ``energies`` (M, S) eV and ``forces`` (M, N, 3) eV/Å. One with a
``cutoff_angstrom`` also takes ``edges`` (kept between calls for crystals) and ``stress``."""


@dataclass(frozen=True)
class RelaxResult:
    """Where each of S structures ended, in the order of the batch.

    Attributes:
        positions: (N, 3) Å, float64, atoms in the batch's order.
        energies: (M, S) eV of each member at ``positions``; NaN where the first call failed.
        energies_start: (M, S) eV of each member at the geometry that was given.
        forces_max: (S,) eV/Å, largest norm of an atom's mean force at ``positions``.
        converged: (S,) ``forces_max`` is at most ``fmax``.
        failed: (S,) energies or forces ceased to be finite, or an atom drifted away; ``positions``
            are then the last sound ones.
        steps: (S,) committee calls spent on the structure after the first.
        calls: committee calls of the whole batch.
    """

    positions: Tensor
    energies: Tensor
    energies_start: Tensor
    forces_max: Tensor
    converged: Tensor
    failed: Tensor
    steps: Tensor
    calls: int


def relax_batch(
    calculator: Calculator,
    batch: Any,
    fmax: float,
    max_steps: int,
    max_step: float | None = None,
    at_once: int | None = None,
) -> RelaxResult:
    """Relax all structures of ``batch`` with the mean forces of ``calculator``'s members.

    Args:
        batch: an AtomsBatch of S structures; cells stay as they are.
        fmax: converged when no atom's mean force is longer than this, eV/Å.
        max_steps: calls on a structure after its first one; 0 evaluates the batch as it is.
        max_step: longest displacement of an atom in one step, Å; None: 0.2 Å.
        at_once: structures in one call, at most; None: all there is room for (SEATED_NUMBERS).
    """
    run = _Relaxation(calculator, batch, fmax, max_steps, max_step or MAX_STEP_ANGSTROM)
    run.reseat(at_once or run.n)
    while len(run.who):
        run.step()
        run.reseat(at_once or run.n)
    return run.result()


class _Relaxation:
    """Results of S structures, and the BFGS state of the A that are seated (moved at present).

    Seated coordinates are (A, D), padded to D = 3 times the atoms of the largest that is seated.
    """

    def __init__(
        self, calculator: Calculator, batch: Any, fmax: float, max_steps: int, max_step: float
    ):
        self.calculator, self.batch = calculator, batch
        self.fmax, self.max_steps, self.max_step = fmax, max_steps, max_step
        self.n, self.device = int(batch.cell.shape[0]), batch.positions.device
        self.sizes = torch.bincount(batch.structure, minlength=self.n)
        self.atoms = torch.argsort(batch.structure, stable=True)
        self.first = torch.cumsum(self.sizes, 0) - self.sizes
        self.waiting = torch.argsort(self.sizes, descending=True, stable=True)
        self.start = batch.positions.detach().double()
        self.positions = self.start.clone()
        self.energies = self.energies_start = self._zeros(0, self.n)
        self.force = torch.full((self.n,), torch.inf, dtype=torch.float64, device=self.device)
        self.steps = torch.zeros(self.n, dtype=torch.long, device=self.device)
        self.failed = torch.zeros(self.n, dtype=torch.bool, device=self.device)
        self.calls = 0
        self.who = self.steps[:0]
        self.x = self.gradient = self.x_hessian = self._zeros(0, 0)
        self.energy = self.radius = self.reach = self._zeros(0)
        self.inverse_hessian = self._zeros(0, 0, 0)
        self.seated, self.width = batch, 0
        cutoff = getattr(calculator, "cutoff_angstrom", None)
        # Molecules' pairs are found in dense blocks, all at once, faster than old ones are sifted.
        self.pairs = VerletLists(cutoff) if cutoff and bool(batch.pbc.any()) else None

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    def reseat(self, seats: int) -> None:
        """Those who are through leave; the next ones waiting sit down, not yet evaluated."""
        free = ~self._unfinished(self.who)
        seats = min(seats, self._room(free))
        count = max(0, seats - len(self.who) + int(free.sum()))
        new, self.waiting = self.waiting[:count], self.waiting[count:]
        if not len(new) and not bool(free.any()):
            return
        rows = torch.nonzero(free)[:, 0]
        who = torch.cat([self.who, new[len(rows) :]])
        who[rows[: len(new)]] = new[: len(rows)]
        kept = torch.ones_like(who, dtype=torch.bool)
        kept[rows[len(new) :]] = False
        arrived = torch.ones_like(kept)
        arrived[: len(free)] = free
        self.who, arrived = who[kept], arrived[kept]
        self._make_room(kept)
        self._seat()
        self._welcome(arrived)

    def _room(self, free: Tensor) -> int:
        """Seats there is memory for: of the largest that stays or waits, one at least."""
        coming = self.sizes[torch.cat([self.who[~free], self.waiting[:1]])]
        width = int(coming.max()) if len(coming) else 1
        return max(1, SEATED_NUMBERS // max(1, 9 * width**2))

    def _make_room(self, kept: Tensor) -> None:
        """Arrays for those seated. Nothing is copied while seats are only taken over: inverse
        Hessians are what is large here."""
        width = int(self.sizes[self.who].max()) if len(self.who) else 0
        unchanged = len(kept) == len(self.x) and bool(kept.all())
        if unchanged and NARROWED_AT * self.width < width:
            return
        self.width = width
        for name in ("x", "gradient", "x_hessian", "inverse_hessian", "energy", "radius", "reach"):
            old = getattr(self, name)
            fresh = self._zeros(len(self.who), *[3 * width] * (old.dim() - 1))
            part = [slice(min(old.shape[k], 3 * width)) for k in range(1, old.dim())]
            rows = torch.nonzero(kept[: len(old)])[:, 0]
            fresh[(slice(len(rows)), *part)] = old[rows][(slice(None), *part)]
            setattr(self, name, fresh)

    def _welcome(self, arrived: Tensor) -> None:
        """A new one's inverse Hessian is zero: its first step, its first call, goes nowhere."""
        self.x[arrived] = self._padded(self.start)[arrived]
        self.energy[arrived], self.radius[arrived] = torch.inf, self.max_step
        self.reach[arrived] = REBUILT_AFTER_ANGSTROM
        for values in (self.gradient, self.x_hessian, self.inverse_hessian):
            values[arrived] = 0.0

    def _seat(self) -> None:
        """The batch of those seated, and where its atoms are in the whole and in padded arrays."""
        sizes = self.sizes[self.who]
        structure = torch.repeat_interleave(sizes)
        start = torch.cumsum(sizes, 0) - sizes
        slot = torch.arange(len(structure), device=self.device) - start[structure]
        self.place = (structure, slot)
        self.chosen = self.atoms[self.first[self.who][structure] + slot]
        self.seated = replace(
            self.batch,
            numbers=self.batch.numbers[self.chosen],
            positions=self.batch.positions[self.chosen],
            structure=structure,
            cell=self.batch.cell[self.who],
            pbc=self.batch.pbc[self.who],
            charge=self.batch.charge[self.who],
            multiplicity=self.batch.multiplicity[self.who],
        )

    def _padded(self, values: Tensor) -> Tensor:
        """(N, 3) of all atoms → (A, D) of those seated."""
        padded = self._zeros(len(self.who), self.width, 3)
        padded[self.place] = values[self.chosen]
        return padded.flatten(1)

    def step(self) -> None:
        """One quasi-Newton step, or the first call, of everyone seated."""
        move = -torch.bmm(self.inverse_hessian, self.gradient[..., None])[..., 0]
        longest = longest_of_an_atom(move)
        move = move * torch.clamp(self.radius / longest, max=1.0)[:, None]
        trial = self.x + move
        energies, gradient = self._evaluate(trial)
        new = torch.isinf(self.energy)
        self._note_first(new, energies)
        self.steps[self.who[~new]] += 1
        sound = torch.isfinite(energies).all(0) & torch.isfinite(gradient).all(1)
        sound = sound & (longest_of_an_atom(trial - self._padded(self.start)) <= MAX_DRIFT_ANGSTROM)
        self.failed[self.who[~sound]] = True
        better = sound & (energies.mean(0) - self.energy <= ENERGY_RISE_EV)
        bfgs_update(self.inverse_hessian, move, gradient - self.gradient, sound & ~new)
        # A step uphill is taken back; what it taught about curvature stays.
        shorter = 0.5 * torch.minimum(longest, self.radius)
        longer = torch.clamp(2 * self.radius, max=self.max_step)
        self.radius = torch.where(better, longer, shorter)
        self._take(better, trial, energies, gradient)
        far = ~new & (longest_of_an_atom(self.x - self.x_hessian) > self.reach)
        self.reach[far] *= 2
        self._model_hessians((new | far) & self._unfinished(self.who))

    def _note_first(self, new: Tensor, energies: Tensor) -> None:
        """First energies are kept even where they are no numbers."""
        if not len(self.energies):
            self.energies = self._zeros(len(energies), self.n)
            self.energies_start = self.energies.clone()
        self.energies[:, self.who[new]] = energies[:, new]
        self.energies_start[:, self.who[new]] = energies[:, new]

    def _take(self, better: Tensor, trial: Tensor, energies: Tensor, gradient: Tensor) -> None:
        """Move those for whom the step was good."""
        who = self.who[better]
        self.x[better], self.gradient[better] = trial[better], gradient[better]
        self.energy[better] = energies[:, better].mean(0)
        self.energies[:, who] = energies[:, better]
        self.force[who] = longest_of_an_atom(gradient[better])
        moved = better[self.place[0]]
        here = self.x.view(len(self.who), self.width, 3)[self.place]
        self.positions[self.chosen[moved]] = here[moved]

    def _evaluate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Member energies (M, A) and mean gradients (A, D) of those seated at ``x``."""
        positions = x.view(len(self.who), self.width, 3)[self.place]
        positions = positions.to(self.batch.positions.dtype)
        seated = replace(self.seated, positions=positions)
        pairs = self.pairs and self.pairs(seated, self.who.tolist())
        known = {"edges": pairs, "stress": False} if pairs else {}
        output = self.calculator(seated, **known)
        self.calls += 1
        gradient = self._zeros(len(self.who), self.width, 3)
        gradient[self.place] = -output.forces.detach().double().mean(0).to(self.device)
        return output.energies.detach().double().to(self.device), gradient.flatten(1)

    def _unfinished(self, who: Tensor) -> Tensor:
        going = ~self.failed[who] & (self.force[who] > self.fmax)
        return going & (self.steps[who] < self.max_steps)

    def _model_hessians(self, chosen: Tensor) -> None:
        """Lindh's for the rows ``chosen``, in portions, each as wide as its largest structure."""
        rows = torch.nonzero(chosen)[:, 0]
        if not len(rows):
            return
        numbers = torch.zeros((len(self.who), self.width), dtype=torch.long, device=self.device)
        numbers[self.place] = self.seated.numbers.long()
        for part in rows.split(max(1, HESSIAN_NUMBERS // max(1, 9 * self.width**2))):
            width = int(self.sizes[self.who[part]].max())
            self.x_hessian[part] = self.x[part]
            self.inverse_hessian[part, : 3 * width, : 3 * width] = inverse_model_hessian(
                numbers[part, :width],
                self.x[part, : 3 * width].view(-1, width, 3),
                self.seated.cell[part].double(),
                self.seated.pbc[part],
            )

    def result(self) -> RelaxResult:
        return RelaxResult(
            positions=self.positions,
            energies=self.energies,
            energies_start=self.energies_start,
            forces_max=self.force,
            converged=~self.failed & (self.force <= self.fmax),
            failed=self.failed,
            steps=self.steps,
            calls=self.calls,
        )
