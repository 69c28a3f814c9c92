"""Python loads this first in every program of a home whose clock a test sets (PYTHONPATH): time.time() is so many
seconds beside the machine's as the file CLOCK_SET says, and what the switch says is as much."""

from __future__ import annotations

import contextlib
import os
import time

machine = time.time


def by() -> float:
    with contextlib.suppress(OSError, ValueError), open(os.environ["CLOCK_SET"]) as file:
        return float(file.read())
    return 0.0


time.time = lambda: machine() + by()

with contextlib.suppress(ImportError):  # a program that is none of ours
    from cti.adapters.ami_frames import Vetting

    accept = Vetting.accept

    def accept_as_set(self, frame, needs=()):
        found = accept(self, frame, needs)
        if found is not None:
            found["Timestamp"] = f"{float(found['Timestamp']) + by():.6f}"
        return found

    Vetting.accept = accept_as_set
