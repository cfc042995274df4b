"""Adversarial geometries: where the committee disagrees most and yet a structure would go.

Schwalbe-Koda, Tan, Gómez-Bombarelli, Nat. Commun. 12, 5104 (2021): ascend, over displacements of
atoms and strains of periodic cells δ,

    L(δ) = log u(δ) − (E(δ) − E_min) / kT,

u the variance of the members' forces or stresses, E the committee's mean energy, E_min its energy
at its own minimum: the paper's absolute energies and common partition function cannot be compared
across compositions, and underflow for solids. The gradient goes through the members' forces and is
exact. All starts and all members climb together, each start on its own. Of the geometries on its
way a start keeps the one with the largest L that is still itself.

E is the energy of the whole structure, as in Boltzmann's factor, so kT bounds it as a whole, and at
the top of L it is of the order of kT whatever the size: at 1000 K (0.09 eV) attacks on quinones end
some 0.03 eV up and 0.03 Å away, at 10000 K (0.9 eV) some 0.5 to 1 eV and 0.1 Å, which is what the
vibrations of twenty atoms hold at room temperature. A solid at temperature T holds 3/2 kT an atom,
so for cells of many atoms ``energy_per: atom`` measures the mean atom's energy against kT: then the
same T means the same strain of each bond in a small cell and in its supercell.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from molsieve.geometries.best import AttackResult, Best
from molsieve.geometries.climb import Deformation, VectorAdam, first_nudge
from molsieve.geometry_settings import Attack
from molsieve.potential.batches import AtomsBatch
from molsieve.potential.neighbours import Edges, NeighbourCache
from molsieve.section import CampaignError
from molsieve.units import BOLTZMANN_EV_PER_K

GROUP_ATOMS = 400
"""Structures differentiated together on a CPU, counted in atoms: what is kept for the second
derivative (20 kB an atom and member of 64 features by the kernel, 20 times that by torch) stays in
the last cache, and bounded. Anthraquinone: 4.9 ms a start and step, 5.5 with all 64 together."""
GROUP_ATOMS_GPU = 30_000


def attack_objective(
    calculator: Any,
    batch: AtomsBatch,
    e_min: Tensor,
    settings: Attack,
    edges: Edges | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """L of each structure, differentiable in ``batch``'s positions and cell where those are.

    Args:
        calculator: a committee: ``calculator(batch, create_graph=...)``.
        e_min: (S,) eV.
        settings: temperature_k, spread_of, spread_over, energy_per.
        edges: of the batch; None: the calculator finds its own.

    Returns:
        L (S,), variance u (S,) eV²/Å² or eV²/Å⁶, E − E_min (S,) eV.
    """
    known = {} if edges is None else {"edges": edges}
    wanted = batch.positions.requires_grad or batch.cell.requires_grad
    output = calculator(batch, create_graph=wanted, **known)
    if settings.spread_of == "stress":
        variance = _stress_variance(output.stress)
    else:
        variance = _force_variance(output.forces, batch, settings.spread_over)
    above = output.energies.double().mean(0) - e_min
    counted = above / batch.sizes if settings.energy_per == "atom" else above
    kt = BOLTZMANN_EV_PER_K * settings.temperature_k
    return torch.log(variance) - counted / kt, variance, above


def _force_variance(forces: Tensor, batch: AtomsBatch, over: str) -> Tensor:
    """(S,) eV²/Å²: of the members' (M, N, 3), mean of the components, mean or largest atom."""
    spread = forces.double().var(dim=0, unbiased=True).mean(1)
    empty = spread.new_zeros(batch.n_structures)
    if over == "max":
        return empty.scatter_reduce(0, batch.structure, spread, "amax", include_self=False)
    return empty.index_add(0, batch.structure, spread) / batch.sizes


def _stress_variance(stress: Tensor | None) -> Tensor:
    """(S,) eV²/Å⁶: of the members' (M, S, 3, 3), mean of the nine components (so the same however
    the cell is turned).

    Raises:
        CampaignError: a structure without stress.
    """
    if stress is None or bool(stress.isnan().all(0).any()):
        raise CampaignError(
            "acquisition.geometries.attack.spread_of: stress, but a structure to be attacked is "
            "not periodic in three directions and has none; allowed here: forces"
        )
    return stress.double().var(dim=0, unbiased=True).mean((1, 2))


