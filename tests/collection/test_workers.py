"""Workers end with their pool."""

import os
import time

import pytest

from mtil.collection.workers import worker_pool


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_are_gone_when_the_pool_is_left() -> None:
    with worker_pool(2) as pool:
        processes = {pool.submit(os.getpid).result() for _ in range(4)}
        assert os.getpid() not in processes
    assert not any(is_running(process) for process in processes)


def test_what_fails_in_a_worker_surfaces() -> None:
    with worker_pool(1) as pool:
        future = pool.submit(divmod, 1, 0)
        with pytest.raises(ZeroDivisionError):
            future.result()


def test_what_waits_when_the_pool_is_left_is_dropped() -> None:
    with worker_pool(1) as pool:
        futures = [pool.submit(time.sleep, 0.5) for _ in range(10)]
        futures[0].result()
    assert futures[-1].cancelled()
