"""A label job as its own process, for the tests that kill it.

Arguments: structures, store, receipt, workers, name of a function of ``computations``,
perhaps the time limit of a calculation (s).
"""

import sys

import computations

from molsieve import tables
from molsieve.campaign import Run
from molsieve.labelling import LabelStoreError, Unfinished, label_structures
from molsieve.levels import TbliteLevel

if __name__ == "__main__":
    structures, store, receipt, workers, compute, *limit_s = sys.argv[1:]
    try:
        label_structures(
            tables.read_table(structures, "structures"),
            TbliteLevel(engine="tblite"),
            store,
            receipt,
            workers=int(workers),
            run=Run(calculation_time_limit_s=limit_s[0]) if limit_s else Run(),
            job="killed job",
            compute=getattr(computations, compute),
        )
    except (LabelStoreError, Unfinished) as mendable:
        sys.exit(str(mendable))
