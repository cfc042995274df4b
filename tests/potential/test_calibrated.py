"""A committee outside the workflow: loading, copies, pickles, what it says with how much spread."""

import copy
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import ase.build
import numpy as np
import pytest
import torch

from molsieve.potential import load_committee
from molsieve.potential.calibrated import CalibratedCommittee
from molsieve.potential.committee_prediction import SpreadCalibration, predict_batch
from molsieve.potential.graphs import AtomsBatch
from molsieve.potential.uncertainty import calibrated
from molsieve.section import CampaignError
from tests.finished_campaign import LEVEL, water
from tests.potential.random_members import SHAPE, random_member


@pytest.fixture(scope="module")
def committee(results):
    return load_committee(results, device="cpu")


@pytest.fixture(scope="module")
def ionic():
    """Random weights, charge and spin embedded, trained (so it says) on neutral singlets only."""
    description = {
        "level_id": "random",
        "architecture": SHAPE | {"electronic_embedding": True},
        "elements": [1, 8],
        "charges_and_multiplicities": [[0, 1]],
    }
    models = [random_member(seed, electronic_embedding=True) for seed in range(2)]
    return CalibratedCommittee(models, [description] * 2)


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, molsieve.potential as p; assert callable(p.load_committee); "
        "print(sorted({'torch', 'pandas', 'rdkit', 'ase'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_committee_knows_its_round_and_its_calibration(committee, results):
    assert len(committee) == 2 and committee.level_id == LEVEL
    assert committee.elements == [1, 8] and committee.device == "cpu"
    assert committee.files.round == 1
    written = json.loads((results / "rounds/1/evaluation/calibration.json").read_text())
    assert committee.calibration.content["energy"] == written["energy"]
    assert committee.calibration.names == ("energy", "forces")
    assert committee.calibration.structures == 8
    assert "tiny, round 1, calibrated: energy, forces" in repr(committee)


def test_predictions_are_calibrated_means(committee, results):
    structures = [water(0.1, seed) for seed in range(3)]
    found = committee.predict(structures)
    output = committee(batch := AtomsBatch.from_atoms(structures))
    written = json.loads((results / "rounds/1/evaluation/calibration.json").read_text())
    told = calibrated(output, batch, written)
    assert found.energy == pytest.approx(output.energy_mean.numpy())
    assert found.energy_std == pytest.approx(told.energy_std)
    assert found.forces == pytest.approx(output.forces_mean.numpy())
    assert found.forces_std == pytest.approx(told.forces_std)
    assert found.energy_std_raw == pytest.approx(output.energy_std.numpy())
    assert found.forces_std_raw == pytest.approx(output.forces_std.numpy(), abs=1e-7)
    assert not np.allclose(found.energy_std, found.energy_std_raw, rtol=0.05)
    for interval, half in (
        (found.energy_interval_68, told.energy_half_68),
        (found.energy_interval_95, told.energy_half_95),
    ):
        assert interval == pytest.approx(np.stack([told.energy - half, told.energy + half], 1))
    assert found.calibrated == ("energy", "forces")
    assert found.stress is None and found.stress_std is None
    alone = committee.predict(structures[1])
    assert alone.energy[0] == pytest.approx(found.energy[1])


def test_errors_are_what_the_spread_says(committee):
    """Fresh distortions of the kind it was trained on, against the level it learned from."""
    from tests.potential.conftest import gfn2

    structures = [water(0.06, seed) for seed in range(100, 120)]
    found = committee.predict(structures)
    truth = np.array([gfn2(atoms)[0] for atoms in structures])
    low, high = found.energy_interval_95.T
    assert np.mean((low <= truth) & (truth <= high)) >= 0.6
    z = (found.energy - truth) / found.energy_std
    assert 0.1 < np.sqrt(np.mean(z**2)) < 5


def test_what_was_never_seen_is_out_of_the_domain(committee):
    torn = water()
    torn.positions[1] += 1.2
    batch = AtomsBatch.from_atoms([water(), ase.build.molecule("CH4"), torn])
    scores = committee.predict(batch).domain_score
    # A limit between the two waters, whichever of them this small training takes for the stranger.
    domain = dict(committee.calibration.content["domain"])
    limit = np.sqrt(scores[0] * scores[2])
    domain["limit"] *= limit
    domain["farthest"] *= limit
    content = {**committee.calibration.content, "domain": domain}
    found = predict_batch(committee, batch, SpreadCalibration.of(content))
    assert found.reasons[1] == "element never seen in training: C"
    inside, outside = np.argsort(scores[[0, 2]]) * 2
    assert found.in_domain[inside] and not found.in_domain[outside] and not found.in_domain[1]
    assert found.reasons[inside] is None
    assert found.reasons[outside].endswith(f"is {scores[outside] / limit:.2f} times the limit")


