"""What a round labels: budget, splits and novelty over several rounds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molsieve.acquisition.pool import HELD_OUT, History, build_pool
from molsieve.acquisition.scoring import Scored, pick_batch, score_candidates
from molsieve.acquisition.selection import select_batch
from molsieve.campaign import Acquisition, Diversity
from molsieve.domains.flow_battery.config import Objective
from molsieve.geometry_settings import DISTORTED, Geometries
from molsieve.labelling.cost import CostModel
from molsieve.levels import parse_level
from molsieve.section import CampaignError
from molsieve.tables import empty_table, read_table
from tests.acquisition.tables_of_a_campaign import candidate_tables, predictions_of, relaxed_row

POSOLYTE = Objective(direction="posolyte")
TABLES = candidate_tables(60)
SMALL = Acquisition(
    seed_labels=60,
    batch_labels=40,
    displaced_per_species=1,
    random_share=0.2,
    geometries=Geometries(share=0),
)


@pytest.fixture
def select(tmp_path):
    """Run select_batch, return selection and structures."""

    def run(settings=SMALL, round_number=0, tables=TABLES, seed=1, **inputs):
        given = {
            "previous_selections": empty_table("selection"),
            "predictions": None,
            "geometries": None,
            "labelled_values": None,
            "objective": POSOLYTE,
        } | inputs
        out = tmp_path / "selection.parquet", tmp_path / "structures.parquet"
        select_batch(
            *tables,
            settings=settings,
            round_number=round_number,
            seed=seed,
            selection_out=out[0],
            structures_out=out[1],
            campaign="test",
            **given,
        )
        return read_table(out[0], "selection"), read_table(out[1], "structures")

    return run


def attacks_on(candidates, n, seed=5):
    rng = np.random.default_rng(seed)
    names = candidates["identifier"].tolist()
    rows = [relaxed_row(names[i % len(names)], "reduced", rng, "attack") for i in range(n)]
    return pd.DataFrame(rows).assign(source="attack", score=np.linspace(9, 1, n))


def test_first_round_spends_its_budget_on_a_diverse_and_a_random_part(select):
    selection, structures = select()
    assert len(selection) == 60  # 15 candidates x 2 species x (1 + 1)
    assert selection["structure_id"].tolist() == structures["structure_id"].tolist()
    counts = selection.groupby("reason")["candidate_id"].nunique()
    assert counts.to_dict() == {"random": 4, "seed": 11}  # 30 % of 15
    assert structures["origin"].value_counts().to_dict() == {"relaxed": 30, "displaced": 30}
    splits = selection.groupby("reason")["split"].agg(lambda s: set(s.dropna()))
    assert splits["random"] == set(HELD_OUT)
    assert splits["seed"] == set()


def test_a_level_prices_every_structure(select):
    level = parse_level({"engine": "tblite"})
    selection, structures = select(level=level)
    costs = CostModel().predicted_costs_s(structures, level)
    assert selection["predicted_cost_s"].to_numpy(float) == pytest.approx(costs)
    assert select()[0]["predicted_cost_s"].isna().all()


def test_seed_is_more_diverse_than_chance(select):
    selection, _ = select()
    pool = build_pool(*TABLES)
    chosen = selection.loc[selection["reason"] == "seed", "candidate_id"].unique()
    bits = np.unpackbits(pool.fingerprints.view(np.uint8), axis=1).astype(float)

    def nearest(indices):
        inside = bits[indices]
        common = inside @ inside.T
        sizes = inside.sum(1)
        similarity = common / (sizes[:, None] + sizes - common) - 2 * np.eye(len(indices))
        return (1 - similarity.max(axis=1)).min()

    seeds = np.flatnonzero(np.isin(pool.candidate_ids, chosen))
    rng = np.random.default_rng(0)
    by_chance = [nearest(rng.choice(len(pool), len(seeds), replace=False)) for _ in range(50)]
    assert nearest(seeds) > np.median(by_chance)


def test_displaced_copies_stay_with_their_parent(select):
    selection, structures = select()
    by_id = structures.set_index("structure_id")
    displaced = structures[structures["origin"] == "displaced"]
    steps = []
    for row in displaced.itertuples():
        parent = by_id.loc[row.parent_structure_id]
        assert (parent["candidate_id"], parent["role"]) == (row.candidate_id, row.role)
        steps.append(np.subtract(row.positions_angstrom, parent["positions_angstrom"]))
    assert np.std(steps) == pytest.approx(SMALL.displacement_angstrom, rel=0.1)
    reason = selection.set_index("structure_id")["reason"]
    assert (
        reason.loc[displaced["structure_id"]].tolist()
        == reason.loc[displaced["parent_structure_id"]].tolist()
    )


def test_order_of_tables_does_not_matter(select):
    first, _ = select()
    shuffled = tuple(t.sample(frac=1, random_state=3).reset_index(drop=True) for t in TABLES)
    again, _ = select(tables=shuffled)
    pd.testing.assert_frame_equal(first, again)
    other, _ = select(seed=2)
    assert set(other["structure_id"]) != set(first["structure_id"])


@pytest.mark.parametrize("function", ["greedy", "diverse", "thompson", "random"])
def test_rounds_never_repeat_or_cross(select, function):
    settings = SMALL.model_copy(update={"function": function, "geometries": Geometries(share=0.2)})
    candidates = TABLES[0]
    predictions = predictions_of(candidates, np.linspace(0, 1, 60))
    attacks = attacks_on(candidates, 30)
    previous, rounds = empty_table("selection"), []
    for number in range(4):
        selection, _ = select(
            settings,
            number,
            previous_selections=previous,
            predictions=None if number == 0 else predictions,
            geometries=None if number == 0 else attacks,
        )
        assert len(selection) <= (60 if number == 0 else 40)
        assert (selection["reason"] == "random").any()
        rounds.append(selection)
        previous = pd.concat(rounds, ignore_index=True)
    assert previous["structure_id"].is_unique
    candidate_rounds = previous[previous["reason"] != "attack"].groupby("candidate_id")["round"]
    assert (candidate_rounds.nunique() == 1).all()
    held_out = set(previous.loc[previous["split"].isin(HELD_OUT), "group"])
    trained = set(previous.loc[~previous["split"].isin(HELD_OUT), "group"])
    assert not held_out & trained
    groups = previous.dropna(subset=["split"]).groupby("group")["split"]
    assert (groups.nunique() == 1).all()
    shares = groups.first().value_counts()
    assert abs(shares["calibration"] - shares["test"]) <= 1
    assert (previous["reason"] == "attack").sum() == 24


def test_unspent_attack_share_goes_to_candidates(select):
    settings = SMALL.model_copy(update={"geometries": Geometries(share=0.5)})
    inputs = {
        "round_number": 1,
        "predictions": predictions_of(TABLES[0], np.linspace(0, 1, 60)),
    }
    full, structures = select(settings, geometries=attacks_on(TABLES[0], 40), **inputs)
    empty, _ = select(settings, geometries=empty_table("geometries"), **inputs)
    assert (full["reason"] == "attack").sum() == 20
    assert set(structures.loc[full["reason"] == "attack", "origin"]) == {"attack"}
    assert len(full) == len(empty) == 40
    assert (empty["reason"] == "acquired").sum() == 32


def test_a_mix_of_geometries_gives_its_sources_as_reasons(select):
    settings = SMALL.model_copy(update={"geometries": Geometries(share=0.2)})
    sources = ["attack", "random_displacement", "dynamics", "normal_modes"] * 10
    pool = attacks_on(TABLES[0], 40).assign(source=sources)
    selection, _ = select(
        settings,
        round_number=1,
        predictions=predictions_of(TABLES[0], np.linspace(0, 1, 60)),
        geometries=pool,
    )
    distorted = selection[selection["reason"].isin(DISTORTED)]
    assert len(distorted) == 8
    # In the order of their table, but for those of groups that are held out.
    counts = distorted["reason"].value_counts()
    assert set(counts.index) == set(DISTORTED)
    assert counts.max() - counts.min() <= 2
    assert not set(distorted["group"]) & set(selection.dropna(subset=["split"])["group"])
    chosen = History.of(selection).candidates
    rest = selection[~selection["reason"].isin(DISTORTED)]
    assert chosen == set(rest["candidate_id"])


def test_a_distorted_geometry_is_of_the_group_of_its_candidate(select):
    """Two candidates a group, named otherwise than either."""
    pairs = TABLES[0].assign(group=[f"g{n // 2}" for n in range(60)])
    selection, _ = select(
        SMALL.model_copy(update={"geometries": Geometries(share=0.2)}),
        tables=(pairs, *TABLES[1:]),
        round_number=1,
        predictions=predictions_of(TABLES[0], np.linspace(0, 1, 60)),
        geometries=attacks_on(TABLES[0], 60),
    )
    distorted = selection[selection["reason"].isin(DISTORTED)]
    assert len(distorted) == 8
    group = pairs.set_index("candidate_id")["group"]
    assert distorted["group"].tolist() == group.loc[distorted["candidate_id"]].tolist()
    assert not set(distorted["group"]) & set(selection.dropna(subset=["split"])["group"])


def test_greedy_takes_the_best_that_can_be_chosen(select):
    settings = SMALL.model_copy(
        update={"function": "greedy", "diversity": Diversity(method="none")}
    )
    predictions = predictions_of(TABLES[0], np.linspace(0, 1, 60))
    predictions.loc[59, ["status", "mean"]] = ["failed", np.nan]
    predictions.loc[58, "in_domain"] = False
    selection, _ = select(settings, 1, predictions=predictions)
    random = set(selection.loc[selection["reason"] == "random", "candidate_id"])
    acquired = selection.loc[selection["reason"] == "acquired", "candidate_id"].unique()
    best = [c for c in predictions["candidate_id"][58::-1] if c not in random][: len(acquired)]
    assert acquired.tolist() == best
    assert predictions["candidate_id"][59] not in set(selection["candidate_id"])
    negolyte = Objective(direction="negolyte")
    selection, _ = select(settings, 1, predictions=predictions, objective=negolyte)
    lowest = predictions["candidate_id"].iloc[0]
    assert lowest in set(selection["candidate_id"])


def test_random_candidates_are_drawn_uniformly(select):
    settings = SMALL.model_copy(update={"seed_random_share": 0.5, "displaced_per_species": 0})
    drawn = pd.concat([select(settings, seed=seed)[0] for seed in range(25)])
    drawn = drawn[(drawn["reason"] == "random")].drop_duplicates(["candidate_id", "split"])
    # 25 seeds x 15 of 60: the chance that a candidate is never drawn is below 0.1 %.
    assert drawn["candidate_id"].nunique() >= 58


def test_candidates_without_both_structures_are_left_out(select):
    candidates, species, structures = TABLES
    selection, _ = select(tables=(candidates, species, structures.iloc[1:61]))
    incomplete = structures["candidate_id"].iloc[0]
    assert incomplete not in set(selection["candidate_id"])
    assert selection["candidate_id"].nunique() == 15


def test_rejected_candidates_are_left_out(select):
    candidates = TABLES[0].copy()
    candidates.loc[candidates.index[:50], "status"] = "rejected"
    selection, _ = select(tables=(candidates, *TABLES[1:]))
    assert set(selection["candidate_id"]) == set(candidates["candidate_id"].iloc[50:])


def test_a_structure_shared_by_two_candidates_is_labelled_once_and_crosses_no_split(select):
    candidates, species, structures = candidate_tables(30)
    shared = structures.copy()
    columns = ["structure_id", "positions_angstrom", "species_id"]
    for column in columns:  # candidates 2n and 2n + 1 reduce to the same molecule
        values = shared[column].tolist()
        for row in range(1, len(values), 4):
            values[row + 2] = values[row]
        shared[column] = values
    previous = empty_table("selection")
    for number in range(3):
        selection, _ = select(
            tables=(candidates, species, shared),
            round_number=number,
            predictions=None if number == 0 else predictions_of(candidates, np.arange(30) / 30),
            previous_selections=previous,
        )
        previous = pd.concat([previous, selection])
    assert previous["structure_id"].is_unique
    users = shared.groupby("structure_id")["candidate_id"].agg(list)
    split = previous.drop_duplicates("candidate_id").set_index("candidate_id")["split"]
    for first, second in users[users.map(len) == 2]:
        if {first, second} <= set(split.index):
            assert (split[first] in HELD_OUT) == (split[second] in HELD_OUT)


def test_empty_pool_gives_empty_tables(select):
    tables = tuple(empty_table(n) for n in ("candidates", "species", "structures"))
    for number, predictions in ((0, None), (1, empty_table("predictions"))):
        selection, structures = select(tables=tables, round_number=number, predictions=predictions)
        assert len(selection) == len(structures) == 0


def test_exhausted_pool_gives_what_is_left(select):
    tables = candidate_tables(5)
    first, _ = select(tables=tables)
    assert first["candidate_id"].nunique() == 5
    second, _ = select(
        tables=tables,
        round_number=1,
        predictions=predictions_of(tables[0], np.arange(5.0)),
        previous_selections=first,
    )
    assert second.empty


def test_a_budget_below_two_candidates_is_refused(select):
    with pytest.raises(CampaignError, match=r"acquisition.batch_labels: 7 .* at least 8"):
        select(SMALL.model_copy(update={"batch_labels": 7}), round_number=1)
    with pytest.raises(CampaignError, match=r"acquisition.seed_labels: 3 "):
        select(SMALL.model_copy(update={"seed_labels": 3}))


def test_later_rounds_need_predictions(select):
    with pytest.raises(ValueError, match="round 1"):
        select(round_number=1)


@settings(max_examples=30, deadline=None)
@given(
    share=st.floats(0, 1),
    labels=st.integers(8, 90),
    copies=st.integers(0, 1),
    number=st.integers(0, 1),
    attack=st.floats(0, 0.3),
)
def test_no_budget_is_exceeded_or_wasted(tmp_path_factory, share, labels, copies, number, attack):
    wanted = Acquisition(
        seed_labels=labels + 10,
        batch_labels=labels + 10,
        displaced_per_species=copies,
        seed_random_share=share,
        random_share=max(0.01, 0.7 * share),
        geometries=Geometries(share=attack),
    )
    candidates = TABLES[0]
    out = tmp_path_factory.mktemp("round") / "selection.parquet"
    select_batch(
        *TABLES,
        wanted,
        POSOLYTE,
        number,
        1,
        empty_table("selection"),
        None if number == 0 else predictions_of(candidates, np.linspace(0, 1, 60)),
        attacks_on(candidates, 20),
        None,
        out,
        out.with_name("structures.parquet"),
    )
    selection = read_table(out, "selection")
    cost = 2 * (1 + copies)
    affordable = min(labels + 10, 60 * cost + (selection["reason"] == "attack").sum())
    assert affordable - cost < len(selection) <= labels + 10


def test_members_spread_is_calibrated_for_thompson():
    predictions = predictions_of(TABLES[0].iloc[:2], np.array([0.0, 0.5]), std=0.1)
    predictions["std_raw"] = 0.1
    settings = Acquisition(function="thompson")

    def first_wins():
        scored = [
            score_candidates(predictions, np.array([]), POSOLYTE, settings, rng).scores
            for rng in map(np.random.default_rng, range(40))
        ]
        return np.mean([scores[0] > scores[1] for scores in scored])

    assert first_wins() == 0  # members within 0.1 of the mean never reach 0.5
    predictions["std"] = [1.0, 0.1]  # calibration finds the first's spread ten times too small
    assert 0.2 < first_wins() < 0.8


def test_diversity_spreads_within_the_best():
    fingerprints = build_pool(*TABLES).fingerprints
    scored = Scored(np.arange(60.0), np.zeros(60))
    starts = fingerprints[:0]
    plain = Acquisition(diversity=Diversity(method="none"))
    picks, scores = pick_batch(fingerprints, scored, 5, starts, plain)
    assert picks.tolist() == [59, 58, 57, 56, 55]
    assert scores.tolist() == [59, 58, 57, 56, 55]
    spread = Acquisition(diversity=Diversity(method="maxmin", pool_factor=3))
    picks, _ = pick_batch(fingerprints, scored, 5, starts, spread)
    assert len(set(picks)) == 5
    assert (picks >= 45).all()
    assert set(picks) != {59, 58, 57, 56, 55}
    assert picks[:3].tolist() == [59, 58, 57]  # the best are not passed over for being alike
    chance = Acquisition(function="random", diversity=Diversity(method="maxmin", pool_factor=3))
    assert pick_batch(fingerprints, scored, 5, starts, chance)[0].tolist() == [59, 58, 57, 56, 55]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 60, 90])
def test_a_spread_batch_is_as_large_as_asked(count):
    fingerprints = build_pool(*TABLES).fingerprints
    scored = Scored(np.arange(60.0), np.zeros(60))
    settings = Acquisition(diversity=Diversity(method="maxmin", pool_factor=1))
    picks, _ = pick_batch(fingerprints, scored, count, fingerprints[:2], settings)
    assert len(picks) == len(set(picks)) == min(count, 60)


@pytest.mark.parametrize("function", ["greedy", "upper_confidence_bound", "expected_improvement"])
def test_acquisition_finds_the_top_sooner_than_chance(select, function):
    truth = np.random.default_rng(8).normal(size=60)
    noisy = truth + np.random.default_rng(9).normal(scale=0.4, size=60)
    predictions = predictions_of(TABLES[0], noisy, 0.4)
    top = set(TABLES[0]["candidate_id"].to_numpy()[np.argsort(-truth)[:10]])

    def found(name):
        settings = SMALL.model_copy(update={"function": name})
        runs = [select(settings, 1, predictions=predictions, seed=seed)[0] for seed in range(6)]
        return np.mean([len(top & set(run["candidate_id"])) for run in runs])

    assert found(function) > found("random") + 1
