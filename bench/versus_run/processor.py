"""What processes have used: processor time and memory, read from /proc."""

import os
import threading
import time

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SAMPLE_EVERY_S = 0.1
# To weigh a process that is large takes some time, in which it does not ask for memory.
WEIGH_EVERY_S = 5
# Among the roles: the whole machine.
MACHINE = "machine"


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                # The name of a program stands in parentheses and may hold anything.
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, rest = [], [pid]
    while rest:
        one = rest.pop()
        found.append(one)
        rest.extend(children.get(one, []))
    return found


def cpu_s(pids):
    """User and system time of processes, with all their threads, in seconds."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def threads_s(pid, prefix):
    """User and system time of each thread of a process whose name begins so, in seconds, finer than in ticks."""
    times = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{task}"
        try:
            with open(f"{folder}/comm") as comm, open(f"{folder}/schedstat") as schedstat:
                if comm.read().startswith(prefix):
                    times[task] = int(schedstat.read().split()[0]) / 1e9
        except OSError:
            continue
    return times


def machine_s():
    """Busy time of all processors: also what the kernel does for nobody in particular."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _wait, irq, softirq = (int(word) for word in stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS_PER_S


def memory_kb(pids):
    """Proportional set size: what processes share is counted once."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except OSError:
            continue
    return total


class Sampler:
    """Reads the processor time of each role all the while, so that any window of a run can be asked for afterwards."""

    def __init__(self, roles, weighs=False):
        """`roles` gives the process of each role. The families are looked up once: they must be complete.

        With `weighs`, memory is read, too.
        """
        self.families = {role: family(pid) for role, pid in roles.items()}
        self.samples = []
        self.weighs, self.weights = weighs, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        while True:
            self.take()
            if self.weighs and (not self.weights or time.time() - self.weights[-1][0] > WEIGH_EVERY_S):
                self.weights.append((time.time(), {role: memory_kb(pids) for role, pids in self.families.items()}))
            if self.stopping.wait(SAMPLE_EVERY_S):
                self.take()
                return

    def take(self):
        used = {role: cpu_s(pids) for role, pids in self.families.items()} | {MACHINE: machine_s()}
        self.samples.append((time.time(), used))

    def kb_at(self, moment):
        """What each role weighed at a time of the clock, or just before."""
        return max((w for w in self.weights if w[0] <= moment), default=self.weights[0], key=lambda w: w[0])[1]

    def used_s(self, begin, end):
        """Seconds of processor time that each role used between two times of the clock."""
        before = max((s for s in self.samples if s[0] <= begin), default=self.samples[0], key=lambda s: s[0])
        after = min((s for s in self.samples if s[0] >= end), default=self.samples[-1], key=lambda s: s[0])
        return {name: after[1][name] - before[1][name] for name in after[1]}
