"""Work beside a job's thread ends with the block, tells what went wrong, and never outlives a cancelled job."""

from __future__ import annotations

import time
from threading import Event, get_ident

import pytest

from dbadmin.beside import beside
from dbadmin.exceptions import Cancelled, Refused
from dbadmin.progress import Progress, Silent
from dbadmin.text import Text

SECONDS = 60


class Busy:
    """Goes on until it is told to stop."""

    def __init__(self) -> None:
        self.begun, self.stopped = Event(), Event()

    def __call__(self, progress: Progress) -> None:
        self.begun.set()
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                progress.check()
            raise AssertionError("nobody told it to stop")
        finally:
            self.stopped.set()


class CancelledJob(Silent):
    def check(self) -> None:
        raise Cancelled


def test_it_works_in_another_thread_and_gives_its_result() -> None:
    with beside(lambda quiet: get_ident()) as working:
        assert working.result(Silent()) != get_ident()


def test_what_goes_wrong_is_raised_where_the_result_is_asked_for() -> None:
    def refuse(_quiet: Progress) -> None:
        raise Refused(Text("Not now"))

    with beside(refuse) as working, pytest.raises(Refused, match="Not now"):
        working.result(Silent())


def test_an_exception_in_the_block_ends_the_work() -> None:
    busy = Busy()

    def fail() -> None:
        with beside(busy):
            assert busy.begun.wait(SECONDS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert busy.stopped.is_set()


def test_waiting_for_it_hears_that_the_job_is_cancelled() -> None:
    busy = Busy()
    with pytest.raises(Cancelled), beside(busy) as working:
        working.result(CancelledJob())
    assert busy.stopped.is_set() or not busy.begun.is_set()
