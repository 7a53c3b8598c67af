"""`ims load` against a core: one measurement with its cost, or a load that runs beside others."""

import json
import os
import time

from versus_run.core import DOMAIN
from versus_run.process import Failed, Process
from versus_run.processor import Sampler

from .core import ROLES, by_role, point

TALK_S = 1
# Of the UEs, and of those of a load that runs beside another one.
PORT, PORT_BESIDE = 25060, 25061
# What begins late, is lost or waits for a timer may end this long after the load.
DRAIN_MAX_S = 75


class Load:
    """An `ims load` that runs."""

    def __init__(self, core, name, words, subscribers=None, pcscf=0, is_beside=False):
        self.report_file = os.path.join(core.folder, f"{name}.json")
        if os.path.exists(self.report_file):
            os.remove(self.report_file)
        # From one port always, so that a later load is the same UEs for the P-CSCF.
        port = PORT_BESIDE if is_beside else PORT
        command = [core.programs / "ims", "load", *words, "--pcscf", point(core.pcscfs[pcscf]), "--domain", DOMAIN,
                   "--subscribers", subscribers or core.subscribers, "--json", self.report_file,
                   "--port", port]
        self.process = Process(name, command, core.folder)

    def report(self, within_s):
        """Waits for its end; what it reports."""
        try:
            # Status 1 says that some failed, which the report tells better.
            self.process.wait(within_s)
        finally:
            self.process.stop()
        try:
            with open(self.report_file) as file:
                return json.load(file)
        except (OSError, ValueError) as error:
            raise Failed(f"`ims load` left no report ({error}):\n{self.process.output()[-3000:]}") from None

    def wait_until(self, phase, within_s):
        """Waits until the load has come to a phase, by its lines of progress."""
        until = time.monotonic() + within_s
        while not any(line.startswith(phase) for line in self.process.output().splitlines()):
            if self.process.child.poll() is not None or time.monotonic() > until:
                raise Failed(f"the load has not come to {phase!r}:\n{self.process.output()[-3000:]}")
            time.sleep(0.2)

    def stop(self):
        self.process.stop()


def words(scenario, rate, ues, duration_s, warmup_s=0, register_rate=1000, talk_s=TALK_S, more=()):
    return [scenario, "--ues", ues, "--rate", f"{rate:g}", "--duration", ms(duration_s), "--warmup", ms(warmup_s),
            "--talk", ms(talk_s), "--register-rate", register_rate, *more]


def measure(core, scenario, rate, ues, duration_s, warmup_s=3, register_rate=1000, subscribers=None):
    """Loads a core at a steady rate; what came of it, with the processor time of each role in the measured window."""
    with Sampler(core.pids()) as sampler:
        line = words(scenario, rate, ues, duration_s, warmup_s, register_rate)
        load = Load(core, f"load-{scenario}", line, subscribers)
        report = load.report(ues / register_rate * 3 + warmup_s + duration_s + DRAIN_MAX_S)
    # The load has been steady since the warm-up, so that a tenth of a second here or there is no error.
    end = time.time() - (TALK_S if scenario == "call" else 0)
    used = by_role(sampler.used_s(end - report["duration_s"], end))
    attempted = max(report["attempted"], 1)
    per_1000 = {role: 1000 * used[role] / attempted for role in ROLES}
    return outcome(report) | {
        "cpu_s_per_1000": per_1000,
        "latency_us": {key: report["latency_us"][key] for key in ("p50", "p99", "max")},
    }


def outcome(report):
    """What a report says of loss."""
    return {
        "scenario": report["scenario"],
        "rate": report["rate"],
        "attempted": report["attempted"],
        "succeeded": report["succeeded"],
        "failed": report["failed"],
        "late": report["late"],
        "dropped": report["dropped"],
        "retransmissions": report["retransmissions"],
        "ues_lost": report["ues_lost"],
        "connections": report["connections"],
        "connections_lost": report["connections_lost"],
        "generator_limited": report["generator_limited"],
    }


def lost(one):
    """How many things did not come to a good end."""
    return sum(one["failed"].values()) + one["dropped"] + one["ues_lost"] + one["connections_lost"]


def ms(seconds):
    return f"{seconds * 1000:.0f}ms"
