"""Row 43: the aggregator's sudden death, at each labelled step and at any moment, with a standby beside it."""

from faults.registry import row
from integration.harness.waiting import wait_until

STEPS = ("cycle_begin", "rows_read", "stats_written", "before_commit", "after_commit")


@row(43, "the aggregator killed at each step, a standby beside it", want=100, faults=10, limit=30)
def aggregator_killed(round):
    round.make_site(build="check", partitions=4)
    crew = round.start(workers=1, aggregators=2)
    with round.flow(rate=400):
        for number in range(round.count):  # both are to die there, the second one once it leads
            step = STEPS[number % len(STEPS)]
            dies = {which: crew.kill("aggregator", which, failpoint=f"{step}:exit:{round.random.randrange(1, 6)}") for which in (0, 1)}
            wait_until(lambda dies=dies: not all(program.is_running() for program in dies.values()), round.patience(), f"the leader to die at {step}")
            round.struck(f"the leader died at {step}")
            round.glance()
            round.counted()
