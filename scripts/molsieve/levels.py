"""Levels of theory: their settings in the campaign file, and their identity.

Floor 0: imports pydantic and the standard library only.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from molsieve.section import PositiveFloat, PositiveInt, Section, digest


class LevelSettings(Section):
    """What every level of theory shares."""

    geometry: Literal["single_point", "optimised"] = Field(
        "single_point",
        description="single_point: the structure as given; optimised: relaxed at this level first",
    )
    fmax_ev_per_angstrom: PositiveFloat = Field(
        0.02, description="convergence of an optimised geometry, largest force component"
    )
    max_optimiser_steps: PositiveInt = Field(200, description="of an optimised geometry")


class TbliteLevel(LevelSettings):
    """Extended tight binding with tblite."""

    engine: Literal["tblite"] = Field(description="which program computes the level")
    method: Literal["GFN2-xTB", "GFN1-xTB"] = Field(
        "GFN2-xTB", description="parametrisation of the tight-binding Hamiltonian"
    )
    accuracy: PositiveFloat = Field(
        1.0, description="tblite's numerical accuracy (1 is its default)"
    )
    max_iterations: PositiveInt = Field(
        250, description="SCF iterations before the recovery ladder starts"
    )
    electronic_temperature_k: PositiveFloat = Field(
        300.0, description="Fermi smearing of the occupations, in K"
    )


class PyscfLevel(LevelSettings):
    """Kohn-Sham DFT with PySCF; restricted for singlets, unrestricted otherwise."""

    engine: Literal["pyscf"] = Field(description="which program computes the level")
    functional: str = Field(description="any functional PySCF (libxc) knows, e.g. PBE, B3LYP")
    basis: str = Field(description="any basis set PySCF ships, e.g. def2-SVP")
    density_fitting: bool = Field(
        True, description="approximate the Coulomb integrals in an auxiliary basis: much faster"
    )
    auxiliary_basis: str | None = Field(None, description="null: PySCF's choice for the basis")
    dispersion: Literal["none", "d3bj", "d3zero", "d4"] = Field(
        "none", description="dispersion correction added to the functional"
    )
    solvent: Literal["none", "C-PCM", "IEF-PCM", "COSMO", "SS(V)PE", "SMD"] = Field(
        "none", description="implicit solvent model; none: the gas phase"
    )
    solvent_name: str = Field("water", description="SMD's solvent")
    dielectric_constant: Annotated[float, Field(gt=1)] = Field(
        78.3553, description="of the PCM family"
    )
    grid_level: Annotated[int, Field(ge=0, le=9)] = Field(
        3, description="PySCF's integration grid, 0 coarse to 9 fine"
    )
    scf_tolerance_hartree: PositiveFloat = Field(
        1e-9, description="change of energy at convergence"
    )
    max_cycles: PositiveInt = Field(100, description="SCF cycles before the recovery ladder starts")
    device: Literal["cpu", "gpu"] = Field("cpu", description="gpu: gpu4pyscf, where installed")


Level = Annotated[TbliteLevel | PyscfLevel, Field(discriminator="engine")]

ENGINE_DISTRIBUTIONS = {
    "tblite": ["tblite"],
    "pyscf": ["pyscf", "pyscf-dispersion"],
}
"""Whose versions enter the identity of an engine's levels."""


SEARCH_SETTINGS = ("max_cycles", "max_iterations", "max_optimiser_steps")
"""How long a level looks for its number: they decide whether there is one, not which one it is."""


def resolved_level(level: TbliteLevel | PyscfLevel) -> dict[str, Any]:
    """Every setting that changes a level's numbers, defaults and engine versions included.

    Settings that cannot act are left out (a solvent's name without SMD, an optimiser's threshold
    for a single point), so that writing them down does not buy the same label twice. The device
    stays in: another program computes the number.
    """
    settings = level.model_dump(mode="json")
    if settings["geometry"] == "single_point":
        del settings["fmax_ev_per_angstrom"]
    if settings["engine"] == "pyscf":
        for key in ("functional", "basis", "auxiliary_basis"):
            settings[key] = settings[key] and settings[key].lower()
        if settings["solvent"] != "SMD":
            del settings["solvent_name"]
        if settings["solvent"] in ("none", "SMD"):
            del settings["dielectric_constant"]
        if not settings["density_fitting"]:
            del settings["auxiliary_basis"]
    for key in SEARCH_SETTINGS:
        settings.pop(key, None)
    distributions = list(ENGINE_DISTRIBUTIONS[level.engine])
    if settings["engine"] == "pyscf":
        if settings["dispersion"] == "none":
            distributions.remove("pyscf-dispersion")
        if settings["device"] == "gpu":
            distributions.append("gpu4pyscf-cuda12x")
    settings["versions"] = {name: _version(name) for name in distributions}
    return settings


def level_id(level: TbliteLevel | PyscfLevel) -> str:
    """Identity of a level of theory: a hash of :func:`resolved_level`, 16 hex digits.

    Never of threads, memory or the recovery ladder: those do not change a converged number.
    """
    return digest(resolved_level(level))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def parse_level(settings: dict[str, Any]) -> TbliteLevel | PyscfLevel:
    """A level from its settings as plain JSON (a rule's params)."""
    level: TbliteLevel | PyscfLevel = TypeAdapter(Level).validate_python(settings)
    return level
