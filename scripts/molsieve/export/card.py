"""The card of an exported committee: what it is, how good it is, how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from ase.data import chemical_symbols

from molsieve.export.heads_card import heads_card

FIGURES = {
    "energy_mae": "energy, mean absolute error",
    "energy_rmse": "energy, root mean square error",
    "force_mae": "force component, mean absolute error",
    "force_rmse": "force component, root mean square error",
    "stress_mae": "stress component, mean absolute error",
    "stress_rmse": "stress component, root mean square error",
    "energy_coverage_68": "energy, share inside its 68 % interval",
    "energy_coverage_95": "energy, share inside its 95 % interval",
    "force_coverage_68": "force component, share inside its 68 % interval",
    "force_coverage_95": "force component, share inside its 95 % interval",
    "energy_rank_correlation": "energy, rank correlation of error and spread",
    "force_rank_correlation": "force component, rank correlation of error and spread",
}
LOADING = """```python
from molsieve.potential import load_committee
atoms.calc = load_committee("path/to/this/folder").calculator()
```"""


def card(
    manifest: Mapping[str, Any],
    calibration: Mapping[str, Any],
    metrics: pd.DataFrame,
    dataset: pd.DataFrame,
) -> str:
    """Markdown.

    Args:
        manifest: of the folder (``committee.json``); calibration: the round's.
        metrics: of the round's evaluation; dataset: what it was trained and tested on.
    """
    title = f"# {manifest['campaign']}, round {manifest['round']}: "
    title += f"a committee of {len(manifest['members'])} interatomic potentials"
    parts = [
        title,
        _what(manifest),
        "## Load it\n\n" + LOADING + "\n\n" + _how_to_load(manifest),
        "## Trained on\n\n" + _data(dataset),
        "## How good it is\n\n" + _errors(metrics) + "\n\n" + _calibration(calibration),
        *([heads_card(manifest, calibration, metrics)] if "properties" in manifest else []),
        "## Where not to trust it\n\n" + _limits(calibration),
        "## Files\n\n" + _files("properties" in manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _what(manifest: Mapping[str, Any]) -> str:
    network = manifest["architecture"]
    rows = {
        "elements": ", ".join(chemical_symbols[z] for z in manifest["elements"]),
        "charge, multiplicity": "; ".join(
            f"{charge:+d}, {multiplicity}" if charge else f"0, {multiplicity}"
            for charge, multiplicity in manifest["charges_and_multiplicities"]
        ),
        "level of theory": _level(manifest["level"]),
        "level id": manifest["level_id"],
        "zero of energy": "that of the level of theory: total energies",
        "network": f"PaiNN, {network['features']} features, {network['interactions']} "
        f"interactions, cutoff {network['cutoff_angstrom']} Å"
        + (", charge and spin embedded" if network["electronic_embedding"] else ""),
        "domain of the campaign": manifest["domain"] or "unknown",
        "versions at training": _versions(manifest["versions"]["trained"]),
        "exported with": _versions(manifest["versions"]["exported"]),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {key} | {value} |" for key, value in rows.items())


def _level(level: Mapping[str, Any]) -> str:
    if not level:
        return "no longer in the campaign's record"
    settings = ", ".join(f"{k} {_plain(v)}" for k, v in level.items() if k != "name")
    return f"{level['name']}: {settings}"


def _plain(value: Any) -> str:
    return _versions(value) if isinstance(value, Mapping) else str(value)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _how_to_load(manifest: Mapping[str, Any]) -> str:
    text = "Energies in eV, forces in eV/Å, stresses in eV/Å³; `energy_std`, `forces_std` and "
    text += "`stress_std` are in the calculator's `results`. In batches: `.predict([atoms, …])`; "
    text += "for torch-sim: `.torch_sim_model()`; on files: `molsieve predict FILE --committee "
    text += "path/to/this/folder`. "
    if manifest["architecture"]["electronic_embedding"]:
        text += '`atoms.info["charge_e"]` and `["multiplicity"]` say the charge state (0 and 1).'
    return text.strip()


def _data(dataset: pd.DataFrame) -> str:
    rows = []
    for split in ("train", "validation", "calibration", "test"):
        part = dataset[dataset["split"] == split]
        why = ", ".join(f"{n} {w}" for w, n in sorted(part["why"].value_counts().items()))
        rows.append(f"| {split} | {len(part)} | {part['group'].nunique()} | {why or '–'} |")
    head = "| split | structures | groups | chosen as |\n|---|---|---|---|\n"
    return (
        head + "\n".join(rows) + "\n\nA group (all that belongs to one candidate) is never split. "
        "Members are trained on bootstrap samples of the groups where the campaign says so; "
        "calibration and test groups were drawn at random and seen by no member."
    )


def _errors(metrics: pd.DataFrame) -> str:
    test = metrics[metrics["split"] == "test"].set_index("name")
    rows = []
    for name, words in FIGURES.items():
        if name not in test.index or pd.isna(test["value"].loc[name]):
            continue
        row = test.loc[name]
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        interval = row["interval"]
        ends = "–" if interval is None else f"{interval[0]:.4g} … {interval[1]:.4g}"
        rows.append(f"| {words} | {row['value']:.4g}{unit} | {ends} | {row['n']} |")
    if not rows:
        return "Nothing was held out to test on: its errors are unknown."
    head = "| on test structures | value | 95 % interval | n |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n\nIntervals by resampling groups; `metrics.json` has all."


def _calibration(calibration: Mapping[str, Any]) -> str:
    told = []
    for key, words in (("energy", "energy"), ("force", "force"), ("stress", "stress")):
        part = calibration.get(key)
        if isinstance(part, Mapping):
            inputs = " and ".join(name.replace("_", " ") for name in part["weights"])
            sure = "" if part["q95_conformal"] else " (too few groups for a conformal 95 %)"
            told.append(
                f"- {words} ({part['unit']}): std from {inputs}; 95 % interval ± "
                f"{part['q95']:.2f} std{sure}; {part['n']} values of {part['groups']} groups"
            )
    if not told:
        return "**Spreads are not calibrated**: `…_std` is the members' own standard deviation."
    return "Spreads were calibrated on the calibration part:\n\n" + "\n".join(told)


def _limits(calibration: Mapping[str, Any]) -> str:
    lines = [
        "- Other elements, or charge states, than those above: `in_domain` is then false, and the "
        "spread no measure of the error.",
        "- Molecules or materials unlike those of the campaign, and geometries far from those it "
        "was trained on: look at the spread of the forces first.",
        "- It cannot be better than its level of theory.",
    ]
    domain = calibration.get("domain")
    if isinstance(domain, Mapping):
        lines[1] = (
            "- Structures unlike those it was calibrated on are flagged by "
            f"{domain['measure'].replace('_', ' ')} above {domain['limit']:.3g}, or a feature "
            "distance above twice the largest of the calibration: at most "
            f"{100 * domain['rate']:.0f} % of structures like those are flagged in error "
            f"({domain['groups']} calibration groups); how many of those from elsewhere are "
            "caught is not known."
        )
    return "\n".join(lines)


def _files(heads: bool) -> str:
    return (
        "`committee.json` what this folder is; `members/*/model.pt` weights (a state dict, no "
        "pickled code), `model.json` everything else of a member; "
        + ("`properties/*` likewise the property heads; " if heads else "")
        + "`calibration.json`; "
        "`metrics.json`; `SHA256SUMS` (`sha256sum -c SHA256SUMS`), checked whenever it is loaded."
    )
