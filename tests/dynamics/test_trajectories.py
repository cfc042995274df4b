"""Trajectories end where they become unphysical, say why, and hand over what taught it."""

from __future__ import annotations

from dataclasses import replace

import ase
import ase.build
import numpy as np
import pytest
import torch
from scipy.stats import gamma

from molsieve.dynamics import DynamicsSettings, Limits, run_dynamics, stability
from molsieve.dynamics.monitors import FALSE_ALARM, Monitor, Reading, force_deviation
from molsieve.potential.graphs import AtomsBatch
from molsieve.units import BOLTZMANN_EV_PER_K
from tests.dynamics.wells import Emt, Spring

SETTINGS = DynamicsSettings(temperature_k=300.0, steps=60, check_every=10, keep_every=20)


def diatomics(count, length=1.1):
    return AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, length]])] * count)


def test_sane_trajectories_run_to_their_end(minima):
    committee, batch, _ = minima
    result = run_dynamics(committee, batch, SETTINGS, seed=1)
    assert result.stable.all(), result.reasons
    assert result.reasons == [""] * 5
    assert result.ended_step.tolist() == [60] * 5
    assert result.calls == 61
    assert result.steps.tolist() == list(range(0, 61, 10))
    assert result.temperature_k.shape == (7, 5)
    sizes = batch.sizes.tolist()
    assert [tuple(f.shape) for f in result.frames] == [(4, n, 3) for n in sizes]
    first = torch.cat([f[0] for f in result.frames])
    last = torch.cat([f[-1] for f in result.frames])
    assert torch.equal(first, batch.positions)
    assert torch.equal(last, result.positions)
    assert not torch.equal(first, last)


def test_a_trajectory_depends_on_its_stream_and_not_on_its_company(minima):
    committee, batch, _ = minima
    together = run_dynamics(committee, batch, SETTINGS, seed=3)
    alone = run_dynamics(committee, batch.chosen(torch.tensor([2])), SETTINGS, 3, streams=[2])
    mine = batch.structure == 2
    assert torch.allclose(alone.positions, together.positions[mine], atol=1e-9)
    again = run_dynamics(committee, batch, SETTINGS, seed=3)
    assert torch.equal(again.positions, together.positions)
    other = run_dynamics(committee, batch, SETTINGS, seed=4)
    assert not torch.allclose(other.positions, together.positions, atol=1e-3)


def test_a_hole_in_the_potential_ends_only_the_trajectories_that_fall_in():
    """Beyond 1.25 Å the spring pushes on: the hot ones among forty break their bond."""
    spring = Spring(hole_angstrom=1.25)
    settings = replace(SETTINGS, temperature_k=1500.0, steps=400)
    result = run_dynamics(spring, diatomics(40), settings, seed=1)
    broken = ~result.stable
    assert 3 <= int(broken.sum()) <= 37
    assert {result.reasons[s] for s in torch.nonzero(broken)[:, 0]} <= {
        "connectivity changed",
        "two atoms too close",
        "potential energy",
        "temperature",
    }
    assert (result.ended_step[broken] <= 400).all()
    assert (result.ended_step[broken] < 400).any()
    assert (result.ended_step[~broken] == 400).all()
    assert spring.structures == 40 + int(result.ended_step.sum())
    last = result.positions.view(40, 2, 3)
    assert (last[:, 1] - last[:, 0]).norm(dim=1).max() < 1.5 * (0.76 + 0.66)
    readings = result.temperature_k.isnan().sum(0)
    assert readings[~broken].max() == 0
    looks = (400 - result.ended_step[broken]) / 10
    assert torch.equal(readings[broken], looks.long())
    kept = [len(f) for f in result.frames]
    assert max(kept) == 21 and min(kept) < 21


