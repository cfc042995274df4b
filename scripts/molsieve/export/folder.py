"""The exported folder: members, calibration, figures, a card to read, checksums."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from molsieve import __version__
from molsieve.export.card import card
from molsieve.levels import Level, level_id, resolved_level
from molsieve.potential.calibrated import open_committee
from molsieve.potential.folders import (
    CHECKSUMS,
    FORMAT,
    MANIFEST,
    CommitteeFiles,
    campaign_record,
    checksum,
    find_committee,
    read_json,
)
from molsieve.predict.heads import open_heads
from molsieve.property_settings import fidelity_of
from molsieve.section import CampaignError
from molsieve.tables import TableError, read_table, write_json, write_text

MEMBER_FILES = ("model.pt", "model.json")


def export_committee(results: Path, out: Path, round: int | None = None) -> str:
    """Write the committee of a round to a new folder; what to print.

    The folder appears whole or not at all.

    Args:
        results: a campaign's results; round: None: its last that has been evaluated.

    Raises:
        CampaignError: no evaluated round, or one that cannot be loaded; ``out`` exists or cannot be
            written.
    """
    if (results / MANIFEST).is_file():
        raise CampaignError(f"{results} is an exported committee already: copy the folder")
    files = find_committee(results, round)
    _check_free(out)
    open_committee(results, files.round, "cpu")
    open_heads(files, "cpu")
    part = out.with_name(f".{out.name}.{uuid.uuid4().hex}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        _fill(part, files)
        os.replace(part, out)
    except OSError as error:
        raise CampaignError(f"{out}: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return f"wrote {out}: {len(files.members)} members of {files}; {out / 'README.md'} says more"


def _check_free(out: Path) -> None:
    if out.is_dir() and not any(out.iterdir()):
        return
    if (out / MANIFEST).is_file():
        raise CampaignError(f"{out} holds an exported committee; choose another folder")
    if out.exists() or out.is_symlink():
        raise CampaignError(f"{out} exists; choose a folder that does not")


def _fill(folder: Path, files: CommitteeFiles) -> None:
    names = [f"members/{k}" for k in range(len(files.members))]
    heads = [f"properties/{k}" for k in range(len(files.properties))]
    for name, member in zip(names + heads, files.members + files.properties, strict=True):
        (folder / name).mkdir(parents=True)
        for file in MEMBER_FILES:
            shutil.copyfile(member / file, folder / name / file)
    shutil.copyfile(files.calibration, folder / "calibration.json")
    descriptions = [read_json(member / "model.json") for member in files.members]
    manifest = _manifest(files, names, descriptions) | _of_heads(files, heads)
    metrics, dataset = _evaluation(files)
    write_json(manifest, folder / MANIFEST)
    write_json(_summary(metrics), folder / "metrics.json")
    calibration = read_json(files.calibration)
    write_text(card(manifest, calibration, metrics, dataset), folder / "README.md")
    listed = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{checksum(path)}  {path.relative_to(folder).as_posix()}\n" for path in listed]
    write_text("".join(sums), folder / CHECKSUMS)


def _manifest(
    files: CommitteeFiles, names: list[str], descriptions: list[dict[str, Any]]
) -> dict[str, Any]:
    """What ``committee.json`` says."""
    record = campaign_record(files.folder)
    first = descriptions[0]
    states = {tuple(s) for d in descriptions for s in d["charges_and_multiplicities"]}
    return {
        "format": FORMAT,
        "campaign": files.campaign,
        "domain": record.get("domain"),
        "round": files.round,
        "members": names,
        "elements": sorted(set.intersection(*(set(d["elements"]) for d in descriptions))),
        "charges_and_multiplicities": sorted(map(list, states)),
        "architecture": first["architecture"],
        "level_id": first["level_id"],
        "level": _level(record, first["level_id"]),
        "versions": {"trained": first["versions"], "exported": {"molsieve": __version__}},
    }


def _of_heads(files: CommitteeFiles, names: list[str]) -> dict[str, Any]:
    """What ``committee.json`` says of property heads, nothing where there are none."""
    if not names:
        return {}
    first = read_json(files.properties[0] / "model.json")
    record = campaign_record(files.folder)
    fidelity = fidelity_of(record)
    levels = [record.get("labels", {}).get("level"), fidelity and fidelity["level"]]
    told = zip(first["level_ids"], levels, strict=False)
    return {
        "properties": names,
        "property_architecture": first["architecture"],
        "property_levels": [{"level_id": i} | _level(record, i, name) for i, name in told],
    }


def _level(record: dict[str, Any], identity: str, name: str | None = None) -> dict[str, Any]:
    """Name and settings of a level, where the campaign's record has it still.

    Args:
        name: None: of the level that labelled.
    """
    try:
        # Only the level: the record may be older than a key of another section.
        name = name or record["labels"]["level"]
        level: Level = TypeAdapter(Level).validate_python(record["levels"][name])
    except (KeyError, ValueError):
        return {}
    return {"name": name, **resolved_level(level)} if level_id(level) == identity else {}


def _evaluation(files: CommitteeFiles) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The round's metrics and its dataset."""
    folder = files.folder / "rounds" / str(files.round)
    try:
        return (
            read_table(folder / "evaluation/metrics.parquet", "metrics"),
            read_table(folder / "dataset/dataset.parquet", "dataset"),
        )
    except (TableError, OSError) as error:
        raise CampaignError(f"{files}: {error}") from error


def _summary(metrics: pd.DataFrame) -> dict[str, Any]:
    """split → name → value, unit, n, interval (95 %, by group).

    With several objectives the name of one's figure begins with the objective's.
    """
    summary: dict[str, Any] = {}
    for row in metrics.to_dict("records"):
        interval = row["interval"]
        of_one = "" if pd.isna(row["objective"]) else f"{row['objective']}_"
        summary.setdefault(row["split"], {})[of_one + row["name"]] = {
            "value": None if pd.isna(row["value"]) else float(row["value"]),
            "unit": row["unit"],
            "n": int(row["n"]),
            "interval": None if interval is None else [float(end) for end in interval],
        }
    return summary
