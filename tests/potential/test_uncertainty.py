import json
from dataclasses import replace

import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential import evaluation
from molsieve.potential.committee import Committee, CommitteeOutput
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.uncertainty import calibrated, spreads


@pytest.fixture(scope="module")
def committee(member_folders):
    return Committee.load(member_folders)


@pytest.fixture(scope="module")
def residuals(committee, tables_of_couples):
    """Every labelled structure; each is its own group, so that there are enough of them."""
    dataset, structures, labels = tables_of_couples
    rows = dataset.assign(group=dataset["structure_id"])
    return evaluation.committee_residuals(committee, rows, structures, labels)


@pytest.fixture(scope="module")
def calibration(residuals):
    fitted = evaluation.fit_calibration(residuals, evaluation.feature_space(residuals))
    return json.loads(json.dumps(fitted, allow_nan=False))


@pytest.fixture(scope="module")
def batch(tables_of_couples):
    return AtomsBatch.from_structures(tables_of_couples[1])


def test_without_a_calibration_spreads_are_raw(committee, batch):
    output = committee(batch)
    told = calibrated(output, batch, None)
    assert not told.calibrated and told.in_domain.all() and np.isnan(told.domain_score).all()
    assert told.energy_std == pytest.approx(output.energy_std.numpy())
    assert told.forces_std == pytest.approx(output.forces_std.numpy())
    assert told.energy_half_95 == pytest.approx(1.959964 * told.energy_std)


def test_calibrated_intervals_cover_what_they_were_set_on(committee, batch, calibration, residuals):
    told = calibrated(committee(batch), batch, calibration)
    assert told.calibrated
    sizes = batch.sizes.numpy()
    for level, energy, force in (
        (0.68, told.energy_half_68, told.forces_half_68),
        (0.95, told.energy_half_95, told.forces_half_95),
    ):
        inside = np.abs(residuals.energy_per_atom * sizes) <= energy
        assert np.mean(inside) == pytest.approx(level, abs=0.15)
        assert np.mean(np.abs(residuals.forces) <= force) == pytest.approx(level, abs=0.1)
    assert told.in_domain.mean() >= 0.94
    assert told.forces_std.shape == told.forces.shape == residuals.forces.shape


def test_a_structure_does_not_depend_on_its_company(committee, tables_of_couples, calibration):
    rows = tables_of_couples[1]
    batch, alone = (AtomsBatch.from_structures(r) for r in (rows, rows.iloc[7:8]))
    together = calibrated(committee(batch), batch, calibration)
    single = calibrated(committee(alone), alone, calibration)
    atoms = (batch.structure == 7).numpy()
    assert single.energy_std[0] == pytest.approx(together.energy_std[7], rel=1e-3)
    assert single.forces_std == pytest.approx(together.forces_std[atoms], rel=1e-2, abs=1e-4)
    assert single.domain_score[0] == pytest.approx(together.domain_score[7], rel=1e-2)


def test_structures_torn_apart_are_out_of_domain(committee, calibration):
    rng = np.random.default_rng(0)
    torn = [ase.build.molecule(name) for name in ("CH3OH", "C2H6", "CH3CHO")]
    for atoms in torn:
        atoms.positions += rng.normal(0, 0.5, atoms.positions.shape)
    batch = AtomsBatch.from_atoms(torn)
    told = calibrated(committee(batch), batch, calibration)
    assert not told.in_domain.any() and (told.domain_score > 1).all()


def test_energies_alone_are_refused_where_the_measure_reads_forces(committee, batch, calibration):
    needs = dict(calibration, energy=dict(calibration["energy"], weights={"forces": 1.0}))
    with pytest.raises(ValueError, match="reads forces"):
        calibrated(committee(batch, forces=False), batch, needs)


def test_stress_spreads_are_calibrated_component_by_component():
    rng = np.random.default_rng(1)
    stress = torch.from_numpy(rng.normal(size=(4, 2, 3, 3)))
    stress = stress + stress.transpose(2, 3)
    batch = AtomsBatch.from_atoms([ase.build.bulk("Si"), ase.build.bulk("C")])
    output = CommitteeOutput(
        torch.from_numpy(rng.normal(size=(4, 2))),
        torch.from_numpy(rng.normal(size=(4, 4, 3))),
        torch.zeros(2, 5),
        stress,
    )
    assert calibrated(output, batch, None).stress_std == pytest.approx(stress.std(0).numpy())
    model = {
        "measure": "component",
        "weights": {"component": 9.0},
        "smallest_std": 0.0,
        "q68": 1.0,
        "q95": 2.0,
        "q68_conformal": True,
        "q95_conformal": True,
    }
    told = calibrated(output, batch, {"stress": model})
    assert told.stress_std == pytest.approx(3 * stress.std(0).numpy())
    assert calibrated(replace(output, stress=None), batch, None).stress_std is None


def test_spreads_by_hand():
    energies = np.array([[0.0, 1.0], [2.0, 1.0]])
    forces = np.zeros((2, 3, 3))
    forces[0, 0, 0], forces[0, 2, 1] = 2.0, 4.0
    told = spreads(energies, forces, np.zeros((2, 4)), np.array([0, 0, 1]), None)
    assert told.energy["energy"] == pytest.approx([np.sqrt(2) / 2, 0])
    assert told.force["component"].reshape(3, 3)[[0, 2], [0, 1]] == pytest.approx(
        [np.sqrt(2), np.sqrt(8)]
    )
    assert told.force["atom"][::3] == pytest.approx(np.sqrt([2 / 3, 0, 8 / 3]))
    assert told.force["structure"][::3] == pytest.approx(np.sqrt([1 / 3, 1 / 3, 8 / 3]))
    assert told.domain["force_spread"] == pytest.approx(np.sqrt([1 / 3, 8 / 3]))
    assert told.domain["largest_force_spread"] == pytest.approx(np.sqrt([2 / 3, 8 / 3]))
    assert "feature_distance" not in told.energy and not told.stress
