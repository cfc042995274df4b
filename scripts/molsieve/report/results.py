"""What the page is built from: the files of a campaign's rounds, read once and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from molsieve.objective import Objective, domain_module, has_several, objectives
from molsieve.tables import PER_OBJECTIVE, read_table

CANDIDATE_COLUMNS = [
    "candidate_id",
    "identifier",
    "status",
    "reject_reason",
    "log_solubility",
    "sa_score",
    "synthesizability",
]


@dataclass(frozen=True)
class ReportFiles:
    """Named paths of what a report shows. Lists by round are in the order of the rounds.

    Any list or mapping may be empty: its section then says that there is nothing.
    """

    ranking: Path
    candidates: Sequence[Path] = ()
    species: Sequence[Path] = ()
    """``R/structures/{shard}/species.parquet``: candidates that could not be built."""
    predictions: Sequence[Path] = ()
    """``R/rounds/{last}/predictions/{shard}/predictions.parquet``"""
    selections: Sequence[Path] = ()
    """``R/rounds/{round}/selection.parquet``, every round"""
    metrics: Sequence[Path] = ()
    """``R/rounds/{round}/metrics.parquet`` of assess_round, every round"""
    figures: Sequence[Path] = ()
    """``R/rounds/{round}/figures.json``, every round"""
    parity: Sequence[Path] = ()
    """``R/rounds/{round}/evaluation/parity.parquet``, every round"""
    calibration: Path | None = None
    """``R/rounds/{last}/evaluation/calibration.json``"""
    dataset: Path | None = None
    """``R/rounds/{last}/dataset/dataset.parquet``"""
    receipts: Sequence[Path] = ()
    """receipts of all label jobs: rounds, references, hits"""
    references: Mapping[str, Path] = field(default_factory=dict)
    """level name -> ``R/references/{level}/references.parquet``"""
    reference_calibrations: Mapping[str, Path] = field(default_factory=dict)
    """level name -> ``R/references/{level}/calibration.json``"""


@dataclass(frozen=True)
class Results:
    """The tables of :class:`ReportFiles` as frames, and the campaign as a plain dict."""

    campaign: Mapping[str, Any]
    verdict: str
    ranking: pd.DataFrame
    candidates: pd.DataFrame
    species: pd.DataFrame
    predictions: pd.DataFrame
    selection: pd.DataFrame
    metrics: pd.DataFrame
    figures: list[dict[str, Any]]
    parity: pd.DataFrame
    calibration: dict[str, Any]
    dataset: pd.DataFrame
    receipts: pd.DataFrame
    references: dict[str, pd.DataFrame]
    reference_calibrations: dict[str, dict[str, Any]]

    @property
    def objective(self) -> str:
        """The objective in words, of the ranking or of the predictions."""
        for frame in (self.ranking, self.predictions):
            if len(frame):
                return str(frame["objective"].iloc[0]).replace("_", " ")
        return "objective"

    @property
    def unit(self) -> str:
        """Its unit."""
        for frame in (self.ranking, self.predictions):
            if len(frame):
                return str(frame["unit"].iloc[0])
        return ""

    @property
    def calibrated(self) -> bool:
        """Whether the last round had enough calibration candidates to scale its spread."""
        return bool(self.figures) and bool(self.figures[-1].get("calibrated", False))

    @property
    def last_round(self) -> int:
        """The round the page reports."""
        rounds = [f["round"].max() for f in (self.ranking, self.parity, self.selection) if len(f)]
        return int(max(rounds, default=0))

    @property
    def domain(self) -> ModuleType:
        """The domain's objective: what the page shows of it."""
        return domain_module(str(self.campaign["domain"]))

    @property
    def reported(self) -> list[tuple[str, str, int]]:
        """Columns beside the objective that the page shows: name, heading, decimals."""
        return list(getattr(self.domain, "REPORTED", ()))

    @property
    def how_to_read(self) -> str:
        """What the domain says of its numbers: units, signs, what they leave out."""
        return str(getattr(self.domain, "HOW_TO_READ", ""))

    @property
    def several(self) -> tuple[Objective, ...]:
        """The objectives of a domain that has several, else none."""
        domain = str(self.campaign["domain"])
        return objectives(domain) if has_several(domain) else ()

    @property
    def goals(self) -> Mapping[str, Mapping[str, Any]]:
        """Quantity → goal, of a campaign that has several objectives."""
        told: Mapping[str, Mapping[str, Any]] = self.campaign["objective"].get("goals", {})
        return told

    def each(self) -> list[Results]:
        """These results objective by objective; as they are where there is one."""
        return [self._of(objective) for objective in self.several] or [self]

    def _of(self, objective: Objective) -> Results:
        """What is told of one objective of several, as if it were the only one."""
        own = {name: self.ranking[f"{objective.name}_{name}"] for name in PER_OBJECTIVE}
        metrics = self.metrics[self.metrics["objective"] == objective.name]
        parts = [f[f["objective"] == objective.name] for f in (self.predictions, self.parity)]
        return replace(
            self,
            ranking=self.ranking.assign(objective=objective.name, unit=objective.unit, **own),
            metrics=metrics.assign(objective=None),
            predictions=parts[0],
            parity=parts[1],
            calibration=self.calibration.get("objectives", {}).get(objective.name, {}),
        )

    def drawn(self, identifier: str) -> str:
        """The SMILES that stands for a candidate on the page."""
        as_smiles = getattr(self.domain, "drawn", str)
        return str(as_smiles(identifier))

    def metric_rows(self, split: str, name: str) -> pd.DataFrame:
        """The rows of one figure that have a value, one a round."""
        rows = self.metrics[(self.metrics["split"] == split) & (self.metrics["name"] == name)]
        rows = rows[rows["objective"].isna()]
        return rows[rows["value"].notna()].drop_duplicates("round").sort_values("round")

    def identifiers(self) -> dict[str, str]:
        """candidate_id -> canonical SMILES, of every candidate that is known."""
        names: dict[str, str] = {}
        for frame in (self.candidates, self.ranking):
            names.update(zip(frame["candidate_id"], frame["identifier"], strict=True))
        return names


def subheading(results: Results) -> str:
    """The objective's name above its part of a section, where there are several."""
    return f"<h3>{escape(results.objective)}</h3>" if results.several else ""


def read_results(campaign: Mapping[str, Any], files: ReportFiles, verdict: str) -> Results:
    """Read and check every table.

    Raises:
        TableError: a file that does not keep its contract.
    """
    return Results(
        campaign=campaign,
        verdict=verdict,
        ranking=read_table(files.ranking, "ranking"),
        candidates=read_table(files.candidates, "candidates", CANDIDATE_COLUMNS),
        species=read_table(files.species, "species"),
        predictions=read_table(files.predictions, "predictions"),
        selection=read_table(files.selections, "selection"),
        metrics=read_table(files.metrics, "metrics"),
        figures=[json.loads(Path(p).read_text()) for p in files.figures],
        parity=read_table(files.parity, "parity"),
        calibration=json.loads(files.calibration.read_text()) if files.calibration else {},
        dataset=read_table([files.dataset] if files.dataset else [], "dataset"),
        receipts=read_table(files.receipts, "receipt"),
        references={k: read_table(p, "references") for k, p in files.references.items()},
        reference_calibrations={
            k: json.loads(Path(p).read_text()) for k, p in files.reference_calibrations.items()
        },
    )
