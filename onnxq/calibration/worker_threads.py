"""Work on many things in a few threads, without a list of all that is to come."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

_BACKLOG = 2
"""Runs that are begun or waiting, for each thread: none is idle, and memory does not grow."""


def work_off(
    runs: Iterable[int], work: Callable[[int], None], threads: int, told: Callable[[int], None]
) -> None:
    """Work on runs in several threads.

    Args:
        runs: Taken one by one, a few before their turn.
        work: Is called with each, in any of the threads.
        threads: How many at a time.
        told: Is told how many are done, from the calling thread, after each.

    Raises:
        BaseException: What ``work`` or ``told`` raised first, or what interrupted the calling
            thread; runs that have begun are ended before, and no other is begun.
    """
    done = 0
    pending: set[Future[None]] = set()

    def await_some(most: int) -> None:
        nonlocal done, pending
        while len(pending) > most:
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                done += 1
                told(done)

    with ThreadPoolExecutor(threads) as pool:
        try:
            for run in runs:
                await_some(_BACKLOG * threads - 1)
                pending.add(pool.submit(work, run))
            await_some(0)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
