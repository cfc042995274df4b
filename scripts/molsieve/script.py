"""What every rule's script shares: its output goes to the rule's log, a mistake is one message."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from molsieve.section import CampaignError


@contextlib.contextmanager
def reporting(log: str | Path) -> Iterator[None]:
    """Send output to ``log``; end with exit code 1 and one message, or a traceback if it is ours.

    Errors that a user can mend (:class:`CampaignError` and its kin) carry their own words.
    """
    # Spawned workers import the main module again. Under Snakemake that is a temporary script whose
    # preamble imports Snakemake; workers only run functions of the library, so there is no need.
    main = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        del main.__file__
    failed = False
    with (
        open(log, "w", buffering=1) as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        try:
            yield
        except _mendable() as error:
            print(f"\n{error}\n")
            failed = True
        except Exception:
            traceback.print_exc(file=stream)
            failed = True
    if failed:
        sys.exit(1)


def _mendable() -> tuple[type[Exception], ...]:
    from molsieve.labelling import LabelStoreError, Unfinished
    from molsieve.tables import TableError

    return (CampaignError, LabelStoreError, TableError, Unfinished)
