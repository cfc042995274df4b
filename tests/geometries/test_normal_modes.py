"""Vibrations: their frequencies against other codes, their amplitudes against known limits."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT
from ase.data import atomic_masses
from ase.optimize import BFGS
from ase.vibrations import Vibrations

from molsieve.geometries.normal_modes import Modes, hessian, normal_modes
from molsieve.potential.graphs import AtomsBatch
from molsieve.units import BOLTZMANN_EV_PER_K
from tests.dynamics.wells import Emt, Spring
from tests.morse_committee import MorseCommittee


def test_hessian_is_that_of_automatic_differentiation(minima):
    committee, batch, _ = minima
    found = hessian(committee, batch)
    for s in (0, 2):
        alone = batch.chosen(torch.tensor([s]))

        def energy(flat, alone=alone):
            place = flat.view(-1, 3)
            return committee(alone.with_positions(place), create_graph=True).energies.mean()

        exact = torch.autograd.functional.hessian(energy, alone.positions.flatten())
        assert torch.allclose(found[s], exact, atol=2e-2)
        assert torch.equal(found[s], found[s].t())


def test_a_diatomic_vibrates_as_it_should():
    """ω² = k/μ; five rigid motions are gone, whatever its direction."""
    place = np.array([[0.3, 0.1, 0.2], [0.3, 0.1, 0.2] + 1.1 * np.array([0.6, 0.0, 0.8])])
    batch = AtomsBatch.from_atoms([ase.Atoms("CO", place)] * 2)
    for modes in normal_modes(Spring(stiffness=30.0), batch):
        assert modes.curvature.shape == (1,)
        reduced = 12.011 * 15.999 / (12.011 + 15.999)
        assert modes.curvature.item() == pytest.approx(30.0 / reduced, rel=1e-3)
        expected = 0.6582119569 * np.sqrt(30.0 / reduced * 9.64853321e-3)
        assert modes.quanta_ev.item() == pytest.approx(expected, rel=1e-3)


def test_quanta_are_those_of_ase(tmp_path):
    """ASE keeps rotations and translations among its modes, so the vibrations are compared."""
    atoms = ase.build.molecule("C2H4")
    atoms.calc = EMT()
    with BFGS(atoms, logfile=None) as relaxation:
        relaxation.run(fmax=1e-4, steps=300)
    theirs = Vibrations(atoms, name=str(tmp_path / "vib"), delta=0.01)
    theirs.run()
    energies = theirs.get_energies()
    real = np.sort(np.where(np.abs(energies.imag) > 0, -energies.imag, energies.real))
    ours = normal_modes(Emt(), AtomsBatch.from_atoms([atoms]))[0].quanta_ev.numpy()
    assert len(ours) == 12
    kept = np.sort(np.abs(real))[6:]
    assert np.allclose(np.sort(np.abs(ours)), kept, atol=2e-3)


def test_modes_are_no_rigid_motion(minima):
    committee, batch, _ = minima
    sizes = batch.sizes.tolist()
    places = batch.positions.split(sizes)
    for modes, place, z in zip(
        normal_modes(committee, batch), places, batch.numbers.split(sizes), strict=True
    ):
        mass = torch.as_tensor(atomic_masses)[z][:, None]
        centre = (mass * place).sum(0) / mass.sum()
        momentum = (mass * modes.vectors).sum(1)
        spin = (mass * torch.linalg.cross(place - centre + 0 * modes.vectors, modes.vectors)).sum(1)
        assert momentum.abs().max() < 1e-9
        assert spin.abs().max() < 1e-9
        linear = len(place) <= 2
        assert len(modes.curvature) == 3 * len(place) - (5 if linear else 6)
        assert modes.curvature.min() > -1e-2
        gram = torch.einsum("n,kni,lni->kl", mass[:, 0], modes.vectors, modes.vectors)
        assert torch.allclose(gram, torch.eye(len(gram), dtype=gram.dtype), atol=1e-9)


def test_a_solid_loses_its_translations_only():
    atoms = ase.build.bulk("C", "diamond", cubic=True)
    modes = normal_modes(MorseCommittee(), AtomsBatch.from_atoms([atoms]))[0]
    assert len(modes.curvature) == 3 * 8 - 3


def test_amplitudes_have_their_limits():
    """Equipartition when hot; the zero point when cold; quantum above classical in between."""
    vector = torch.zeros(2, 1, 3, dtype=torch.float64)
    modes = Modes(torch.tensor([2.0, 5.0], dtype=torch.float64), vector)
    quanta = modes.quanta_ev
    hot, cold = 1e5, 1.0
    equal = torch.full((2,), BOLTZMANN_EV_PER_K * hot, dtype=torch.float64)
    assert torch.allclose(modes.curvature * modes.amplitudes(hot, False) ** 2, equal)
    assert torch.allclose(modes.curvature * modes.amplitudes(hot, True) ** 2, equal, rtol=1e-3)
    ground = modes.curvature * modes.amplitudes(cold, True) ** 2
    assert torch.allclose(ground, 0.5 * quanta)
    assert (modes.amplitudes(300.0, True) > modes.amplitudes(300.0, False)).all()


def test_soft_and_imaginary_modes_move_as_if_they_had_the_softest_quantum():
    vector = torch.zeros(3, 1, 3, dtype=torch.float64)
    modes = Modes(torch.tensor([-4.0, -1e-9, 1e-9], dtype=torch.float64), vector)
    assert modes.quanta_ev[0] < 0
    amplitude = modes.amplitudes(300.0, False)
    assert torch.isfinite(amplitude).all()
    assert amplitude[1] == amplitude[2]
    stiff = Modes(torch.tensor([4.0], dtype=torch.float64), vector[:1])
    assert amplitude[0] == stiff.amplitudes(300.0, False)[0]


def test_a_linear_molecule_bent_by_noise_keeps_four_vibrations_and_a_bent_one_three():
    straight = ase.Atoms("OCO", [[0, 0, -1.16], [1e-4, 0, 0], [0, 0, 1.16]])
    modes = normal_modes(MorseCommittee(), AtomsBatch.from_atoms([straight]))[0]
    assert len(modes.curvature) == 4
    bent = ase.Atoms("OCO", [[0, 0, -1.16], [0.2, 0, 0], [0, 0, 1.16]])
    modes = normal_modes(MorseCommittee(), AtomsBatch.from_atoms([bent]))[0]
    assert len(modes.curvature) == 3
