"""Which calculations a campaign asks for and how each stands, read live while jobs run.

Looks at results, journals, fragments and claims; writes nothing, asks no scheduler.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from molsieve.campaign import Campaign
from molsieve.jobs.leases import is_live, read_holder
from molsieve.labelling.cost import MIN_LABELS, CostModel
from molsieve.labelling.fidelity import structures_at_both_levels
from molsieve.labelling.store import (
    CLAIM_STALE_AFTER_S,
    LevelFolder,
    job_of,
    read_attempts,
    winning_rows,
)
from molsieve.levels import Level, level_id
from molsieve.property_settings import fidelity_of, objective_level
from molsieve.ranking import structures_at_level
from molsieve.tables import read_table

STRUCTURE_COLUMNS = ["structure_id", "numbers", "species_id", "candidate_id", "role"]
SELECTION_COLUMNS = ["structure_id", "group", "split", "reason"]
LABEL_COLUMNS = ["error_kind", "error_message", "wall_s", "cores", "valence_electrons"]
ATTEMPT_ID = "[0-9a-f]{16}-[0-9a-f]{12}"


@dataclass(frozen=True)
class Part:
    """The structures that one stage (``references``, ``round 0``, ``hits 1``) wants at a level."""

    stage: str
    level: str
    structures: pd.DataFrame
    """``STRUCTURE_COLUMNS``, each structure once."""


@dataclass(frozen=True)
class LevelState:
    """What a level's label store says now."""

    level: Level
    labels: pd.DataFrame
    """Winning rows without their vectors, and ``attempts``: how many rows the structure has."""
    claims: Mapping[str, float]
    """Structures being computed, and since when (unix s)."""
    journals: int
    """Workers of this campaign's live label jobs that have finished something lately."""

    @property
    def ok(self) -> set[str]:
        """Structures that have a label."""
        return set(self.labels.loc[self.labels["status"] == "ok", "structure_id"])

    @property
    def learned_from(self) -> int:
        """Labels whose times the cost model has learned from; 0: it knows its default only."""
        count = int(((self.labels["status"] == "ok") & (self.labels["wall_s"] > 0)).sum())
        return count if count >= MIN_LABELS else 0


@dataclass(frozen=True)
class Calculations:
    """How the calculations of a part stand; the last four add up to ``selected``."""

    stage: str
    level: str
    selected: int
    queued: int
    running: int
    done: int
    failed: int


@dataclass(frozen=True)
class WorkLeft:
    """Calculations that have not ended, each once, whatever parts ask for it."""

    queued: int
    running: int
    core_s: float
    """Predicted seconds on one core, less what running ones have had."""
    longest_s: float
    workers: int
    learned_from: int
    """Labels that the prediction rests on."""
    by_default: int
    """Calculations at levels with too few labels to learn from."""

    @property
    def wall_s(self) -> float | None:
        """Seconds until all have ended with the workers of this moment; None without any."""
        return max(self.core_s / self.workers, self.longest_s) if self.workers else None


def used_levels(campaign: Campaign) -> list[str]:
    """Names of the levels that label: the rounds', a better one of theirs, the confirming one."""
    return list(dict.fromkeys([campaign.labels.level, *hit_levels(campaign)]))


def hit_levels(campaign: Campaign) -> list[str]:
    """Names of the levels that label hits: the objective's and the confirming one."""
    plain = campaign.model_dump(mode="json")
    return list(dict.fromkeys([objective_level(plain), campaign.ranking.confirm.level]))


def parts(campaign: Campaign, folder: Path) -> list[Part]:
    """Everything chosen for labelling so far, in the order in which it is labelled."""
    found = _reference_parts(campaign, folder)
    for r in range(campaign.stop.max_rounds):
        path = folder / "rounds" / str(r)
        if not (path / "structures.parquet").exists():
            break
        rows = _structures(path / "structures.parquet")
        found.append(Part(f"round {r}", campaign.labels.level, rows))
        found += _better_parts(campaign, path, r, rows)
        found += _hit_parts(campaign, path / "hits", r)
    return found


def _reference_parts(campaign: Campaign, folder: Path) -> list[Part]:
    path = folder / "references/structures.parquet"
    if not path.exists():
        return []
    rows = _structures(path)
    # Free atoms are needed only where a committee is trained.
    molecules = rows[rows["role"] != "atom"]
    return [
        Part("references", name, rows if name == campaign.labels.level else molecules)
        for name in used_levels(campaign)
    ]


def _better_parts(
    campaign: Campaign, path: Path, round_number: int, rows: pd.DataFrame
) -> list[Part]:
    """What of a round's structures the better level labels as well, where there is one."""
    fidelity = fidelity_of(campaign.model_dump(mode="json"))
    if fidelity is None or not (path / "selection.parquet").exists():
        return []
    selection = read_table(path / "selection.parquet", "selection", SELECTION_COLUMNS)
    chosen = structures_at_both_levels(rows, selection, fidelity["share"], campaign.seed)
    return [Part(f"round {round_number}", fidelity["level"], chosen)]


