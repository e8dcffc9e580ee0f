"""What is ignored when a command starts asks for nothing; SIGTERM asks once, however often."""

import subprocess
import sys

from tests.runs import ROOT

ASKED = """
import signal
from runtime.interrupts import Requests, interruptible
for number in (signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)  # as nohup does, and a shell for its background
with interruptible():
    signal.raise_signal(signal.SIGHUP)
with Requests() as requests:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        signal.raise_signal(number)
        print(requests.asked, requests.at_once)
assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""


def test_only_what_is_heeded_asks_and_only_ctrl_c_can_ask_for_more() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ASKED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "False False\nFalse False\nTrue False\nTrue False\n"
