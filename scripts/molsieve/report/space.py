"""The searched space: what was labelled and why, the Pareto front, refusals, failures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from molsieve.geometry_settings import DISTORTED
from molsieve.report.markup import (
    beside,
    count_bars,
    figure,
    is_missing,
    nothing,
    number,
    over,
    paragraph,
    plus_minus,
    section,
    table,
    words,
)
from molsieve.report.results import Results
from molsieve.report.svg import Plot, axis_of_rounds, axis_over

PLOTTED = 3000
"""Most points a plot of the whole space shows; more would make the page heavy, not clearer."""

FAILURE_ROWS = 200


def acquisition_section(results: Results) -> str:
    """What each round labelled and for which reason, at the last round's word on its value."""
    selection = results.selection
    if selection.empty:
        note = nothing("Nothing has been selected for labelling.")
        return section("acquisition", "What was acquired, and why", note)
    # With several objectives the ranking's mean is their balance.
    told = results.ranking if results.several else results.predictions
    known = told.drop_duplicates("candidate_id").set_index("candidate_id")["mean"]
    picked = selection[selection["candidate_id"].notna()]
    picked = picked.drop_duplicates(["round", "candidate_id", "reason"])
    picked = picked.assign(value=picked["candidate_id"].map(known).astype(float))
    reasons = sorted(selection["reason"].unique(), key=_reason_order)
    return section(
        "acquisition",
        "What was acquired, and why",
        beside(
            _acquisition_plot(picked, reasons, known.dropna(), results),
            _counts_table(selection, reasons),
        ),
        _stability(results),
    )


def _reason_order(reason: str) -> tuple[int, str]:
    known = ["acquired", "random", *DISTORTED, "seed", "displaced"]
    return (known.index(reason) if reason in known else len(known), reason)


def _acquisition_plot(
    picked: pd.DataFrame, reasons: list[str], known: pd.Series, results: Results
) -> str:
    shown = picked[picked["value"].notna()]
    if shown.empty:
        return nothing("No labelled candidate has a prediction to be placed by.")
    x = axis_of_rounds(selection_rounds(results))
    y = axis_over(over(results.objective, results.unit), known.tolist())
    plot = Plot(x, y, "Labelled candidates by round and reason")
    quartiles = np.quantile(known, [0.25, 0.75])
    plot.band(x.low, x.high, quartiles[0], quartiles[1], "middle half of all candidates")
    names = results.identifiers()
    lanes, drawn = _lanes(shown, reasons), 0
    for i, reason in enumerate(reasons):
        every = shown[shown["reason"] == reason].sort_values(["round", "candidate_id"])
        part = every.iloc[:: _stride(len(shown))]
        drawn += len(part)
        if part.empty:
            continue
        # Spread inside the round's lane by a golden-ratio sequence: dense, even, repeatable.
        inside = 0.1 + 0.8 * np.modf(0.618034 * np.arange(len(part)))[0]
        lane = np.array([lanes[r, reason] for r in part["round"]])
        xs = part["round"].to_numpy(float) - 0.4 + lane[:, 0] + inside * lane[:, 1]
        tips = [
            f"{names.get(c, c)}\n{reason}, round {r}\n{results.objective} {v:.3f} {results.unit}"
            for c, r, v in zip(part["candidate_id"], part["round"], part["value"], strict=True)
        ]
        plot.points(
            xs.tolist(),
            part["value"].tolist(),
            i % 6 + 1,
            f"{words(reason)}, n = {len(every):,}",
            tips=tips,
            molecules=part["candidate_id"].tolist(),
            size=_mark_size(len(shown)),
            hollow=i >= 6,  # there are six kinds of marks
        )
    return figure(
        plot.svg(),
        f"Candidates labelled in each round ({drawn:,} of {len(shown):,} are drawn), placed by "
        f"the last committee's mean. The band holds the middle half of all {len(known):,} "
        "predicted candidates. Inside a round, marks are spread sideways only to be seen.",
    )


