"""Descriptors of a molecule: aqueous solubility, synthetic accessibility."""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from types import ModuleType

from rdkit import Chem
from rdkit.Chem import Descriptors, RDConfig, rdMolDescriptors


def mass_dalton(molecule: Chem.Mol) -> float:
    """Average molecular mass, implicit hydrogens included."""
    return float(Descriptors.MolWt(molecule))  # type: ignore[attr-defined]


def log_solubility(molecule: Chem.Mol) -> float:
    """log10 of the aqueous solubility in mol/L, ESOL.

    Delaney, J. Chem. Inf. Comput. Sci. 44, 1000 (2004), equation 1:
    0.16 - 0.63 clogP - 0.0062 MW + 0.066 RB - 0.74 AP, with MW in dalton, RB rotatable bonds and
    AP the aromatic share of the heavy atoms. Its error is about 0.75 log units on its own test set.
    """
    # ASSUME Crippen's logP in place of Daylight's clogP, which Delaney used and is not free.
    heavy = molecule.GetNumHeavyAtoms()
    aromatic = len(molecule.GetAromaticAtoms())
    return float(
        0.16
        - 0.63 * rdMolDescriptors.CalcCrippenDescriptors(molecule)[0]
        - 0.0062 * mass_dalton(molecule)
        + 0.066 * rdMolDescriptors.CalcNumRotatableBonds(molecule)
        - 0.74 * aromatic / heavy
    )


def sa_score(molecule: Chem.Mol) -> float:
    """Synthetic accessibility, 1 easy … 10 hard: Ertl, Schuffenhauer, J. Cheminf. 1, 8 (2009)."""
    return float(_sascorer().calculateScore(molecule))


def synthesizability(score: float) -> float:
    """An SA score turned to 1 (easy) … 0 (hard), so that higher is better."""
    return 1.0 - (score - 1.0) / 9.0


@cache
def _sascorer() -> ModuleType:
    """RDKit's contributed SA scorer, which ships beside the package and not inside it."""
    path = os.path.join(RDConfig.RDContribDir, "SA_Score", "sascorer.py")
    spec = importlib.util.spec_from_file_location("sascorer", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"RDKit's SA scorer is not at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
