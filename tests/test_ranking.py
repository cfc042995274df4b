"""Fronts against brute force; hits and their errors on a campaign whose every energy is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from molsieve.campaign import Confirm, Ranking
from molsieve.domains.flow_battery.config import Objective
from molsieve.labelling.cost import CostModel
from molsieve.levels import PyscfLevel, TbliteLevel
from molsieve.ranking import (
    COMMITTEE_MINIMUM,
    _flags,
    confirmation_protocol,
    level_name,
    pareto_fronts,
    rank_candidates,
    select_hits,
    structures_at_level,
)
from molsieve.section import CampaignError
from molsieve.tables import empty_table, read_table
from tests.acquisition.tables_of_a_campaign import (
    candidate_tables,
    ok_labels,
    predictions_of,
    relaxed_row,
)

POSOLYTE = Objective(direction="posolyte")
CANDIDATES, _, BUILT = candidate_tables(12)
IDS = CANDIDATES["candidate_id"].tolist()
_rng = np.random.default_rng(9)
COMMITTEE = pd.DataFrame(
    [relaxed_row(f"Q{n}", role, _rng) for n in range(12) for role in ("oxidised", "reduced")]
)
MEANS = np.linspace(0.0, 1.1, 12)
PREDICTIONS = predictions_of(CANDIDATES, MEANS)
LABELLED = pd.DataFrame({"candidate_id": [IDS[0], IDS[11]], "value": [2.0, -1.0]})
CONFIRM = Confirm(level="dft", top=3, controls=2)
GFN2 = TbliteLevel(engine="tblite")
DFT = PyscfLevel(engine="pyscf", functional="PBE", basis="def2-SVP")
CALIBRATION = {"h2_energy_ev": -30.0, "slope": 1.0, "intercept_v": 0.0}


def brute_fronts(points):
    """Peel the non-dominated points off, front by front."""
    fronts, left, front = np.zeros(len(points), int), np.ones(len(points), bool), 0
    while left.any():
        front += 1
        for i in np.flatnonzero(left):
            others = points[left]
            better = (others >= points[i]).all(axis=1) & (others > points[i]).any(axis=1)
            if not better.any():
                fronts[i] = front
        left = fronts == 0
    return fronts


@given(
    st.tuples(st.integers(1, 14), st.integers(1, 4)).flatmap(
        lambda shape: arrays(float, shape, elements=st.integers(-3, 3).map(float))
    )
)
def test_fronts_are_those_of_brute_force(points):
    np.testing.assert_array_equal(pareto_fronts(points), brute_fronts(points))


def test_fronts_of_continuous_points():
    points = np.random.default_rng(0).normal(size=(300, 3))
    np.testing.assert_array_equal(pareto_fronts(points), brute_fronts(points))


def test_unknown_objectives_are_worst_and_nothing_has_no_front():
    assert pareto_fronts(np.array([[1.0, np.nan], [1.0, 0.0], [2.0, np.nan]])).tolist() == [2, 1, 1]
    assert pareto_fronts(np.empty((0, 2))).tolist() == []


@pytest.fixture
def hits(tmp_path):
    def run(
        confirm=CONFIRM,
        predictions=PREDICTIONS,
        labelled=LABELLED,
        seed=1,
        levels=(GFN2, DFT),
        **tables,
    ):
        out = tmp_path / "selection.parquet", tmp_path / "structures.parquet"
        given = {"built": BUILT, "committee": COMMITTEE, "candidates": CANDIDATES} | tables
        select_hits(
            predictions,
            given["candidates"],
            given["built"],
            given["committee"],
            labelled,
            confirm,
            *levels,
            POSOLYTE,
            seed,
            2,
            *out,
            "test",
        )
        return read_table(out[0], "selection"), read_table(out[1], "structures")

    return run


def test_of_hits_only_the_structures_are_asked_for(hits):
    asked = []

    def reader(table):
        def structures_of(wanted):
            asked.append(wanted)
            return table[table["candidate_id"].isin(wanted)]

        return structures_of

    found = hits(built=reader(BUILT), committee=reader(COMMITTEE))
    for mine, whole in zip(found, hits(), strict=True):
        pd.testing.assert_frame_equal(mine, whole)
    assert asked == [set(found[0]["candidate_id"])] * 2


def test_hits_cost_both_levels_at_the_committee_minimum_and_one_at_the_built(hits):
    levels = TbliteLevel(engine="tblite"), TbliteLevel(engine="tblite", geometry="optimised")
    selection, structures = hits(levels=levels)
    cheap, dear = (CostModel().predicted_costs_s(structures, level) for level in levels)
    at_committee = (selection["geometry"] == COMMITTEE_MINIMUM).to_numpy()
    expected = cheap + np.where(at_committee, dear, 0)
    assert selection["predicted_cost_s"].to_numpy(float) == pytest.approx(expected)
    once = hits(levels=levels[:1] * 2)[0]
    assert once["predicted_cost_s"].to_numpy(float) == pytest.approx(cheap)


def test_hits_are_the_best_estimates_and_random_controls(hits):
    selection, structures = hits()
    order = selection.drop_duplicates("candidate_id").set_index("candidate_id")["reason"]
    top = order[order == "top"].index.tolist()
    assert top == [IDS[0], IDS[10], IDS[9]]  # a label of 2.0 V lifts the first, -1 V sinks the last
    assert (order == "control").sum() == 2
    assert len(selection) == len(structures) == 5 * 4
    assert selection["geometry"].value_counts().to_dict() == {
        "committee_minimum": 10,
        "built_minimum": 10,
    }
    drawn = {
        c
        for seed in range(30)
        for c in hits(seed=seed)[0].query("reason == 'control'")["candidate_id"]
    }
    assert len(drawn) == 9  # every other candidate is a possible control


def test_only_committee_minima_are_confirmed(hits):
    selection, structures = hits()
    assert structures_at_level(structures, selection, confirming=False) is structures
    confirmed = structures_at_level(structures, selection, confirming=True)
    assert set(confirmed["structure_id"]) <= set(COMMITTEE["structure_id"])
    assert len(confirmed) == 10


def test_a_shared_minimum_is_listed_once(hits):
    selection, _ = hits(committee=BUILT)
    assert len(selection) == 10
    assert set(selection["geometry"]) == {"committee_minimum"}


def test_failed_predictions_are_no_hits(hits):
    predictions = PREDICTIONS.copy()
    predictions.loc[predictions["candidate_id"] == IDS[10], ["status", "mean"]] = ["failed", np.nan]
    selection, _ = hits(predictions=predictions, confirm=Confirm(level="dft", top=3, controls=20))
    assert IDS[10] not in set(selection["candidate_id"])
    assert selection["candidate_id"].nunique() == 11
    predictions.loc[predictions["candidate_id"] == IDS[11], ["status", "mean"]] = ["failed", np.nan]
    selection, _ = hits(predictions=predictions, confirm=Confirm(level="dft", top=3, controls=20))
    assert IDS[11] not in set(selection["candidate_id"])  # labelled, but nothing to confirm


def test_no_predictions_no_hits(hits):
    selection, structures = hits(predictions=empty_table("predictions"), labelled=LABELLED.iloc[:0])
    assert selection.empty
    assert structures.empty


def labels_giving(structures, potentials):
    """Labels under which each candidate has the potential (V) that ``potentials`` names."""
    value = structures["candidate_id"].map(potentials).to_numpy(float)
    reduced = structures["role"].to_numpy() == "reduced"
    return ok_labels(structures, np.where(reduced, -130.0 - 2 * value, -100.0))


def rank(tmp_path, hits, pareto=(), **changes):
    given = {
        "predictions": PREDICTIONS,
        "label_labels": pd.concat(
            [
                labels_giving(COMMITTEE, dict(zip(IDS, MEANS + 0.05, strict=True))),
                labels_giving(BUILT, dict(zip(IDS, MEANS + 0.02, strict=True))),
            ]
        ),
        "confirm_labels": labels_giving(COMMITTEE, dict(zip(IDS, MEANS - 0.1, strict=True))),
        "selections": empty_table("selection"),
        "level": DFT,
        "calibrated": True,
        "calibration": CALIBRATION,
    } | changes
    out = tmp_path / "ranking.parquet"
    rank_candidates(
        given["predictions"],
        CANDIDATES,
        LABELLED,
        given["selections"],
        BUILT,
        COMMITTEE,
        hits,
        given["label_labels"],
        given["confirm_labels"],
        given["calibration"],
        CALIBRATION,
        given["level"],
        Ranking(confirm=CONFIRM, pareto=list(pareto)),
        POSOLYTE,
        2,
        out,
        "test",
        given["calibrated"],
    )
    return read_table(out, "ranking")


def test_ranking_orders_by_best_estimate(tmp_path, hits):
    table = rank(tmp_path, hits()[0])
    assert table["candidate_id"].tolist() == [IDS[0], *IDS[10:0:-1], IDS[11]]
    assert table["rank"].tolist() == list(range(1, 13))
    assert table["utility"].is_monotonic_decreasing
    first = table.iloc[0]
    assert (first["label_value"], first["utility"], first["mean"]) == (2.0, 2.0, 0.0)
    assert table["identifier"].tolist()[1] == "Q10"
    assert table["flags"].map(len).sum() == 0


def test_errors_are_told_apart(tmp_path, hits):
    selection, _ = hits()
    table = rank(tmp_path, selection).set_index("candidate_id")
    confirmed = table.loc[selection["candidate_id"].unique()]
    np.testing.assert_allclose(confirmed["model_error"].astype(float), -0.05)
    np.testing.assert_allclose(confirmed["geometry_error"].astype(float), 0.03)
    np.testing.assert_allclose(confirmed["level_error"].astype(float), 0.15)
    total = confirmed["mean"] - confirmed["confirmed_value"]
    np.testing.assert_allclose(total, confirmed["model_error"] + confirmed["level_error"])
    protocol = "PBE/def2-SVP single point on committee minimum"
    assert set(confirmed["confirmed_protocol"]) == {protocol}
    others = table.drop(index=confirmed.index)
    columns = ["model_error", "geometry_error", "level_error", "confirmed_value"]
    assert others[columns].isna().all().all()
    assert others["confirmed_protocol"].isna().all()
    assert others["why_confirmed"].isna().all()


def test_flags(tmp_path, hits):
    selection, _ = hits()
    top = selection.loc[selection["reason"] == "top", "candidate_id"].unique()
    predictions = PREDICTIONS.set_index("candidate_id")
    predictions.loc[IDS[5], "in_domain"] = False
    predictions.loc[IDS[6], "std"] = np.nan
    predictions.loc[IDS[0], ["status", "mean"]] = ["failed", np.nan]
    chosen = pd.DataFrame({"candidate_id": [IDS[7], IDS[11]], "reason": "acquired"})
    confirm_labels = labels_giving(COMMITTEE, dict.fromkeys(IDS, 0.5))
    lost = COMMITTEE.loc[COMMITTEE["candidate_id"] == top[1], "structure_id"].iloc[0]
    confirm_labels.loc[confirm_labels["structure_id"] == lost, "status"] = "failed"
    table = rank(
        tmp_path,
        selection,
        predictions=predictions.reset_index(),
        selections=chosen,
        confirm_labels=confirm_labels,
    )
    flags = {row.candidate_id: list(row.flags) for row in table.itertuples() if len(row.flags)}
    assert flags == {
        IDS[0]: ["prediction_failed"],
        IDS[5]: ["out_of_domain"],
        IDS[6]: ["uncalibrated"],
        IDS[7]: ["label_failed"],
        top[1]: ["confirm_failed"],
    }


def test_flags_of_the_confirmed_excited_states_are_there(tmp_path, hits):
    selection, _ = hits()
    top = selection.loc[selection["reason"] == "top", "candidate_id"].iloc[0]
    labels = labels_giving(COMMITTEE, dict.fromkeys(IDS, 0.5))
    own = labels["structure_id"].isin(
        COMMITTEE.loc[COMMITTEE["candidate_id"] == top, "structure_id"]
    )
    labels["excitation_flags"] = [["s1_rydberg"] if mine else [] for mine in own]
    flags = rank(tmp_path, selection, confirm_labels=labels).set_index("candidate_id")["flags"]
    assert {candidate: list(own) for candidate, own in flags.items() if len(own)} == {
        top: ["s1_rydberg"]
    }


def test_minima_of_another_substance_are_flagged_where_minima_are_labelled():
    table = pd.DataFrame(
        {
            "candidate_id": ["a", "b", "c"],
            "in_domain": [False, True, True],
            "predicted": True,
            "std": 0.1,
            "label_value": [np.nan, -1.0, -1.0],
            "why_confirmed": None,
            "confirmed_value": np.nan,
            "reason": ["complex: rearranged in relaxation: N1-H2 broken", None, None],
            "proton_moved": [np.nan, True, False],
        }
    )
    told = (empty_table("selection"), True, np.zeros(3, dtype=bool))
    flags = _flags(table, *told, minima=True)
    assert flags == [["out_of_domain", "rearranged"], ["proton_moved"], []]
    assert _flags(table, *told, minima=False) == [["out_of_domain"], [], []]


def test_what_no_measured_couple_reaches_is_flagged(tmp_path, hits):
    measured = CALIBRATION | {"lowest_measured_v": 0.05, "highest_measured_v": 0.95}
    table = rank(tmp_path, hits()[0], calibration=measured).set_index("candidate_id")
    flagged = table.index[table["flags"].map(list).map(bool)]
    # Labels of 2.0 and -1.0 V, a prediction of 1.0 V; the label counts where there is one.
    assert set(flagged) == {IDS[0], IDS[10], IDS[11]}
    assert table.loc[IDS[10], "flags"].tolist() == ["extrapolated"]


def test_an_uncalibrated_committee_flags_every_prediction(tmp_path, hits):
    table = rank(tmp_path, hits()[0], calibrated=False)
    assert table["flags"].map(list).tolist() == [["uncalibrated"]] * 12


def test_pareto_front_uses_the_named_columns(tmp_path, hits):
    table = rank(tmp_path, hits()[0], pareto=["log_solubility", "synthesizability"])
    points = table[["utility", "log_solubility", "synthesizability"]].to_numpy(float)
    np.testing.assert_array_equal(table["pareto_front"].astype(int), brute_fronts(points))
    alone = rank(tmp_path, hits()[0])
    np.testing.assert_array_equal(alone["pareto_front"].astype(int), np.arange(1, 13))


def test_an_unknown_pareto_column_is_refused(tmp_path, hits):
    with pytest.raises(CampaignError, match=r"ranking.pareto: 'identifier'.*log_solubility"):
        rank(tmp_path, hits()[0], pareto=["identifier"])


def test_protocols_are_written_as_chemists_write_them():
    solvated = DFT.model_copy(update={"dispersion": "d3bj", "solvent": "C-PCM"})
    assert level_name(solvated) == "PBE-D3BJ/def2-SVP, C-PCM (78.36)"
    smd = DFT.model_copy(update={"solvent": "SMD"})
    assert level_name(smd) == "PBE/def2-SVP, SMD (water)"
    tight = TbliteLevel(engine="tblite", geometry="optimised")
    assert confirmation_protocol(tight) == "GFN2-xTB optimised from committee minimum"
