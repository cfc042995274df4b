"""Geometry relaxation of many structures at once, on the mean of a committee.

Why own code: what costs is a committee call, so what counts is calls until convergence. The
batched optimisers of torch-sim 0.3 are gradient descent and FIRE, first-order methods that know
nothing of stiff bonds and soft torsions. A quasi-Newton method that starts from a chemical model
Hessian needs several times fewer calls: ten quinones from their GFN2-xTB minima to 0.05 eV/Å on
GFN1-xTB took 3.4 steps on average (ASE's FIRE 15.5, ASE's BFGS and L-BFGS 8.2). BFGS (Nocedal,
Wright, Numerical Optimization, ch. 6) on Cartesian coordinates, the inverse Hessian of a structure
dense ((3 n_atoms)² numbers, which suits molecules), the first one Lindh's.

Structures never see each other: the result of one does not depend on its company beyond rounding.
A converged or failed structure leaves the batch, so no call is spent on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from molsieve.chem.model_hessian import model_hessian

MAX_STEP_ANGSTROM = 0.2
"""Longest displacement of one atom in one step."""
MAX_DRIFT_ANGSTROM = 5.0
"""An atom that ends further than this from its start has left its molecule: a failure."""
ENERGY_RISE_EV = 1e-4
"""A step may raise the energy by this much (rounding of single-precision models)."""
MIN_CURVATURE_EV_PER_ANGSTROM2 = 1e-2
"""A step with less curvature than this teaches the Hessian nothing."""

Calculator = Callable[[Any], Any]
"""AtomsBatch → an object with ``energies`` (M, S) eV and ``forces`` (M, N, 3) eV/Å."""


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
    calculator: Calculator, batch: Any, fmax: float, max_steps: int, max_step: float | None = None
) -> RelaxResult:
    """Relax all structures of ``batch`` together with the mean forces of ``calculator``'s members.

    Args:
        batch: an AtomsBatch of S structures; cells stay as they are.
        fmax: converged when no atom's mean force is longer than this, eV/Å.
        max_steps: calls after the first one; 0 evaluates the batch as it is.
        max_step: longest displacement of an atom in one step, Å; None: 0.2 Å.
    """
    run = _Relaxation(calculator, batch, fmax, max_step or MAX_STEP_ANGSTROM)
    active = run.start()
    for _ in range(max_steps):
        if not len(active):
            break
        active = run.step(active)
    return run.result()


class _Relaxation:
    """BFGS state of S structures, padded to the largest: coordinates are (S, D), D = 3 n_max."""

    def __init__(self, calculator: Calculator, batch: Any, fmax: float, max_step: float):
        self.calculator, self.batch, self.fmax, self.max_step = calculator, batch, fmax, max_step
        self.n = int(batch.cell.shape[0])
        self.device = batch.positions.device
        counts = torch.bincount(batch.structure, minlength=self.n)
        self.width = int(counts.max()) if self.n else 0
        first = torch.cumsum(counts, 0) - counts
        self.order = torch.argsort(batch.structure, stable=True)
        rank = torch.arange(len(self.order), device=self.device)
        self.slot = torch.empty_like(self.order)
        self.slot[self.order] = rank - first[batch.structure[self.order]]
        self.x = self._padded(batch.positions.detach().double())
        self.x_start = self.x.clone()
        self.gradient = torch.zeros_like(self.x)
        self.force = torch.full((self.n,), torch.inf, dtype=torch.float64, device=self.device)
        self.radius = torch.full_like(self.force, max_step)
        self.steps = torch.zeros(self.n, dtype=torch.long, device=self.device)
        self.failed = torch.zeros(self.n, dtype=torch.bool, device=self.device)
        self.energies = torch.empty(0)
        self.energies_start = torch.empty(0)
        self.inverse_hessian = torch.empty(0)
        self.calls = 0

    def start(self) -> Tensor:
        """Evaluate the given geometries; indices of the structures that still have to move."""
        everyone = torch.arange(self.n, device=self.device)
        if not self.n:
            self.energies = self.energies_start = torch.empty((0, 0), dtype=torch.float64)
            return everyone
        energies, self.gradient = self._evaluate(everyone, self.x)
        self.energies, self.energies_start = energies, energies.clone()
        self.failed = ~self._finite(energies, self.gradient)
        self.force = _longest(self.gradient)
        active = self._unfinished(everyone)
        if len(active):
            self.inverse_hessian = torch.linalg.inv(self._model_hessian())
        return active

    def step(self, active: Tensor) -> Tensor:
        """One quasi-Newton step of the ``active`` structures; those that go on."""
        gradient = self.gradient[active]
        move = -torch.einsum("sij,sj->si", self.inverse_hessian[active], gradient)
        longest = _longest(move)
        move = move * torch.clamp(self.radius[active] / longest, max=1.0)[:, None]
        trial = self.x[active] + move
        energies, trial_gradient = self._evaluate(active, trial)
        self.steps[active] += 1
        sound = self._finite(energies, trial_gradient)
        drift = _longest(trial - self.x_start[active])
        lost = (~sound) | (drift > MAX_DRIFT_ANGSTROM)
        self.failed[active[lost]] = True
        rise = energies.mean(0) - self.energies[:, active].mean(0)
        better = ~lost & (rise <= ENERGY_RISE_EV)
        self._update_hessian(active[~lost], move[~lost], (trial_gradient - gradient)[~lost])
        length = torch.minimum(longest, self.radius[active])
        # A step uphill is taken back; what it taught about curvature stays.
        self.radius[active] = torch.where(
            better, torch.clamp(2 * self.radius[active], max=self.max_step), 0.5 * length
        )
        taken = active[better]
        self.x[taken], self.gradient[taken] = trial[better], trial_gradient[better]
        self.energies[:, taken] = energies[:, better]
        self.force[taken] = _longest(trial_gradient[better])
        return self._unfinished(active)

    def result(self) -> RelaxResult:
        return RelaxResult(
            positions=self.x.view(self.n, self.width, 3)[self.batch.structure, self.slot],
            energies=self.energies,
            energies_start=self.energies_start,
            forces_max=self.force,
            converged=~self.failed & (self.force <= self.fmax),
            failed=self.failed,
            steps=self.steps,
            calls=self.calls,
        )

    def _unfinished(self, among: Tensor) -> Tensor:
        return among[~self.failed[among] & (self.force[among] > self.fmax)]

    def _padded(self, values: Tensor) -> Tensor:
        """(N, 3) atoms → (S, D), zero where a structure has fewer atoms than the largest."""
        shape = (self.n, self.width, 3)
        padded = torch.zeros(shape, dtype=torch.float64, device=self.device)
        padded[self.batch.structure, self.slot] = values.double()
        return padded.view(self.n, 3 * self.width)

    def _evaluate(self, active: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Member energies (M, A) and mean gradients (A, D) of the active structures at ``x``."""
        place = torch.full((self.n,), -1, dtype=torch.long, device=self.device)
        place[active] = torch.arange(len(active), device=self.device)
        chosen = place[self.batch.structure] >= 0
        structure, slot = place[self.batch.structure[chosen]], self.slot[chosen]
        positions = x.view(len(active), self.width, 3)[structure, slot]
        output = self.calculator(
            replace(
                self.batch,
                numbers=self.batch.numbers[chosen],
                positions=positions.to(self.batch.positions.dtype),
                structure=structure,
                cell=self.batch.cell[active],
                pbc=self.batch.pbc[active],
                charge=self.batch.charge[active],
                multiplicity=self.batch.multiplicity[active],
            )
        )
        self.calls += 1
        gradient = torch.zeros((len(active), self.width, 3), dtype=torch.float64)
        gradient = gradient.to(self.device)
        gradient[structure, slot] = -output.forces.detach().double().mean(0).to(self.device)
        return output.energies.detach().double().to(self.device), gradient.view(len(active), -1)

    @staticmethod
    def _finite(energies: Tensor, gradient: Tensor) -> Tensor:
        return torch.isfinite(energies).all(0) & torch.isfinite(gradient).all(1)

    def _model_hessian(self) -> Tensor:
        numbers = torch.zeros((self.n, self.width), dtype=torch.long, device=self.device)
        numbers[self.batch.structure, self.slot] = self.batch.numbers.long()
        positions = self.x.view(self.n, self.width, 3)
        return model_hessian(numbers, positions, self.batch.cell.double(), self.batch.pbc)

    def _update_hessian(self, who: Tensor, move: Tensor, change: Tensor) -> None:
        """BFGS update of the inverse Hessians (Nocedal & Wright, eq. 6.17), skipped where the
        curvature along the step is not positive."""
        curvature = (move * change).sum(1)
        good = curvature > MIN_CURVATURE_EV_PER_ANGSTROM2 * (move * move).sum(1)
        who, move, change, curvature = who[good], move[good], change[good], curvature[good]
        inverse = self.inverse_hessian[who]
        product = torch.einsum("sij,sj->si", inverse, change)
        weight = (1 + (change * product).sum(1) / curvature) / curvature
        cross = torch.einsum("si,sj->sij", product, move) / curvature[:, None, None]
        outer = torch.einsum("s,si,sj->sij", weight, move, move)
        self.inverse_hessian[who] = inverse + outer - cross - cross.transpose(1, 2)


def _longest(flat: Tensor) -> Tensor:
    """(A, D) displacements or gradients → (A,) the longest of an atom."""
    atoms = flat.reshape(flat.shape[0], flat.shape[1] // 3, 3)
    return torch.linalg.vector_norm(atoms, dim=-1).amax(1)
