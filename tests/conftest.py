"""For all tests: Ctrl-C means what it means on a terminal, and no example has to be quick."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# Whoever starts a test run in the background of a script hands down that SIGINT is ignored, and every
# program that a test starts would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is.
settings.register_profile(
    "no deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no deadline")
