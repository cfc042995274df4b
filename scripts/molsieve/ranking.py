"""The answer: hits to confirm, and every candidate ranked, with its errors told apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from molsieve.acquisition.goals import goals_of
from molsieve.acquisition.objectives import (
    domain_name,
    domain_objective,
    with_domain_columns,
)
from molsieve.acquisition.pareto import pareto_fronts
from molsieve.acquisition.pool import chosen_rows, relaxed_structures
from molsieve.campaign import Confirm, Ranking
from molsieve.geometry_settings import REARRANGED
from molsieve.labelling.cost import CostModel
from molsieve.levels import AseLevel, Cp2kLevel, Level, TbliteLevel
from molsieve.objective import labels_minima
from molsieve.ranking_by_goals import (
    BALANCE,
    BALANCE_UNIT,
    best_by_goals,
    confirmed_by_goals,
    observed_at,
    with_answer_columns,
)
from molsieve.ranking_flags import excitation_flags, with_excitation_flags
from molsieve.section import CampaignError, Section
from molsieve.tables import SCHEMAS, write_table

COMMITTEE_MINIMUM, BUILT_MINIMUM = "committee_minimum", "built_minimum"
CONTROL_STREAM = 10
StructuresOf = Callable[[set[str]], pd.DataFrame]
"""Reads the ``structures`` rows of candidates."""


def select_hits(
    predictions: pd.DataFrame,
    candidates: pd.DataFrame,
    built_structures: pd.DataFrame | StructuresOf,
    committee_structures: pd.DataFrame | StructuresOf,
    labelled_values: pd.DataFrame,
    confirm: Confirm,
    labels_level: Level,
    confirm_level: Level,
    objective: Section,
    seed: int,
    round_number: int,
    selection_out: Path,
    structures_out: Path,
    campaign: str = "",
) -> None:
    """Choose the top candidates by best estimate and random controls; write what to label of them.

    The controls, drawn from all other ranked candidates, tell how far the top ones owe their place
    to luck (winner's curse). Of each, the species' committee minima and built minima are listed;
    ``selection.geometry`` says which (:func:`structures_at_level`), ``reason`` says top or control.

    Args:
        predictions: of the last round, all shards.
        built_structures, committee_structures: relaxed ``structures`` of all shards, or what reads
            those of some candidates.
        labelled_values: (candidate_id, value) at the label level, built minima.
        labels_level, confirm_level: that will label them; ``predicted_cost_s`` is the cost model's
            default for both together, which never depends on what is in a label store.
    """
    ranked = _in_order(predictions, labelled_values, candidates, objective)
    ranked = ranked.loc[ranked["candidate_id"].isin(_accepted(candidates)["candidate_id"])]
    top = ranked["candidate_id"].tolist()[: confirm.top]
    rest = sorted(ranked.loc[ranked["predicted"], "candidate_id"][lambda ids: ~ids.isin(top)])
    rng = np.random.default_rng([seed, round_number, CONTROL_STREAM])
    drawn = rng.permutation(len(rest))[: confirm.controls]
    reasons = {c: "top" for c in top} | {rest[i]: "control" for i in drawn}
    place = {c: n for n, c in enumerate(reasons)}
    rows = pd.concat(
        [
            relaxed_structures(table(set(place)) if callable(table) else table).assign(
                geometry=geometry
            )
            for table, geometry in (
                (committee_structures, COMMITTEE_MINIMUM),
                (built_structures, BUILT_MINIMUM),
            )
            # What was only put together has no minimum to compare with.
            if geometry == COMMITTEE_MINIMUM or not labels_minima(domain_name(objective))
        ]
    )
    rows = rows.loc[rows["candidate_id"].isin(place)]
    rows = rows.assign(
        round=round_number,
        reason=rows["candidate_id"].map(reasons),
        group=rows["candidate_id"],
        score=rows["candidate_id"].map(ranked.set_index("candidate_id")["utility"]),
        place=rows["candidate_id"].map(place),
    )
    rows = rows.sort_values(["place", "geometry", "role"], ascending=[True, False, True])
    rows = rows.drop_duplicates("structure_id")
    rows["predicted_cost_s"] = _predicted_costs_s(rows, labels_level, confirm_level)
    for name, path in (("selection", selection_out), ("structures", structures_out)):
        write_table(rows.reindex(columns=SCHEMAS[name].names), name, path, campaign)


def _predicted_costs_s(
    hits: pd.DataFrame,
    labels_level: Level,
    confirm_level: Level,
) -> np.ndarray:
    """(rows,) core-seconds of each hit at the levels that label it."""
    model = CostModel()
    seconds = model.predicted_costs_s(hits, labels_level)
    if confirm_level != labels_level:
        confirmed = hits["geometry"].eq(COMMITTEE_MINIMUM).to_numpy()
        seconds = seconds + confirmed * model.predicted_costs_s(hits, confirm_level)
    return seconds


def structures_at_level(
    structures: pd.DataFrame, hits: pd.DataFrame, *, confirming: bool
) -> pd.DataFrame:
    """Which of the hits' structures a level labels; the confirming one only the committee minima.

    The label level needs the built minima too, to tell the geometry's error from the model's.

    Args:
        structures, hits: as :func:`select_hits` wrote them.
    """
    if not confirming:
        return structures
    minima = hits.loc[hits["geometry"] == COMMITTEE_MINIMUM, "structure_id"]
    return structures.loc[structures["structure_id"].isin(minima)]


def rank_candidates(
    predictions: pd.DataFrame,
    candidates: pd.DataFrame,
    labelled_values: pd.DataFrame,
    selections: pd.DataFrame,
    built_structures: pd.DataFrame,
    committee_structures: pd.DataFrame,
    hits: pd.DataFrame,
    label_labels: pd.DataFrame,
    confirm_labels: pd.DataFrame,
    label_calibration: Mapping[str, Any],
    confirm_calibration: Mapping[str, Any],
    confirm_level: Level,
    ranking: Ranking,
    objective: Section,
    round_number: int,
    ranking_out: Path,
    campaign: str = "",
    calibrated: bool = True,
    labelled_flags: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Write ``ranking``: all candidates with a best estimate, by its utility; return it.

    The best estimate is the label level's value at the built minimum where there is one, else the
    prediction; ties go by candidate_id. Candidates whose structures or predictions failed and that
    have no label cannot be ranked: ``assess_round`` counts them. With several objectives the order
    is that of :mod:`molsieve.ranking_by_goals`. For confirmed candidates, in the objective's unit:

    - model_error = prediction - label level at the committee minimum
    - geometry_error = label level at the committee minimum - label level at the built minimum
    - level_error = label level at the committee minimum - confirming level there (from there on,
      where the confirming level optimises)

    Args:
        labelled_values: (candidate_id, value) at the label level, built minima, all rounds.
        selections: ``selection`` rows of all rounds whose label at the objective's level was
            asked for.
        built_structures, committee_structures: relaxed ``structures``; of them the columns
            structure_id, candidate_id, role, conformer, origin are read.
        hits: ``selection`` of :func:`select_hits`.
        label_labels, confirm_labels: winning ``labels`` rows of the hits at the two levels.
        label_calibration, confirm_calibration: of the two levels.
        calibrated: whether the committee's spread is (``calibrated`` of its calibration.json).
        labelled_flags: :func:`molsieve.ranking_flags.excitation_flags` of labelled candidates.
    """
    accepted, domain = _accepted(candidates), domain_objective(objective)
    several = bool(goals_of(objective))
    table = _in_order(predictions, labelled_values, candidates, objective)
    columns = ["candidate_id", "identifier", "log_solubility", "synthesizability", "sa_score"]
    table = table.merge(accepted[columns], on="candidate_id")
    protocol = confirmation_protocol(confirm_level)
    at_committee, at_built, confirmed = (
        observed_at(*told, hits, objective)
        for told in (
            (committee_structures, label_labels, label_calibration),
            (built_structures, label_labels, label_calibration),
            (committee_structures, confirm_labels, confirm_calibration),
        )
    )
    if several:
        table = confirmed_by_goals(table, accepted, at_committee, at_built, confirmed, objective)
        table = with_answer_columns(table, ranking, objective)
    else:
        table = _confirmed(table, at_committee, at_built, confirmed)
        table["pareto_front"] = pareto_fronts(_objectives(table, accepted, ranking.pareto))
    table = table.assign(
        confirmed_protocol=table["confirmed_value"].notna().map({True: protocol, False: None}),
        why_confirmed=table["candidate_id"].map(hits.set_index("candidate_id")["reason"].to_dict()),
        rank=np.arange(1, len(table) + 1),
        round=round_number,
        objective=BALANCE if several else domain.NAME,
        unit=BALANCE_UNIT if several else domain.UNIT,
    )
    if not several:
        table = with_domain_columns(table, predictions, built_structures, objective)
    best = table["label_value"].astype(float).fillna(table["mean"].astype(float))
    beyond = domain.extrapolated(best.to_numpy(float), label_calibration)
    table["flags"] = _flags(
        table, selections, calibrated, beyond, labels_minima(domain_name(objective))
    )
    table["flags"] = with_excitation_flags(
        table, labelled_flags or {}, excitation_flags(committee_structures, confirm_labels)
    )
    table = table.reindex(columns=SCHEMAS["ranking"].names)
    write_table(table, "ranking", ranking_out, campaign)
    return table


def _in_order(
    predictions: pd.DataFrame,
    labelled_values: pd.DataFrame,
    candidates: pd.DataFrame,
    objective: Section,
) -> pd.DataFrame:
    """Best estimates in the order of the answer, by one objective or by a campaign's goals."""
    if goals_of(objective):
        return best_by_goals(predictions, labelled_values, _accepted(candidates), objective)
    return best_estimates(predictions, labelled_values, objective)


def _confirmed(
    table: pd.DataFrame, at_committee: pd.DataFrame, at_built: pd.DataFrame, confirmed: pd.DataFrame
) -> pd.DataFrame:
    """``table`` with confirmed values and the three errors.

    Args:
        at_committee, at_built: label level's (candidate_id, value) at both minima; confirmed: the
            confirming level's.
    """

    def of_rows(values: pd.DataFrame) -> pd.Series:
        known = values.set_index("candidate_id")["value"]
        return table["candidate_id"].map(known).astype(float)

    committee, built, told = of_rows(at_committee), of_rows(at_built), of_rows(confirmed)
    return table.assign(
        confirmed_value=told,
        model_error=table["mean"] - committee,
        geometry_error=committee - built,
        level_error=committee - told,
    )


def best_estimates(
    predictions: pd.DataFrame, labelled_values: pd.DataFrame, objective: Section
) -> pd.DataFrame:
    """Candidates with a label or an ok prediction, best utility first, ties by candidate_id.

    Returns:
        candidate_id, mean, std, interval_95, in_domain, reason, predicted (has an ok prediction),
        label_value, utility (of the label value, else of the mean).
    """
    columns = ["candidate_id", "mean", "std", "interval_95", "in_domain", "reason"]
    ok = (predictions["status"] == "ok") & predictions["mean"].notna()
    predicted = predictions.loc[ok].reindex(columns=columns).drop_duplicates("candidate_id")
    predicted = predicted.assign(predicted=True)
    labelled = labelled_values.rename(columns={"value": "label_value"})
    table = predicted.merge(labelled, on="candidate_id", how="outer")
    table["predicted"] = table["predicted"].eq(True)
    best = table["label_value"].astype(float).fillna(table["mean"].astype(float))
    table["utility"] = domain_objective(objective).utility(best.to_numpy(float), objective)
    return table.sort_values(
        ["utility", "candidate_id"], ascending=[False, True], ignore_index=True
    )


def confirmation_protocol(level: Level) -> str:
    """How a value was confirmed, e.g. "PBE/def2-SVP single point on committee minimum"."""
    if level.geometry == "optimised":
        return f"{level_name(level)} optimised from committee minimum"
    return f"{level_name(level)} single point on committee minimum"


def level_name(level: Level) -> str:
    """A level of theory as a chemist writes it, e.g. "PBE-D3BJ/def2-SVP, C-PCM (78.36)"."""
    if isinstance(level, TbliteLevel):
        return level.method
    if isinstance(level, AseLevel):
        return f"{level.calculator} {level.version}"
    dispersion = "" if level.dispersion == "none" else f"-{level.dispersion.upper()}"
    name = f"{level.functional}{dispersion}/{level.basis}"
    if isinstance(level, Cp2kLevel):
        return f"{name}, {level.cutoff_ry:g} Ry"
    if level.solvent == "none":
        return name
    medium = level.solvent_name if level.solvent == "SMD" else f"{level.dielectric_constant:.4g}"
    return f"{name}, {level.solvent} ({medium})"


def _objectives(table: pd.DataFrame, accepted: pd.DataFrame, pareto: list[str]) -> np.ndarray:
    """(C, 1 + P) utility and the further columns of the candidates, in the table's order."""
    columns = [table["utility"].to_numpy(float)]
    rows = accepted.set_index("candidate_id")
    for name in pareto:
        if name not in rows.columns or not pd.api.types.is_numeric_dtype(rows[name]):
            known = [c for c in rows.columns if pd.api.types.is_numeric_dtype(rows[c])]
            raise CampaignError(
                f"ranking.pareto: {name!r} is no numeric column of the candidates; "
                f"allowed: {', '.join(known)}"
            )
        columns.append(rows[name].reindex(table["candidate_id"]).astype(float).to_numpy())
    return np.stack(columns, axis=1)


def _flags(
    table: pd.DataFrame,
    selections: pd.DataFrame,
    calibrated: bool,
    beyond: np.ndarray,
    minima: bool,
) -> list[list[str]]:
    """What a reader must know of each candidate before trusting its row.

    uncalibrated: a prediction whose spread has no calibration; label_failed: chosen for labelling,
    without a value; extrapolated: beyond all measured values that the label level was fitted to. In
    domains that label minima also rearranged: the committee's minimum has other bonds than what was
    built; proton_moved: the labelled one has, but protons between heteroatoms only.
    """
    chosen = selections.loc[chosen_rows(selections, minima), "candidate_id"]
    flags = {
        "out_of_domain": table["in_domain"].eq(False) & table["predicted"],
        "prediction_failed": ~table["predicted"],
        "uncalibrated": table["predicted"] & (table["std"].isna() | (not calibrated)),
        "label_failed": table["candidate_id"].isin(chosen) & table["label_value"].isna(),
        "confirm_failed": table["why_confirmed"].notna() & table["confirmed_value"].isna(),
        "extrapolated": pd.Series(beyond, table.index),
    }
    if minima:  # of a complex whose pose was only put together much may become
        told = table["reason"].astype("string")
        flags["rearranged"] = told.str.contains(REARRANGED, regex=False)
        flags["proton_moved"] = table.get("proton_moved", pd.Series(False, table.index)).eq(True)
    raised = np.stack([mask.fillna(False).to_numpy(bool) for mask in flags.values()], axis=1)
    names = np.array(list(flags), dtype=object)
    return [names[row].tolist() for row in raised]


def _accepted(candidates: pd.DataFrame) -> pd.DataFrame:
    return candidates.loc[candidates["status"] == "accepted"].drop_duplicates("candidate_id")