def test_the_last_sane_frame_and_the_first_uncertain_one_are_handed_over():
    spring = Spring(hole_angstrom=1.25, disagreement=1.0)
    limits = Limits(uncertain_force_spread=0.02)
    settings = replace(SETTINGS, temperature_k=1500.0, steps=400, limits=limits)
    batch = diatomics(40)
    result = run_dynamics(spring, batch, settings, seed=1)
    for s in range(40):
        mine = [c for c in result.candidates if c.trajectory == s]
        why = {c.why for c in mine}
        assert 1 <= len(mine) <= 3
        assert len({c.step for c in mine}) == len(mine)
        spread = result.force_spread[:, s]
        beyond = torch.nonzero(spread > 0.02)[:, 0] * 10
        if len(beyond) and beyond[0] < result.ended_step[s]:
            assert any(c.step == beyond[0] for c in mine)
            assert "uncertain" in why
        if not result.stable[s]:
            assert any(c.step == result.ended_step[s] - 10 for c in mine)
        largest = max(c.force_spread for c in mine)
        sane = spread if result.stable[s] else spread[: int(result.ended_step[s]) // 10]
        assert largest == pytest.approx(np.nanmax(sane.numpy()))
    frame = result.candidates[0]
    moved = batch.with_positions(torch.from_numpy(np.tile(frame.positions, (40, 1))))
    assert force_deviation(spring(moved), moved)[0].item() == pytest.approx(frame.force_spread)


def reason_of(calculator, batch, **changes):
    result = run_dynamics(calculator, batch, replace(SETTINGS, **changes), seed=1)
    assert len(set(result.reasons)) == 1, result.reasons
    assert bool(result.stable[0]) == (result.reasons[0] == "")
    return result.reasons[0]


def test_each_monitor_names_its_reason():
    two = diatomics(2)
    assert reason_of(Spring(), two) == ""
    assert reason_of(Spring(hole_angstrom=0.5), two) != ""
    uncertain = Limits(force_spread=1e-4)
    assert reason_of(Spring(disagreement=1.0), two, limits=uncertain) == "committee spread"
    tight = Limits(allowance=1e-3)
    assert reason_of(Spring(), two, limits=tight) == "temperature"
    assert reason_of(Spring(), diatomics(2, 1.101), limits=tight) == "temperature"
    assert reason_of(Spring(), diatomics(2, 3.0), friction_per_ps=0.0) != ""


def test_constant_energy_that_drifts_is_unphysical():
    """A time step of a third of the bond's period does not keep the energy; 0.5 fs does."""
    strict = Limits(allowance=1e3, drift_kt=0.02)
    settings = replace(SETTINGS, friction_per_ps=0.0, limits=strict)
    for timestep_fs, reason in ((0.5, ""), (8.0, "energy drift")):
        settings = replace(settings, timestep_fs=timestep_fs)
        result = run_dynamics(Spring(), diatomics(6), settings, seed=1)
        assert reason in result.reasons
        assert result.stable.all() == (timestep_fs < 1)
        drift = (result.total_ev - result.total_ev[0]).abs()
        assert (drift[~drift.isnan()].max() > 0.002) == (timestep_fs > 1)
    heated = replace(settings, friction_per_ps=10.0, timestep_fs=0.5)
    assert run_dynamics(Spring(), diatomics(6), heated, seed=1).stable.all()


def test_forces_that_are_not_numbers_end_a_trajectory():
    class Broken(Spring):
        def __call__(self, batch):
            output = super().__call__(batch)
            return replace(output, forces=output.forces * float("nan"))

    result = run_dynamics(Broken(), diatomics(3), SETTINGS, seed=1)
    assert not result.stable.any()
    assert all(result.reasons)
    assert result.ended_step.tolist() == [0, 0, 0]
    assert result.candidates == []
    assert torch.equal(result.positions, diatomics(3).positions)


def test_stability_has_a_binomial_interval():
    share, low, high = stability(torch.tensor([True] * 97 + [False] * 3))
    assert share == 0.97
    assert 0.90 < low < 0.93
    assert 0.985 < high < 0.995
    assert stability(torch.ones(10, dtype=torch.bool))[2] == 1.0


def test_frames_are_kept_at_looks_only():
    with pytest.raises(ValueError, match="keep_every: 15 is no multiple of check_every"):
        DynamicsSettings(keep_every=15, check_every=10)


def test_molecules_of_many_sizes_stay_sane_under_a_thermostat(minima):
    committee, batch, _ = minima
    settings = replace(SETTINGS, steps=400, temperature_k=150.0, keep_every=0)
    result = run_dynamics(committee, batch, settings, seed=2)
    assert result.stable.all(), result.reasons
    assert 100 < result.temperature_k[10:].mean().item() < 200
    assert all(len(f) == 0 for f in result.frames)


def test_a_metal_is_sane_through_its_boundaries_until_it_is_too_hot():
    metal = ase.build.bulk("Cu", cubic=True).repeat(2)
    batch = AtomsBatch.from_atoms([metal])
    settings = DynamicsSettings(temperature_k=400.0, steps=60, timestep_fs=4.0, check_every=20)
    cool = run_dynamics(Emt(), batch, settings, seed=1)
    assert cool.stable.all(), cool.reasons
    # Half of the heat has gone into the bonds.
    assert 150 < cool.temperature_k[-1].mean().item() < 500
    moved = (cool.positions - batch.positions).norm(dim=1)
    assert 0.05 < moved.max() < 1.0
    hot = run_dynamics(Emt(), batch, replace(settings, temperature_k=2e4), seed=1)
    assert not hot.stable.any()
    assert set(hot.reasons) <= {"connectivity changed", "two atoms too close"}


def test_the_force_deviation_is_that_of_a_sample_of_the_worst_atom(minima):
    committee, batch, _ = minima
    output = committee(batch)
    for s, found in enumerate(force_deviation(output, batch).tolist()):
        forces = output.forces[:, batch.structure == s].numpy()
        off = np.square(forces - forces.mean(0)).sum(2).sum(0) / (len(forces) - 1)
        assert found == pytest.approx(np.sqrt(off.max()))


def test_limits_are_what_thermal_motion_crosses_hardly_ever():
    """Kinetic energy of f coordinates is gamma distributed, f/2 and kT; many atoms: close to T."""
    chain = ase.Atoms("C2000", np.arange(2000)[:, None] * [1.5, 0, 0])
    batch = AtomsBatch.from_atoms([ase.Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]), chain])
    none = torch.zeros(2, dtype=torch.float64)
    kt = BOLTZMANN_EV_PER_K * 300
    first = Reading(none, none, none, none)
    monitor = Monitor(batch, first, 300.0, True, Limits(allowance=1.0))
    for s, freedom in enumerate((3, 5997)):
        kinetic = 0.5 * freedom * BOLTZMANN_EV_PER_K * monitor.hottest[s].item()
        assert gamma.sf(kinetic, freedom / 2, scale=kt) == pytest.approx(FALSE_ALARM, rel=1e-6)
        assert monitor.steepest[s].item() == pytest.approx(kinetic)
    assert 300 < monitor.hottest[1].item() < 340
