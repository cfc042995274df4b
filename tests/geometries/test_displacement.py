"""Displaced copies: as long as they should be, bounded, sound, and each of its own chance."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch

from molsieve.geometries.displacement import (
    bounded_and_sound,
    normal_mode_displacement,
    random_displacement,
)
from molsieve.geometries.normal_modes import Modes, normal_modes
from molsieve.geometries.soundness import Soundness
from molsieve.potential.graphs import AtomsBatch
from molsieve.units import BOLTZMANN_EV_PER_K
from tests.dynamics.wells import Spring


def copies_of(displace, count):
    return [displace([7, copy]) for copy in range(count)]


def test_random_displacements_have_their_length_and_bound():
    batch = AtomsBatch.from_atoms([ase.build.molecule("C6H6"), ase.build.molecule("CH4")])
    copies = copies_of(lambda seed: random_displacement(batch, 0.02, 0.5, seed), 60)
    shifts = torch.stack([c.positions - batch.positions for c in copies])
    assert shifts.std().item() == pytest.approx(0.02, rel=0.05)
    assert shifts.mean().abs().item() < 4 * 0.02 / np.sqrt(shifts.numel())
    tight = random_displacement(batch, 0.5, 0.1, [7, 0])
    moved = (tight.positions - batch.positions).norm(dim=1)
    assert moved.max() <= 0.1 + 1e-9
    assert tight.sound.all()


def test_what_breaks_a_molecule_is_halved_until_it_does_not():
    batch = AtomsBatch.from_atoms([ase.build.molecule("C2H6")] * 20)
    free = random_displacement(batch, 0.4, 9.0, [1, 0])
    faults = Soundness(batch).faults(batch.with_positions(free.positions))
    assert [not f for f in faults] == free.sound.tolist()
    assert free.sound.float().mean() > 0.9
    steps = torch.randn(batch.positions.shape, generator=torch.Generator().manual_seed(1))
    whole = batch.with_positions(batch.positions + 0.4 * steps.double())
    assert sum(map(bool, Soundness(batch).faults(whole))) > 10
    violent = bounded_and_sound(batch, 100.0 * steps.double(), 1e9)
    assert not violent.sound.all()


def test_each_structure_has_its_own_chance():
    atoms = [ase.build.molecule(n) for n in ("CH4", "C2H4", "H2O")]
    together = random_displacement(AtomsBatch.from_atoms(atoms), 0.05, 0.5, [1, 0])
    alone = random_displacement(AtomsBatch.from_atoms(atoms[:1]), 0.05, 0.5, [1, 0])
    assert torch.equal(together.positions[:5], alone.positions)
    assert not torch.equal(
        random_displacement(AtomsBatch.from_atoms(atoms), 0.05, 0.5, [1, 1]).positions,
        together.positions,
    )


def test_a_thermal_bond_length_has_the_variance_of_its_spring():
    """kT/k along the bond; its centre and direction stay."""
    batch = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]])] * 400)
    modes = normal_modes(Spring(stiffness=30.0), batch)
    found = normal_mode_displacement(batch, modes, 500.0, False, 0.5, [3, 0])
    assert found.sound.all()
    place = found.positions.view(400, 2, 3)
    bonds = place[:, 1] - place[:, 0]
    assert bonds[:, :2].abs().max() < 1e-6
    variance = bonds[:, 2].var().item()
    expected = BOLTZMANN_EV_PER_K * 500 / 30.0
    assert variance == pytest.approx(expected, rel=4 * np.sqrt(2 / 400))
    mass = torch.tensor([12.011, 15.999], dtype=torch.float64)[None, :, None]
    centre = (mass * (place - batch.positions.view(400, 2, 3))).sum(1)
    assert centre.abs().max() < 1e-5


def test_hotter_modes_reach_further_within_their_bound(minima):
    committee, batch, _ = minima
    modes = normal_modes(committee, batch)

    def length(temperature, longest=0.4):
        found = normal_mode_displacement(batch, modes, temperature, False, longest, [1, 0])
        assert found.sound.all()
        return (found.positions - batch.positions).norm(dim=1)

    assert length(30.0).mean() < length(300.0).mean()
    assert length(3e5).max() <= 0.4 + 1e-9
    assert length(300.0, 0.05).max() <= 0.05 + 1e-9
    rise = committee(batch.with_positions(batch.positions)).energies.mean(0)
    found = normal_mode_displacement(batch, modes, 300.0, False, 0.4, [2, 0])
    above = committee(batch.with_positions(found.positions)).energies.mean(0) - rise
    freedom = torch.tensor([len(m.curvature) for m in modes])
    assert (above > 0).all()
    assert (above < 5 * freedom * BOLTZMANN_EV_PER_K * 300).all()


def test_a_soft_mode_goes_no_further_than_straight_lines_do():
    """Soft and stiff, hot: the soft one alone half of the longest displacement, root mean square;
    a longest displacement that never binds leaves its thermal amplitude."""
    batch = AtomsBatch.from_atoms([ase.Atoms("C2", [[0, 0, 0], [0, 0, 1.4]])] * 300)
    vectors = torch.tensor([[[1.0, 0, 0], [-1.0, 0, 0]]]).double() / np.sqrt(24.0)
    modes = [Modes(torch.tensor([1e-3]).double(), vectors)] * 300
    thermal = modes[0].amplitudes(300.0, False).item() / np.sqrt(24.0)
    for longest, expected in ((0.2, 0.1), (1e3, thermal)):
        found = normal_mode_displacement(batch, modes, 300.0, False, longest, [3, 0])
        shift = (found.positions - batch.positions)[::2, 0]
        if longest < 1:
            # Normal steps of 0.1 Å, those beyond 0.2 Å shortened to that.
            assert shift.abs().median().item() == pytest.approx(0.674 * expected, rel=0.15)
        else:
            assert expected > 0.2
            assert shift.abs().max().item() > 0.2
