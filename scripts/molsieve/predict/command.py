"""The command ``molsieve predict``: a file in, predictions to a file or to the terminal."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molsieve.potential import load_committee
from molsieve.potential.calibrated import CalibratedCommittee
from molsieve.predict.heads import CalibratedHeads, open_heads
from molsieve.predict.output import check_output, output
from molsieve.predict.rows import Relaxation, predict_structures
from molsieve.predict.structures import read_structures
from molsieve.terminal import Table, render

SHOWN_ROWS = 40
EXCITED = {
    "singlet_energy{}_ev": "S1 / eV",
    "triplet_energy{}_ev": "T1 / eV",
    "singlet_triplet_gap{}_ev": "S1−T1 / eV",
    "oscillator_strength{}": "f",
}
"""Columns of ``property_predictions`` and their headings; in the braces what of it."""
EXCITED_COLUMNS = [name.format(part) for name in EXCITED for part in ("", "_std")]


@dataclass(frozen=True)
class Request:
    """What ``molsieve predict`` was asked.

    Attributes:
        structures: the file; out: where predictions go, None: to the terminal only.
        committee: a campaign's results or an exported folder; round: of the campaign.
        charge_e, multiplicity: of structures that do not say their own.
    """

    structures: Path
    committee: Path
    round: int | None = None
    out: Path | None = None
    device: str = "auto"
    charge_e: int | None = None
    multiplicity: int | None = None
    relaxation: Relaxation = field(default_factory=Relaxation)


def predict(request: Request, terminal: bool = False) -> str:
    """Predict every structure of a file; what to print.

    Raises:
        CampaignError: no such committee, a file that cannot be read or written.
    """
    if request.out is not None:
        check_output(request.out)
    given = read_structures(request.structures, request.charge_e, request.multiplicity)
    committee = load_committee(request.committee, request.round, request.device)
    assert committee.files is not None
    heads = open_heads(committee.files, committee.device)
    shown: list[dict[str, Any]] = []
    count: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        append = None
        if request.out is not None:
            to = output(request.out, committee.files.campaign, heads is not None)
            append = stack.enter_context(to)
        for row in predict_structures(given, committee, request.relaxation, heads):
            count[_standing(row)] += 1
            if len(shown) < SHOWN_ROWS:
                shown.append(row)
            if append is not None:
                append(row)
    return _text(committee, heads, shown, count, request.out, terminal)


def _standing(row: dict[str, Any]) -> str:
    if row["status"] != "ok":
        return "failed"
    return "in the domain" if row["in_domain"] else "out of the domain"


def _text(
    committee: CalibratedCommittee,
    heads: CalibratedHeads | None,
    shown: list[dict[str, Any]],
    count: Counter[str],
    out: Path | None,
    terminal: bool,
) -> str:
    n = count.total()
    told = ", ".join(f"{number:,} {what}" for what, number in sorted(count.items())) or "empty file"
    title = f"{n:,} {'structure' if n == 1 else 'structures'} ({told})"
    lines = [f"Committee of {len(committee)} from {committee.files}: {spread_in_words(committee)}"]
    if heads is not None:
        lines.append(heads_in_words(heads))
    if n and (n <= SHOWN_ROWS or out is None):
        table = _table(title, shown) if heads is None else _excited_table(title, shown)
        lines += ["", render([table], terminal, width=120).rstrip()]
        lines += ["", *reasons] if (reasons := _reasons(shown)) else []
    else:
        lines.append(title)
    if n > len(shown) and out is None:
        lines.append(f"… and {n - len(shown):,} more; --out FILE keeps all of them")
    if out is not None:
        lines.append(f"wrote {out}")
    return "\n".join(lines) + "\n"


def spread_in_words(committee: CalibratedCommittee) -> str:
    """What the ± of a prediction is."""
    calibration = committee.calibration
    if not calibration.names:
        return "spreads are the members' own, not calibrated"
    names = " and ".join(calibration.names)
    return f"spread of {names} calibrated on {calibration.structures} structures"


def heads_in_words(heads: CalibratedHeads) -> str:
    """What the ± of an excited state is."""
    said = f"Property heads of level {heads.committee.level_id}, vertical at the geometry: "
    if not heads.calibrated_on:
        return f"{said}spreads not calibrated (too few calibration molecules)"
    return f"{said}spreads calibrated on {heads.calibrated_on} molecules"


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    columns = ["", "structure", "formula", "charge", "energy / eV", "±", "± 95 %"]
    columns += ["force / eV/Å", "±", "in domain"]
    return Table(title, columns, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    charge = f"{row['charge_e']:+d}" if row["charge_e"] else "0"
    start = [str(row["index"]), row["name"] or "–", row.get("formula") or "–", charge]
    if row["status"] != "ok":
        return [*start, "–", "–", "–", "–", "–", "failed"]
    low, high = row["energy_interval_95_ev"]
    return [
        *start,
        f"{row['energy_ev']:.3f}",
        f"{row['energy_std_ev']:.3f}",
        f"{(high - low) / 2:.3f}",
        f"{row['force_max_ev_per_angstrom']:.3f}",
        f"{row['force_std_max_ev_per_angstrom']:.3f}",
        "yes" if row["in_domain"] else "no",
    ]


def _excited_table(title: str, rows: list[dict[str, Any]]) -> Table:
    columns = ["", "structure", "formula"]
    for heading in EXCITED.values():
        columns += [heading, "±"]
    return Table(title, [*columns, "in domain"], [_excited_cells(row) for row in rows])


def _excited_cells(row: dict[str, Any]) -> list[str]:
    cells = _cells(row)
    told = [f"{row[name]:.3f}" if name in row else "–" for name in EXCITED_COLUMNS]
    return [*cells[:3], *told, cells[-1]]


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Why structures failed or are out of the domain, a line each."""
    return [f"  {row['index']}: {row['reason']}" for row in rows if row["reason"]]
