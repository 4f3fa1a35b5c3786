"""The programs of a run by role and number; what was killed is started again under the same name, as its systemd unit would."""

RESTART_MAY_HELP = 1
FAILPOINT_EXIT = 86


class Crew:
    """Workers are static members of the group, so that a restart takes its topic partitions back without waiting."""

    def __init__(self, site, workers=2, aggregators=1, words=()):
        self.site = site
        self.words = words  # more for each worker's command line
        self.programs = {}
        for number in range(workers):
            self.start("worker", number)
        for number in range(aggregators):
            self.start("aggregator", number)

    def start(self, role, number=0, **how):
        """Starts (again) the worker or aggregator of that number; `how` may hold a failpoint."""
        name = f"{role}-{number}"
        if role == "worker":
            program = self.site.worker(*self.words, instance=f"w{number}", name=name, **how)
        else:
            program = self.site.aggregator(name=name, **how)
        self.programs[role, number] = program
        return program

    def kill(self, role, number=0, **how):
        """SIGKILL, and started again at once."""
        self.programs[role, number].kill()
        return self.start(role, number, **how)

    def revive(self):
        """Starts again what has ended by itself with 1 (a restart may help) or at a failpoint; anything else ends the run."""
        for (role, number), program in list(self.programs.items()):
            if program.is_running():
                continue
            assert program.code in (RESTART_MAY_HELP, FAILPOINT_EXIT), f"{role} {number} ended with {program.code}:\n{program.log()[-4000:]}"
            self.start(role, number)

    def workers(self):
        return [program for (role, _), program in self.programs.items() if role == "worker"]

    def dismiss(self, role, number=0):
        """Stops one for good; its exit code."""
        return self.programs.pop((role, number)).stop(30)

    def stop(self):
        """Ends all by SIGTERM; "role number" to exit code."""
        return {f"{role} {number}": program.stop(30) for (role, number), program in self.programs.items()}
