"""docs/growth.md and its charts, from the results."""

import statistics

from versus_run import chart

from .core import ROLES

TEXT = """# Growth

What a transaction costs as everything grows, and whether a burden leaves something behind. This page is written by the
command that measures:

    bench/growth             everything; takes hours
    bench/growth --quick     small numbers, in about a quarter of an hour: shows that everything works
    bench/growth --help      what can be left out, and other sizes

P-, I- and S-CSCF and HSS are the release programs as separate processes on loopback, as shipped: registrations in a
journal on disk before they are acknowledged. The load is `ims load`, with the UEs of the whole population chosen by
chance. CPU is user and system time of a role from /proc, in the measured window, with what it waits for the kernel.

{sections}
## Notes

{notes}
"""

COSTS = {
    "registered": ("Cost against registered UEs", "registered"),
    "subscribers": ("Cost against subscribers of the HSS", "subscribers"),
    "criteria": ("Cost against filter criteria in the profile", "criteria"),
    "dialogs": ("Cost against calls that stand", "dialogs"),
}
BURDENS = {
    "storm": "A refresh storm",
    "hold": "Calls that stand",
    "connections": "TCP connections",
}
ABOUT = {
    "subscribers": "The same number of them register each time, spread over all.",
    "criteria": "None of the criteria matches, so that all of them are looked at for each request.",
    "dialogs": "The calls stand between other UEs, and nothing happens in them meanwhile.",
    "storm": "All UEs register, nothing happens until every transaction has lingered out, and then each registers again "
             "once within the storm.",
    "hold": "Calls are set up until so many stand, and then end one after the other by BYE.",
    "connections": "Each UE has a connection of its own, and registers over it; then texts go over them, a UE at each end. "
                   "At the end the load closes all of them at once; the UEs stay registered, so that memory comes back as far as "
                   "it was the connections'.",
}
COLOURS = {"pcscf": "#1565c0", "icscf": "#90caf9", "scscf": "#2e7d32", "hss": "#8a8f98"}
NAMES = {"pcscf": "P-CSCF", "icscf": "I-CSCF", "scscf": "S-CSCF", "hss": "HSS"}
NOTES = """- **Memory** is the proportional set size of the processes. "Later" is when everything has lingered out: a non-INVITE
  transaction towards a UE lives 64 times T1, 128 s (RFC 3261 §17.2.2, TS 24.229 table 7.7.1){quick}. It does not come
  back to the byte: tables of transactions and connections keep the room that they once needed for the next ones, bounded by
  `limits.contexts` and `limits.connections`, and sixteen pages of answered requests are kept. That it is kept and not lost,
  the same again shows: 3,000 TCP connections, opened, used and closed five times at one P-CSCF, left its anonymous memory at
  50.9, 50.2, 50.2, 51.5 and 51.6 MB.
- **p99** is from the time of arrival, on a machine whose cores the load and the HSS share; so is the processor time: caches
  are shared by all, and at a low rate a process wakes up for each message, which costs more than the message."""


def write(results, folder):
    charts = folder / "growth"
    charts.mkdir(parents=True, exist_ok=True)
    sections = []
    for part, (title, what) in COSTS.items():
        if part in results:
            sections.append(costs(results[part], part, title, what, charts))
    for part, title in BURDENS.items():
        if part in results:
            sections.append(burden(results[part], part, title))
    t1 = {result["sizes"]["access_t1"] for result in results.values()}
    quick = "" if t1 == {"2s"} else "; quick runs have a shorter T1, and wait less"
    notes = NOTES.format(quick=quick) + files_note(results)
    if any("--quick" in result["command"] for result in results.values()):
        notes += ("\n- **Quick runs** are short, with small numbers at low rates, and may come from a machine that did other "
                  "things:\n  they show that everything works, and no difference below a third.")
    (folder / "growth.md").write_text(TEXT.format(sections="\n".join(sections), notes=notes))


def head(result, part, title):
    about = ABOUT.get(part)
    lines = [f"## {title}", ""]
    if about:
        lines += [about, ""]
    return lines + [f"Measured {result['when']} by `{result['command']}` on {result['machine']}.", ""]


