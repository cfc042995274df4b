"""A label job as its own process, for the tests that kill it.

Arguments: structures, store, receipt, workers, name of a function of ``computations``.
"""

import sys

import computations

from molsieve import tables
from molsieve.campaign import Run
from molsieve.labelling import Unfinished, label_structures
from molsieve.levels import TbliteLevel

if __name__ == "__main__":
    structures, store, receipt, workers, compute = sys.argv[1:]
    try:
        label_structures(
            tables.read_table(structures, "structures"),
            TbliteLevel(engine="tblite"),
            store,
            receipt,
            workers=int(workers),
            run=Run(),
            job="killed job",
            compute=getattr(computations, compute),
        )
    except Unfinished as unfinished:
        sys.exit(str(unfinished))
