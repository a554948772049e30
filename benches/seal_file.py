#!/usr/bin/env python3
"""The example `seal_file` beside age, on the same file: user CPU time, wall time and peak memory.

    benches/seal_file.py [--mib 1024] [--pairs 7] [--features aws-lc] [--memory-gib 8]

The two run by turns, and each ratio is the median of the pairs. Files are in the directory that
TMPDIR names: in memory (/dev/shm), if the disk is not to be measured. Needs age and age-keygen
(Debian: apt-get install age).
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--mib", type=int, default=1024, help="length of the file")
    arguments.add_argument("--pairs", type=int, default=7, help="runs of each")
    arguments.add_argument("--features", default="", help="features of waxseal, such as aws-lc")
    arguments.add_argument("--memory-gib", type=int, default=0, help="tell the peak memory for a file of that length")
    options = arguments.parse_args()
    for program in ("age", "age-keygen"):
        if not shutil.which(program):
            sys.exit(f"{program} is missing; install it: apt-get install age")
    seal_file = build(options.features)
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        commands = Commands(seal_file, directory)
        write_random(directory / "plain", options.mib << 20)
        compare(commands, options)
        if options.memory_gib:
            peak_memory(commands, directory, options.memory_gib)


class Commands:
    """Command lines, each from one file of the directory to another."""

    def __init__(self, seal_file, directory):
        self.directory = directory
        key, identity = directory / "key", directory / "identity"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        subprocess.run(["age-keygen", "-o", identity], check=True, stderr=subprocess.DEVNULL)
        recipient = subprocess.run(
            ["age-keygen", "-y", identity], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        self.waxseal = {
            "seal": lambda: [seal_file, "seal", "--key-file", key, directory / "plain", directory / "waxseal"],
            "open": lambda: [seal_file, "open", "--key-file", key, directory / "waxseal", directory / "opened"],
        }
        self.age = {
            "seal": lambda: ["age", "-r", recipient, "-o", directory / "age", directory / "plain"],
            "open": lambda: ["age", "-d", "-i", identity, "-o", directory / "opened", directory / "age"],
        }

    def run(self, command, output):
        (self.directory / output).unlink(missing_ok=True)
        return measured(command())


def build(features):
    command = ["cargo", "build", "--quiet", "--release", "--example", "seal_file"]
    if features:
        command += ["--features", features]
    subprocess.run(command, check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "examples" / "seal_file"


def write_random(path, length):
    with open(path, "wb") as file:
        while length > 0:
            piece = min(length, 1 << 20)
            file.write(os.urandom(piece))
            length -= piece


def measured(command):
    """User seconds and wall seconds of a command that succeeds."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    ended(command, child, status)
    return usage.ru_utime, wall


def peak(command):
    """The most memory that a command had while it ran, in MiB."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    # What wait4 tells includes the memory of this program, which the child began with.
    kib = 0
    while True:
        ended_child, status = os.waitpid(child.pid, os.WNOHANG)
        if ended_child:
            ended(command, child, status)
            return kib / 1024
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child.pid}/status").read_text())
        kib = max(kib, int(found[1])) if found else kib
        time.sleep(0.005)


def ended(command, child, status):
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]} failed with status {child.returncode}")


def compare(commands, options):
    print(f"{options.mib} MiB, {options.pairs} pairs, medians; waxseal's time as a multiple of age's")
    for operation in ("seal", "open"):
        output = {"seal": ("waxseal", "age"), "open": ("opened", "opened")}[operation]
        runs = []
        for _ in range(options.pairs):
            ours = commands.run(commands.waxseal[operation], output[0])
            theirs = commands.run(commands.age[operation], output[1])
            runs.append((ours, theirs))
        user, wall = (statistics.median(ours[kind] / theirs[kind] for ours, theirs in runs) for kind in (0, 1))
        seconds = statistics.median(ours[0] for ours, _ in runs), statistics.median(theirs[0] for _, theirs in runs)
        print(f"  {operation}: user CPU {user:.2f} ({seconds[0]:.2f} and {seconds[1]:.2f} s), wall {wall:.2f}")


def peak_memory(commands, directory, gib):
    for name in ("age", "opened", "waxseal"):
        (directory / name).unlink(missing_ok=True)
    with open(directory / "plain", "wb") as file:
        file.truncate(gib << 30)
    print(f"{gib} GiB, peak memory")
    for operation in ("seal", "open"):
        print(f"  {operation}: {peak(commands.waxseal[operation]()):.1f} MiB")
        (directory / "plain").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
