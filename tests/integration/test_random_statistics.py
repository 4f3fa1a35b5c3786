"""A minute of the random run of the statistics; `tests/faults/random_statistics.py` runs it for ten."""

import os
import sys

from faults.random_statistics import random_run

from .harness.uniques import SUBJECTS


def test_statistics_are_exact_every_second_of_a_random_run(make_site, tmp_path, capsys):
    seed = int(os.environ.get("TALLYMILL_SEED") or int.from_bytes(os.urandom(4), "big"))
    seconds = float(os.environ.get("TALLYMILL_SECONDS") or 60)

    def say(text):     # at once, also within pytest: a run that is cut off has told its seed
        with capsys.disabled():
            print(f" [statistics: {text}]", file=sys.stderr, flush=True)

    (tmp_path / "subjects.sql").write_text(SUBJECTS)
    assert random_run(make_site(**{"uniques.subjects": tmp_path / "subjects.sql"}), seed, seconds, say) >= seconds / 10
