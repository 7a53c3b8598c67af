"""One run of `ims load` against a running core, and what it cost the core."""

import json
import os
import time

from .core import DOMAIN, total
from .process import Process
from .processor import Sampler

# Kamailio's registrar stores a vector after its 401 has left, so that a UE must not answer at once; the same for both.
ANSWER_AFTER_S = 0.03
TALK_S = 1
WARMUP_S = 3
# What begins late, is lost or waits for a timer may end this long after the load: 130 times T1 and what a call takes.
DRAIN_MAX_S = 75
# The rule by which a rate is held.
INADEQUATE_MAX = RETRANSMITTED_MAX = 0.001
# Registrations a second before the load, where a scenario needs them: well below what Kamailio takes.
REGISTER_RATE = 500


def run(core, scenario, rate, ues, duration_s, warmup_s=WARMUP_S, before=(), more=(), register_rate=REGISTER_RATE,
        weighs=False):
    """Loads a core; what came of it, with the processor time of each role in the measured window.

    `before` stands before the command, and `more` is appended to it. With `weighs`, also the memory of each role when the
    UEs that the scenario needs are registered.
    """
    report_file = os.path.join(core.folder, "load.json")
    command = [
        *before, core.programs / "ims", "load", scenario, "--pcscf", "%s:%d" % core.pcscf, "--domain", DOMAIN,
        "--subscribers", core.subscribers, "--ues", ues, "--rate", f"{rate:g}", "--duration", f"{duration_s * 1000:.0f}ms",
        "--warmup", f"{warmup_s * 1000:.0f}ms", "--answer-after", f"{ANSWER_AFTER_S * 1000:.0f}ms", "--talk", f"{TALK_S * 1000:.0f}ms",
        "--register-rate", register_rate, "--json", report_file, *more,
    ]
    with Sampler(core.pids(), weighs) as sampler:
        generator = Process("load", command, core.folder)
        try:
            # Status 1 says that some failed, which the report tells better.
            generator.wait(ues / register_rate * 2 + warmup_s + duration_s + DRAIN_MAX_S)
        finally:
            generator.stop()
    ended = time.time()
    try:
        with open(report_file) as file:
            report = json.load(file)
    except (OSError, ValueError) as error:
        raise_with_log(generator, error)
    finally:
        if os.path.exists(report_file):
            os.remove(report_file)
    # The load has been steady since the warm-up, so that a tenth of a second here or there is no error.
    end = ended - (TALK_S if scenario == "call" else 0)
    begin = end - report["duration_s"]
    result = outcome(report, sampler.used_s(begin, end))
    if weighs:
        result["kb"] = sampler.kb_at(begin - warmup_s)
    return result


def raise_with_log(generator, error):
    from .process import Failed
    raise Failed(f"`ims load` left no report ({error}):\n{generator.output()[-3000:]}")


def outcome(report, used):
    """What the tables need of a report."""
    attempted = max(report["attempted"], 1)
    failed = sum(report["failed"].values())
    per_1000 = {role: 1000 * seconds / attempted for role, seconds in used.items()}
    inadequate = (failed + report["late"]) / attempted
    retransmitted = report["retransmissions"] / attempted
    return {
        "rate": report["rate"],
        "attempted": report["attempted"],
        "succeeded": report["succeeded"],
        "failed": report["failed"],
        "late": report["late"],
        "retransmissions": report["retransmissions"],
        "is_held": inadequate <= INADEQUATE_MAX and retransmitted <= RETRANSMITTED_MAX,
        "generator_limited": report["generator_limited"],
        "generator_cpu_s_per_1000": 1000 * report["own_cpu_s"] / attempted,
        "cpu_s_per_1000": dict(per_1000, total=total(per_1000)),
        "latency_us": {key: report["latency_us"][key] for key in ("p50", "p90", "p99", "max")},
        "parts_us": {name: {key: part[key] for key in ("p50", "p99")} for name, part in report["parts"].items()},
    }
