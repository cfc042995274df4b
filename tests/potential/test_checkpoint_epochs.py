"""The epoch of a checkpoint, read without torch."""

from __future__ import annotations

import pytest
import torch

from molsieve.potential import checkpoint_epochs, storage
from molsieve.potential.checkpoint_epochs import epochs_trained


@pytest.mark.parametrize("epoch", [0, 5, 255, 300, 70_000])
def test_it_is_the_number_that_training_wrote(epoch, tmp_path):
    """Small and large integers have opcodes of their own."""
    state = {
        "weights": torch.ones(3),
        "best_epoch": 3,
        "epoch": epoch,
        "history": [[0.5, 0.25]] * 40,
    }
    storage.write_checkpoint(tmp_path, "identity of the run", state)
    assert epochs_trained(tmp_path) == epoch
    assert checkpoint_epochs.CHECKPOINT == storage.CHECKPOINT


def test_none_where_there_is_none_or_it_is_damaged(tmp_path):
    assert epochs_trained(tmp_path) is None
    (tmp_path / storage.CHECKPOINT).write_bytes(b"PK but no archive")
    assert epochs_trained(tmp_path) is None