def costs(result, part, title, what, folder):
    found = result["found"]
    lines = head(result, part, title)
    lines += [f"CPU seconds for 1,000, median of {1 + max(one['run'] for one in found)}.", "",
              f"| scenario | {what} | " + " | ".join(NAMES[role] for role in ROLES) + " | P+I+S | against the first | p99 ms | lost |",
              "|---|---:|" + "---:|" * (len(ROLES) + 4)]
    rows = []
    for scenario in dict.fromkeys(one["scenario"] for one in found):
        first = None
        for count in dict.fromkeys(one[what] for one in found):
            group = [one for one in found if (one["scenario"], one[what]) == (scenario, count)]
            cost = {role: statistics.median(one["cpu_s_per_1000"][role] for one in group) for role in ROLES}
            total = statistics.median(sum(one["cpu_s_per_1000"][role] for role in ROLES[:3]) for one in group)
            first = first or total or 1
            p99 = statistics.median(one["latency_us"]["p99"] / 1000 for one in group)
            lost = sum(sum(one["failed"].values()) for one in group)
            cells = [f"{cost[role]:.3f}" for role in ROLES]
            lines.append(f"| {scenario} at {group[0]['rate']:g}/s | {count:,} | " + " | ".join(cells)
                         + f" | {total:.3f} | {total / first:.2f} | {p99:.1f} | {lost} |")
            rows.append((f"{scenario}, {count:,}", {role: (value,) * 3 for role, value in cost.items()}))
    name = f"growth-{part}.svg"
    (folder / name).write_text(chart.bars(title, "CPU seconds for 1,000", rows, COLOURS, NAMES))
    lines += ["", f"![{title}](growth/{name})", ""]
    if "memory_kb" in found[0]:
        lines += memory_of(found, what)
    return "\n".join(lines)


def memory_of(found, what):
    """Memory when the last scenario of each size is over."""
    lines = [f"Memory (PSS) in MB after the last scenario, transactions that linger included:", "",
             f"| {what} | " + " | ".join(NAMES[role] for role in ROLES) + " |", "|---:|" + "---:|" * len(ROLES)]
    for count in dict.fromkeys(one[what] for one in found):
        last = [one for one in found if one[what] == count][-1]
        lines.append(f"| {count:,} | " + " | ".join(mb(last["memory_kb"][role]) for role in ROLES) + " |")
    return lines + [""]


def burden(result, part, title):
    one, sizes = result["found"], result["sizes"]
    lines = head(result, part, title)
    failed = ", ".join(f"{count} {cause}" for cause, count in one["failed"].items()) or "none failed"
    facts = [f"**{one['attempted']:,}** of `{one['scenario']}` at {one['rate']:g}/s: **{one['lost']} lost** ({failed}), "
             f"{one['late']} later than 2 s, {one['retransmissions']} sent again; p50 {one['latency_us']['p50'] / 1000:.1f} ms, "
             f"p99 {one['latency_us']['p99'] / 1000:.1f} ms, longest {one['latency_us']['max'] / 1000:.0f} ms."]
    if part == "storm":
        facts.append(f"{sizes['storm']:,} UEs within {sizes['storm_s']:g} s.")
    if part == "hold":
        facts.append(f"{sizes['hold']:,} calls stood at once.")
    if part == "connections":
        of = "one P-CSCF" if one["pcscfs"] == 1 else f"{one['pcscfs']} P-CSCFs"
        facts.append(f"{one['connections']:,} connections to {of} stood at the end, {one['connections_lost']} were lost.")
    if one["generator_limited"]:
        facts.append("The generator was the limit at times.")
    lines += [" ".join(facts), "", "Memory (PSS) in MB, of several P-CSCFs the sum:", "",
              "| | " + " | ".join(NAMES[role] for role in ROLES) + " |", "|---|" + "---:|" * len(ROLES)]
    moments = [("started", "empty_kb"), ("before", "before_kb"), ("while it stands", "standing_kb"), ("peak", "peak_kb"),
               ("at its end", "after_at_once_kb"), (f"{sizes['linger_s']:g} s later", "after_kb"), ("after the same again", "again_kb")]
    for name, key in moments:
        if key in one and not (key == "before_kb" and one["before_kb"] == one["empty_kb"]):
            lines.append(f"| {name} | " + " | ".join(mb(one[key][role]) for role in ROLES) + " |")
    if one["warnings"]:
        lines += ["", "The processes complained:", "", "```text", *one["warnings"], "```"]
    return "\n".join([*lines, ""])


def files_note(results):
    one = results.get("connections", {}).get("found")
    if not one or one["pcscfs"] == 1:
        return ""
    return (f"\n- **Connections**: no process on this machine may have more than {one['files_max']:,} files open, and "
            f"nobody may raise that there.\n  So there were {one['pcscfs']} P-CSCFs, and as many loads.")


def mb(kb):
    return f"{kb / 1024:.1f}"
