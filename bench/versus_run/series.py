"""The measurements in their order: contenders take turns, so that a slow minute of the machine falls on all of them."""

import statistics
import sys

from . import load, neutral
from .core import KAMAILIO, OURS, OURS_IPSEC, OURS_MEMORY, OURS_PROCESSES, ROLES, Core
from .processor import family, memory_kb

SCENARIOS = ("register", "reregister", "call", "message")
# Every UE behind security associations, by our own ESP, over UDP.
IPSEC = '[network]\npath_mtu = 9000\n[ipsec]\npolicy = "required"\nback_end = "userspace"\n'
# Without a search for the highest rate: what two cores that are shared with others bear.
QUICK_RATES = {"register": 300, "reregister": 300, "call": 100, "message": 300}
# Where the search begins.
FIRST_RATES = {"register": 1000, "reregister": 1000, "call": 500, "message": 1000}
# The search ends when the highest rate that is held and the lowest that is not are this close.
RESOLUTION = 0.05
RATE_MAX = 100_000
# Calls a second between UEs of very many.
CALL_RATE = 100
# The longest that a transaction lingers: 64 times the T1 of 2 s towards a UE (TS 24.229 table 7.7.1), and some.
TRANSACTIONS_END_S = 140


class Series:
    """Everything that one call of `bench/versus` measures."""

    def __init__(self, settings, programs, folder, subscribers):
        """`subscribers` gives a file of those without services, and one of those with two filter criteria."""
        self.settings, self.programs = settings, programs
        self.folder, self.subscribers = folder, subscribers
        self.results = {"settings": vars_of(settings), "highest": [], "at_rate": [], "memory": [], "memory_ours": [],
                        "sipp": []}

    def core(self, contender, services=False):
        more = IPSEC if contender == OURS_IPSEC else ""
        return Core(contender, self.programs, self.folder, self.subscribers[services], is_large=services, more=more)

    def measure(self):
        for scenario in SCENARIOS:
            if scenario not in self.settings.only:
                continue
            if scenario in self.settings.rates:
                rates = {rate: rate for rate in self.settings.rates[scenario]}
            elif self.settings.quick:
                rates = {1.0: QUICK_RATES[scenario]}
            else:
                self.find_highest(scenario)
                highest = median_of(self.results["highest"], scenario, KAMAILIO)
                rates = {share: round(share * highest) for share in self.settings.shares}
            for share, rate in rates.items():
                self.compare_at(scenario, share, max(rate, 1))
        if "memory" in self.settings.only:
            self.weigh()
        if "sipp" in self.settings.only:
            self.ask_sipp()
        return self.results

    def ues_for(self, scenario, rate, duration_s):
        """For registrations a UE for each, with a margin for chance; else as many as keep out of each other's way."""
        if scenario == "register":
            wanted = int((duration_s + load.WARMUP_S) * rate * 1.05) + 100
        else:
            wanted = max(1000, int(rate * 2))
        return min(wanted, self.settings.ues_max)

    def run(self, scenario, contender, rate, duration_s):
        with self.core(contender) as core:
            more = ["--ipsec"] if contender == OURS_IPSEC else []
            return load.run(core, scenario, rate, self.ues_for(scenario, rate, duration_s), duration_s, more=more)

    def compare_at(self, scenario, share, rate):
        for run in range(self.settings.runs):
            # The two that are compared run in turns; the others are there to be looked at.
            others = (OURS_PROCESSES, OURS_MEMORY) + ((OURS_IPSEC,) if self.settings.ipsec else ())
            others = others if run < self.settings.others else ()
            for contender in (KAMAILIO, OURS, *others):
                result = self.run(scenario, contender, rate, self.settings.duration)
                result |= {"scenario": scenario, "share": share, "contender": contender, "run": run}
                self.results["at_rate"].append(result)
                cpu, latency = result["cpu_s_per_1000"], result["latency_us"]
                say(f"{scenario} {rate}/s {contender}: {cpu['total']:.3f} CPU-s per 1,000 "
                    + " ".join(f"{role} {used:.3f}" for role, used in cpu.items() if role != "total")
                    + f", p50 {latency['p50'] / 1000:.1f} ms, p99 {latency['p99'] / 1000:.1f} ms"
                    + ("" if result["is_held"] else f", NOT HELD: {trouble(result)}"))

    def find_highest(self, scenario):
        for run in range(self.settings.searches):
            for contender in (KAMAILIO, OURS):
                known = median_of(self.results["highest"], scenario, contender)
                highest, first_lost = self.bisect(scenario, contender, known or FIRST_RATES[scenario])
                self.results["highest"].append({
                    "scenario": scenario, "contender": contender, "run": run, "rate": highest,
                    "generator_limited": bool(first_lost and first_lost["generator_limited"]),
                })
                say(f"{scenario} {contender}: holds {highest:.0f}/s")

    def bisect(self, scenario, contender, rate):
        """The highest rate that is held, and the result of the lowest that is not."""
        held, lost, lost_result = 0, None, None
        while lost is None or (lost - held) / lost > RESOLUTION:
            result = self.run(scenario, contender, rate, self.settings.hold)
            if result["is_held"]:
                held = rate
            else:
                lost, lost_result = rate, result
            say(f"  {scenario} {contender} {rate:.0f}/s: {'held' if result['is_held'] else trouble(result)}")
            if lost is None:
                rate = held * 1.5
            else:
                rate = (held + lost) / 2 if held else lost / 2
            if rate > RATE_MAX or rate < 1:
                break
        return held, lost_result

    def weigh(self):
        """Memory with few and with many UEs registered; the slope leaves out what a process takes in any case."""
        few, many = self.settings.memory_ues
        for contender in (KAMAILIO, OURS_PROCESSES):
            weights = []
            for ues in (few, many):
                # Anew for each: what is left of the UEs of a run before would be counted, too.
                with self.core(contender, services=True) as core:
                    rate = load.REGISTER_RATE
                    # Both times the tables of transactions are as full as they get: only registrations differ.
                    duration_s = max(ues * 1.05 / rate, TRANSACTIONS_END_S)
                    load.run(core, "register", rate, ues, duration_s, warmup_s=0)
                    weights.append({role: memory_kb(family(pid)) for role, pid in core.pids().items()})
            per_ue = {role: (weights[1][role] - weights[0][role]) / (many - few) for role in ROLES}
            self.results["memory"].append(
                {"contender": contender, "ues": [few, many], "kb": weights, "kb_per_ue": per_ue})
            say(f"memory {contender}: " + ", ".join(f"{role} {per_ue[role]:.2f} KB per UE" for role in ROLES))
        for ues in self.settings.memory_ours:
            self.weigh_ours(ues, few, weights[0])

    def weigh_ours(self, ues, few, weights):
        """Ours with very many UEs, of which then some call each other; the slope is the one from few on."""
        with self.core(OURS_PROCESSES, services=True) as core:
            result = load.run(core, "call", CALL_RATE, ues, self.settings.duration, weighs=True,
                              register_rate=self.settings.memory_rate)
        per_ue = {role: (result["kb"][role] - weights[role]) / (ues - few) for role in ROLES}
        self.results["memory_ours"].append(result | {"ues": ues, "kb_per_ue": per_ue})
        say(f"memory {ues} UEs: " + ", ".join(f"{role} {per_ue[role]:.2f} KB per UE" for role in ROLES)
            + f"; then {result['succeeded']} of {result['attempted']} calls at random, "
            f"p99 {result['latency_us']['p99'] / 1000:.1f} ms" + ("" if result["is_held"] else f": {trouble(result)}"))

    def ask_sipp(self):
        rate = 50 if self.settings.quick else 100
        for run in range(self.settings.runs):
            for contender in (KAMAILIO, OURS):
                with self.core(contender) as core:
                    result = neutral.run(core, rate, self.settings.duration)
                self.results["sipp"].append(result | {"contender": contender, "run": run})
                say(f"sipp {rate}/s {contender}: {result['cpu_s_per_1000']['total']:.3f} CPU-s per 1,000 calls, "
                    f"{result['succeeded']} of {result['attempted']}, "
                    f"p50 {result['latency_us']['p50'] / 1000:.1f} ms, p99 {result['latency_us']['p99'] / 1000:.1f} ms")


def vars_of(settings):
    return {name: value for name, value in vars(settings).items() if isinstance(value, (int, float, list, tuple, dict, bool))}


def trouble(result):
    failed = ", ".join(f"{count} {why}" for why, count in result["failed"].items())
    limited = "; the generator is the limit" if result["generator_limited"] else ""
    return f"{failed or 'none'} failed, {result['late']} late, {result['retransmissions']} retransmitted{limited}"


def median_of(highest, scenario, contender):
    rates = [one["rate"] for one in highest if (one["scenario"], one["contender"]) == (scenario, contender)]
    return statistics.median(rates) if rates else None


def say(text):
    print(text, file=sys.stderr, flush=True)