def _lanes(shown: pd.DataFrame, reasons: list[str]) -> dict[tuple[int, str], tuple[float, float]]:
    """(round, reason) → where its lane begins and how wide it is; a round's lanes share 0.8."""
    lanes: dict[tuple[int, str], tuple[float, float]] = {}
    for r in map(int, shown["round"].unique()):
        part = shown[shown["round"] == r]
        present = [reason for reason in reasons if reason in set(part["reason"])]
        width = 0.8 / len(present)
        lanes |= {(r, reason): (k * width, width) for k, reason in enumerate(present)}
    return lanes


def _stability(results: Results) -> str:
    """Whether the committee's own dynamics hold, of the last round that ran any."""
    rows = results.metric_rows("train", "dynamics_stability")
    if rows.empty:
        return ""
    last = rows.iloc[-1]
    ended = round(last["value"] * last["n"])
    low, high = (100 * end for end in last["interval"])
    told = results.campaign["acquisition"]["geometries"]["dynamics"]
    return paragraph(
        f"Dynamics on round {int(last['round'])}'s committee: {ended} of {int(last['n'])} "
        f"trajectories of {told['length_ps']:g} ps at {told['temperature_k']:g} K ended sane "
        f"({100 * last['value']:.0f} %, 95 % interval {low:.0f} to {high:.0f} %): no bond torn or "
        "formed by accident, no runaway temperature or energy. Frames where the others went astray "
        "are proposed for labelling."
    )


def selection_rounds(results: Results) -> list[int]:
    """The rounds that selected anything."""
    return sorted(int(r) for r in results.selection["round"].unique())


def _counts_table(selection: pd.DataFrame, reasons: list[str]) -> str:
    counts = selection.groupby(["round", "reason"]).size()
    rows = []
    for r in sorted(selection["round"].unique()):
        by_reason = [int(counts.get((r, reason), 0)) for reason in reasons]
        rows.append([str(int(r)), *(f"{n:,}" for n in by_reason), f"{sum(by_reason):,}"])
    return table(
        ["round", *(words(r) for r in reasons), "all"],
        rows,
        caption="Structures sent to be labelled, by round and reason",
    )


def pareto_section(results: Results) -> str:
    """The objective against solubility and synthesizability, the Pareto front marked."""
    columns = [c for c in ("log_solubility", "synthesizability") if _has(results.ranking, c)]
    if not columns:
        note = nothing("The ranking has no second objective to weigh against the first.")
        return section("pareto", "Pareto front", note)
    named = results.campaign["ranking"].get("pareto") or []
    text = (
        "Front 1 cannot be improved in one of the objectives "
        f"({', '.join([results.objective, *map(words, named)])}) without losing in another."
    )
    plots = [_pareto_plot(results, column) for column in columns]
    return section("pareto", "Pareto front", paragraph(text), beside(*plots))


def _has(frame: pd.DataFrame, column: str) -> bool:
    return bool(len(frame)) and bool(frame[column].notna().any())


def _pareto_plot(results: Results, column: str) -> str:
    ranking = results.ranking.sort_values("rank")
    ranking = ranking.assign(best=ranking["label_value"].fillna(ranking["mean"]))
    ranking = ranking[ranking["best"].notna() & ranking[column].notna()]
    on_front = ranking["pareto_front"] == 1
    front, others = ranking[on_front], ranking[~on_front]
    sizes = 2.2 if len(others) < 1000 else 1.6, _mark_size(len(front)) + 1.0
    unit = {"log_solubility": "log₁₀ (solubility / mol L⁻¹), ESOL"}.get(column, words(column))
    x = axis_over(unit, ranking[column].tolist())
    y = axis_over(f"{results.objective} / {results.unit}", ranking["best"].tolist())
    plot = Plot(x, y, f"{results.objective} against {words(column)}", width=520, height=400)
    drawn = 0
    for frame, series, name, size in (
        (others, 6, "others", sizes[0]),
        (front, 2, "Pareto front", sizes[1]),
    ):
        some = frame.iloc[:: _stride(len(frame))]
        drawn += len(some)
        plot.points(
            some[column].tolist(),
            some["best"].tolist(),
            series,
            f"{name}, n = {len(frame):,}",
            tips=[_pareto_tip(r, column, results) for _, r in some.iterrows()],
            molecules=some["candidate_id"].tolist(),
            size=size,
        )
    return figure(
        plot.svg(),
        f"Best estimate of the {results.objective} (the label, else the prediction) against "
        f"{words(column)}; {drawn:,} of {len(ranking):,} ranked candidates are drawn.",
    )


