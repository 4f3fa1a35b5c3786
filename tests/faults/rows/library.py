"""Rows 40 and 41: an allocation fails; socket calls come back short, interrupted, or with EAGAIN. By a preloaded library (shim/shim.c)."""

import pathlib
import re
import subprocess

from faults.registry import row
from integration.harness.program import Program, environment
from integration.harness.waiting import wait_until

SHIM = pathlib.Path(__file__).resolve().parents[1] / "shim" / "shim.c"
ALLOCATIONS = 4_000  # of a worker that starts and stores some batches


def symbols(file, *options):
    """(start, size, name) of what nm finds defined there, as text; no size: it has none."""
    listed = subprocess.run(["nm", "--defined-only", *options, file], check=True, capture_output=True, text=True, timeout=60).stdout
    return re.findall(r"^([0-9a-f]+) (?:([0-9a-f]+) )?[tTwW] (\S+)$", listed, re.MULTILINE)


def write_kafkas_code(program, file):
    """Where librdkafka's functions lie in a program that it is linked into; nothing where it is a library of its own."""
    built = re.search(r"\S*librdkafka\.a", (program.parent.parent / "build.ninja").read_text())
    kafkas = {name for _, _, name in symbols(built[0])} if built else set()
    found = sorted((int(start, 16), int(size, 16)) for start, size, name in symbols(program, "-S") if size and name in kafkas)
    assert bool(found) == bool(built), f"{program} is linked with {built}, and none of its functions is there"
    file.write_text("".join(f"{start:x} {start + size:x}\n" for start, size in found))


def preloaded(round, number, **shim):
    """A worker with the shim in it, and the file that grows with each fault."""
    library, kafkas = round.folder / "shim.so", round.folder / "kafkas-code"
    if not library.exists():
        subprocess.run(["cc", "-O2", "-fno-omit-frame-pointer", "-fPIC", "-shared", "-o", library, SHIM, "-ldl"], check=True, timeout=60)
        write_kafkas_code(pathlib.Path(round.site.command("tallymill-consumer")[0]), kafkas)
    report = round.folder / f"report-{number}"
    report.touch()
    worker = Program(round.site.command("tallymill-consumer", "--set", "consumer.instance=w0"), round.site.folder / f"shimmed-{number}.log",
                     environment(LD_PRELOAD=str(library), SHIM_REPORT=str(report), SHIM_LEFT_ALONE=str(kafkas), **{name: str(value) for name, value in shim.items()}))
    round.site.programs.append(worker)
    return worker, report


def ended_decently(worker):
    """0 or 1: never by a signal."""
    code = worker.code if not worker.is_running() else worker.stop(30)
    assert code in (0, 1), f"ended with {code}:\n{worker.log()[-3000:]}"


@row(40, "the n-th allocation of the worker or libpq fails", want=60, faults=20, limit=30, needs=(("cc", "build-essential"),))
def allocation_fails(round):
    round.start(workers=0, partitions=3)
    with round.flow(rate=600):
        for number in range(round.count):
            which = round.random.randrange(1, 60) if number % 4 == 0 else round.random.randrange(1, ALLOCATIONS)
            worker, report = preloaded(round, number, SHIM_MALLOC=which)
            wait_until(lambda: report.stat().st_size > 0 or not worker.is_running(), 90, f"allocation {which}")
            round.struck(f"allocation {which} failed")
            if worker.is_running():
                round.let_flow(0.3)
            ended_decently(worker)
            round.crew.start("worker")
            round.recovered()
            assert round.crew.dismiss("worker") == 0


@row(41, "one of K socket calls is short, interrupted or EAGAIN", want=40, faults=8, limit=30, needs=(("cc", "build-essential"),))
def socket_calls_are_irregular(round):
    round.start(workers=0, partitions=3)
    with round.flow(rate=600):
        for number in range(round.count):
            one_of = round.random.choice((3, 5, 10, 30))
            worker, report = preloaded(round, number, SHIM_SOCKET=one_of, SHIM_SEED=round.random.getrandbits(60))
            wait_until(lambda: report.stat().st_size > 0 or not worker.is_running(), 60, "an irregular call")
            round.struck(f"one of {one_of} socket calls is irregular")
            round.let_flow(2)
            round.recovered()
            assert worker.is_running(), worker.log()[-3000:]
            round.say(f"         {report.stat().st_size} calls were")
            ended_decently(worker)
