"""Our P-, I- and S-CSCF and HSS as separate processes, with as many P-CSCFs as the connections need."""

import pathlib
import resource
import shutil
import time

from versus_run.core import DOMAIN, connections_to
from versus_run.process import Failed, Process
from versus_run.processor import family, memory_kb

# A loopback network that nothing else here uses.
NETWORK = "127.1.79"
HSS, ICSCF, SCSCF = (f"{NETWORK}.20", 3868), (f"{NETWORK}.12", 4060), (f"{NETWORK}.13", 6060)
ROLES = ("pcscf", "icscf", "scscf", "hss")
# Files of a process that are no connections of UEs.
FILES_RESERVED = 1000

TEXT = """[plmn]
mcc = "001"
mnc = "01"
[pcscf]
listen = "{pcscf}"
host = "{pcscf_host}"
[icscf]
listen = "{icscf}"
diameter_host = "icscf.{domain}"
[scscf]
listen = "{scscf}"
diameter_host = "scscf.{domain}"
country_code = "49"
[hss]
listen = "{hss}"
host = "{hss_host}"
subscribers = "{subscribers}"
[trust]
domain = ["{network}.0/24"]
[store]
kind = "{store}"
path = "{path}"
[limits]
connections = {connections}
[timers]
access_t1 = "{access_t1}"
[log]
level = "warn"
"""


def files_max():
    """How many files a process here may have open: what `raise` of our programs comes to."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        wanted = int(pathlib.Path("/proc/sys/fs/nr_open").read_text())
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return wanted
    except (OSError, ValueError):
        return hard


class Core:
    """The running processes; to be used in a `with` statement."""

    def __init__(self, programs, folder, subscribers, access_t1="2s", pcscfs=1, connections=10_000):
        self.programs, self.folder, self.subscribers = programs, folder, subscribers
        self.access_t1, self.connections = access_t1, connections
        self.pcscfs = [(f"{NETWORK}.{100 + number}", 5060) for number in range(pcscfs)]
        self.running = []

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
        shutil.rmtree(pathlib.Path(self.folder) / "store", ignore_errors=True)
        # The HSS keeps nothing: its disk is not under test.
        self.run("hss", "hss-mock", HSS, self.pcscfs[0], "memory")
        self.run("scscf", "scscf", SCSCF, self.pcscfs[0], "file")
        self.run("icscf", "icscf", ICSCF, self.pcscfs[0], "file")
        for address in self.pcscfs:
            self.run("pcscf", "pcscf", address, address, "file")
        until = time.monotonic() + 60
        while connections_to(HSS) < 2:
            if time.monotonic() > until:
                raise Failed("the CSCFs have no Diameter connections to the HSS")
            time.sleep(0.1)
        time.sleep(1)

    def run(self, role, program, address, pcscf, store):
        name = f"{role}-{address[0]}"
        text = TEXT.format(
            pcscf=point(pcscf), pcscf_host=pcscf[0], icscf=point(ICSCF), scscf=point(SCSCF), hss=point(HSS),
            hss_host=HSS[0], domain=DOMAIN, subscribers=self.subscribers, network=NETWORK, store=store,
            path=f"{self.folder}/store/{pcscf[0]}", connections=self.connections, access_t1=self.access_t1)
        config = pathlib.Path(self.folder) / f"{name}.toml"
        config.write_text(text)
        process = Process(name, [self.programs / program, "--config", config], self.folder)
        self.running.append((role, process))
        process.wait_for_port(address)

    def stop(self):
        for _, process in reversed(self.running):
            process.stop()
        self.running = []

    def pids(self):
        """Name to main process; several P-CSCFs have a name each."""
        return {f"{role} {process.pid}": process.pid for role, process in self.running}

    def memory_kb(self):
        """Proportional set size by role."""
        return by_role({name: memory_kb(family(pid)) for name, pid in self.pids().items()})

    def warnings(self):
        """What the processes have complained of."""
        return [line for _, process in self.running for line in process.output().splitlines()]


def point(address):
    return "%s:%d" % address


def by_role(values):
    """Sums what was counted by name."""
    return {role: sum(value for name, value in values.items() if name.split()[0] == role) for role in ROLES}
