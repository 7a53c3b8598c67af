"""The memory of a core over time: before, at the peak, and after what was under way has lingered out."""

import threading
import time

SAMPLE_EVERY_S = 2


class Watch:
    """Samples the memory of all roles while it is open."""

    def __init__(self, core):
        self.core = core
        self.began = time.monotonic()
        self.samples = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def run(self):
        while True:
            self.samples.append((round(time.monotonic() - self.began, 1), self.core.memory_kb()))
            if self.stopping.wait(SAMPLE_EVERY_S):
                return

    def now(self):
        return self.core.memory_kb()

    def peak(self):
        return {role: max(sample[role] for _, sample in self.samples) for role in self.samples[0][1]}
