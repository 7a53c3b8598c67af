"""The machine that is measured on, and the programs that are built for it."""

import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ["pcscf", "icscf", "scscf", "ims-core", "hss-mock", "ims"]
# As shipped.
PROFILE = "dist"


def build():
    print("building the programs", file=sys.stderr, flush=True)
    words = [word for program in PROGRAMS for word in ("--bin", program)]
    subprocess.run(["cargo", "build", "--profile", PROFILE, "--quiet", "--workspace", *words], cwd=TOP, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target"))
    return target.resolve() / PROFILE


def machine():
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    with open("/proc/meminfo") as file:
        memory_kb = int(file.readline().split()[1])
    kernel = os.uname().release.split("-")[0]
    return f"{len(models)} cores ({models[0]}), {memory_kb / 2**20:.0f} GiB, Linux {kernel}"
