"""What a round labels: one budget for distorted geometries, random and acquired candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from molsieve.acquisition import budget
from molsieve.acquisition.diversity import pick_max_min
from molsieve.acquisition.goals import goals_of
from molsieve.acquisition.objectives import domain_name
from molsieve.acquisition.pool import HELD_OUT, History, Pool, build_pool, chosen_rows
from molsieve.acquisition.scoring import Scored, pick_batch, score_candidates, score_several
from molsieve.campaign import Acquisition
from molsieve.chem.identities import atoms_from_row, structure_row
from molsieve.geometry_settings import REARRANGED
from molsieve.labelling.collect import SHARED
from molsieve.labelling.cost import CostModel
from molsieve.levels import Level
from molsieve.objective import labels_minima, shared_roles
from molsieve.section import Section
from molsieve.tables import SCHEMAS, write_table

RANDOM_STREAM, SEED_STREAM, FUNCTION_STREAM, DISPLACEMENT_STREAM = range(4)
"""Independent streams of chance: drawing more from one does not change another."""


@dataclass(frozen=True)
class RoundSettings:
    """The acquisition section in one round of one campaign.

    ``paid`` are the structures that have been chosen so far.
    """

    acquisition: Acquisition
    number: int
    seed: int
    paid: frozenset[str] = frozenset()

    def rng(self, stream: int) -> np.random.Generator:
        """Chance of this round for one purpose."""
        return np.random.default_rng([self.seed, self.number, stream])


def select_batch(
    candidates: pd.DataFrame,
    species: pd.DataFrame,
    structures: pd.DataFrame,
    settings: Acquisition,
    objective: Section,
    round_number: int,
    seed: int,
    previous_selections: pd.DataFrame,
    predictions: pd.DataFrame | None,
    geometries: pd.DataFrame | None,
    labelled_values: pd.DataFrame | None,
    selection_out: Path,
    structures_out: Path,
    campaign: str = "",
    level: Level | None = None,
) -> None:
    """Choose the structures of a round; write ``selection`` and their ``structures``.

    A candidate costs its species times (1 + displaced_per_species) labels; a species that it shares
    with others is paid for once, and always trains. Random candidates, drawn uniformly, feed
    calibration and test alternately and never training. Distorted geometries get
    their share, in the order of their table. All that is left goes to candidates by the acquisition
    function (round 0: a max-min seed). No structure is labelled twice, and no candidate chosen
    twice, but for one whose labelled minimum is no longer its lowest (:func:`_outdone`).

    Args:
        candidates, species, structures: rows of all shards; only accepted candidates whose every
            species has a structure can be chosen. The structures are those to label: built, or the
            committee's minima in a domain that labels them.
        previous_selections: ``selection`` rows of all rounds before.
        predictions: of the round before (None in round 0); a candidate without an ok prediction
            cannot be chosen. Being out of domain does not exclude: its spread speaks for it.
        geometries: ``geometries`` rows, the sources in turn by their weights; ``source`` becomes
            the reason.
        labelled_values: (candidate_id, value) so far; the best of them is the one to improve on.
            With several objectives a column each in place of value: their front is.
        level: that will label them; ``predicted_cost_s`` is the cost model's default for it, which
            does not depend on what has been labelled since. None: left empty.

    Raises:
        CampaignError: the budget cannot pay for two candidates.
    """
    paid = frozenset(previous_selections["structure_id"])
    this = RoundSettings(settings, round_number, seed, paid)
    domain = domain_name(objective)
    pool = build_pool(candidates, species, structures, shared_roles(domain))
    if len(pool):
        budget.check_budget(settings, round_number, int(pool.species_counts.max()))
    known = _predictable(pool, predictions, this, domain)
    labels = budget.round_labels(settings, round_number)
    history = History.of(previous_selections, labels_minima(domain))
    outdone = _outdone(predictions, labelled_values, previous_selections, history, pool, domain)
    history = history.again(outdone)
    share = budget.geometry_labels(settings, round_number)
    reserved = len(_distorted(geometries, pool, history, share))
    drawn = _draw_random(pool, known, labels - reserved, history, this)
    random = _candidate_rows(pool, drawn, "random", None, this)
    own = random["split"].isna()
    random.loc[own, "split"] = _alternate_splits(random.loc[own, "group"], history)

    so_far = _stack([previous_selections, random.assign(round=round_number)])
    drawn_now = pool.candidate_ids[drawn]
    history = History.of(so_far, labels_minima(domain)).again(outdone - set(drawn_now))
    distorted = _distorted(geometries, pool, history, reserved)
    left = labels - int(pool.costs_in_order(drawn, settings, paid).sum()) - len(distorted)
    this = replace(this, paid=paid | set(random["structure_id"]))
    eligible = np.flatnonzero(history.may_train(pool) & known)
    if predictions is None:
        reason, scored = "seed", None
    else:
        reason = "acquired"
        scored = _scores(
            pool, eligible, candidates, predictions, labelled_values, objective, left, this
        )
    picks, scores = _picks(pool, eligible, left, history, scored, this)
    acquired = _candidate_rows(pool, picks, reason, scores, this)

    rows = _stack([random, acquired, distorted])
    rows = rows.loc[~rows["structure_id"].isin(set(previous_selections["structure_id"]))]
    rows = rows.drop_duplicates("structure_id").assign(round=round_number)
    if level is not None and len(rows):
        rows["predicted_cost_s"] = CostModel().predicted_costs_s(rows, level)
    for name, path in (("selection", selection_out), ("structures", structures_out)):
        write_table(rows.reindex(columns=SCHEMAS[name].names), name, path, campaign)


def _predictable(
    pool: Pool, predictions: pd.DataFrame | None, this: RoundSettings, domain: str
) -> np.ndarray:
    """(C,) candidates a round can choose: all in round 0, later those with an ok prediction.

    Where minima are labelled, not those whose minimum is another substance: its label would not be
    the candidate's.
    """
    if (predictions is None) != (this.number == 0):
        raise ValueError(f"round {this.number}: predictions of the round before go with rounds > 0")
    if predictions is None:
        return np.ones(len(pool), dtype=bool)
    ok = (predictions["status"] == "ok") & predictions["mean"].notna()
    if labels_minima(domain):
        ok &= ~predictions["reason"].astype("string").str.contains(REARRANGED).fillna(False)
    return pool.holds(predictions.loc[ok, "candidate_id"])


def _outdone(
    predictions: pd.DataFrame | None,
    labelled_values: pd.DataFrame | None,
    selections: pd.DataFrame,
    history: History,
    pool: Pool,
    domain: str,
) -> set[str]:
    """Chosen candidates that may be labelled anew, of a domain that labels the committee's minima.

    A label at a young committee's minimum is an upper bound. It is outdone by a prediction in the
    domain that is lower by more than its standard deviation. And a candidate whose label gave it no
    value (its minimum turned out to be another substance, or failed) gets a second chance, not a
    third. Never one that judges: its label would only ever be revised towards the prediction.
    """
    if predictions is None or labelled_values is None or not labels_minima(domain):
        return set()
    judges = {
        candidate
        for candidate, group in zip(pool.candidate_ids, pool.groups, strict=True)
        if group in history.held_out_groups
    }
    sound = predictions.loc[(predictions["status"] == "ok") & predictions["in_domain"].eq(True)]
    both = sound.merge(labelled_values, on="candidate_id", how="left")
    below = both["mean"] + both["std"] < both["value"]
    chosen = selections.loc[chosen_rows(selections, True)]
    rounds = chosen.groupby("candidate_id")["round"].nunique()
    once = set(rounds[rounds == 1].index)
    without = both["value"].isna() & both["candidate_id"].isin(once)
    return set(both.loc[below | without, "candidate_id"]) - judges


def _draw_random(
    pool: Pool, known: np.ndarray, labels: int, history: History, this: RoundSettings
) -> np.ndarray:
    """Indices of the candidates drawn uniformly for calibration and test."""
    may_be_held_out = history.may_be_held_out(pool) & known
    any_use = np.flatnonzero(may_be_held_out | (history.may_train(pool) & known))
    cheapest = any_use[np.argsort(pool.costs(this.acquisition)[any_use], kind="stable")]
    # What they share is to be paid for too: without it a few cheap candidates would seem many.
    candidates = budget.affordable(
        pool.costs_in_order(cheapest[:labels], this.acquisition, this.paid), labels
    )
    count = budget.random_candidates(this.acquisition, this.number, candidates)
    order = this.rng(RANDOM_STREAM).permutation(np.flatnonzero(may_be_held_out))[:count]
    in_order = pool.costs_in_order(order, this.acquisition, this.paid)
    return order[: budget.affordable(in_order, labels)]


def _alternate_splits(groups: pd.Series, history: History) -> list[str]:
    """A split a row: a known group keeps its own, new ones take calibration and test in turn."""
    splits = dict(history.held_out_groups)
    for group in groups:
        splits.setdefault(group, HELD_OUT[len(splits) % len(HELD_OUT)])
    return [splits[group] for group in groups]


def _distorted(
    geometries: pd.DataFrame | None, pool: Pool, history: History, count: int
) -> pd.DataFrame:
    """The first ``count`` distorted geometries that are new and of no held-out group.

    Their group is their candidate's: under another name they could validate what it trains.
    """
    if geometries is None or geometries.empty or count == 0:
        return _stack([])
    groups = dict(zip(pool.candidate_ids, pool.groups, strict=True))
    candidate = geometries["candidate_id"].fillna(geometries["species_id"])
    group = candidate.map(groups).fillna(candidate)
    rows = geometries.assign(group=group, reason=geometries["source"])
    rows = rows.drop_duplicates("structure_id")
    new = ~rows["structure_id"].isin(history.structures) & ~group.isin(history.held_out_groups)
    return rows.loc[new.loc[rows.index]].head(count)


def _scores(
    pool: Pool,
    eligible: np.ndarray,
    candidates: pd.DataFrame,
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame | None,
    objective: Section,
    labels: int,
    this: RoundSettings,
) -> Scored:
    """Acquisition scores of the eligible candidates, of which ``labels`` will be chosen."""
    rng, ids = this.rng(FUNCTION_STREAM), pool.candidate_ids[eligible]
    if goals_of(objective):
        ok = predictions.loc[(predictions["status"] == "ok") & predictions["mean"].notna()]
        costs = np.sort(pool.costs(this.acquisition)[eligible])
        depth = this.acquisition.diversity.pool_factor * budget.affordable(costs, labels)
        known = pd.DataFrame() if labelled_values is None else labelled_values
        return score_several(
            ok, ids, candidates, known, objective, this.acquisition, int(np.ceil(depth)), rng
        )
    rows = predictions.drop_duplicates("candidate_id").set_index("candidate_id")
    values = np.empty(0) if labelled_values is None else labelled_values["value"].to_numpy(float)
    return score_candidates(rows.loc[ids], values, objective, this.acquisition, rng)


def _picks(
    pool: Pool,
    eligible: np.ndarray,
    labels: int,
    history: History,
    scored: Scored | None,
    this: RoundSettings,
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the candidates that ``labels`` pays for, in picking order, and their scores.

    Spread over chemical space from what has been chosen already; without scores by that alone.
    """
    costs = pool.costs(this.acquisition)[eligible]
    count = budget.affordable(np.sort(costs), labels)
    starts = pool.fingerprints[pool.holds(history.candidates)]
    fingerprints = pool.fingerprints[eligible]
    if scored is None:
        first = int(this.rng(SEED_STREAM).integers(max(1, len(eligible))))
        picks, scores = pick_max_min(fingerprints, count, starts, first)
    else:
        picks, scores = pick_batch(fingerprints, scored, count, starts, this.acquisition)
    in_order = pool.costs_in_order(eligible[picks], this.acquisition, this.paid)
    bought = budget.affordable(in_order, labels)
    return eligible[picks[:bought]], scores[:bought]


