"""Goals, from a campaign file to utilities, and a campaign with several through every stage."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from molsieve.acquisition.front_membership import DRAWS, expected_front
from molsieve.acquisition.goals import Belief, believed, goal_values, utilities, utility
from molsieve.acquisition.hypervolume import hypervolume
from molsieve.acquisition.pareto import balance, on_front
from molsieve.acquisition.stopping import verdict
from molsieve.campaign import Stop
from molsieve.domains.oled.goals import Objective, Ranking
from molsieve.domains.oled.objective import labelled_values
from molsieve.objective_settings import Goal
from molsieve.section import CampaignError
from molsieve.tables import read_table
from tests.acquisition.emitters import (
    GOALS,
    PREDICTIONS,
    STATES,
    TABLES,
    TWO_GOALS,
    N,
    choose,
    figures_of,
    labelled,
    labels_of,
    ranked,
    values_of,
)

UP = Goal(direction="maximise", worst=0.0, ideal=2.0)


def test_utilities_by_hand():
    down = Goal(direction="minimise", worst=1.0, ideal=0.0)
    window = Goal(direction="window", worst=0.5, window=(2.0, 3.0))
    values = np.array([-0.5, 0.0, 1.0, 2.0, np.nan])
    assert utility(values, UP)[:4].tolist() == [-0.25, 0.0, 0.5, 1.0]
    assert utility(values, down)[:4].tolist() == [1.5, 1.0, 0.0, -1.0]
    assert utility(np.array([1.5, 2.0, 2.5, 3.25]), window).tolist() == [0.0, 1.0, 1.0, 0.5]
    assert np.isnan(utility(values, UP)[4]) and np.isnan(utility(values, window)[4])


@pytest.mark.parametrize(
    ("told", "needle"),
    [
        ({"direction": "minimise", "worst": 0.0, "ideal": 1.0}, "a worst value above the ideal"),
        ({"direction": "maximise", "worst": 0.0}, "ideal: None"),
        ({"direction": "window", "worst": 0.5}, "window: nothing given"),
        ({"direction": "window", "worst": 0.5, "window": [3, 2]}, "is empty"),
        ({"direction": "window", "worst": 0.0, "window": [2, 3]}, "no distance"),
        ({"direction": "maximise", "worst": 0, "ideal": 1, "window": [2, 3]}, "only with it"),
    ],
)
def test_goals_that_make_no_sense_are_refused(told, needle):
    with pytest.raises(ValidationError, match=needle):
        Goal.model_validate(told)


def test_goals_of_a_campaign_are_known_by_name():
    with pytest.raises(ValidationError, match="singlet_triplet_gap"):
        Objective.model_validate({"goals": {"gap": UP}})
    with pytest.raises(ValidationError, match="only sa_score"):
        Objective.model_validate({"goals": {"sa_score": UP}})
    with pytest.raises(ValidationError, match=r"pareto: \['sa_score'\]"):
        Ranking.model_validate({"confirm": {"level": "x"}, "pareto": ["sa_score"]})


def test_labelled_values_read_the_lowest_roots():
    values = labelled(range(3)).set_index("candidate_id")
    ids = TABLES[0]["candidate_id"].iloc[:3]
    expected = values_of(STATES[:3])
    for name, column in expected.items():
        np.testing.assert_allclose(values.loc[ids, name], column)


def test_labels_without_a_converged_root_are_no_value():
    rows = TABLES[2].iloc[:4]
    labels = labels_of(rows, STATES[:4])
    labels.at[1, "root_converged"] = [True, True, False, True]
    labels.at[2, "triplet_energies_ev"] = None
    labels.loc[3, "status"] = "failed"
    assert labelled_values(rows, labels, {})["candidate_id"].tolist() == [
        TABLES[0]["candidate_id"].iloc[0]
    ]


def test_what_is_believed_is_calibrated_and_knows_columns_exactly():
    ids = TABLES[0]["candidate_id"].to_numpy(object)
    belief = believed(PREDICTIONS, ids, TABLES[0], GOALS)
    assert list(belief.goals) == list(GOALS.goals)
    np.testing.assert_allclose(belief.mean[:, 3], TABLES[0]["sa_score"])
    assert (belief.std[:, 3] == 0).all() and (belief.members[:, :, 3] == belief.mean[:, 3]).all()
    np.testing.assert_allclose(belief.members.std(axis=0, ddof=1), belief.std, atol=1e-12)
    # S1 and the gap share S1's error, so their deviations go together.
    assert belief.correlation[0, 2] > 0.3 and np.abs(belief.correlation[3, :3]).max() == 0
    unknown = believed(PREDICTIONS, np.array(["nobody"]), TABLES[0], GOALS)
    assert np.isnan(unknown.mean).any() and not unknown.trusted.any()


def test_trusted_is_who_is_in_the_domain_by_every_goal_with_a_spread():
    ids, rows, candidates = (
        TABLES[0]["candidate_id"].to_numpy(object),
        PREDICTIONS.copy(),
        TABLES[0],
    )
    of = {name: rows["objective"] == name for name in ("singlet_triplet_gap", "singlet_energy")}
    rows.loc[of["singlet_triplet_gap"] & (rows["candidate_id"] == ids[3]), "in_domain"] = False
    rows.loc[of["singlet_triplet_gap"] & (rows["candidate_id"] == ids[5]), "std"] = np.nan
    rows.loc[of["singlet_energy"] & (rows["candidate_id"] == ids[7]), "in_domain"] = False
    candidates = candidates.assign(
        sa_score=np.where(candidates["candidate_id"] == ids[9], np.nan, candidates["sa_score"])
    )
    belief = believed(rows, ids, candidates, GOALS)
    assert np.flatnonzero(~belief.trusted).tolist() == [3, 5, 7, 9]
    raw = rows[of["singlet_triplet_gap"]].set_index("candidate_id")["std_raw"]
    assert belief.std[5, 0] == pytest.approx(raw[ids[5]])
    # What is no goal of the campaign is no reason.
    belief = believed(rows, ids, candidates, TWO_GOALS)
    assert np.flatnonzero(~belief.trusted).tolist() == [3, 5]


def test_a_goal_that_is_no_column_is_one_message():
    with pytest.raises(CampaignError, match="sa_score"):
        believed(PREDICTIONS, np.array(["x"]), TABLES[0].drop(columns="sa_score"), GOALS)


def test_goal_values_are_whole_rows_in_order():
    values = goal_values(labelled([5, 2]), TABLES[0], GOALS)
    assert list(values.columns) == list(GOALS.goals) and list(values.index) == sorted(values.index)
    assert goal_values(pd.DataFrame(), TABLES[0], GOALS).empty


def certain(points) -> Belief:
    points = np.asarray(points, float)
    goals = {"a": Goal(direction="maximise", worst=0, ideal=1), "b": UP}
    zeros = np.zeros_like(points)
    members = np.stack([points, points])
    return Belief(np.arange(len(points)), points, zeros, members, np.ones(len(points), bool), goals)


def test_what_is_missed_of_a_front_that_is_certain():
    labelled_ones = np.array([[0.5, 0.5], [-1.0, 3.0]])
    belief = certain([[1.0, 0.5], [0.4, 0.4], [0.25, 2.0], [2.0, -1.0]])
    told = expected_front(labelled_ones, belief, np.random.default_rng(0))
    every = np.concatenate([labelled_ones, belief.mean_utilities])
    assert (told.labelled, told.missed, told.size) == (1, 2.0, 3.0)
    assert told.hypervolume == 0.25
    assert told.hypervolume_of_all == pytest.approx(hypervolume(every))
    assert told.missed_hypervolume == pytest.approx(1 - 0.25 / hypervolume(every))


def drawn_fronts(front, belief, draws, rng):
    """(draws, 3) of every draw: unlabelled on the front, all on the front, hypervolume."""
    told = []
    for errors in rng.multivariate_normal(np.zeros(2), belief.correlation, (draws, len(belief))):
        points = utilities(belief.mean + belief.std * errors, belief.goals)
        every = np.concatenate([front, points])
        better = (every[:, None] >= every).all(axis=2) & (every[:, None] > every).any(axis=2)
        best = ~better.any(axis=0) & (every > 0).all(axis=1)
        steps = every[best][np.argsort(-every[best][:, 0])]
        floor = np.concatenate([[0.0], steps[:-1, 1]])
        volume = (steps[:, 0] * (steps[:, 1] - floor)).sum()
        told.append([best[len(front) :].sum(), best.sum(), volume])
    return np.array(told, float)


def test_what_is_missed_of_a_front_that_is_uncertain_agrees_with_brute_force():
    rng = np.random.default_rng(4)
    common = rng.normal(size=(8, 12, 1))
    mean = rng.uniform([0.0, 0.0], [0.9, 1.8], (12, 2))
    std = rng.uniform(0.05, 0.3, (12, 2))
    deviations = 0.7 * common * [1.0, -1.0] + 0.7 * rng.normal(size=(8, 12, 2))
    belief = replace(certain(mean), std=std, members=mean + std * deviations)
    assert belief.correlation[0, 1] < -0.3
    front = np.array([[0.3, 0.8], [0.6, 0.5], [0.85, 0.1]])
    brute = drawn_fronts(front, belief, 3000, rng)
    told = expected_front(front, belief, rng)
    figures = np.array([told.missed, told.size, told.hypervolume_of_all])
    error = brute.std(axis=0) * np.sqrt(1 / DRAWS + 1 / len(brute))
    assert (np.abs(figures - brute.mean(axis=0)) < 4 * error).all()
    share = 1 - told.hypervolume / brute[:, 2].mean()
    assert told.missed_hypervolume == pytest.approx(share, abs=0.03)


def test_nothing_is_missed_where_all_is_labelled_or_ties():
    front = np.array([[0.5, 0.5], [0.2, 0.9]])
    told = expected_front(front, certain([[0.5, 1.0], [0.2, 1.8]]), np.random.default_rng(0))
    assert (told.missed, told.size, told.missed_hypervolume) == (0.0, 2.0, 0.0)
    nobody = expected_front(np.empty((0, 2)), certain([[-1.0, 1.0]]), np.random.default_rng(0))
    assert (nobody.size, nobody.missed_hypervolume) == (0.0, 0.0)


def test_a_candidate_that_is_not_trusted_may_be_anybody():
    front = np.array([[0.9, 0.9]])
    belief = certain([[0.1, 0.1], [1.0, 2.0]])
    belief = replace(belief, std=np.array([[0.0, 0.0], [0.02, 0.02]]))
    doubtful = replace(belief, trusted=np.array([False, True]))
    known = expected_front(front, belief, np.random.default_rng(0))
    told = expected_front(front, doubtful, np.random.default_rng(0))
    assert known.missed == 1.0
    # A third of the draws it is the other one's mean, in half of which neither dominates.
    assert told.missed == pytest.approx(1 + 1 / 6, abs=4 * 0.4 / np.sqrt(DRAWS))


def test_one_candidate_without_a_prediction_hides_no_other():
    """A failed descriptor of one once made the goals' correlation, and every draw, unknown."""
    rng = np.random.default_rng(3)
    mean, errors = rng.random((9, 2)), 0.3 * rng.normal(size=(4, 9, 1))
    belief = replace(
        certain(mean), std=np.full((9, 2), 0.3), members=mean + errors - errors.mean(axis=0)
    )
    lost = np.arange(9) == 4
    holed = replace(
        belief,
        mean=np.where(lost[:, None], np.nan, mean),
        members=np.where(lost[:, None], np.nan, belief.members),
        trusted=~lost,
    )
    assert belief.correlation[0, 1] > 0.9 and holed.correlation[0, 1] > 0.9
    front = np.array([[0.5, 0.5]])
    whole = expected_front(front, belief, np.random.default_rng(0))
    told = expected_front(front, holed, np.random.default_rng(0))
    assert told.size > 0.8 * whole.size and told.missed_hypervolume > 0.6 * whole.missed_hypervolume


