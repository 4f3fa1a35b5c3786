"""Rows 1 and 2: a worker's sudden death, at any moment and at each labelled step."""

from faults.crew import FAILPOINT_EXIT
from faults.registry import row

STEPS = ("after_poll", "mid_copy", "copy_done", "before_fence", "commit_sent", "commit_replied")


@row(1, "a worker killed at any moment", want=150, faults=15, limit=5, daily=5)
def killed_at_random(round):
    crew = round.start(workers=2, partitions=6)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.let_flow(0.2, 1.2)
            number = round.random.randrange(2)
            crew.kill("worker", number)
            round.struck(f"worker {number} killed")
            round.recovered()


@row(2, "a worker killed at each labelled step", want=600, faults=24, limit=5, daily=6)
def killed_at_each_step(round):
    crew = round.start(workers=1, partitions=3, build="check", **{"batch.min_age": "50ms"})
    with round.flow(rate=800) as flow:
        for number in range(round.count):
            step = STEPS[number % len(STEPS)]
            hit = round.random.randrange(1, 200 if step in ("mid_copy", "after_poll") else 4)
            worker = crew.kill("worker", failpoint=f"{step}:exit:{hit}")
            flow.burst(1_000)
            assert worker.wait(60) == FAILPOINT_EXIT, worker.log()[-3000:]
            round.struck(f"worker died at {step}:{hit}")
            crew.revive()
            round.recovered()