def _hit_parts(campaign: Campaign, folder: Path, round_number: int) -> list[Part]:
    if not ((folder / "structures.parquet").exists() and (folder / "selection.parquet").exists()):
        return []
    rows = _structures(folder / "structures.parquet")
    hits = read_table(folder / "selection.parquet", "selection", ["structure_id", "geometry"])
    levels = hit_levels(campaign)
    return [
        Part(
            f"hits {round_number}",
            name,
            structures_at_level(rows, hits, confirming=name != levels[0]),
        )
        for name in levels
    ]


def _structures(path: Path) -> pd.DataFrame:
    rows = read_table(path, "structures", STRUCTURE_COLUMNS)
    return rows.drop_duplicates("structure_id", ignore_index=True)


def level_states(campaign: Campaign) -> dict[str, LevelState]:
    """The label store at each level that the campaign uses, by the level's name."""
    store = campaign.run.label_store
    states = {}
    for name in used_levels(campaign):
        level = campaign.level(name)
        folder = LevelFolder(store, level_id(level))
        # Claims first: a calculation that ends meanwhile then has its row, and counts as ended.
        claims = live_claims(folder)
        attempts = read_attempts(store, folder.level_id, columns=LABEL_COLUMNS)
        labels = winning_rows(attempts)
        counts = attempts["structure_id"].value_counts()
        labels["attempts"] = labels["structure_id"].map(counts)
        states[name] = LevelState(
            level, labels, claims, len(live_journals(folder, campaign.campaign))
        )
    return states


def live_claims(folder: LevelFolder) -> dict[str, float]:
    """Structures that a live worker is computing, whichever campaign it works for."""
    found = {}
    for path in folder.claim_files():
        holder = read_holder(path) if is_live(path, CLAIM_STALE_AFTER_S) else None
        if holder is not None:
            found[path.name] = holder.since_unix_s
    return found


def live_journals(folder: LevelFolder, campaign: str) -> list[Path]:
    """Journals of workers whose job is one of the campaign's, alive, and lately wrote."""
    name = re.escape(re.sub("[^A-Za-z0-9_-]+", "-", campaign))
    scheduler = "(-(slurm|pbs|lsf|sge)[A-Za-z0-9_-]+)?"
    ours = re.compile(
        rf"{name}-(\d+-(fidelity-)?\d+{scheduler}|references-.+|hits-.+|retr.+)-{ATTEMPT_ID}"
    )
    jobs = {
        path.name.removesuffix(".lease")
        for path in folder.job_leases()
        if ours.fullmatch(path.name.removesuffix(".lease")) and is_live(path, CLAIM_STALE_AFTER_S)
    }
    return [
        path
        for path in folder.journal_paths()
        if job_of(path) in jobs and ".controller." not in path.name and _lately_written(path)
    ]


def _lately_written(path: Path) -> bool:
    try:
        status = path.stat()
        return status.st_size > 0 and time.time() - status.st_mtime < CLAIM_STALE_AFTER_S
    except FileNotFoundError:
        return False


def calculations(part: Part, state: LevelState) -> Calculations:
    """How many of a part's calculations are queued, running, done and failed."""
    wanted = set(part.structures["structure_id"])
    done = wanted & state.ok
    running = (wanted & set(state.claims)) - done
    failed = (wanted & set(state.labels["structure_id"])) - done - running
    queued = len(wanted) - len(done) - len(running) - len(failed)
    return Calculations(
        part.stage, part.level, len(wanted), queued, len(running), len(done), len(failed)
    )


def work_left(found: Iterable[Part], states: Mapping[str, LevelState]) -> WorkLeft:
    """What is queued and running, and the core-seconds that the learned cost model expects."""
    now = time.time()
    costs: list[float] = []
    running = journals = by_default = 0
    learned: list[int] = []
    for name, state in states.items():
        rows = _unfinished([p for p in found if p.level == name], state)
        if rows.empty:
            continue
        journals += state.journals
        model = CostModel.from_labels({state.level: state.labels})
        since = rows["structure_id"].map(state.claims)
        running += int(since.notna().sum())
        spent = (now - since).fillna(0.0).clip(lower=0.0)
        left = (model.predicted_costs_s(rows, state.level) - spent.to_numpy(float)).clip(0.0)
        costs += left.tolist()
        learned.append(state.learned_from)
        by_default += 0 if state.learned_from else len(rows)
    return WorkLeft(
        queued=len(costs) - running,
        running=running,
        core_s=sum(costs),
        longest_s=max(costs, default=0.0),
        # A claim on a calculation of milliseconds is rarely seen; its worker's journal is.
        workers=max(running, journals),
        learned_from=sum(learned),
        by_default=by_default,
    )


def _unfinished(mine: list[Part], state: LevelState) -> pd.DataFrame:
    """Structures of these parts, each once, that are queued or running."""
    ended = (set(state.labels["structure_id"]) - set(state.claims)) | state.ok
    frames = [p.structures[~p.structures["structure_id"].isin(ended)] for p in mine]
    filled = [f for f in frames if len(f)]
    if not filled:
        return pd.DataFrame(columns=STRUCTURE_COLUMNS)
    return pd.concat(filled).drop_duplicates("structure_id", ignore_index=True)