def _candidate_rows(
    pool: Pool, indices: np.ndarray, reason: str, scores: np.ndarray | None, this: RoundSettings
) -> pd.DataFrame:
    """Selection and structure columns of the candidates' structures and their displaced copies.

    A shared species is nobody's: it has a group of its own and always trains, whoever needed it.
    """
    trains = "acquired" if this.number else "seed"
    rows = []
    for place, index in enumerate(indices):
        score = None if scores is None else float(scores[place])
        own = {"reason": reason, "group": pool.groups[index], "score": score}
        for relaxed in pool.structures.iloc[pool.rows[index]].to_dict("records"):
            chosen = own
            if relaxed["role"] in pool.shared_roles:
                nobodys = {"candidate_id": None, "group": relaxed["species_id"], "split": SHARED}
                chosen = {"reason": trains, **nobodys}
            rows += [{**row, **chosen} for row in (relaxed, *_displaced_rows(relaxed, this))]
    return _stack([pd.DataFrame(rows)])


def _displaced_rows(relaxed: dict, this: RoundSettings) -> list[dict]:
    """Copies of a structure, every coordinate moved by a normal step, seeded by its identity."""
    rows = []
    for copy in range(this.acquisition.displaced_per_species):
        entropy = [this.seed, DISPLACEMENT_STREAM, int(relaxed["structure_id"], 16), copy]
        atoms = atoms_from_row(relaxed)
        step = np.random.default_rng(entropy).normal(size=atoms.positions.shape)
        atoms.positions += this.acquisition.displacement_angstrom * step
        rows.append(
            structure_row(
                atoms,
                species_id=relaxed["species_id"],
                origin="displaced",
                geometry_protocol_id=relaxed["geometry_protocol_id"],
                conformer=int(relaxed["conformer"]),
                parent_structure_id=relaxed["structure_id"],
                candidate_id=relaxed["candidate_id"],
                role=relaxed["role"],
            )
        )
    return rows


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The frames one below the other, with all columns of selection and structures."""
    columns = list(dict.fromkeys([*SCHEMAS["selection"].names, *SCHEMAS["structures"].names]))
    filled = [frame.reindex(columns=columns).astype(object) for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=columns, dtype=object)
    return pd.concat(filled, ignore_index=True)
