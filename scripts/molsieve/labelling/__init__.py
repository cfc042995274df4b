"""Labelling: worker pool, journals, claims, label store, cost model.

Structures go in, rows of the label store come out; see ``job.label_structures``.
"""

from molsieve.labelling.collect import collect_labels
from molsieve.labelling.cost import CostModel
from molsieve.labelling.job import Unfinished, label_structures
from molsieve.labelling.shards import shard_of
from molsieve.labelling.store import read_labels
from molsieve.labelling.worker import LabelStoreError

__all__ = [
    "CostModel",
    "LabelStoreError",
    "Unfinished",
    "collect_labels",
    "label_structures",
    "read_labels",
    "shard_of",
]