def attack_batch(
    calculator: Any, batch: AtomsBatch, e_min: Tensor, settings: Attack, seed: int
) -> AttackResult:
    """Climb from every structure of ``batch`` (the committee's minima) at once.

    Args:
        calculator: the committee; its members are evaluated together.
        batch: S structures.
        e_min: (S,) committee's mean energy at its own minimum, eV.
        seed: of the small deformation each start begins with.

    Raises:
        CampaignError: a committee of one, which cannot disagree.
    """
    if len(calculator) < 2:
        raise CampaignError(
            "an attack climbs the disagreement of a committee, and this one has one member; "
            "set potential.members to at least 2, or acquisition.geometries.mix.attack to 0"
        )
    climb = _Climb(calculator, batch.detached(), e_min, settings, seed)
    for _ in range(settings.steps):
        climb.step()
    climb.evaluate(slopes=False)
    return climb.best.result()


class _Climb:
    """The way of all starts up."""

    def __init__(self, calculator: Any, home: AtomsBatch, e_min: Tensor, settings: Any, seed: int):
        self.settings, self.home = settings, home
        self.strained = settings.max_strain > 0 and bool(home.pbc.all(1).any())
        self.groups = [_Group(calculator, home, e_min, which, settings) for which in _groups(home)]
        strain_std = settings.strain_step if self.strained else 0.0
        nudge = first_nudge(home, settings.step_size_angstrom, strain_std, seed)
        self.here = self._bounded(nudge)
        self.shift_adam = VectorAdam(settings.step_size_angstrom, settings.steps)
        self.strain_adam = VectorAdam(settings.strain_step, settings.steps)
        self.best = Best(home, settings.changed_bonds == "keep")

    def step(self) -> None:
        """Evaluate, keep what is best so far, and move on."""
        shift, strain = self.evaluate(slopes=True)
        moved = Deformation(
            self.here.shift + self.shift_adam.move(shift),
            self.here.strain + self.strain_adam.move(strain) if self.strained else self.here.strain,
        )
        self.here = self._bounded(moved)

    def evaluate(self, slopes: bool) -> tuple[Tensor, Tensor]:
        """Offer where we are to the best; dL/dshift (N, 3) and dL/dstrain (S, 3, 3)."""
        parts = [group.evaluate(self.here, slopes, self.strained) for group in self.groups]
        objective, variance, above, shift, strain = map(torch.cat, zip(*parts, strict=True))
        self.best.offer(self.here.of(self.home), objective, variance, above)
        # Where L is not finite there is no way up: that start stays and keeps its best.
        return _finite(shift), _finite(strain)

    def _bounded(self, deformation: Deformation) -> Deformation:
        return deformation.bounded(
            self.settings.max_displacement_angstrom, self.settings.max_strain
        )


def _finite(slope: Tensor) -> Tensor:
    return torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


def _groups(batch: AtomsBatch) -> Iterator[Tensor]:
    """Indices of consecutive structures that are differentiated together."""
    limit = GROUP_ATOMS if batch.positions.device.type == "cpu" else GROUP_ATOMS_GPU
    first, atoms = 0, 0
    device = batch.structure.device
    for s, size in enumerate(batch.sizes.tolist()):
        if s > first and atoms + size > limit:
            yield torch.arange(first, s, device=device)
            first, atoms = s, 0
        atoms += size
    yield torch.arange(first, batch.n_structures, device=device)


class _Group:
    """Consecutive structures, evaluated in one call, with a neighbour list of their own."""

    def __init__(
        self, calculator: Any, home: AtomsBatch, e_min: Tensor, which: Tensor, settings: Any
    ):
        self.calculator, self.settings = calculator, settings
        self.home, self.which = home.chosen(which), which
        self.atoms = torch.isin(home.structure, which)
        self.e_min = e_min[which]
        cutoff = getattr(calculator, "cutoff_angstrom", None)
        self.neighbours = None if cutoff is None else NeighbourCache(cutoff)

    def evaluate(self, here: Deformation, slopes: bool, strained: bool) -> tuple[Tensor, ...]:
        """L, u, E − E_min (S,), and the gradients of L (zeros if not wanted)."""
        shift, strain = here.shift[self.atoms], here.strain[self.which]
        moving = [shift.requires_grad_(slopes), strain.requires_grad_(slopes and strained)]
        batch = Deformation(shift, strain).of(self.home)
        edges = None if self.neighbours is None else self.neighbours(batch)
        found = attack_objective(self.calculator, batch, self.e_min, self.settings, edges)
        gradients = [torch.zeros_like(shift), torch.zeros_like(strain)]
        if slopes:
            wanted = [k for k, value in enumerate(moving) if value.requires_grad]
            slope = torch.autograd.grad(found[0].sum(), [moving[k] for k in wanted])
            for k, value in zip(wanted, slope, strict=True):
                gradients[k] = value
        strain_slope = (gradients[1] + gradients[1].transpose(1, 2)) / 2
        periodic = self.home.pbc.all(1)[:, None, None]
        return *(value.detach() for value in found), gradients[0], strain_slope * periodic
