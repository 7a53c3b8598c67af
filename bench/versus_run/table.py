"""Medians, spread and ratios, as one table."""

import statistics

from .core import KAMAILIO, OURS, OURS_IPSEC, OURS_MEMORY, OURS_PROCESSES, ROLES
from .series import SCENARIOS

# Both halves of a registration, without the wait of the UE between them.
PARTS = {"register": ("REGISTER to 401", "REGISTER to 200")}
SHORT = {"pcscf": "P", "icscf": "I", "scscf": "S"}


def middle(values):
    """Median, lowest and highest."""
    return statistics.median(values), min(values), max(values)


def rows(results):
    """(what, unit, {contender: (median, lowest, highest)}, whether more is better)"""
    found = []
    for scenario in SCENARIOS:
        highest = group(results["highest"], scenario=scenario)
        if highest:
            found.append((f"{scenario}: highest rate held", "1/s", by_contender(highest, lambda one: one["rate"]), True))
        for rate in sorted({one["rate"] for one in group(results["at_rate"], scenario=scenario)}):
            at_rate = group(results["at_rate"], scenario=scenario, rate=rate)
            name = f"{scenario} at {rate:g}/s"
            whole = by_contender(at_rate, lambda one: one["cpu_s_per_1000"]["total"])
            found.append((f"{name}: CPU of P+I+S", "s/1,000", whole, False))
            # Of who has a process for each.
            apart = [one for one in at_rate if "pcscf" in one["cpu_s_per_1000"]]
            cpu = lambda *roles: lambda one: sum(one["cpu_s_per_1000"][role] for role in roles)
            found.append((f"{name}: CPU of P+I", "s/1,000", by_contender(apart, cpu("pcscf", "icscf")), False))
            for role in ROLES:
                found.append((f"{name}: CPU of {SHORT[role]}", "s/1,000", by_contender(apart, cpu(role)), False))
            for share in ("p50", "p99"):
                latency = lambda one: one["latency_us"][share] / 1000
                found.append((f"{name}: {share}", "ms", by_contender(at_rate, latency), False))
            for part in PARTS.get(scenario, ()):
                latency = lambda one: one["parts_us"][part]["p99"] / 1000
                found.append((f"{name}: p99 of {part}", "ms", by_contender(at_rate, latency), False))
    for role in ROLES:
        memory = by_contender(results["memory"], lambda one: one["kb_per_ue"][role])
        if memory:
            found.append((f"memory per registered UE at {SHORT[role]}", "KB", memory, False))
    for one in results.get("memory_ours", []):
        for role in ROLES:
            found.append((f"memory per UE of {one['ues']:,} at {SHORT[role]}", "KB",
                          {OURS_PROCESSES: middle([one["kb_per_ue"][role]])}, False))
        latency = {OURS_PROCESSES: middle([one["latency_us"]["p99"] / 1000])}
        found.append((f"call between UEs of {one['ues']:,} at {one['rate']:g}/s: p99", "ms", latency, False))
    for rate in sorted({one["rate"] for one in results["sipp"]}):
        at_rate = group(results["sipp"], rate=rate)
        name = f"SIPp, call at {rate:g}/s"
        total = lambda one: one["cpu_s_per_1000"]["total"]
        found.append((f"{name}: CPU of P+I+S", "s/1,000", by_contender(at_rate, total), False))
        found.append((f"{name}: p99 of INVITE to 200", "ms",
                      by_contender(at_rate, lambda one: one["latency_us"]["p99"] / 1000), False))
    return found


def group(results, **wanted):
    return [one for one in results if all(one[key] == value for key, value in wanted.items())]


def by_contender(results, value):
    names = [name for name in (KAMAILIO, OURS, OURS_PROCESSES, OURS_MEMORY, OURS_IPSEC) if group(results, contender=name)]
    return {name: middle([value(one) for one in group(results, contender=name)]) for name in names}


def markdown(results):
    """The table; a ratio above 1 says how many times better ours is."""
    has_ipsec = bool(group(results["at_rate"], contender=OURS_IPSEC))
    lines = ["| | | Kamailio | Carillon, one process | times better | three processes | times better | one, store off |" + (" one, IPsec on |" if has_ipsec else ""),
             "|---|---|---:|---:|---:|---:|---:|---:|" + ("---:|" if has_ipsec else "")]
    for what, unit, values, is_more_better in rows(results):
        cell = lambda name: spread(values.get(name))
        better = lambda name: times_better(values.get(name), values.get(KAMAILIO), is_more_better)
        lines.append(f"| {what} | {unit} | {cell(KAMAILIO)} | {cell(OURS)} | {better(OURS)} "
                     f"| {cell(OURS_PROCESSES)} | {better(OURS_PROCESSES)} | {cell(OURS_MEMORY)} |"
                     + (f" {cell(OURS_IPSEC)} |" if has_ipsec else ""))
    return "\n".join(lines)


def times_better(ours, theirs, is_more_better):
    if not ours or not theirs or min(ours[0], theirs[0]) <= 0:
        return "-"
    return f"{ours[0] / theirs[0] if is_more_better else theirs[0] / ours[0]:.1f}"


def spread(value):
    if value is None:
        return "-"
    shown = lambda number: f"{number:,.0f}" if number >= 100 else "0" if abs(number) < 0.005 else f"{number:.3g}"
    median, low, high = value
    return shown(median) if low == high else f"{shown(median)} ({shown(low)}-{shown(high)})"
