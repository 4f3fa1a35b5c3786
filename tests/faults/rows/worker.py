"""Rows 1 to 4, 38 and 39: a worker dies at any moment, dies at each labelled step, freezes, meets its namesake, comes and goes."""

from faults.crew import FAILPOINT_EXIT
from faults.registry import row
from integration.harness.site import SESSION_TIMEOUT_SECONDS
from integration.harness.waiting import wait_until

STEPS = ("after_poll", "mid_copy", "copy_done", "before_fence", "commit_sent", "commit_replied")
FROZEN_SECONDS = 60
NEEDS_A_PERSON = 3


@row(1, "a worker killed at any moment", want=150, faults=15, limit=5, daily=3)
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


def freeze_at(round, step, prepare):
    """One worker stops itself at a step and stays so; its topic partitions are served by another; then it wakes up."""
    crew = round.start(workers=0, partitions=2, build="check")
    for _ in range(round.count):
        prepare()
        frozen = crew.start("worker", 0, failpoint=step)
        wait_until(frozen.is_frozen, 60, f"the worker to stop itself at {step}")
        round.struck(f"worker frozen at {step}")
        crew.start("worker", 1)
        round.recovered(ends=round.site.end_offsets())
        with round.flow(rate=200):
            round.let_flow(FROZEN_SECONDS)
            frozen.thaw()
            round.let_flow(2)
        round.recovered(since=round.now())
        wait_until(lambda: not frozen.is_running() or _owns_again(round.site), 60, "the thawed worker to rejoin or to end")
        round.site.wait_until_drained()
        for number in (0, 1):
            assert crew.dismiss("worker", number) == 0


def _owns_again(site):
    return site.database.value("SELECT count(DISTINCT owner) FROM tallymill.owners") == 2


@row("3/rows", "a worker frozen mid-COPY for a minute, then awake", want=4, faults=1, limit=2 * SESSION_TIMEOUT_SECONDS)
def frozen_mid_copy(round):
    def prepare():
        with round.flow(rate=0) as flow:
            flow.burst(20_000)
            round.let_flow(1)
        round.site.publisher.flush()

    freeze_at(round, f"mid_copy:stop:{round.random.randrange(1_500, 3_000)}", prepare)


@row("3/bad", "a worker frozen with a batch of bad events only, then awake", want=2, faults=1, limit=2 * SESSION_TIMEOUT_SECONDS)
def frozen_with_bad_events(round):
    def prepare():
        for number in range(4_000):
            round.site.publisher.send_bytes(b"\xc1%d" % number, b"%d" % number)
        round.site.publisher.flush()

    freeze_at(round, "before_fence:stop", prepare)


@row(4, "a worker frozen between the fence and its reply, then awake", want=4, faults=1, limit=2 * SESSION_TIMEOUT_SECONDS)
def frozen_between_fence_and_reply(round):
    def prepare():
        with round.flow(rate=0) as flow:
            flow.burst(5_000)
            round.let_flow(1)
        round.site.publisher.flush()

    freeze_at(round, round.random.choice(("before_fence:stop", "commit_sent:stop")), prepare)


@row(38, "two workers with one instance name: the second takes over, the first ends with 3", want=40, faults=5, limit=10, daily=1)
def namesakes(round):
    crew = round.start(workers=1, partitions=3)
    with round.flow(rate=500):
        for number in range(round.count):
            round.let_flow(0.5, 2)
            first = crew.programs["worker", 0]
            round.recovered(since=round.now())
            crew.programs["worker", 0] = round.site.worker(instance="w0", name=f"worker-0-{number}")
            round.struck("a namesake started")
            assert first.wait(60) == NEEDS_A_PERSON, first.log()[-3000:]
            round.recovered()


@row(39, "eight workers, one stopping or starting every 3 s", want=30, faults=10, limit=60)
def coming_and_going(round):
    crew = round.start(workers=8, partitions=8)
    with round.flow(rate=800):
        for _ in range(round.count):
            round.let_flow(3)
            number = round.random.randrange(8)
            if ("worker", number) in crew.programs and len(crew.workers()) > 1:
                assert crew.dismiss("worker", number) == 0
            elif ("worker", number) not in crew.programs:
                crew.start("worker", number)
            round.struck(f"worker {number} stopped or started; {len(crew.workers())} are left")
        round.recovered()
