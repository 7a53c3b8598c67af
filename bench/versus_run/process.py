"""A program that runs for as long as it is needed; its output is kept."""

import os
import signal
import socket
import subprocess
import time

START_MAX_S = 60
STOP_MAX_S = 10


class Failed(Exception):
    """Something did not come about; the text is for a person."""


class Process:
    """A running program in a process group of its own."""

    def __init__(self, name, command, folder):
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True)

    @property
    def pid(self):
        return self.child.pid

    def output(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def wait_for_port(self, address):
        host, port = address
        self.wait_until(f"listened at {host}:{port}", lambda: is_open(host, port))

    def wait_for_output(self, text):
        self.wait_until(f"printed {text!r}", lambda: text in self.output())

    def wait_until(self, what, is_so):
        until = time.monotonic() + START_MAX_S
        while not is_so():
            if self.child.poll() is not None or time.monotonic() > until:
                raise Failed(f"{self.name} has not {what}:\n{self.output()[-3000:]}")
            time.sleep(0.05)

    def wait(self, within_s):
        try:
            return self.child.wait(within_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} runs on after {within_s} s:\n{self.output()[-3000:]}") from None

    def stop(self):
        """Asks it to end, then kills whatever of its group is left."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()


def is_open(host, port):
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
