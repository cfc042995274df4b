"""Levels of theory: their settings in the campaign file, and their identity.

Floor 0: imports pydantic and the standard library only.
"""

from __future__ import annotations

import importlib.metadata
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from molsieve import programs
from molsieve.excitation_settings import Excitations, leave_out_what_cannot_act
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


class PeriodicSettings(LevelSettings):
    """What the engines that know periodic cells share; none of it acts on molecules."""

    min_cell_angstrom: PositiveFloat | None = Field(
        None,
        description="(tblite, cp2k, ase) a periodic cell is repeated until it is this wide in "
        "every direction, so that the Γ point is enough; energy, forces and stress are those of "
        "the cell given; null: the cell as it is",
    )
    charged_cells: bool = Field(
        False,
        description="(tblite, cp2k, ase) true: charged periodic cells are computed, in a uniform "
        "background of the opposite charge; their energies must not be compared across charges "
        "or cells",
    )


class TbliteLevel(PeriodicSettings):
    """Extended tight binding with tblite; cells at the Γ point."""

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
    excitations: Excitations | None = Field(
        None, description="vertical excited states of closed-shell molecules; null: none"
    )


def _none_if_gamma(mesh: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    return None if mesh == (1, 1, 1) else mesh


KPoints = Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], AfterValidator(_none_if_gamma)]
"""Divisions of a mesh with Γ among its points; [1, 1, 1] is the Γ point, as null is."""


class MeshSettings(PeriodicSettings):
    """Of the engines that know k-points."""

    k_points: KPoints | None = Field(
        None,
        description="(cp2k, ase) mesh of k-points of periodic cells, Γ among them, e.g. [2, 1, 1]; "
        "null: Γ alone",
    )
    box_margin_angstrom: PositiveFloat = Field(
        5.0,
        description="(cp2k, ase) from the outermost atoms of a molecule to the walls of its box",
    )

    @model_validator(mode="after")
    def _one_way_to_converge_a_cell(self) -> Self:
        if self.k_points and self.min_cell_angstrom:
            raise ValueError(
                "k_points: given together with min_cell_angstrom; allowed: one of them (a mesh "
                "for cells of one size, a least width for cells of many sizes)"
            )
        return self


class Cp2kLevel(MeshSettings):
    """Kohn-Sham DFT with CP2K (Gaussians and plane waves); unrestricted where spins are unpaired.

    A structure that is periodic in no direction stands in a box of its own, with a Poisson solver
    for free charge distributions (wavelets).
    """

    engine: Literal["cp2k"] = Field(description="which program computes the level")
    functional: str = Field("PBE", description="a functional of CP2K's XC_FUNCTIONAL, e.g. PBE")
    dispersion: Literal["none", "d3bj", "d3zero"] = Field(
        "d3bj", description="D3 correction that was fitted to the functional"
    )
    basis: str = Field("DZVP-MOLOPT-SR-GTH", description="Gaussian basis set of every element")
    basis_file: str = Field("BASIS_MOLOPT", description="CP2K's file that has the basis set")
    potential: str = Field("GTH-PBE", description="pseudopotential of every element")
    potential_file: str = Field("GTH_POTENTIALS", description="CP2K's file that has it")
    cutoff_ry: PositiveFloat = Field(
        600.0,
        description="plane-wave cutoff of the density, in Ry; with less, forces on oxygen are off "
        "by 0.1 eV/Å",
    )
    rel_cutoff_ry: PositiveFloat = Field(
        50.0, description="cutoff that decides on which grid a Gaussian goes, in Ry"
    )
    scf_tolerance: PositiveFloat = Field(1e-6, description="CP2K's EPS_SCF")
    max_scf: PositiveInt = Field(
        150, description="SCF cycles before each next step of the recovery ladder"
    )
    scf_solver: Literal["ot", "diagonalisation"] = Field(
        "ot",
        description="ot: orbital transformation, for systems with a gap; with k_points always "
        "diagonalisation",
    )
    version: str | None = Field(
        None,
        description="CP2K's version, e.g. 2023.1; null: that of the one on PATH. Say it where "
        "the machine that reads this file has no CP2K",
    )


