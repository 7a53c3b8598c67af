"""A core under test: P-, I- and S-CSCF by one of the contenders, and always our HSS."""

import os
import pathlib
import shutil
import sqlite3
import time

from .process import Failed, Process

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
TEMPLATES = TOP / "tests" / "interop" / "kamailio"
DOMAIN = "ims.mnc001.mcc001.3gppnetwork.org"
# A loopback network that nothing else here uses; both contenders get the same addresses, one after the other. Two runs
# beside each other need two.
NETWORK = os.environ.get("CARILLON_BENCH_NETWORK", "127.1.77")
ADDRESSES = {
    "pcscf": (f"{NETWORK}.11", 5060),
    "icscf": (f"{NETWORK}.12", 4060),
    "scscf": (f"{NETWORK}.13", 6060),
    "hss": (f"{NETWORK}.20", 3868),
}
ROLES = ("pcscf", "icscf", "scscf")
# The process that is all three.
WHOLE = "core"
PROGRAMS = {"hss": "hss-mock", WHOLE: "ims-core"}
KAMAILIO, OURS, OURS_PROCESSES, OURS_MEMORY = "kamailio", "carillon", "carillon-processes", "carillon-memory"
OURS_IPSEC = "carillon-ipsec"
# Three processes that keep nothing on a disk.
OURS_BARE = "carillon-bare"


def total(per_role):
    """Of P, I and S, whichever processes they are."""
    return sum(value for role, value in per_role.items() if role in (*ROLES, WHOLE))


SHARED_MB = 512
# For 100,000 registered UEs.
SHARED_MEMORY_RUN_MB = 2048


def configuration(folder, subscribers, store, more="", pcscf=ADDRESSES["pcscf"]):
    """Writes our configuration; hosts are named by their addresses, because Kamailio's Diameter wants it so.

    `more` is appended; `pcscf` is where the P-CSCF listens, which it does at one address only.
    """
    at = {role: "%s:%d" % address for role, address in (ADDRESSES | {"pcscf": pcscf}).items()}
    host = {role: address[0] for role, address in (ADDRESSES | {"pcscf": pcscf}).items()}
    text = f"""[plmn]
mcc = "001"
mnc = "01"
[pcscf]
listen = "{at['pcscf']}"
host = "{host['pcscf']}"
registrations_max = 1_000_000
[icscf]
listen = "{at['icscf']}"
host = "{host['icscf']}"
diameter_host = "icscf.{DOMAIN}"
[scscf]
listen = "{at['scscf']}"
host = "{host['scscf']}"
diameter_host = "scscf.{DOMAIN}"
country_code = "49"
[hss]
listen = "{at['hss']}"
host = "{host['hss']}"
subscribers = "{subscribers}"
[store]
kind = "{store}"
path = "{folder}/store"
[log]
level = "warn"
{more}"""
    path = os.path.join(folder, f"{store}.toml")
    pathlib.Path(path).write_text(text)
    return path


class Core:
    """The running processes of one contender; to be used in a `with` statement."""

    def __init__(self, contender, programs, folder, subscribers, is_large=False, more="", pcscf=ADDRESSES["pcscf"]):
        """`more` and `pcscf` are for our configuration."""
        self.contender, self.programs = contender, programs
        self.more, self.pcscf = more, pcscf
        self.folder, self.subscribers = folder, subscribers
        self.is_large = is_large
        self.running = {}

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        # The HSS keeps nothing, whoever asks it: its disk is not under test.
        self.run_ours("hss", configuration(self.folder, self.subscribers, "memory"))
        if self.contender == KAMAILIO:
            for role in reversed(ROLES):
                self.run_kamailio(role)
        else:
            store = "memory" if self.contender in (OURS_MEMORY, OURS_BARE) else "file"
            shutil.rmtree(os.path.join(self.folder, "store"), ignore_errors=True)
            config = configuration(self.folder, self.subscribers, store, self.more, self.pcscf)
            for role in reversed(ROLES) if self.contender in (OURS_PROCESSES, OURS_BARE) else [WHOLE]:
                self.run_ours(role, config)
        self.wait_for_diameter()

    def wait_for_diameter(self):
        wanted = {ADDRESSES["icscf"][0], ADDRESSES["scscf"][0]}
        until = time.monotonic() + 60
        while connections_to(ADDRESSES["hss"]) < len(wanted):
            if time.monotonic() > until:
                raise Failed("the CSCFs have no Diameter connections to the HSS")
            time.sleep(0.1)
        # The capabilities are exchanged at once; Kamailio then looks at its peers every second.
        time.sleep(1.5)

    def stop(self):
        for process in reversed(self.running.values()):
            process.stop()
        self.running = {}

    def pids(self):
        """The main process of each role."""
        return {role: process.pid for role, process in self.running.items()}

    def run_ours(self, role, config):
        program = PROGRAMS.get(role, role)
        process = Process(role, [self.programs / program, "--config", config], self.folder)
        self.running[role] = process
        process.wait_for_port(self.pcscf if role in ("pcscf", WHOLE) else ADDRESSES[role])

    def run_kamailio(self, role):
        folder = pathlib.Path(self.folder) / f"kamailio-{role}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        fill_templates(folder)
        if role == "icscf":
            with sqlite3.connect(folder / "icscf.sqlite") as database:
                database.executescript((folder / "icscf.sql").read_text())
            database.close()
        # Any other shared memory manager deadlocks the S-CSCF: its `lookup()` unlocks by a string that it has freed.
        manager = "qm" if role == "scscf" else "tlsf"
        shared = SHARED_MEMORY_RUN_MB if self.is_large else SHARED_MB
        process = Process(f"kamailio-{role}", [
            shutil.which("kamailio", path=os.environ["PATH"] + ":/usr/sbin"),
            "-m", shared, "-M", "16", "-b", "4194304", "-DD", "-E", "-x", manager, "-X", "qm",
            "-f", folder / f"{role}.cfg", "-P", folder / "pid", "-Y", folder, "-w", folder,
        ], self.folder)
        self.running[role] = process
        process.wait_for_port(ADDRESSES[role])


def fill_templates(folder):
    """Kamailio's configuration is the one of `tests/interop.rs`."""
    modules = next(pathlib.Path("/usr/lib").glob("*/kamailio/modules/ims_icscf.so")).parent
    names = {
        "@P@": ADDRESSES["pcscf"][0], "@I@": ADDRESSES["icscf"][0], "@S@": ADDRESSES["scscf"][0],
        "@HSS@": ADDRESSES["hss"][0], "@DOMAIN@": DOMAIN, "@RUN@": str(folder), "@MODULES@": f"{modules}/",
    }
    for template in TEMPLATES.iterdir():
        text = template.read_text()
        for name, value in names.items():
            text = text.replace(name, value)
        # A benchmark does not log: -1 is alerts only.
        text = text.replace("debug=0", "debug=-1")
        (folder / template.name).write_text(text)


def connections_to(address):
    """How many TCP connections the listener at `address` has accepted."""
    host, port = address
    local = "".join("%02X" % int(part) for part in reversed(host.split("."))) + ":%04X" % port
    established = "01"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return sum(row[1] == local and row[3] == established for row in rows)