@pytest.mark.parametrize("function", ["expected_hypervolume_improvement", "scalarised_thompson"])
def test_rounds_choose_assess_and_rank(tmp_path, function):
    first = choose(tmp_path, 0, function)
    places = np.flatnonzero(TABLES[0]["candidate_id"].isin(first["candidate_id"]))
    known = labelled(places)
    second = choose(tmp_path, 1, function, earlier=first, known=known, predictions=PREDICTIONS)
    assert not set(second["structure_id"]) & set(first["structure_id"])
    acquired = second[second["reason"] == "acquired"]
    assert len(acquired) == 8 and acquired["score"].notna().all()

    selections = pd.concat([first, second])
    places = np.flatnonzero(TABLES[0]["candidate_id"].isin(selections["candidate_id"]))
    figures = figures_of(tmp_path, places, selections)
    known_utilities = utilities(
        goal_values(labelled(places), TABLES[0], GOALS).to_numpy(float), GOALS.goals
    )
    assert figures["hypervolume"] == pytest.approx(hypervolume(known_utilities))
    assert figures["best_value"] == pytest.approx(balance(known_utilities).max())
    assert 0 <= figures["missed_hypervolume"] < 1
    assert figures["expected_front_missed"] <= figures["expected_front_size"]
    assert figures["singlet_energy_random_test_mae"] < 0.1 and figures["random_test_mae"] < 0.2
    metrics = read_table(tmp_path / "metrics.parquet", "metrics")
    own = metrics[metrics["objective"] == "oscillator_strength"].set_index("name")["value"]
    assert own["random_test_mae"] == figures["oscillator_strength_random_test_mae"]
    assert not metrics.duplicated(["split", "name", "objective"]).any()


