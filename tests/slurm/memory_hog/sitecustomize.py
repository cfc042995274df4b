"""A calculation that needs far more memory than its job asked for, when the test says so.

On PYTHONPATH, so every Python starts with it. A label worker of the job named by a file
``$MOLSIEVE_TEST_HOG/<job id>`` fills memory as soon as that file is there.
"""

import contextlib
import os
import sys
import threading
import time

HOG_BYTES = 4 * 2**30
PAGE = 4096


def fill_memory_when_told(order):
    while not os.path.exists(order):
        time.sleep(0.1)
    with contextlib.suppress(FileNotFoundError):  # one worker is enough
        os.unlink(order)
        hog = bytearray(HOG_BYTES)
        for start in range(0, HOG_BYTES, PAGE):
            hog[start] = 1
        time.sleep(60)


folder, job = os.environ.get("MOLSIEVE_TEST_HOG"), os.environ.get("SLURM_JOB_ID")
if folder and job and "from multiprocessing.spawn" in " ".join(sys.orig_argv):
    threading.Thread(
        target=fill_memory_when_told, args=(os.path.join(folder, job),), daemon=True
    ).start()
