"""Where a finished committee lies: in a round of a campaign, or in a folder of its own.

Nothing here imports torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from molsieve.section import CampaignError

MANIFEST = "committee.json"
"""What makes a folder an exported committee."""
CHECKSUMS = "SHA256SUMS"
FORMAT = 1
CAMPAIGN_RECORD = "campaign.json"
"""The resolved campaign, in its results folder."""


@dataclass(frozen=True)
class CommitteeFiles:
    """A committee that has been trained and evaluated.

    Attributes:
        folder: as it was given; campaign: its name; round: of the campaign.
        members: the folder of each; calibration: the round's ``calibration.json``.
        properties: the folder of each member's property heads; empty where the domain has none.
        domain: of the campaign, None where its record does not say.
    """

    folder: Path
    campaign: str
    round: int
    members: tuple[Path, ...]
    calibration: Path
    properties: tuple[Path, ...] = ()
    domain: str | None = None

    def __str__(self) -> str:
        return f"{self.folder}, round {self.round}"


def find_committee(folder: Path, round: int | None = None) -> CommitteeFiles:
    """The files of the committee in a campaign's results or in an exported folder.

    Args:
        round: of a campaign; None: the last that has been evaluated.

    Raises:
        CampaignError: neither of them is in ``folder``, or it is not complete.
    """
    if (folder / MANIFEST).is_file():
        return _exported(folder, round)
    if (folder / "rounds").is_dir():
        return _of_campaign(folder, round)
    raise CampaignError(f"{folder}: {_what_is_wrong(folder)}")


def _what_is_wrong(folder: Path) -> str:
    allowed = "allowed: a campaign's results (results/<campaign>) or what 'molsieve export' wrote"
    if folder.suffix in (".yaml", ".yml"):
        return f"a campaign file, not its results; {allowed}"
    if not folder.exists():
        return f"no such folder; {allowed}"
    if folder.is_dir() and (folder / CAMPAIGN_RECORD).is_file():
        return "this campaign has no round yet"
    for parent in folder.resolve().parents:
        if (parent / "rounds").is_dir():
            return f"a part of the campaign in {parent}: give that folder, and the round by number"
    return f"no committee in it; {allowed}"


def _of_campaign(folder: Path, round: int | None) -> CommitteeFiles:
    rounds = sorted(int(path.name) for path in (folder / "rounds").iterdir() if path.name.isdigit())
    evaluated = [r for r in rounds if (_round(folder, r) / "evaluation/calibration.json").is_file()]
    known = ", ".join(map(str, evaluated)) or "none"
    if not evaluated:
        raise CampaignError(
            f"{folder}: no round has a trained and evaluated committee yet; "
            f"rounds begun: {', '.join(map(str, rounds)) or 'none'}"
        )
    if round is not None and round not in evaluated:
        raise CampaignError(f"{folder}: round {round} has not been evaluated; allowed: {known}")
    chosen = evaluated[-1] if round is None else round
    record = campaign_record(folder)
    members = _members(folder, chosen)
    found = CommitteeFiles(
        folder,
        record.get("campaign", folder.name),
        chosen,
        members,
        _round(folder, chosen) / "evaluation/calibration.json",
        _heads(folder, chosen, len(members)) if record.get("properties") else (),
        record.get("domain"),
    )
    _check_members(found, f"allowed rounds: {known}")
    return found


def campaign_record(folder: Path) -> dict[str, Any]:
    """The resolved campaign whose results ``folder`` holds; empty where it was not written."""
    path = folder / CAMPAIGN_RECORD
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file of ours.

    Raises:
        CampaignError: the file is missing, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise CampaignError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CampaignError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CampaignError(f"{path}: holds no object, but {type(content).__name__}")
    return content


def _round(folder: Path, round: int) -> Path:
    return folder / "rounds" / str(round)


def _members(folder: Path, round: int) -> tuple[Path, ...]:
    """As many as the campaign has; without its record, as many as lie there."""
    committee = _round(folder, round) / "committee"
    count = campaign_record(folder).get("potential", {}).get("members")
    if count is None:
        count = sum(path.name.isdigit() for path in committee.glob("*"))
    return tuple(committee / str(member) for member in range(int(count)))


def _heads(folder: Path, round: int, count: int) -> tuple[Path, ...]:
    """The property heads beside so many members."""
    return tuple(_round(folder, round) / "properties" / str(member) for member in range(count))


def _check_members(files: CommitteeFiles, also: str) -> None:
    folders = [*files.members, *files.properties]
    needed = [m / name for m in folders for name in ("model.pt", "model.json")]
    missing = [path.relative_to(files.folder) for path in needed if not path.is_file()]
    if missing or not files.members:
        what = ", ".join(map(str, missing)) or "any member"
        raise CampaignError(f"{files}: the committee lacks {what}; {also}")


def _exported(folder: Path, round: int | None) -> CommitteeFiles:
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise CampaignError(
            f"{folder}/{MANIFEST}: format {manifest.get('format')}, this Molsieve reads {FORMAT}"
        )
    _check_sums(folder)
    lacks = [key for key in ("campaign", "round", "members") if key not in manifest]
    if lacks:
        raise CampaignError(f"{folder}/{MANIFEST} lacks {', '.join(lacks)}; export it again")
    if round not in (None, manifest["round"]):
        raise CampaignError(f"{folder}: exported from round {manifest['round']}, not from {round}")
    files = CommitteeFiles(
        folder,
        manifest["campaign"],
        manifest["round"],
        tuple(folder / name for name in manifest["members"]),
        folder / "calibration.json",
        tuple(folder / name for name in manifest.get("properties", ())),
        manifest.get("domain"),
    )
    _check_members(files, "export it again")
    return files


def checksum(path: Path) -> str:
    """SHA-256 of a file, as ``sha256sum`` prints it."""
    return sha256(path.read_bytes()).hexdigest()


def _check_sums(folder: Path) -> None:
    """Every file named in ``SHA256SUMS`` is there, as it was written."""
    try:
        lines = (folder / CHECKSUMS).read_text().splitlines()
    except OSError as error:
        raise CampaignError(f"{folder}/{CHECKSUMS}: {error.strerror}; export it again") from error
    for line in lines:
        expected, _, name = line.partition("  ")
        if not (folder / name).is_file():
            raise CampaignError(f"{folder}: the committee lacks {name}; export it again")
        if checksum(folder / name) != expected:
            raise CampaignError(f"{folder}/{name} is not the file that was exported (checksum)")
