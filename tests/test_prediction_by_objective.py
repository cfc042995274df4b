"""Prediction and its calibration where a domain has several objectives, told by property heads."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from ase import Atoms

from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.domains.oled.objective import OBJECTIVES, labelled_values
from molsieve.evaluation import evaluate_round
from molsieve.prediction import moderated, predict_candidates
from molsieve.tables import read_table
from tests.acquisition.emitters import STATES, TABLES, labels_of, values_of
from tests.morse_committee import MorseCommittee

AT_GIVEN = Prediction(max_steps=0)
NAMES = ("singlet_energy_ev", "triplet_energy_ev", "sqrt_oscillator_strength")
OFFSETS = np.array([[-0.1, 0.02, 0.01], [0.0, 0.0, 0.0], [0.1, 0.04, -0.01]])
"""(M, 3) what each member adds to the truth."""


class Heads:
    """Knows the true states of the structures by their first coordinate; members are off."""

    def __init__(self):
        first = [p[0] for p in TABLES[2]["positions_angstrom"]]
        self.known = {round(x, 5): state for x, state in zip(first, STATES, strict=True)}

    def __call__(self, batch):
        starts = [int((batch.structure == s).nonzero()[0]) for s in range(batch.n_structures)]
        told = np.array([self.known[round(float(batch.positions[i, 0]), 5)] for i in starts])
        values = told[None] + OFFSETS[:, None, :]
        return {name: torch.tensor(values[..., k]) for k, name in enumerate(NAMES)}


def members_of(places) -> dict[str, np.ndarray]:
    return values_of(STATES[list(places)][None] + OFFSETS[:, None, :])


def judge(tmp_path, monkeypatch):
    splits = np.array(["train", "calibration", "test"] * 20)[: len(STATES)]
    labels = labels_of(TABLES[2], STATES).assign(
        level_id="morse", forces_ev_per_angstrom=[[0.0] * 12] * len(STATES)
    )
    dataset = TABLES[2][["structure_id", "species_id", "candidate_id"]].assign(
        round=0, level_id="morse", group=TABLES[2]["candidate_id"], why="random", split=splits
    )
    # Whether heads and energies can be trusted is told elsewhere.
    monkeypatch.setattr("molsieve.evaluation.evaluate_committee", lambda *a: ([], {}))
    monkeypatch.setattr("molsieve.evaluation.evaluate_properties", lambda *a: ([], {}))
    files = [tmp_path / name for name in ("metrics.parquet", "calibration.json", "parity.parquet")]
    evaluate_round(
        dataset, TABLES[2], labels, MorseCommittee(), "oled", {}, AT_GIVEN, 0, "morse", *files,
        built=TABLES[2], property_committee=Heads(),
    )  # fmt: skip
    return files, splits


def test_each_objective_is_calibrated_and_judged_on_its_own(tmp_path, monkeypatch):
    files, splits = judge(tmp_path, monkeypatch)
    told = json.loads(files[1].read_text())
    assert set(told["objectives"]) == {o.name for o in OBJECTIVES} and "scale" not in told
    assert told["calibrated"] is True
    assert {c["n_calibration"] for c in told["objectives"].values()} == {13}
    parity = read_table(files[2], "parity")
    truth = labelled_values(TABLES[2], labels_of(TABLES[2], STATES), {}).set_index("candidate_id")
    for o in OBJECTIVES:
        rows = parity[parity["objective"] == o.name].set_index("candidate_id")
        assert len(rows) == (splits != "train").sum() and set(rows["unit"]) == {o.unit}
        np.testing.assert_allclose(rows["label_value"], truth.loc[rows.index, o.name])
        assert rows["mean"].notna().all()
    gap = parity[parity["objective"] == "singlet_triplet_gap"]
    np.testing.assert_allclose(gap["mean"] - gap["label_value"], -0.02)
    metrics = read_table(files[0], "metrics")
    named = metrics.set_index(["objective", "split", "name"])["value"]
    assert named["singlet_triplet_gap", "test", "objective_mae"] == pytest.approx(0.02)
    assert named["singlet_energy", "test", "objective_mae"] == pytest.approx(0.0, abs=1e-9)


def test_a_candidate_has_a_row_an_objective(tmp_path, monkeypatch):
    files, _ = judge(tmp_path, monkeypatch)
    calibration = json.loads(files[1].read_text())
    candidates = TABLES[0].iloc[:6]
    built = TABLES[2].iloc[:5]  # of the sixth nothing was built
    out = tmp_path / "predictions.parquet", tmp_path / "structures.parquet"
    counts = predict_candidates(
        candidates, TABLES[1].iloc[:6], built, MorseCommittee(), "oled", calibration, {}, AT_GIVEN,
        0, "morse", *out, property_committee=Heads(),
    )  # fmt: skip
    rows = read_table(out[0], "predictions")
    assert counts["candidates"] == 6 and counts["failed"] == 1
    assert not rows.duplicated(["candidate_id", "objective"]).any() and len(rows) == 18
    failed = rows[rows["status"] == "failed"]
    assert len(failed) == 3 and set(failed["reason"]) == {"no geometry: ground"}
    expected = members_of(range(5))
    for o in OBJECTIVES:
        own = rows[rows["objective"] == o.name].set_index("candidate_id")
        own = own.loc[candidates["candidate_id"].iloc[:5]]
        np.testing.assert_allclose(np.array(own["members"].tolist(), float).T, expected[o.name])
        np.testing.assert_allclose(own["std_raw"], expected[o.name].std(axis=0, ddof=1))
        scale = calibration["objectives"][o.name]["scale"]
        spread = moderated(own["std_raw"].to_numpy(float), calibration["objectives"][o.name])
        np.testing.assert_allclose(own["std"], scale * spread)


def test_without_heads_nothing_is_predicted(tmp_path):
    plain = {"scale": 1.0, "q68": 1.0, "q95": 2.0, "std_raw_limit": None}
    out = tmp_path / "predictions.parquet", tmp_path / "structures.parquet"
    predict_candidates(
        TABLES[0].iloc[:2], TABLES[1].iloc[:2], TABLES[2].iloc[:2], MorseCommittee(), "oled",
        {"objectives": {o.name: plain for o in OBJECTIVES}}, {}, AT_GIVEN, 0, "morse", *out,
    )  # fmt: skip
    rows = read_table(out[0], "predictions")
    assert set(rows["reason"]) == {"a property is not finite"} and rows["mean"].isna().all()
    assert len(rows) == 6


class Lengths:
    """Every property is the distance of the first two atoms; members are off."""

    def __call__(self, batch):
        first = torch.cumsum(batch.sizes, 0) - batch.sizes
        apart = (batch.positions[first] - batch.positions[first + 1]).norm(dim=1).detach()
        return {name: apart + torch.tensor(OFFSETS[:, k, None]) for k, name in enumerate(NAMES)}


def test_properties_are_those_of_the_committees_minima(tmp_path):
    """Heads are asked where the relaxation ended, not where it began."""
    rows = [
        structure_row(
            Atoms("CO", [[0, 0, 0], [0, 0, length]]), species_id=species, origin="relaxed",
            geometry_protocol_id="test", candidate_id=candidate, role="ground",
        )
        for length, species, candidate in zip(
            (1.3, 1.7), TABLES[1]["species_id"], TABLES[0]["candidate_id"], strict=False
        )
    ]  # fmt: skip
    built, plain = pd.DataFrame(rows), {"scale": 1.0, "q68": 1.0, "q95": 2.0, "std_raw_limit": None}
    out = tmp_path / "predictions.parquet", tmp_path / "structures.parquet"
    predict_candidates(
        TABLES[0].iloc[:2], TABLES[1].iloc[:2], built, MorseCommittee(), "oled",
        {"objectives": {o.name: plain for o in OBJECTIVES}}, {}, Prediction(max_steps=50), 0,
        "morse", *out, property_committee=Lengths(),
    )  # fmt: skip
    minima = read_table(out[1], "structures").set_index("candidate_id")
    told = read_table(out[0], "predictions")
    told = told[told["objective"] == "singlet_energy"].set_index("candidate_id")
    for candidate in built["candidate_id"]:
        ends = np.reshape(minima.loc[candidate, "positions_angstrom"], (-1, 3))
        apart = np.linalg.norm(ends[0] - ends[1])
        np.testing.assert_allclose(told.loc[candidate, "members"], apart + OFFSETS[:, 0], atol=1e-4)
        assert abs(apart - 1.3) > 0.01 and abs(apart - 1.7) > 0.1
