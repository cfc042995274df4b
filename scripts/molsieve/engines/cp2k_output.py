"""What CP2K's output says: parts of the energy, spin, and why it stopped."""

from __future__ import annotations

import re

from molsieve import units
from molsieve.engines.base import CalculationError, ErrorKind

MESSAGE_LENGTH = 400
FIGURE = re.compile(r"^[\s*]*(\[ABORT\]|\\___/|O/\||/\| \||/ \\|\|)?\s*")
"""The little man who holds up CP2K's last words, at the left of each line of them."""
NOT_CONVERGED = "SCF run NOT converged"
KINDS: dict[str, ErrorKind] = {
    NOT_CONVERGED: "scf_not_converged",
    "Cholesky decompose failed": "scf_not_converged",
    "was not found in the basis set files": "bad_input",
    "was not found in the potential file": "bad_input",
}
"""Words of an abort that tell more than that there was one."""


def dispersion_energy_ev(output: str) -> float | None:
    """The last dispersion energy (eV) of the output; None without dispersion correction."""
    found = re.findall(r"^\s*Dispersion energy:\s+(\S+)", output, re.MULTILINE)
    return float(found[-1]) * units.EV_PER_HARTREE if found else None


def spin_square(output: str) -> float | None:
    """The last ⟨S²⟩ of the determinant of the output; None for closed shells."""
    found = re.findall(r"Ideal and single determinant S\*\*2\s*:\s+\S+\s+(\S+)", output)
    return float(found[-1]) if found else None


def failure(output: str, errors: str) -> CalculationError:
    """Why CP2K stopped, in its own words.

    Args:
        output: of the calculation.
        errors: what the program wrote to standard error.
    """
    said = _abort(output) or _abort(errors)
    if not said and NOT_CONVERGED in output:
        said = NOT_CONVERGED
    said = said or _last_words(errors) or _last_words(output)
    kinds = [kind for words, kind in KINDS.items() if words in said]
    kind: ErrorKind = kinds[0] if kinds else "engine_error"
    return CalculationError(kind, f"CP2K: {said or 'ended without a word'}"[:MESSAGE_LENGTH])


def _abort(text: str) -> str:
    """The message in the frame of stars that CP2K draws when it stops itself."""
    start = text.rfind("[ABORT]")
    if start < 0:
        return ""
    frame = re.split(r"^\s*\*{20,}", text[start:], maxsplit=1, flags=re.MULTILINE)[0]
    lines = (FIGURE.sub("", line).rstrip(" *") for line in frame.splitlines())
    return " ".join(" ".join(lines).split())


def _last_words(text: str) -> str:
    return " ".join(" ".join(text.split()[-40:]).split())
