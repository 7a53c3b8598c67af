"""What is measured, each part by itself."""

import pathlib
import subprocess
import time

from versus_run.process import Failed

from . import load
from .core import FILES_RESERVED, ROLES, Core, files_max
from .memory import Watch

PARTS = ("registered", "subscribers", "criteria", "dialogs", "storm", "hold", "connections")
# The filter criteria of subscribers: for a method that nobody sends, so that each is looked at and none matches.
CRITERION = "PUBLISH=sip:as.example.net"
MSISDN = 49301000001


class Growth:
    """Everything that one call of `bench/growth` measures."""

    def __init__(self, sizes, programs, folder, say):
        self.sizes, self.programs, self.folder, self.say = sizes, programs, folder, say
        self.files = {}

    def measure(self, parts, done):
        """Measures some of the parts; `done` is told of each as it ends."""
        for part in parts:
            self.say(f"{part}:")
            done(part, getattr(self, part)())

    # --- cost against something that grows ------------------------------------------------------------------------

    def registered(self):
        found = []
        for ues in self.sizes.registered:
            subscribers = self.subscribers_file(max(self.sizes.registered))
            found += self.costs(subscribers, ues, self.scenarios(), {"registered": ues})
        return found

    def subscribers(self):
        found = []
        for count in self.sizes.subscribers:
            everybody = self.subscribers_file(count)
            few = self.spread(everybody, self.sizes.subscribers_registered)
            found += self.costs(everybody, self.sizes.subscribers_registered, ("register", "message"),
                                {"subscribers": count}, few)
        return found

    def criteria(self):
        found = []
        ues = self.sizes.criteria_registered
        for count in self.sizes.criteria:
            subscribers = self.subscribers_file(ues, count)
            found += self.costs(subscribers, ues, ("register", "call", "message"), {"criteria": count})
        return found

    def dialogs(self):
        sizes, found = self.sizes, []
        subscribers = self.subscribers_file(2 * sizes.dialogs_registered)
        talkers, others = self.halves(subscribers)
        for count in sizes.dialogs:
            for run in range(sizes.runs):
                with self.core(subscribers) as core:
                    standing = self.stand(core, count, talkers) if count else None
                    for scenario in ("call", "message"):
                        one = load.measure(core, scenario, self.rate(scenario), sizes.dialogs_registered,
                                           sizes.duration_s, subscribers=others)
                        found.append(one | {"dialogs": count, "run": run})
                        self.tell(found[-1], f"{count} dialogs")
                    if standing:
                        if standing.process.child.poll() is not None:
                            raise Failed("the calls have not stood until the end")
                        standing.stop()
        return found

    def stand(self, core, count, talkers):
        """Sets up so many calls that then stand."""
        sizes = self.sizes
        setup_s = count / sizes.dialogs_rate
        # For as long as anything is measured meanwhile.
        talk_s = setup_s + 2 * (sizes.duration_s + 3 * sizes.dialogs_registered / sizes.register_rate + 60)
        line = load.words("call", sizes.dialogs_rate, sizes.dialogs_registered, setup_s, talk_s=talk_s,
                          register_rate=sizes.register_rate, more=("--even",))
        standing = load.Load(core, "load-standing", line, talkers, is_beside=True)
        standing.wait_until("draining", sizes.dialogs_registered / sizes.register_rate * 3 + setup_s + 60)
        if " failed 0 " not in standing.process.output().splitlines()[-1]:
            raise Failed(f"calls failed before anything was measured:\n{standing.process.output()[-500:]}")
        return standing

    def costs(self, subscribers, ues, scenarios, what, few=None):
        """The cost of scenarios with so many UEs registered, each run with a core of its own."""
        sizes, found = self.sizes, []
        for run in range(sizes.runs):
            with self.core(subscribers) as core:
                empty = core.memory_kb()
                for scenario in scenarios:
                    if scenario == "register":
                        # An initial registration is measured once all of them are there.
                        self.fill(core, ues, few)
                    one = load.measure(core, scenario, self.rate(scenario), ues, sizes.duration_s,
                                       register_rate=sizes.register_rate, subscribers=few)
                    found.append(one | what | {"run": run, "empty_kb": empty, "memory_kb": core.memory_kb()})
                    self.tell(found[-1], " ".join(f"{count} {name}" for name, count in what.items()))
        return found

    def fill(self, core, ues, subscribers):
        """Registers all UEs, so that what follows finds them registered."""
        rate = self.sizes.register_rate
        line = load.words("register", rate, ues, ues / rate, more=("--even",))
        report = load.Load(core, "load-fill", line, subscribers).report(ues / rate + load.DRAIN_MAX_S)
        if load.lost(load.outcome(report)):
            raise Failed(f"UEs could not be registered: {report['failed']}")

    # --- a burden, and whether it leaves something behind ---------------------------------------------------------

    def storm(self):
        sizes = self.sizes
        rate = sizes.storm / sizes.storm_s
        with self.core(self.subscribers_file(sizes.storm)) as core, Watch(core) as watch:
            empty = watch.now()
            # UEs register, nothing happens until everything has lingered out, and then they all come at once.
            # The last of them comes just at the end.
            line = load.words("reregister", rate, sizes.storm, sizes.storm_s + 0.5 / rate, register_rate=sizes.register_rate,
                              more=("--even", "--in-turn", "--pause", load.ms(sizes.linger_s)))
            storm = load.Load(core, "load-storm", line)
            storm.wait_until("idle", sizes.storm / sizes.register_rate * 3 + 60)
            time.sleep(max(sizes.linger_s - 10, 1))
            before = watch.now()
            report = storm.report(sizes.storm_s + load.DRAIN_MAX_S + 30)
            after_at_once = watch.now()
            time.sleep(sizes.linger_s)
            return self.burden(report, core, watch, empty, before, after_at_once)

    def hold(self):
        sizes = self.sizes
        setup_s = sizes.hold / sizes.hold_rate
        with self.core(self.subscribers_file(sizes.hold_ues)) as core, Watch(core) as watch:
            empty = watch.now()
            line = load.words("call", sizes.hold_rate, sizes.hold_ues, setup_s, register_rate=sizes.register_rate,
                              talk_s=setup_s + 30, more=("--even", "--pause", load.ms(sizes.linger_s)))
            calls = load.Load(core, "load-hold", line)
            calls.wait_until("idle", sizes.hold_ues / sizes.register_rate * 3 + 60)
            time.sleep(max(sizes.linger_s - 10, 1))
            before = watch.now()
            calls.wait_until("draining", setup_s + 60)
            standing = watch.now()
            report = calls.report(2 * setup_s + 30 + load.DRAIN_MAX_S)
            after_at_once = watch.now()
            time.sleep(sizes.linger_s)
            return self.burden(report, core, watch, empty, before, after_at_once) | {"standing_kb": standing}

    def connections(self):
        sizes = self.sizes
        room = files_max() - FILES_RESERVED
        # A process has as many connections as it may have files: with a low limit there are several P-CSCFs.
        pcscfs = -(-sizes.connections // room)
        each = -(-sizes.connections // pcscfs)
        everybody = self.subscribers_file(each * pcscfs)
        groups = self.groups(everybody, pcscfs)
        with self.core(everybody, pcscfs=pcscfs, connections=each + 100) as core, Watch(core) as watch:
            empty = watch.now()
            reports, standing = self.connect(core, watch, groups, each)
            after_at_once = watch.now()
            time.sleep(sizes.linger_s)
            found = self.burden(sum_of(reports), core, watch, empty, empty, after_at_once)
            # Once more: what was only kept for the next ones is taken, and what was lost is lost twice.
            self.connect(core, watch, groups, each)
            time.sleep(sizes.linger_s)
            again = watch.now()
            self.say("  after the same again: " + ", ".join(f"{role} {again[role] / 1024:.0f}" for role in ROLES))
            return found | {"standing_kb": standing, "again_kb": again, "pcscfs": pcscfs, "files_max": room + FILES_RESERVED}

    def connect(self, core, watch, groups, each):
        """Connects all UEs, of which some send texts, and disconnects them; with the memory while all stand."""
        sizes, pcscfs = self.sizes, len(groups)
        duration_s = max(each * pcscfs / sizes.connections_rate, sizes.duration_s) + 30
        loads = []
        for number, group in enumerate(groups):
            # The texts of each group begin when all UEs of the last one are there.
            idle_s = (pcscfs - number) * each / sizes.connections_rate * 1.2
            line = load.words("message", sizes.connections_messages / pcscfs, each, sizes.duration_s,
                              register_rate=sizes.connections_rate,
                              more=("--pause", load.ms(idle_s), "--transport", "tcp"))
            loads.append(load.Load(core, f"load-tcp-{number}", line, group, number))
            loads[-1].wait_until("idle", each / sizes.connections_rate * 3 + 60)
        for one in loads:
            one.wait_until("measuring", each / sizes.connections_rate * 2 + 60)
        standing = watch.now()
        return [one.report(duration_s + load.DRAIN_MAX_S) for one in loads], standing

    def burden(self, report, core, watch, empty, before, after_at_once):
        one = load.outcome(report)
        found = one | {
            "lost": load.lost(one), "latency_us": {key: report["latency_us"][key] for key in ("p50", "p99", "max")},
            "empty_kb": empty, "before_kb": before, "peak_kb": watch.peak(), "after_at_once_kb": after_at_once,
            "after_kb": watch.now(), "warnings": core.warnings()[:20],
        }
        shown = lambda kb: ", ".join(f"{role} {kb[role] / 1024:.0f}" for role in ROLES)
        self.say(f"  {one['attempted']} {one['scenario']}: {found['lost']} lost {one['failed'] or ''}, {one['late']} late, "
                 f"p99 {found['latency_us']['p99'] / 1000:.0f} ms; MB before: {shown(before)}; peak: "
                 f"{shown(found['peak_kb'])}; after: {shown(found['after_kb'])}")
        return found

    # --- what the parts need --------------------------------------------------------------------------------------

    def core(self, subscribers, **more):
        return Core(self.programs, self.folder, subscribers, self.sizes.access_t1, **more)

    def scenarios(self):
        return [scenario for scenario, _ in self.sizes.rates]

    def rate(self, scenario):
        return dict(self.sizes.rates)[scenario]

    def subscribers_file(self, count, criteria=0):
        """Subscribers by `ims sub gen`; each file is made once."""
        if (count, criteria) not in self.files:
            path = pathlib.Path(self.folder) / f"subscribers-{count}-{criteria}.csv"
            line = [self.programs / "ims", "sub", "gen", str(count), "--msisdn", str(MSISDN)]
            for _ in range(criteria):
                line += ["--ifc", CRITERION]
            with open(path, "w") as file:
                subprocess.run([str(word) for word in line], stdout=file, check=True)
            self.files[count, criteria] = path
        return self.files[count, criteria]

    def spread(self, everybody, count):
        """So many of a file, spread over it evenly."""
        header, *rows = everybody.read_text().splitlines()
        chosen = rows[:: len(rows) // count][:count]
        return self.write(everybody.with_suffix(f".{count}.csv"), header, chosen)

    def halves(self, everybody):
        return self.groups(everybody, 2)

    def groups(self, everybody, count):
        header, *rows = everybody.read_text().splitlines()
        size = len(rows) // count
        return [self.write(everybody.with_suffix(f".part{at}.csv"), header, rows[at * size:][:size])
                for at in range(count)]

    def write(self, path, header, rows):
        path.write_text("\n".join([header, *rows]) + "\n")
        return path

    def tell(self, one, what):
        cost = one["cpu_s_per_1000"]
        trouble = "" if not load.lost(one) else f"; LOST {load.lost(one)}: {one['failed']}"
        self.say(f"  {what}, {one['scenario']} {one['rate']:g}/s: "
                 + " ".join(f"{role} {cost[role]:.3f}" for role in ROLES)
                 + f" CPU-s per 1,000, p99 {one['latency_us']['p99'] / 1000:.1f} ms{trouble}")


def sum_of(reports):
    """Reports of loads that ran side by side, as one; of latencies the longest."""
    one = dict(reports[0])
    for other in reports[1:]:
        for name in ("attempted", "succeeded", "late", "dropped", "retransmissions", "ues_lost", "connections",
                     "connections_lost", "rate"):
            one[name] += other[name]
        one["generator_limited"] |= other["generator_limited"]
        one["failed"] = {cause: one["failed"].get(cause, 0) + other["failed"].get(cause, 0)
                         for cause in {*one["failed"], *other["failed"]}}
        one["latency_us"] = {key: max(one["latency_us"][key], other["latency_us"][key]) for key in one["latency_us"]}
    return one