def _mark_size(n: int) -> float:
    """Smaller marks where there are many."""
    return 3.4 if n < 400 else 2.0


def _stride(n: int) -> int:
    """Every how many-th candidate is drawn, so that a plot has at most :data:`PLOTTED`."""
    return max(1, -(-n // PLOTTED))


def _pareto_tip(row: pd.Series, column: str, results: Results) -> str:
    labelled = f"labelled {number(row['label_value'])} {results.unit}\n"
    return (
        f"{row['identifier']}\nrank {int(row['rank'])}: predicted "
        f"{plus_minus(row['mean'], row['std'])} {results.unit}\n"
        f"{'' if is_missing(row['label_value']) else labelled}"
        f"{words(column)} {number(row[column], 2)}"
    )


def rejected_section(results: Results) -> str:
    """How many candidates were refused, by reason."""
    rejected = results.candidates[results.candidates["status"] == "rejected"]
    total = len(results.candidates)
    if rejected.empty:
        note = nothing(f"None of {total:,} candidates was refused by a filter.")
        return section("rejected", "Rejected candidates", note)
    counts = rejected["reject_reason"].fillna("unsaid").value_counts()
    return section(
        "rejected",
        "Rejected candidates",
        paragraph(
            f"{len(rejected):,} of {total:,} candidates were refused before any calculation."
        ),
        count_bars([(words(str(k)), int(n)) for k, n in counts.items()]),
    )


def failures_section(results: Results) -> str:
    """Every calculation, structure and prediction that failed, by kind and one by one."""
    failed = _failures(results)
    if failed.empty:
        note = nothing("No structure, label or prediction failed.")
        return section("failures", "Failures", note)
    kinds = failed["stage"] + ": " + failed["kind"].map(lambda kind: words(str(kind)))
    bars = [(str(kind), int(n)) for kind, n in kinds.value_counts().items()]
    rows = failed.head(FAILURE_ROWS)[["stage", "kind", "what", "message"]].to_numpy().tolist()
    listed = table(
        ["stage", "kind", "what", "message"], rows, texts=("stage", "kind", "what", "message")
    )
    return section(
        "failures",
        "Failures",
        paragraph("Nothing that failed is dropped silently; it is a row with its reason."),
        count_bars(bars),
        f"<details><summary>The first {len(rows)} of {len(failed)}</summary>{listed}</details>",
    )


def _failures(results: Results) -> pd.DataFrame:
    """Columns stage, kind, what, message."""
    species = results.species[results.species["status"] != "ok"]
    # What failed first and then succeeded in a retry is no failure.
    key = ["structure_id", "level_id"]
    last_word = results.receipts.sort_values(["status", "attempt_id"])
    labels = last_word.drop_duplicates(key, keep="last")
    labels = labels[labels["status"] == "failed"].sort_index()
    predictions = results.predictions[results.predictions["status"] != "ok"]
    predictions = predictions.drop_duplicates("candidate_id")
    names = results.identifiers()
    parts = [
        ("structure", species["error_kind"], species["identifier"], species["error_message"]),
        ("label", labels["error_kind"], labels["structure_id"], labels["error_message"]),
        (
            "prediction",
            predictions["reason"],
            predictions["candidate_id"].map(lambda c: names.get(c, c)),
            predictions["reason"],
        ),
    ]
    frames = [
        pd.DataFrame({"stage": stage, "kind": kind, "what": what, "message": message})
        for stage, kind, what, message in parts
        if len(kind)
    ]
    if not frames:
        return pd.DataFrame(columns=["stage", "kind", "what", "message"])
    return pd.concat(frames, ignore_index=True).fillna("–")