def test_the_loop_stops_when_little_is_missed(tmp_path):
    selections = choose(tmp_path, 0, "diverse")
    figures = figures_of(tmp_path, range(N - 1), selections)
    stop = Stop(expected_missed=0.5, missed_hypervolume=0.05)
    quiet = figures | {"random_test_mae": 0.1, "expected_front_missed": 3.0,
                       "missed_hypervolume": 0.01, "n_selectable": 1}  # fmt: skip
    told = verdict([quiet, quiet], stop, 10)
    assert told.stop and "converged: 3.00 unlabelled" in told.reason
    assert "1.0% of its hypervolume" in told.reason
    for other in ({"missed_hypervolume": 0.2}, {"calibrated": False}):
        assert not verdict([quiet, quiet | other], stop, 10).stop
    assert verdict([quiet, quiet | {"missed_hypervolume": 0.2, "expected_front_missed": 0.1}],
                   stop, 10).stop  # fmt: skip


def test_the_answer_is_in_fronts(tmp_path):
    table = ranked(tmp_path)
    assert len(table) == N and table["rank"].tolist() == list(range(1, N + 1))
    assert table["pareto_front"].is_monotonic_increasing
    best = pd.DataFrame(
        {name: table[f"{name}_label_value"].fillna(table[f"{name}_mean"])
         for name in ("singlet_triplet_gap", "oscillator_strength", "singlet_energy")}
    ).assign(sa_score=table["sa_score"])  # fmt: skip
    told = utilities(best[list(GOALS.goals)].to_numpy(float), GOALS.goals)
    good = (told > 0).all(axis=1)
    front = np.zeros(N, bool)
    front[np.flatnonzero(good)[on_front(told[good])]] = True
    assert (table["pareto_front"] == 1).tolist() == front.tolist()
    np.testing.assert_allclose(table["utility"], balance(told))
    inside = table[table["pareto_front"] == 1]["hypervolume_contribution"]
    assert inside.is_monotonic_decreasing and inside.iloc[0] > 0
    assert set(table["objective"]) == {"balance"} and set(table["unit"]) == {"1"}


