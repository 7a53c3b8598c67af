"""docs/performance.md, from the results."""

from . import chart, table

TEXT = """# Performance

Carillon beside Kamailio {kamailio}, with the same HSS, subscribers and load, in turns on one machine. This page is written
by the command that measures:

    bench/versus             everything; takes hours
    bench/versus --quick     one rate for each scenario, in about ten minutes
    bench/versus --help      what can be left out

Measured {when} by `{command}` on {machine}.

{table}

A cell is the median of the alternating runs ({runs} of Kamailio and of the one process, {others} of the others), with the lowest and the
highest. "Times better" compares the medians of Kamailio and of Carillon as shipped; "store off" is Carillon without its journal.

{charts}

## What is compared

- **Kamailio**: Debian's packages, P-, I- and S-CSCF, tuned: the configuration is the one of `tests/interop/kamailio`, with
  two workers for each socket, memory managers that are fast (Debian's default is many times slower), caches sized, and
  without the walk over all registered UEs that the example configuration does for each request. Its S-CSCF needs the slow
  `qm` allocator, because its `lookup()` deadlocks on any other; the rows for P+I leave it out.
- **Carillon**: `ims-core`, which is P-, I- and S-CSCF in one process and hands messages over in memory, and the programs
  `pcscf`, `icscf` and `scscf` as three processes over sockets; as shipped (`bench/shipped`): checks of the trust domain
  on, registrations in a journal on disk before they are acknowledged. Kamailio keeps nothing, and has no such process:
  its column is three instances in both comparisons.
- **HSS**: ours for both, in memory.
- **Load**: `ims load` on the same machine, UDP on loopback, Poisson arrivals, IMS-AKA by AKAv1-MD5 without IPsec; UEs wait
  30 ms before they answer a challenge, because Kamailio stores a vector after its 401 has left. The latency of a
  registration contains these 30 ms, and all of its two round trips; the rows for 401 and 200 do not. A call is INVITE, 180, 200, ACK, a second, BYE, 200.
- **A rate is held** when the whole run leaves at most 0.1 % failed or later than 2 s and at most 0.1 % retransmitted; the
  highest is found by bisection, each try {hold:g} s.
- **CPU** is user and system time of all processes and threads of a role in the measured window, from /proc, the kernel's
  share of sending and receiving with it.
- **Memory** is the proportional set size with {ues_many:,} UEs less that with {ues_few:,}, divided by the difference. These
  subscribers have a SIP and a tel identity beside the barred one of the IMSI, and a profile with two filter criteria.
- **SIPp** drives the same call as a program that neither has written.

## Limits

- Everything shares the cores of one machine: the load generator and the HSS take their part, and at the highest rate the
  one that costs less leaves more to them.
- More cores would serve Kamailio's workers; Carillon's shards are not in this comparison.
- The machine is a virtual one whose neighbours change its speed by half within minutes: ratios within this run hold, digits
  do not.
- Subscribers have three public identities beside the barred one in one implicit set, and no filter criteria but where
  memory is weighed.
- The plain proxy hop is left out: Carillon has no plain proxy.
{notes}"""


def page(results):
    rows = table.rows(results)
    few, many = results["settings"]["memory_ues"]
    charts = "\n".join(f"![{title}](performance/{name})" for name, title in chart_names(rows))
    return TEXT.format(
        kamailio=results["kamailio"], when=results["when"], command=results["command"], machine=results["machine"],
        table=table.markdown(results), runs=results["settings"]["runs"], others=results["settings"].get("others", results["settings"]["runs"]),
        hold=results["settings"].get("hold", 60), charts=charts,
        ues_few=few, ues_many=many, notes=notes(results))


def chart_names(rows):
    import pathlib
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        return chart.draw(rows, pathlib.Path(folder))


def notes(results):
    lost = [one for one in results["at_rate"] if not one["is_held"]]
    lines = [f"- Not held: {one['scenario']} at {one['rate']:g}/s by {chart.NAMES[one['contender']]}, run {one['run'] + 1}."
             for one in lost]
    limited = [one for one in results["highest"] if one["generator_limited"]]
    lines += [f"- The generator was the limit: {one['scenario']} of {chart.NAMES[one['contender']]}, run {one['run'] + 1}."
              for one in limited]
    if results["settings"]["quick"]:
        lines.append("- This was a quick run: few runs at low rates, where waking up for each message is most of the cost.")
    # Written into the results by hand: what a reader has to know of this run.
    lines += [f"- {remark}" for remark in results.get("remarks", [])]
    return "".join(line + "\n" for line in lines)