def test_an_element_beyond_the_network_is_refused(committee):
    with pytest.raises(CampaignError, match="Fm: the network has elements up to number 99"):
        committee.predict([water(), ase.Atoms("Fm")])
    assert committee.predict(ase.Atoms("Es")).reasons == ["element never seen in training: Es"]


def test_what_is_no_geometry_is_never_a_sane_energy(committee):
    lost, merged = water(), water()
    lost.positions[0, 0] = np.nan
    with pytest.raises(CampaignError, match="structure 1: the position of an atom is not a number"):
        committee.predict([water(), lost])
    merged.positions[1] = merged.positions[0]
    assert committee.predict(merged).reasons == ["the energy is not finite"]


def test_charge_states(committee, ionic):
    hydroxide = ase.build.molecule("OH")
    hydroxide.info["charge_e"] = -1
    with pytest.raises(CampaignError, match="electronic_embedding"):
        committee.predict(hydroxide)
    neutral = ase.build.molecule("H2O")
    found = ionic.predict([hydroxide, neutral])
    assert found.reasons == ["charge -1, multiplicity 1: never seen in training", None]
    assert ionic.predict(ase.build.molecule("OH")).reasons == [
        "9 electrons cannot have multiplicity 1"
    ]
    radical = hydroxide.copy()
    radical.info = {"multiplicity": 2}
    assert ionic.predict(radical).energy[0] != pytest.approx(found.energy[0], abs=1e-3)


def test_without_a_calibration_the_spread_is_the_members_own(ionic, results, tmp_path):
    found = ionic.predict(water())
    assert found.calibrated == ()
    assert found.energy_std == pytest.approx(found.energy_std_raw)
    assert found.forces_std == pytest.approx(found.forces_std_raw, abs=1e-7)
    assert np.isnan(found.domain_score[0]) and found.in_domain[0]
    folder = Path(shutil.copytree(results, tmp_path / "tiny"))
    for path in folder.glob("rounds/*/evaluation/calibration.json"):
        path.write_text(json.dumps({"calibration_structures": 0, "energy_scale": 1.0}))
    committee = load_committee(folder)
    assert committee.calibration.names == () and committee.calibration.structures == 0
    assert "calibrated: nothing" in repr(committee)


def test_copies_share_the_weights_and_pickles_carry_them(committee):
    assert copy.copy(committee) is committee
    assert copy.deepcopy({"it": committee})["it"] is committee
    twin = pickle.loads(pickle.dumps(committee))
    assert twin is not committee and twin.calibration.names == committee.calibration.names
    one, two = committee.predict(water(0.1)), twin.predict(water(0.1))
    assert one.energy == pytest.approx(two.energy, abs=1e-9)
    assert one.forces_std == pytest.approx(two.forces_std)
    assert not any(p.requires_grad for model in twin.models for p in model.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["gpu", "cuda:0"])
def test_a_gpu_that_is_not_there(results, device):
    with pytest.raises(CampaignError, match=f"device {device}: torch sees no GPU here; allowed"):
        load_committee(results, device=device)


def test_auto_takes_what_there_is(results, capsys):
    committee = load_committee(str(results), round=0)
    assert committee.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_same(results, committee):
    there = load_committee(results, device="gpu").predict([water(0.1), water()])
    here = committee.predict([water(0.1), water()])
    assert there.energy == pytest.approx(here.energy, abs=1e-4)
    assert there.forces_std == pytest.approx(here.forces_std, rel=1e-3, abs=1e-4)


def test_damaged_members_and_foreign_calibrations(results, tmp_path):
    folder = Path(shutil.copytree(results, tmp_path / "tiny"))
    calibration = folder / "rounds/1/evaluation/calibration.json"
    content = json.loads(calibration.read_text())
    calibration.write_text(json.dumps(content | {"level_id": "another"}))
    with pytest.raises(CampaignError, match=f"belongs to level another, the members to {LEVEL}"):
        load_committee(folder)
    calibration.write_text(json.dumps(content))
    member = folder / "rounds/1/committee/1"
    whole = (member / "model.pt").read_bytes()
    for damaged in (b"PK nonsense", b"", whole[:5000]):
        (member / "model.pt").write_bytes(damaged)
        with pytest.raises(CampaignError, match=r"cannot be loaded: .*1/model.pt is broken"):
            load_committee(folder)
    described = json.loads((member / "model.json").read_text())
    (member / "model.json").write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(CampaignError, match="not a member of format"):
        load_committee(folder)


def test_an_old_calibration_is_no_calibration():
    old = {"energy_scale": 2.0, "force_scale": 3.0, "calibration_structures": 9}
    assert SpreadCalibration.of(old).names == ()