def test_confirmed_values_and_errors_of_each_objective(tmp_path):
    table = ranked(tmp_path)
    hits = table[table["why_confirmed"].notna()]
    assert hits["why_confirmed"].tolist().count("top") == 3 and len(hits) == 5
    assert hits["why_confirmed"].iloc[:3].tolist() == ["top"] * 3
    np.testing.assert_allclose(hits["singlet_energy_level_error"].astype(float), -0.1)
    np.testing.assert_allclose(hits["singlet_triplet_gap_level_error"].astype(float), 0.2)
    np.testing.assert_allclose(hits["singlet_energy_geometry_error"].astype(float), 0.0)
    assert hits["confirmed_value"].notna().all()
    others = table[table["why_confirmed"].isna()]
    assert others["confirmed_value"].isna().all()


def test_colour_only_with_a_stated_shift(tmp_path):
    plain = ranked(tmp_path)
    assert plain[["emission_nm", "cie_x", "cie_y"]].isna().all(axis=None)
    assert plain["absorption_nm"].between(300, 700).all()
    shown = ranked(tmp_path, emission={"stokes_shift_ev": 0.4, "linewidth_ev": 0.4,
                                       "calibrated_on": "nothing, a test"})  # fmt: skip
    assert (shown["emission_nm"] > shown["absorption_nm"]).all()
    assert shown["cie_x"].between(0, 0.75).all() and shown["cie_y"].between(0, 0.85).all()
    assert (shown["radiative_rate_per_s"] <= plain.set_index("candidate_id").loc[
        shown["candidate_id"], "radiative_rate_per_s"].to_numpy()).all()  # fmt: skip


def test_one_goal_takes_the_functions_of_one_objective(tmp_path):
    goals = Objective(goals={"oscillator_strength": UP})
    first = choose(tmp_path, 0, "greedy", goals)
    places = np.flatnonzero(TABLES[0]["candidate_id"].isin(first["candidate_id"]))
    second = choose(tmp_path, 1, "greedy", goals, first, labelled(places), PREDICTIONS)
    acquired = second[second["reason"] == "acquired"]
    mean = PREDICTIONS[PREDICTIONS["objective"] == "oscillator_strength"]
    by_id = mean.set_index("candidate_id")["mean"]
    np.testing.assert_allclose(acquired["score"], by_id[acquired["candidate_id"]] / 2)


def test_selection_does_not_depend_on_the_order_of_the_tables(tmp_path):
    first = choose(tmp_path, 0, "diverse", TWO_GOALS)
    places = np.flatnonzero(TABLES[0]["candidate_id"].isin(first["candidate_id"]))
    told = [
        choose(tmp_path, 1, "expected_hypervolume_improvement", TWO_GOALS, first,
               labelled(places), rows)["structure_id"].tolist()
        for rows in (PREDICTIONS, PREDICTIONS.sample(frac=1, random_state=1))
    ]  # fmt: skip
    assert told[0] == told[1]
