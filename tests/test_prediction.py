"""Prediction and its calibration: every candidate one row, member by member, judged on the test."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve import evaluation
from molsieve.campaign import Prediction
from molsieve.chem.identities import structure_row
from molsieve.domains.flow_battery.objective import potential_v
from molsieve.evaluation import evaluate_round, fit_calibration, objective_metrics, with_intervals
from molsieve.minima import built_geometries, relax_structures
from molsieve.objective import mean_and_spread, member_values, species_roles
from molsieve.potential.graphs import AtomsBatch
from molsieve.prediction import calibrated, moderated, predict_candidates
from molsieve.prediction_shards import prediction_shard
from molsieve.relax import relax_batch
from molsieve.tables import read_table
from tests.morse_committee import MorseCommittee, cluster

LEVEL = {"h2_energy_ev": -101.0, "slope": 0.9, "intercept_v": -0.4, "level_id": "morse"}
CALIBRATION = {"scale": 2.0, "q68": 1.5, "q95": 4.0, "std_raw_limit": None}
SETTINGS = Prediction(fmax_ev_per_angstrom=0.02, max_steps=80, batch_size=4)
OXIDISED = ["CO", "C2O", "C2H2O", "CO2", "C3O", "COH2"]


def couple_rows(number: int, oxidised: str) -> list[dict]:
    """Relaxed oxidised and reduced clusters of one candidate."""
    rows = []
    for role, formula in (("oxidised", oxidised), ("reduced", oxidised + "H2")):
        batch = AtomsBatch.from_atoms([cluster(formula, number, noise=0.0)])
        atoms = cluster(formula, number)
        relaxed = relax_batch(MorseCommittee(difference=0.0), batch, 1e-3, 200)
        atoms.positions = relaxed.positions.numpy()
        rows.append(
            structure_row(
                atoms,
                species_id=f"s{number}{role}",
                origin="relaxed",
                geometry_protocol_id="built",
                candidate_id=f"c{number}",
                role=role,
            )
        )
    return rows


@pytest.fixture(scope="module")
def space():
    """Candidates c0…c5, one whose reduced form failed to build, one rejected."""
    structures = pd.DataFrame([row for n, f in enumerate(OXIDISED) for row in couple_rows(n, f)])
    structures = structures[
        ~((structures["candidate_id"] == "c5") & (structures["role"] == "reduced"))
    ]
    ids = [f"c{n}" for n in range(len(OXIDISED))]
    candidates = pd.DataFrame({"candidate_id": [*ids, "c9"], "identifier": [*OXIDISED, "X"]})
    candidates["status"] = ["accepted"] * len(ids) + ["rejected"]
    species = pd.DataFrame(
        {
            "species_id": ["s5reduced", "s4reduced"],
            "candidate_id": ["c5", "c4"],
            "role": ["reduced", "reduced"],
            "status": ["failed", "ok"],
            "error_kind": ["not_embedded", None],
            "error_message": ["no conformer", None],
        }
    )
    return candidates, species, structures


def predict(space, tmp_path, committee=None, calibration=CALIBRATION, shards=1, **changes):
    candidates, species, structures = space
    rows, minima = [], []
    for shard in range(shards):
        places = tmp_path / f"{shard}p.parquet", tmp_path / f"{shard}s.parquet"
        jobs = [prediction_shard(c, 0, 1, shards) for c in candidates["candidate_id"]]
        mine = candidates.loc[np.array(jobs) == shard]
        predict_candidates(
            mine, species, structures, committee or MorseCommittee(), "flow_battery",
            calibration, LEVEL, SETTINGS.model_copy(update=changes), 1, "morse", *places, "test",
        )  # fmt: skip
        rows.append(read_table(places[0], "predictions"))
        minima.append(read_table(places[1], "structures"))
    rows = pd.concat(rows).sort_values("candidate_id", ignore_index=True)
    return rows, pd.concat(minima, ignore_index=True)


def test_every_accepted_candidate_has_one_row(space, tmp_path):
    rows, minima = predict(space, tmp_path)
    assert rows["candidate_id"].tolist() == ["c0", "c1", "c2", "c3", "c4", "c5"]
    failed = rows[rows["status"] == "failed"]
    assert failed["candidate_id"].tolist() == ["c5"]
    assert failed["reason"].iloc[0] == "reduced: not_embedded"
    assert not failed["in_domain"].any() and failed["mean"].isna().all()
    assert len(minima) == 11 and (minima["origin"] == "relaxed").all()
    assert set(minima["parent_structure_id"]) == set(space[2]["structure_id"])
    assert (rows["unit"] == "V").all() and (rows["objective"] == "redox_potential").all()


def test_members_are_potentials_of_each_members_own_energies(space, tmp_path):
    rows, _ = predict(space, tmp_path, max_steps=0)
    committee, structures = MorseCommittee(), space[2]
    for row in rows[rows["status"] == "ok"].to_dict("records"):
        couple = structures[structures["candidate_id"] == row["candidate_id"]].set_index("role")
        energies = committee(AtomsBatch.from_structures(couple.loc[["oxidised", "reduced"]]))
        oxidised, reduced = energies.energies.detach().numpy().T
        members = potential_v(oxidised, reduced, -101.0, 0.9, -0.4)
        assert row["members"] == pytest.approx(members.tolist(), abs=1e-9)
        assert row["mean"] == pytest.approx(members.mean())
        assert row["std_raw"] == pytest.approx(members.std(ddof=1))
        assert row["std"] == pytest.approx(2 * row["std_raw"])
        half = (row["interval_95"][1] - row["interval_95"][0]) / 2
        assert half == pytest.approx(4 * row["std_raw"])
        assert np.mean(row["interval_68"]) == pytest.approx(row["mean"])


def test_common_error_of_both_species_leaves_no_spread():
    """Members that disagree by the same energy on both species agree on the potential."""
    offsets = np.array([[0.0], [1.0], [-2.0]])
    energies = {"oxidised": -700.0 + offsets, "reduced": -732.0 + offsets}
    _, spread = mean_and_spread(member_values("flow_battery", energies, LEVEL)["redox_potential"])
    assert spread == pytest.approx([0.0], abs=1e-12)
    assert species_roles("flow_battery") == ("oxidised", "reduced")


def test_minima_are_minima_of_the_mean(space, tmp_path):
    committee = MorseCommittee()
    _, minima = predict(space, tmp_path, committee)
    batch = AtomsBatch.from_structures(minima)
    forces = committee(batch).forces.mean(0).norm(dim=1)
    assert forces.max() < SETTINGS.fmax_ev_per_angstrom + 1e-3


def test_shards_partition_the_candidates_and_change_no_number(space, tmp_path):
    whole, _ = predict(space, tmp_path)
    (tmp_path / "cut").mkdir()
    cut, minima = predict(space, tmp_path / "cut", shards=3)
    assert cut["candidate_id"].tolist() == whole["candidate_id"].tolist()
    assert np.allclose(cut["mean"].dropna(), whole["mean"].dropna(), atol=1e-6)
    assert len(minima) == 11


def test_an_empty_shard_writes_empty_tables(space, tmp_path):
    candidates, species, structures = space
    rows, minima = predict((candidates.iloc[:0], species, structures), tmp_path)
    assert rows.empty and minima.empty


def test_a_candidate_without_any_geometry_has_a_row(space, tmp_path):
    candidates, species, structures = space
    rows, minima = predict((candidates, species, structures.iloc[:0]), tmp_path)
    assert (rows["status"] == "failed").all() and len(rows) == 6 and minima.empty
    told = rows.set_index("candidate_id")["reason"]
    assert told["c0"] == "no geometry: oxidised, reduced"


def test_batch_size_changes_no_number(space, tmp_path):
    whole, _ = predict(space, tmp_path, batch_size=100)
    (tmp_path / "cut").mkdir()
    cut, _ = predict(space, tmp_path / "cut", batch_size=1)
    assert np.allclose(cut["mean"].dropna(), whole["mean"].dropna(), atol=1e-6)


class Narrow(MorseCommittee):
    elements = frozenset({1, 6})


def reasons(rows):
    return rows.loc[rows["status"] == "ok", "reason"].dropna().tolist()


def test_out_of_domain_reasons(space, tmp_path):
    ok, _ = predict(space, tmp_path)
    good = ok[ok["status"] == "ok"]
    assert good["in_domain"].all() and good["reason"].isna().all()
    narrow, _ = predict(space, tmp_path, Narrow())
    told = reasons(narrow)
    assert len(told) == 5 and all("element never seen in training: O" in r for r in told)
    assert not narrow["in_domain"].any() and narrow["mean"].notna().sum() == 5
    wide, _ = predict(space, tmp_path, calibration=CALIBRATION | {"std_raw_limit": 1e-9})
    told = reasons(wide)
    assert len(told) == 5 and all("beyond the calibrated" in r for r in told)
    unfinished, _ = predict(space, tmp_path, fmax_ev_per_angstrom=1e-9, max_steps=1)
    told = reasons(unfinished)
    assert len(told) == 5 and all("not relaxed" in r for r in told)


def test_a_charge_state_that_nobody_trained_on_is_out_of_the_domain(space):
    structures = space[2].head(2).copy()
    structures["charge_e"] = [0, 2]
    minima = relax_structures(structures, MorseCommittee(), SETTINGS)
    reasons = [minima[name].reason for name in structures["structure_id"]]
    assert reasons == [None, "charge +2, multiplicity 1: never seen in training"]


def test_a_molecule_that_falls_apart_is_out_of_domain(space, tmp_path):
    rows, _ = predict(space, tmp_path, MorseCommittee(size=1.5))
    broken = rows["reason"].str.contains("rearranged").fillna(False).astype(bool)
    assert broken.any() and not rows.loc[broken, "in_domain"].any()
    assert rows.loc[broken, "reason"].str.contains("broken").all()


def test_a_minimum_unlike_the_calibration_data_is_out_of_domain(space, tmp_path):
    domain = {
        "measure": "force_spread",
        "limit": 1e-6,
        "rate": 0.05,
        "correlations": {},
        "structures": 30,
        "groups": 30,
    }
    known, _ = predict(
        space, tmp_path, calibration=CALIBRATION | {"domain": domain | {"limit": 9.0}}
    )
    strange, _ = predict(space, tmp_path, calibration=CALIBRATION | {"domain": domain})
    plain, _ = predict(space, tmp_path)
    assert known["reason"].tolist() == plain["reason"].tolist()
    ok = (plain["status"] == "ok") & plain["in_domain"]
    told = strange.loc[ok, "reason"]
    assert ok.any() and told.str.contains("unlike the calibration data: domain score").all()
    assert not strange.loc[ok, "in_domain"].any()
    assert strange.loc[ok, "mean"].tolist() == plain.loc[ok, "mean"].tolist()


def test_a_shared_structure_is_relaxed_once(space):
    structures = space[2]
    committee = MorseCommittee()
    twin = structures.assign(candidate_id="twin")
    built = built_geometries(["c0", "c1", "twin"], pd.concat([structures, twin]), ("oxidised",))
    assert len(built) == 3
    committee.structures = 0
    minima = relax_structures(built, committee, SETTINGS.model_copy(update={"max_steps": 0}))
    assert committee.structures == len(minima) == built["structure_id"].nunique()


@given(
    errors=st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=5, max_size=60),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_calibration_covers_its_own_couples(errors, seed):
    errors = np.array(errors)
    spread = np.random.default_rng(seed).uniform(0.1, 1.0, len(errors))
    fitted = fit_calibration(errors, spread, members=3)
    assert fitted["calibrated"] and fitted["n_calibration"] == len(errors)
    assert 0 <= fitted["q68"] <= fitted["q95"] or not fitted["q95_conformal"]
    for key, level in (("q68", 0.68), ("q95", 0.95)):
        half = [np.ptp(calibrated(0.0, std, fitted)[f"interval_{key[1:]}"]) / 2 for std in spread]
        inside = np.mean(np.abs(errors) <= np.array(half) + 1e-12)
        # Of a measure with two weights the scores are cross-fitted: their own errors are others'.
        assert inside >= level - 1e-9 or fitted["measure"] == "spread_floor"
    assert fitted["std_raw_limit"] >= spread.max()
    assert fitted["q95_conformal"] == (len(errors) >= 19)
    json.dumps(fitted, allow_nan=False)


def test_scale_of_members_that_are_twice_too_sure():
    generator = np.random.default_rng(1)
    spread = generator.uniform(0.05, 0.2, 4000)
    fitted = fit_calibration(2 * spread * generator.normal(size=4000), spread, members=10_000)
    assert fitted["scale"] == pytest.approx(2.0, rel=0.05)
    assert fitted["q68"] == pytest.approx(2 * 0.9945, rel=0.05)
    assert fitted["q95"] == pytest.approx(2 * 1.96, rel=0.05)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_few_couples_are_not_a_calibration(n):
    fitted = fit_calibration(np.full(n, 0.001), np.full(n, 0.1), 3)
    assert not fitted["calibrated"] and fitted["scale"] == 1.0
    assert fitted["q95"] == pytest.approx(1.96, abs=0.01)
    assert fitted["std_raw_limit"] is None and not fitted["q68_conformal"]
    assert fit_calibration(np.full(4, 0.3), np.full(4, 0.1), 3)["scale"] == pytest.approx(3.0)
    json.dumps(fitted, allow_nan=False)


def test_identical_members_can_still_be_calibrated():
    fitted = fit_calibration(np.linspace(0.1, 0.2, 8), np.zeros(8), 3)
    told = calibrated(1.0, 0.0, fitted)
    assert np.isfinite([fitted["scale"], fitted["q68"]]).all()
    assert 0.1 < told["std"] < 0.2  # not certain, for all their agreement


def test_three_members_that_agree_by_chance_are_not_believed():
    generator = np.random.default_rng(3)
    members = generator.normal(size=(3, 4000))
    errors = members.mean(axis=0) + generator.normal(size=4000)  # none of it in the spread
    fitted = fit_calibration(errors[:30], members.std(axis=0, ddof=1)[:30], members=3)
    std = np.array([calibrated(0.0, s, fitted)["std"] for s in members.std(axis=0, ddof=1)])
    assert np.sqrt(np.mean((errors / std) ** 2)) == pytest.approx(1.0, abs=0.25)
    assert std.min() > 0.5 * errors.std()
    agreed = members.std(axis=0, ddof=1) < 0.1
    assert np.mean(np.abs(errors[agreed]) < 1.96 * std[agreed]) > 0.85
    told = [fit_calibration(errors, np.ones(4000), m)["own_weight"] for m in (2, 5, 100)]
    assert told == sorted(told) and told[0] < 0.5 < 0.9 < told[2] < 1


def synthetic_couples(n: int) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    truth, spread = generator.uniform(0, 1, 2 * n), generator.uniform(0.02, 0.1, 2 * n)
    return pd.DataFrame(
        {
            "candidate_id": [f"c{k}" for k in range(2 * n)],
            "split": ["calibration"] * n + ["test"] * n,
            "label_value": truth,
            "mean": truth + 3 * spread * generator.normal(size=2 * n),
            "built_geometry_mean": truth,
            "std_raw": spread,
            "members": [[0.0, 1.0]] * (2 * n),
            "sound": True,
            "steps": 3.0,
        }
    )


def test_coverage_of_the_test_couples_holds_what_it_promises():
    couples = synthetic_couples(1500)
    part = couples[couples["split"] == "calibration"]
    fitted = fit_calibration(
        (part["mean"] - part["label_value"]).to_numpy(), part["std_raw"].to_numpy(), 3
    )
    rows = objective_metrics(with_intervals(couples, fitted), "V", 1)
    told = {(r["split"], r["name"]): r for r in rows}
    for level in (68, 95):
        row = told["test", f"coverage_{level}"]
        assert row["value"] == pytest.approx(level / 100, abs=0.06)
        assert row["interval"][0] < row["value"] < row["interval"][1]
    error = (couples["mean"] - couples["label_value"])[couples["split"] == "test"]
    mae = told["test", "objective_mae"]
    assert mae["value"] == pytest.approx(error.abs().mean())
    assert mae["interval"][0] < mae["value"] < mae["interval"][1]
    assert told["test", "objective_mae_built_geometry"]["value"] == 0.0
    assert 0.7 < told["test", "rank_correlation"]["value"] < 1.0
    assert told["test", "objective_spread_correlation"]["value"] > 0.1


def labelled_round(structures: pd.DataFrame, splits: dict[str, str]):
    """Dataset and labels of the relaxed structures, labelled by a single Morse potential."""
    truth = MorseCommittee(members=2, difference=0.01)
    energies = truth(AtomsBatch.from_structures(structures)).energies[1].detach().numpy()
    batch = AtomsBatch.from_structures(structures)
    forces = truth(batch).forces[1].numpy()
    owner = batch.structure.numpy()
    labels = pd.DataFrame(
        {
            "structure_id": structures["structure_id"],
            "level_id": "morse",
            "status": "ok",
            "energy_ev": energies,
            "forces_ev_per_angstrom": [
                forces[owner == s].ravel().tolist() for s in range(len(structures))
            ],
        }
    ).reset_index(drop=True)
    dataset = structures[["structure_id", "species_id", "candidate_id"]].assign(
        round=0, level_id="morse", group=structures["candidate_id"], why="random",
        split=structures["candidate_id"].map(splits),
    )  # fmt: skip
    return dataset, labels


def test_a_round_is_judged_and_written(space, tmp_path, monkeypatch):
    structures = space[2]
    splits = {"c0": "train", "c1": "calibration", "c2": "test", "c3": "test", "c4": "calibration"}
    structures = structures[structures["candidate_id"].isin(splits)]
    dataset, labels = labelled_round(structures, splits)
    monkeypatch.setattr(evaluation, "MIN_CALIBRATION", 2)
    paths = [tmp_path / name for name in ("m.parquet", "c.json", "p.parquet")]
    committee = MorseCommittee()
    told = evaluate_round(
        dataset, structures, labels, committee, "flow_battery", LEVEL, SETTINGS, 0, "morse", *paths
    )
    assert json.loads(paths[1].read_text()) == told
    assert told["calibrated"] and told["n_calibration"] == 2 and told["n_test"] == 2
    parity = read_table(paths[2], "parity").set_index("candidate_id")
    assert parity["split"].to_dict() == {k: v for k, v in splits.items() if v != "train"}
    couple = structures[structures["candidate_id"] == "c2"].set_index("role")
    energy = dict(zip(labels["structure_id"], labels["energy_ev"], strict=True))
    value = potential_v(
        energy[couple.loc["oxidised", "structure_id"]],
        energy[couple.loc["reduced", "structure_id"]],
        -101.0, 0.9, -0.4,
    )  # fmt: skip
    assert parity.loc["c2", "label_value"] == pytest.approx(float(value))
    metrics = read_table(paths[0], "metrics")
    named = metrics.set_index(["split", "name"])["value"]
    error = (parity["mean"] - parity["label_value"])[parity["split"] == "test"].abs().mean()
    assert named["test", "objective_mae"] == pytest.approx(error)
    assert named["test", "energy_mae"] > 0 and named["test", "force_mae"] > 0
    assert not metrics.duplicated(["split", "name"]).any()


def test_only_sound_calibration_couples_calibrate(tmp_path, monkeypatch):
    couples = synthetic_couples(30)
    kept = couples.iloc[5:30].copy()
    couples.loc[:4, "sound"] = False
    couples.loc[:4, "mean"] += 100.0
    couples.loc[couples["split"] == "test", "mean"] += 50.0
    couples["objective"] = "redox_potential"
    monkeypatch.setattr(evaluation, "predicted_couples", lambda *args: couples)
    monkeypatch.setattr(evaluation, "evaluate_committee", lambda *args: ([], {}))
    paths = [tmp_path / name for name in ("m.parquet", "c.json", "p.parquet")]
    labels = pd.DataFrame({"level_id": []})
    told = evaluate_round(
        None, None, labels, MorseCommittee(), "flow_battery", LEVEL, SETTINGS, 0, "morse", *paths
    )
    errors = (kept["mean"] - kept["label_value"]).to_numpy()
    expected = fit_calibration(errors, kept["std_raw"].to_numpy(), len(MorseCommittee()))
    assert {key: told[key] for key in expected} == expected
    assert (told["n_calibration"], told["n_test"]) == (25, 30)


def test_a_couple_that_shares_a_structure_is_judged_too(space, tmp_path):
    built = space[2][space[2]["candidate_id"].isin(["c1", "c2"])].copy()
    shared = (built["role"] == "reduced").to_numpy()
    for column in ("structure_id", "species_id", "positions_angstrom", "numbers"):
        first = built.loc[shared, column].iloc[0]
        built[column] = [first if s else v for s, v in zip(shared, built[column], strict=True)]
    listed = built.drop_duplicates("structure_id")
    dataset, labels = labelled_round(listed, {"c1": "calibration", "c2": "test"})
    paths = [tmp_path / name for name in ("m.parquet", "c.json", "p.parquet")]
    evaluate_round(
        dataset, listed, labels, MorseCommittee(), "flow_battery", LEVEL, SETTINGS, 0, "morse",
        *paths, built=built,
    )  # fmt: skip
    assert read_table(paths[2], "parity")["candidate_id"].tolist() == ["c1", "c2"]


def test_a_round_without_random_couples_is_not_calibrated(space, tmp_path):
    structures = space[2][space[2]["candidate_id"].isin(["c0", "c1"])]
    dataset, labels = labelled_round(structures, {"c0": "train", "c1": "train"})
    paths = [tmp_path / name for name in ("m.parquet", "c.json", "p.parquet")]
    told = evaluate_round(
        dataset, structures, labels, MorseCommittee(), "flow_battery", LEVEL, SETTINGS, 0,
        "morse", *paths,
    )  # fmt: skip
    assert not told["calibrated"] and told["n_test"] == 0
    assert read_table(paths[2], "parity").empty
    metrics = read_table(paths[0], "metrics").set_index(["split", "name"])
    assert pd.isna(metrics.loc[("test", "objective_mae"), "value"])


def test_a_spread_with_a_floor_is_stored_as_a_moderated_one():
    """std² = w spread² + floor, whatever the common spread."""
    common = {"common_std": 0.3}
    spreads, weights = np.array([0.05, 0.2, 1.0]), {"spread": 2.0, "floor": 0.04}
    told = common | evaluation._as_moderated(weights, common)
    std = told["scale"] * moderated(spreads, told)
    assert std == pytest.approx(np.sqrt(2.0 * spreads**2 + 0.04))
