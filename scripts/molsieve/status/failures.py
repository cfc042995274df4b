"""What has no label and why: counts by kind, and every failed structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from molsieve.status.calculations import LevelState, Part
from molsieve.terminal import Table

MESSAGE_LENGTH = 60


@dataclass(frozen=True)
class Failure:
    """A structure whose calculation failed at a level, and which has no label there."""

    structure_id: str
    level: str
    stages: tuple[str, ...]
    """The parts of the campaign that want it: ``references``, ``round 0``, ``hits 1``."""
    candidate: str
    """The candidate's id; of a shared species its own."""
    kind: str
    message: str
    attempts: int


def failures(found: Iterable[Part], states: Mapping[str, LevelState]) -> list[Failure]:
    """Every failure, by the part that met it first; what is being repeated counts as running."""
    known: dict[tuple[str, str], Failure] = {}
    for part in found:
        rows = _failed_rows(part, states[part.level])
        for row in rows.to_dict("records"):
            key = (part.level, str(row["structure_id"]))
            before = known[key].stages if key in known else ()
            known[key] = Failure(
                structure_id=key[1],
                level=part.level,
                stages=(*before, part.stage),
                candidate=_text(row["candidate_id"]) or _text(row["species_id"]),
                kind=_text(row["error_kind"]),
                message=_text(row["error_message"]),
                attempts=int(row["attempts"]),
            )
    return list(known.values())


def _failed_rows(part: Part, state: LevelState) -> pd.DataFrame:
    """The part's structures without a label, joined with what their last attempt said."""
    failed = state.labels[state.labels["status"] != "ok"]
    failed = failed[~failed["structure_id"].isin(state.claims)]
    return part.structures.merge(failed, on="structure_id")


def _text(value: object) -> str:
    """A cell of text; "" for a null."""
    return value if isinstance(value, str) else ""


def counts_text(found: Iterable[Failure]) -> str:
    """``3 scf_not_converged, 1 timeout``, the commonest first."""
    counts = Counter(failure.kind for failure in found)
    return ", ".join(f"{n:,} {kind}" for kind, n in counts.most_common())


def failure_table(found: Iterable[Failure]) -> Table:
    """One row a failure, the message cut to a line."""
    columns = ["structure", "where", "level", "candidate", "kind", "attempts", "message"]
    table = Table("Failed", columns)
    for failure in found:
        table.rows.append(
            [
                failure.structure_id,
                ", ".join(failure.stages),
                failure.level,
                failure.candidate,
                failure.kind,
                str(failure.attempts),
                shortened(failure.message),
            ]
        )
    return table


def shortened(message: str, length: int = MESSAGE_LENGTH) -> str:
    """The first words of a message, on one line."""
    line = " ".join(message.split())
    return line if len(line) <= length else line[: length - 1] + "…"
