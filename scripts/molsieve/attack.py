"""Adversarial geometries: where the committee disagrees most and yet a molecule would go.

Schwalbe-Koda, Tan, Gómez-Bombarelli, Nat. Commun. 12, 5104 (2021): ascend, over displacements δ,

    L(δ) = log u(δ) − (E(δ) − E_min) / kT,

u the variance of the members' forces (mean over atoms and components, eV²/Å²), E the committee's
mean energy, E_min its energy at its own minimum. The gradient goes through the members' forces.
All starts climb together, each on its own: Adam on the displacements, no atom further than
``max_displacement_angstrom`` from the minimum. Of the geometries on its way a start keeps the one
with the largest L that is still the same molecule.

E is the energy of the whole molecule, so kT bounds it as a whole: at 1000 K (0.09 eV) attacks on
quinones end some 0.03 eV up and 0.03 Å away, at 10000 K (0.9 eV) some 0.5 to 1 eV and 0.1 Å, which
is what the vibrations of twenty atoms hold at room temperature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pandas as pd
import torch
from ase.data import covalent_radii
from torch import Tensor

from molsieve import campaign as campaign_file
from molsieve.chem.connectivity import bonds_of_geometry
from molsieve.chem.duplicates import without_duplicates
from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.relax import relax_batch
from molsieve.section import digest
from molsieve.tables import write_table
from molsieve.units import BOLTZMANN_EV_PER_K

ADAM_DECAYS = (0.9, 0.999)
RELAX_FMAX_EV_PER_ANGSTROM = 0.05
RELAX_STEPS = 60
MIN_DISTANCE_FACTOR = 0.7
"""No two atoms closer than this times their summed covalent radii (C-H 0.75 Å, C-C 1.06 Å)."""


@dataclass(frozen=True)
class AttackResult:
    """What S starts climbed to, in the order of the batch.

    Attributes:
        positions: (N, 3) Å, the kept geometry of each start (its own where ``accepted`` is False).
        accepted: (S,) L grew and the molecule is still itself.
        reasons: S texts, empty where accepted.
        objective_start, objective: (S,) L at the displaced start and at the kept geometry.
        variance: (S,) u at the kept geometry, eV²/Å².
        energy_above_minimum: (S,) E − E_min at the kept geometry, eV.
    """

    positions: Tensor
    accepted: Tensor
    reasons: list[str]
    objective_start: Tensor
    objective: Tensor
    variance: Tensor
    energy_above_minimum: Tensor


def attack_objective(
    calculator: Any, batch: Any, e_min: Tensor, temperature_k: float
) -> tuple[Tensor, Tensor, Tensor]:
    """L of each structure, differentiable in ``batch.positions`` if those require a gradient.

    Args:
        calculator: a committee: ``calculator(batch, create_graph=...)``.
        e_min: (S,) eV.

    Returns:
        L (S,), force variance u (S,) eV²/Å², E − E_min (S,) eV.
    """
    output = calculator(batch, create_graph=batch.positions.requires_grad)
    spread = output.forces.double().var(dim=0, unbiased=True).mean(1)
    n_structures = batch.cell.shape[0]
    total = spread.new_zeros(n_structures).index_add(0, batch.structure, spread)
    variance = total / torch.bincount(batch.structure, minlength=n_structures)
    above = output.energies.double().mean(0) - e_min
    objective = torch.log(variance) - above / (BOLTZMANN_EV_PER_K * temperature_k)
    return objective, variance, above


def attack_batch(
    calculator: Any, batch: Any, e_min: Tensor, settings: campaign_file.Attack, seed: int
) -> AttackResult:
    """Climb from every structure of ``batch`` (the committee's minima) at once.

    Args:
        calculator: the committee.
        batch: an AtomsBatch of S structures.
        e_min: (S,) committee's mean energy at its own minimum, eV.
        seed: of the small displacement each start begins with.
    """
    home = batch.positions.detach().double()
    shift = _nudges(batch, settings.step_size_angstrom, seed)
    shift = _bounded(shift, settings.max_displacement_angstrom)
    climb = _Adam(settings.step_size_angstrom)
    best = _Best(batch, home)
    for step in range(settings.steps + 1):
        moved = replace(
            batch, positions=(home + shift).to(batch.positions.dtype).requires_grad_(True)
        )
        objective, variance, above = attack_objective(
            calculator, moved, e_min, settings.temperature_k
        )
        best.offer(home + shift, objective.detach(), variance.detach(), above.detach())
        if step < settings.steps:
            (slope,) = torch.autograd.grad(objective.sum(), moved.positions)
            # Where L is not finite there is no way up: that start stays and keeps its best.
            slope = torch.nan_to_num(slope.double(), nan=0.0, posinf=0.0, neginf=0.0)
            shift = _bounded(shift + climb.move(slope), settings.max_displacement_angstrom)
    return best.result()


def _nudges(batch: Any, std: float, seed: int) -> Tensor:
    """(N, 3) normal displacements, each structure's drawn from its own stream."""
    sizes = torch.bincount(batch.structure).tolist()
    drawn = [np.random.default_rng([seed, s]).normal(0, std, (n, 3)) for s, n in enumerate(sizes)]
    return torch.as_tensor(np.concatenate(drawn), device=batch.positions.device)


def _bounded(shift: Tensor, longest: float) -> Tensor:
    """(N, 3) displacements, each shortened to at most ``longest``."""
    length = torch.linalg.vector_norm(shift, dim=1, keepdim=True)
    return shift * torch.clamp(longest / length.clamp(min=1e-12), max=1.0)


class _Adam:
    """Adam (Kingma, Ba 2015) upwards, every coordinate on its own."""

    def __init__(self, rate: float):
        self.rate, self.count = rate, 0
        self.mean: Tensor | float = 0.0
        self.square: Tensor | float = 0.0

    def move(self, slope: Tensor) -> Tensor:
        first, second = ADAM_DECAYS
        self.count += 1
        self.mean = first * self.mean + (1 - first) * slope
        self.square = second * self.square + (1 - second) * slope**2
        mean = self.mean / (1 - first**self.count)
        square = torch.as_tensor(self.square / (1 - second**self.count))
        return self.rate * mean / (torch.sqrt(square) + 1e-12)


class _Best:
    """The best sound geometry of each start so far."""

    def __init__(self, batch: Any, home: Tensor):
        self.batch, self.home, self.positions = batch, home, home.clone()
        n_structures = batch.cell.shape[0]
        self.atoms = [torch.nonzero(batch.structure == s)[:, 0] for s in range(n_structures)]
        self.numbers = [batch.numbers[a].cpu().numpy() for a in self.atoms]
        self.bonds = [
            bonds_of_geometry(z, home[a].cpu().numpy())
            for z, a in zip(self.numbers, self.atoms, strict=True)
        ]
        self.objective_start = torch.full((n_structures,), torch.nan, dtype=torch.float64)
        self.objective = torch.full((n_structures,), -torch.inf, dtype=torch.float64)
        self.variance = torch.full_like(self.objective_start, torch.nan)
        self.above = torch.full_like(self.objective_start, torch.nan)
        self.reasons = ["the committee's energy or forces are not finite"] * n_structures
        self.offers = 0

    def offer(self, positions: Tensor, objective: Tensor, variance: Tensor, above: Tensor) -> None:
        """Keep the structures that improved and are still themselves."""
        if not self.offers:
            self.objective_start = objective.cpu()
        self.offers += 1
        for s, value in enumerate(objective.tolist()):
            if not np.isfinite(value) or value <= self.objective[s]:
                continue
            atoms = self.atoms[s]
            reason = unsound(self.numbers[s], positions[atoms].cpu().numpy(), self.bonds[s])
            if reason:
                if not np.isfinite(self.objective[s].item()):
                    self.reasons[s] = reason
                continue
            self.positions[atoms] = positions[atoms]
            self.objective[s], self.variance[s], self.above[s] = value, variance[s], above[s]
            self.reasons[s] = "" if self.offers > 1 else "no step raised the objective"

    def result(self) -> AttackResult:
        return AttackResult(
            positions=self.positions,
            accepted=torch.tensor([not r for r in self.reasons], dtype=torch.bool),
            reasons=self.reasons,
            objective_start=self.objective_start,
            objective=self.objective,
            variance=self.variance,
            energy_above_minimum=self.above,
        )


def unsound(
    numbers: np.ndarray, positions_angstrom: np.ndarray, bonds: set[tuple[int, int]]
) -> str | None:
    """Why a geometry is no longer the molecule with these ``bonds``; None if it is.

    Args:
        numbers: (n_atoms,); positions_angstrom: (n_atoms, 3).
    """
    radii = covalent_radii[numbers]
    distance = np.linalg.norm(positions_angstrom[:, None] - positions_angstrom[None], axis=2)
    close = distance < MIN_DISTANCE_FACTOR * (radii[:, None] + radii[None])
    if np.triu(close, k=1).any():
        return "two atoms too close"
    if bonds_of_geometry(numbers, positions_angstrom) != bonds:
        return "connectivity changed"
    return None


def attack_structures(
    dataset: pd.DataFrame,
    structures: pd.DataFrame,
    committee: Committee,
    settings: campaign_file.Attack,
    seed: int,
    round: int,
    out: Path,
    campaign: str = "",
) -> dict[str, int]:
    """Attack species of the training groups; write the new geometries, most adversarial first.

    Args:
        dataset, structures: the round's frozen dataset and its geometries.
        out: a ``structures`` table (origin "attack", parent: the species' labelled structure).

    Returns:
        Counts: starts, accepted, duplicates.
    """
    starts = choose_starts(dataset, structures, settings.starts, [seed, round])
    if not len(starts):
        write_table([], "structures", out, campaign)
        return {"starts": 0, "accepted": 0, "duplicates": 0}
    atoms = [atoms_from_row(row) for row in starts.to_dict("records")]
    batch = AtomsBatch.from_atoms(atoms).to(committee.device)
    batch, e_min = own_minima(committee, batch, atoms)
    sub_seed = int(np.random.SeedSequence([seed, round]).generate_state(1)[0])
    attacked = attack_batch(committee, batch, e_min, settings, sub_seed)
    protocol = digest(["attack", settings.model_dump(mode="json"), seed, round])
    order = torch.argsort(attacked.objective, descending=True, stable=True).tolist()
    rows = []
    for s in order:
        if not attacked.accepted[s]:
            continue
        found = atoms[s].copy()
        found.positions = attacked.positions[batch.structure == s].cpu().numpy()
        if unsound(found.numbers, found.positions, _bonds(atoms[s])) is None:
            rows.append(_row(found, starts.iloc[s], protocol))
    kept = without_duplicates(rows, structures)
    write_table(kept, "structures", out, campaign)
    return {"starts": len(starts), "accepted": len(rows), "duplicates": len(rows) - len(kept)}


def own_minima(
    committee: Committee, batch: AtomsBatch, atoms: list[ase.Atoms]
) -> tuple[AtomsBatch, Tensor]:
    """``batch`` at the committee's minima, and the committee's mean energies (S,) there, eV.

    Where the committee falls into another molecule (it is young and knows least there), the attack
    starts from the labelled geometry instead.
    """
    minima = relax_batch(committee, batch, RELAX_FMAX_EV_PER_ANGSTROM, RELAX_STEPS)
    owner = batch.structure.cpu()
    positions = minima.positions.cpu().numpy()
    sound = torch.tensor(
        [
            not bool(minima.failed[s])
            and unsound(a.numbers, positions[owner == s], _bonds(a)) is None
            for s, a in enumerate(atoms)
        ],
        device=batch.positions.device,
    )
    relaxed = minima.positions.to(batch.positions)
    moved = torch.where(sound[batch.structure, None], relaxed, batch.positions)
    e_min = torch.where(sound, minima.energies.mean(0), minima.energies_start.mean(0))
    return replace(batch, positions=moved), e_min


def choose_starts(
    dataset: pd.DataFrame, structures: pd.DataFrame, count: int, seed: list[int]
) -> pd.DataFrame:
    """At most ``count`` species of training groups, one geometry each (the relaxed one if any).

    Calibration, validation and test groups are never touched: what the attack finds is trained on.
    """
    training = dataset.loc[(dataset["split"] == "train") & dataset["candidate_id"].notna()]
    known = structures.drop_duplicates("structure_id")
    rows = known[known["structure_id"].isin(training["structure_id"])].copy()
    rows["_displaced"] = rows["origin"] != "relaxed"
    rows = rows.sort_values(["species_id", "_displaced", "structure_id"])
    rows = rows.drop_duplicates("species_id").drop(columns="_displaced")
    chosen = np.random.default_rng(seed).permutation(len(rows))[:count]
    return rows.iloc[np.sort(chosen)].reset_index(drop=True)


def _bonds(atoms: ase.Atoms) -> set[tuple[int, int]]:
    return bonds_of_geometry(atoms.numbers, atoms.positions)


def _row(atoms: ase.Atoms, parent: pd.Series, protocol: str) -> dict:
    return structure_row(
        atoms,
        species_id=parent["species_id"],
        origin="attack",
        geometry_protocol_id=protocol,
        parent_structure_id=parent["structure_id"],
        candidate_id=parent["candidate_id"],
        role=parent["role"],
    )
