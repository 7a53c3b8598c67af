"""The programs as they are shipped: built twice, the second time by a profile of the first ones under load."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from . import load
from .core import OURS, OURS_PROCESSES, Core
from .machine import PROFILE, PROGRAMS, TOP
from .process import Failed

# Low enough for programs that count, high enough to go through everything that a loaded core does.
SCENARIOS = {"register": 150, "reregister": 150, "call": 60, "message": 150}
SECONDS = 5


def shipped():
    """Builds them, and gives the directory that they are in."""
    profdata = llvm_profdata()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")).resolve() / "shipped"
    with tempfile.TemporaryDirectory(prefix="shipped-") as folder:
        counts = pathlib.Path(folder) / "counts"
        profile = target / "profile"
        counting = build(target / "counting", f"-Cprofile-generate={counts}")
        subscribers = pathlib.Path(folder) / "subscribers.csv"
        # What the build itself has run is not what a core does.
        shutil.rmtree(counts, ignore_errors=True)
        ues = int(max(SCENARIOS.values()) * (SECONDS + load.WARMUP_S) * 1.2) + 100
        subscribers.write_text(subprocess.run(
            [counting / "ims", "sub", "gen", str(ues), "--msisdn", "49301000001"],
            capture_output=True, text=True, check=True).stdout)
        for contender in (OURS, OURS_PROCESSES):
            for scenario, rate in SCENARIOS.items():
                say(f"counting: {scenario}, {contender}")
                with Core(contender, counting, folder, subscribers) as core:
                    load.run(core, scenario, rate, ues if scenario == "register" else 500, SECONDS)
        counted = sorted(counts.glob("*.profraw"))
        if not counted:
            raise Failed("the programs left no counts")
        subprocess.run([profdata, "merge", "-o", profile, *counted], check=True)
    return build(target / "final", f"-Cprofile-use={profile}")


def build(target, flags):
    """Builds for a target that is named: so the flags are not those of build scripts."""
    say(f"building in {target}")
    triple = re.search(r"^host: (.*)$", subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout,
                       re.MULTILINE)[1]
    words = [word for program in PROGRAMS for word in ("--bin", program)]
    subprocess.run(["cargo", "build", "--profile", PROFILE, "--quiet", "--workspace", "--target", triple, *words],
                   cwd=TOP, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": flags})
    return target / triple / PROFILE


def llvm_profdata():
    """Reads the counts: the compiler's own, or a package's of about the same age, newest first."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip()
    packaged = sorted(pathlib.Path("/usr/lib").glob("llvm-*/bin/llvm-profdata"),
                      key=lambda path: int(re.sub(r"\D", "", path.parts[3]) or 0), reverse=True)
    found = [*pathlib.Path(sysroot).glob("lib/rustlib/*/bin/llvm-profdata"), *packaged]
    if which := shutil.which("llvm-profdata"):
        found.append(pathlib.Path(which))
    if not found:
        raise Failed("there is no llvm-profdata: `rustup component add llvm-tools`, or a package llvm-19 or later")
    return found[0]


def say(text):
    print(text, file=sys.stderr, flush=True)
