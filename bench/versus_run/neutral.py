"""The same calls by SIPp, which neither contender has written: a second opinion."""

import csv
import glob
import os
import pathlib
import re
import shutil
import time

from .core import ADDRESSES, DOMAIN, NETWORK, total
from .process import Failed, Process
from .processor import Sampler

SCENARIOS = pathlib.Path(__file__).resolve().parent / "sipp"
PORT = 5070
# As the scenario has it.
TALK_S = 1
# SIPp forgets the socket of a user whose call is over, so each calls or is called once.
CALLS_MAX = 3000
# It cannot answer each challenge: a byte of a bracket or a zero in RES spoils it. So there are more users than needed.
SPOILT_SHARE = 0.1
REGISTER_RATE = 100
# All users of SIPp share one key: TS 35.208 §4.3, test set 2. SIPp computes OPc from OP.
K = "fec86ba6eb707ed08905757b1bb44b8f"
OP = "dbc59adcb6f9a0ef735477b7fadf8374"
OPC = "1006020f0a478bf6b699f15c062e42b3"
FIRST_NUMBER = 49302000000


def subscribers():
    """Lines for the HSS: imsi,k,opc,msisdn,name."""
    return [f"{imsi(n)},{K},{OPC},+{FIRST_NUMBER + n},sipp{n}" for n in range(users_for(CALLS_MAX))]


def users_for(calls):
    """How many have to try to register."""
    return int(2 * calls * (1 + SPOILT_SHARE)) + 20


def imsi(n):
    return f"00101009{n:07}"


def number(imsi):
    """The number of a user."""
    return f"+{FIRST_NUMBER + int(imsi[-7:])}"


def address(n):
    """SIPp's users have an address each, because a P-CSCF tells them apart by it."""
    return f"{NETWORK.rsplit('.', 1)[0]}.{78 + n // 250}.{1 + n % 250}"


def run(core, rate, duration_s):
    """Registers callers and called, lets the ones call the others; what came of it."""
    folder = pathlib.Path(core.folder) / "sipp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for scenario in SCENARIOS.iterdir():
        text = scenario.read_text()
        (folder / scenario.name).write_text(text.replace("@DOMAIN@", DOMAIN))
    calls = min(int(rate * duration_s), CALLS_MAX)
    registered = register(folder, calls)
    write(folder / "callers.csv", [
        f"{user};{ip};{route};{number(other)}"
        for (user, ip, route), (other, _, _) in zip(registered[:calls], registered[calls:])])
    write(folder / "called.csv", [f"{user};{ip}" for user, ip, _ in registered[calls:]])
    called = sipp(folder, "called", "called.csv", registered[calls][1], [])
    time.sleep(1)
    options = ["-r", rate, "-m", calls, "-trace_rtt", "-rtt_freq", "1", "-trace_stat", "-l", calls]
    with Sampler(core.pids()) as sampler:
        begun = time.time()
        caller = sipp(folder, "caller", "callers.csv", registered[0][1], options)
        try:
            caller.wait(duration_s + 60)
        finally:
            caller.stop()
            called.stop()
    # It then waits for strays, which is no work for the core.
    used = sampler.used_s(begun, begun + calls / rate + TALK_S)
    return outcome(folder, calls, used, rate)


def register(folder, calls):
    """Registers twice as many as there are calls: user, address and Service-Route of each."""
    users = users_for(calls)
    # SIPp looks into a field for this keyword, but not into the keyword for a field.
    key = f"aka_K=0x{K} aka_OP=0x{OP} aka_AMF=0x8000"
    authentication = lambda n: f"[authentication username={imsi(n)}@{DOMAIN} {key}]"
    write(folder / "users.csv", [f"{imsi(n)};{address(n)};{authentication(n)}" for n in range(users)])
    options = ["-m", users, "-r", REGISTER_RATE, "-l", users, "-trace_logs", "-log_file", "registered.log"]
    process = sipp(folder, "register", "users.csv", address(0), options)
    # It would wait half a minute for strays of those that it has spoilt.
    until = time.monotonic() + users / REGISTER_RATE + 60
    registered = []
    try:
        while len(registered) < 2 * calls and time.monotonic() < until and process.child.poll() is None:
            time.sleep(0.5)
            registered = users_in(folder / "registered.log")
    finally:
        process.stop()
    registered = users_in(folder / "registered.log")
    if len(registered) < 2 * calls:
        raise Failed(f"SIPp has registered {len(registered)} of {users} users:\n{process.output()[-2000:]}")
    return registered[:2 * calls]


def users_in(log):
    """User, address and Service-Route of those who are registered."""
    text = log.read_text() if log.exists() else ""
    return sorted(re.findall(r"registered ([^;\s]+);([^;\s]+);\s*<sip:([^;>]+)", text))


def write(path, lines):
    path.write_text("\n".join(["SEQUENTIAL", *lines]) + "\n")


def sipp(folder, scenario, users, first, options):
    # Its main socket takes the address of the first user, who else would have two.
    remote = [] if scenario == "called" else ["%s:%d" % ADDRESSES["pcscf"]]
    return Process(f"sipp-{scenario}", [
        shutil.which("sipp"), "-sf", folder / f"{scenario}.xml", "-inf", folder / users, "-t", "ui", "-ip_field", 1,
        "-i", first, "-p", PORT, "-nostdin", "-trace_err", "-max_socket", 2 * users_for(CALLS_MAX), *options, *remote],
        folder)


def outcome(folder, calls, used, rate):
    statistics = max(glob.glob(os.path.join(folder, "caller_*_.csv")), key=os.path.getsize)
    with open(statistics) as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    latencies = []
    for name in glob.glob(os.path.join(folder, "caller_*_rtt*.csv")):
        with open(name) as file:
            latencies += [float(line.split(";")[1]) * 1000 for line in file if line[0].isdigit()]
    latencies.sort()
    at = lambda share: latencies[min(len(latencies) - 1, int(share * len(latencies)))] if latencies else 0
    per_1000 = {role: 1000 * seconds / calls for role, seconds in used.items()}
    return {
        "rate": rate,
        "attempted": calls,
        "succeeded": int(last["SuccessfulCall(C)"]),
        "retransmissions": int(last["Retransmissions(C)"]),
        "cpu_s_per_1000": dict(per_1000, total=total(per_1000)),
        "latency_us": {"p50": at(0.5), "p99": at(0.99)},
    }
