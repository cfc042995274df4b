"""The equations of motion: what they conserve, how they scale, what they sample."""

from __future__ import annotations

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet

from molsieve.dynamics.integrator import Integrator
from molsieve.potential.committee import Committee
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.model import Architecture, EnergyModel
from molsieve.units import BOLTZMANN_EV_PER_K
from tests.dynamics.wells import HarmonicWell
from tests.morse_committee import MorseCommittee

DAMPED = 10.0


def integrator(batch, calculator, timestep_fs=0.5, friction=0.0, temperature_k=300.0, seed=1):
    generators = [np.random.default_rng([seed, s]) for s in range(batch.n_structures)]
    return Integrator(calculator, batch, generators, temperature_k, timestep_fs, friction)


def energies(run):
    return run.output.energies.mean(0) + run.kinetic_ev()


def fluctuation(run, steps):
    """(S,) largest departure of the total energy from its start, eV."""
    start, worst = energies(run), 0.0
    for _ in range(steps):
        run.advance(1)
        worst = np.maximum(worst, (energies(run) - start).abs().numpy())
    return worst


def test_energy_is_conserved_to_second_order(minima):
    _, batch, _ = minima
    coarse = fluctuation(integrator(batch, MorseCommittee(), 0.8), 100)
    fine = fluctuation(integrator(batch, MorseCommittee(), 0.4), 200)
    assert coarse.max() < 0.02
    assert np.all((coarse / fine > 3.0) & (coarse / fine < 5.0))


def test_motion_runs_backwards(minima):
    _, batch, _ = minima
    run = integrator(batch, MorseCommittee())
    start = run.batch.positions
    run.advance(60)
    assert (run.batch.positions - start).abs().max() > 0.05
    run.velocities = -run.velocities
    run.advance(60)
    assert torch.allclose(run.batch.positions, start, atol=1e-9)


@pytest.mark.parametrize("friction", [0.0, DAMPED])
def test_momentum_stays_zero_and_the_centre_of_mass_at_home(minima, friction):
    _, batch, _ = minima
    run = integrator(batch, MorseCommittee(), friction=friction)
    zeros = torch.zeros(batch.n_structures, 3, dtype=torch.float64)
    home = zeros.index_add(0, batch.structure, run.mass * run.batch.positions)
    run.advance(50)
    momentum = zeros.index_add(0, batch.structure, run.mass * run.velocities)
    centre = zeros.index_add(0, batch.structure, run.mass * run.batch.positions)
    assert run.velocities.abs().max() > 1e-3
    assert momentum.abs().max() < 1e-10
    assert torch.allclose(centre, home, atol=1e-7)


