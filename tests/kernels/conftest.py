from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable

import pytest


@pytest.fixture
def exit_code_of_a_fork() -> Callable[[Callable[[], bool]], int]:
    """Run a check in a forked child and return 0 where it holds; a child that hangs is killed."""

    def run(check: Callable[[], bool]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork while threads run
            pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if check() else 1)
            finally:
                os._exit(2)
        alarm = threading.Timer(40, os.kill, (pid, 9))
        alarm.start()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        alarm.cancel()
        return code

    return run
