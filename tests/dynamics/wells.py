"""Calculators whose motion is known in closed form. Same interface as a committee; eV, Å."""

from __future__ import annotations

import ase
import torch
from ase.calculators.emt import EMT

from molsieve.potential.committee import CommitteeOutput


class HarmonicWell:
    """Every atom in a well of its own at the origin: E = k |x|² / 2, the same for all members."""

    def __init__(self, stiffness: float, members: int = 2):
        self.stiffness, self.members = stiffness, members

    def __call__(self, batch):
        energy = 0.5 * self.stiffness * batch.positions.square().sum(1)
        total = energy.new_zeros(batch.n_structures).index_add(0, batch.structure, energy)
        forces = -self.stiffness * batch.positions
        return CommitteeOutput(
            total.expand(self.members, -1),
            forces.expand(self.members, -1, -1),
            features=torch.zeros(batch.n_structures, 1),
        )


class Spring:
    """Diatomics bound by E = k (r - r0)² / 2 whose bond gives way beyond ``hole_angstrom``.

    Beyond it the force pushes on instead of back. Members differ in their stiffness by 1 % and
    disagree on every force along x by ``disagreement`` eV/Å a bond length of elongation.
    """

    def __init__(self, stiffness=30.0, length=1.1, hole_angstrom=9.0, disagreement=0.0):
        self.stiffness, self.length = stiffness, length
        self.hole, self.disagreement = hole_angstrom, disagreement
        self.structures = 0

    def __call__(self, batch):
        self.structures += batch.n_structures
        first, second = batch.positions[::2], batch.positions[1::2]
        bond = second - first
        length = torch.linalg.vector_norm(bond, dim=1, keepdim=True)
        pull = self.stiffness * (length - self.length)
        pull = torch.where(length > self.hole, -pull, pull) * bond / length
        energy = 0.5 * self.stiffness * (length[:, 0] - self.length) ** 2
        off = torch.zeros_like(pull)
        off[:, 0] = self.disagreement * (length[:, 0] - self.length).abs()
        forces = torch.stack([pull + off, -pull - off], 1).flatten(0, 1)
        other = torch.stack([pull - off, -pull + off], 1).flatten(0, 1)
        return CommitteeOutput(
            torch.stack([energy, energy]),
            torch.stack([forces, other]),
            features=torch.zeros(batch.n_structures, 1),
        )


class Emt:
    """ASE's effective-medium theory for metals and, crudely, molecules; two members of one mind."""

    def __call__(self, batch):
        energies, forces = [], []
        for s in range(batch.n_structures):
            mine = batch.structure == s
            atoms = ase.Atoms(
                batch.numbers[mine].numpy(),
                batch.positions[mine].numpy(),
                cell=batch.cell[s].numpy(),
                pbc=batch.pbc[s].numpy(),
            )
            atoms.calc = EMT()
            forces.append(torch.from_numpy(atoms.get_forces()))
            energies.append(atoms.get_potential_energy())
        return CommitteeOutput(
            torch.tensor([energies, energies], dtype=torch.float64),
            torch.cat(forces).expand(2, -1, -1),
            features=torch.zeros(batch.n_structures, 1),
        )