class MorseOfAse(Calculator):
    """The same potential behind ASE's interface, to compare with ASE's own integrator."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        output = MorseCommittee()(AtomsBatch.from_atoms([atoms]))
        self.results = {
            "energy": output.energies.mean(0).item(),
            "forces": output.forces.mean(0).numpy(),
        }


def test_trajectory_is_that_of_ase(minima):
    _, batch, _ = minima
    run = integrator(batch, MorseCommittee(), 0.5)
    first = (batch.structure == 1).numpy()
    atoms = ase.Atoms(batch.numbers.numpy()[first], batch.positions.numpy()[first])
    atoms.set_velocities(run.velocities.numpy()[first] / units.fs)
    atoms.calc = MorseOfAse()
    run.advance(100)
    with VelocityVerlet(atoms, 0.5 * units.fs) as theirs:
        theirs.run(100)
    assert np.allclose(run.batch.positions.numpy()[first], atoms.positions, atol=1e-6)


def test_thermostat_samples_an_oscillator_as_it_should():
    """Position variance kT/k exactly, velocity variance kT/m (1 - (omega dt)²/4): Leimkuhler and
    Matthews, table I; of 3 n - 3 free coordinates each, the centre of mass being at rest."""
    stiffness, temperature, size, count, dt = 20.0, 400.0, 4, 200, 4.0
    atoms = [ase.Atoms(f"C{size}", np.zeros((size, 3)))] * count
    batch = AtomsBatch.from_atoms(atoms)
    run = integrator(batch, HarmonicWell(stiffness), dt, 80.0, temperature)
    run.advance(200)
    squares, kelvin = [], []
    for _ in range(60):
        run.advance(10)
        squares.append(run.batch.positions.square().mean().item())
        kelvin.append(run.temperatures_k().mean().item())
    omega2 = stiffness / 12.011 * 9.64853321e-3
    assert 0.04 < omega2 * dt**2 / 4 < 0.1
    free = (size - 1) / size
    expected = BOLTZMANN_EV_PER_K * temperature / stiffness * free
    # 60 looks at 200 x 9 coordinates, at least half of them independent in time.
    tolerance = 4 * np.sqrt(2 / (60 * count * 3 * (size - 1) / 2))
    assert np.mean(squares) == pytest.approx(expected, rel=tolerance)
    cooler = temperature * (1 - omega2 * dt**2 / 4)
    assert np.mean(kelvin) == pytest.approx(cooler, rel=tolerance)
    assert tolerance < 0.025


def test_first_velocities_are_of_the_temperature():
    atoms = [ase.build.molecule("C6H6")] * 200
    run = integrator(AtomsBatch.from_atoms(atoms), HarmonicWell(1.0), temperature_k=350.0)
    scatter = 350 * np.sqrt(2 / (200 * 33))
    assert abs(run.temperatures_k().mean().item() - 350) < 4 * scatter


def test_without_friction_langevin_is_velocity_verlet(minima):
    _, batch, _ = minima
    verlet, langevin = (integrator(batch, MorseCommittee(), friction=f) for f in (0.0, 1e-12))
    verlet.advance(30)
    langevin.advance(30)
    assert torch.allclose(verlet.batch.positions, langevin.batch.positions, atol=1e-6)


def test_who_leaves_does_not_change_the_others(minima):
    _, batch, _ = minima
    whole, fewer = (integrator(batch, MorseCommittee(), friction=DAMPED) for _ in range(2))
    whole.advance(10)
    fewer.advance(10)
    which = torch.tensor([True, False, True, False, True])
    fewer.keep(which)
    whole.advance(20)
    fewer.advance(20)
    same = whole.batch.positions[which[batch.structure]]
    assert torch.allclose(fewer.batch.positions, same, atol=1e-9)


@pytest.fixture
def committee():
    """Three small PaiNN members of random weights, in double precision."""
    architecture = Architecture(8, 2, 8, 3.0, False)
    models = []
    for member in range(3):
        torch.manual_seed(member)
        models.append(EnergyModel(architecture).eval().double())
    told = {
        "level_id": "x",
        "architecture": architecture.as_dict(),
        "elements": [1, 6, 14],
        "charges_and_multiplicities": [[0, 1]],
    }
    torch.set_default_dtype(torch.float64)
    yield Committee(models, [told] * 3)
    torch.set_default_dtype(torch.float32)


def test_a_solid_keeps_its_energy_while_atoms_cross_the_cutoff(committee):
    solid = ase.build.bulk("Si", cubic=True)
    solid.rattle(0.05, seed=1)
    molecule = ase.build.molecule("C6H6")
    batch = AtomsBatch.from_atoms([solid, molecule, solid])
    run = integrator(batch, committee, 1.0, temperature_k=3000.0)
    start = energies(run)
    run.advance(100)
    moved = (run.batch.positions - batch.positions).norm(dim=1)
    assert moved.max() > run.pairs.skin_angstrom / 2
    drift = (energies(run) - start).abs()
    assert (drift < 0.02 * run.kinetic_ev()).all()
    fresh = committee(run.batch)
    assert torch.allclose(fresh.forces, run.output.forces, atol=1e-9)


def test_all_pairs_of_small_molecules_give_the_forces_of_the_neighbour_list(committee):
    stretched = ase.build.molecule("C2H6")
    stretched.positions *= 1.3
    batch = AtomsBatch.from_atoms([ase.build.molecule("CH4")] * 12 + [stretched])
    run = integrator(batch, committee, 0.5)
    assert len(run.pairs(run.batch).centre) == 12 * 20 + 56
    run.advance(5)
    assert torch.allclose(committee(run.batch).forces, run.output.forces, atol=1e-10)
