"""Twenty-five seconds of the random run of the statistics; `tests/faults/random_statistics.py` runs it for ten minutes."""

import os

from faults.random_statistics import random_run


def test_statistics_are_exact_every_second_of_a_random_run(make_site):
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    seconds = float(os.environ.get("TALLYMILL_SECONDS") or 25)
    assert random_run(make_site(), seed, seconds) >= seconds / 10