class AseLevel(MeshSettings):
    """A program that you have, through its ASE calculator: Quantum ESPRESSO or VASP."""

    engine: Literal["ase"] = Field(description="which program computes the level")
    calculator: Literal["quantum-espresso", "vasp"] = Field(description="the program")
    version: str = Field(description="the program's version, e.g. 7.3: part of the level")
    command: str = Field(description="what starts the program, e.g. pw.x or srun vasp_std")
    pseudopotential_folder: str = Field(
        description="folder of the pseudopotentials' files (vasp: what VASP_PP_PATH is)"
    )
    pseudopotentials: dict[str, str] = Field(
        {},
        description="by element: its file's name (quantum-espresso), the suffix of its POTCAR "
        "(vasp; an element that is not named has none)",
    )
    parameters: dict[str, Any] = Field(
        {},
        description="the program's own: sections of pw.x (system: {ecutwfc: 60}), keys of INCAR "
        "(encut: 520)",
    )

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


Level = Annotated[
    TbliteLevel | PyscfLevel | Cp2kLevel | AseLevel,
    Field(discriminator="engine"),
]

ENGINE_DISTRIBUTIONS: dict[str, list[str]] = {
    "tblite": ["tblite"],
    "pyscf": ["pyscf", "pyscf-dispersion"],
    "cp2k": [],
    "ase": [],
}
"""Python packages whose versions enter the identity of an engine's levels; of programs outside
Python see :func:`program_version`."""


SEARCH_SETTINGS = (
    "max_cycles",
    "max_iterations",
    "max_scf",
    "scf_solver",
    "max_optimiser_steps",
)
"""How long, and how, a level looks for its number: they decide whether there is one, not which."""

ONLY_WHERE_GIVEN = ("min_cell_angstrom", "charged_cells", "k_points", "excitations")
"""Settings younger than the first levels: at their default they are as if they were not there."""

PLACES = ("command", "pseudopotential_folder")
"""Where things are on a machine."""


def program_version(level: Cp2kLevel | AseLevel) -> str:
    """Version of the program outside Python behind a level: as it says, else of that on PATH."""
    return level.version or programs.cp2k_version()


def resolved_level(level: Level) -> dict[str, Any]:
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
        if settings["excitations"]:
            leave_out_what_cannot_act(settings["excitations"], settings)
    if settings["engine"] == "cp2k":
        settings["functional"] = settings["functional"].upper()
    for key in ONLY_WHERE_GIVEN:
        if not settings.get(key):
            settings.pop(key, None)
    for key in (*SEARCH_SETTINGS, *PLACES, "version"):
        settings.pop(key, None)
    distributions = list(ENGINE_DISTRIBUTIONS[level.engine])
    if settings["engine"] == "pyscf":
        if settings["dispersion"] == "none":
            distributions.remove("pyscf-dispersion")
        if settings["device"] == "gpu":
            distributions.append("gpu4pyscf-cuda12x")
    settings["versions"] = {name: _version(name) for name in distributions}
    if isinstance(level, Cp2kLevel | AseLevel):
        name = level.calculator if isinstance(level, AseLevel) else level.engine
        settings["versions"][name] = program_version(level)
    return settings


def level_id(level: Level) -> str:
    """Identity of a level of theory: a hash of :func:`resolved_level`, 16 hex digits.

    Never of threads, memory or the recovery ladder: those do not change a converged number.
    """
    return digest(resolved_level(level))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def parse_level(settings: dict[str, Any]) -> Level:
    """A level from its settings as plain JSON (a rule's params)."""
    level: Level = TypeAdapter(Level).validate_python(settings)
    return level
