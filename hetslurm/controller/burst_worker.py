"""A thread of its own for cloud burst: a cloud that is slow to answer holds no cycle up."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """Works on the newest thing it was given, one at a time; what is older and not begun is dropped."""

    def __init__(self, work: Callable[[T], None], name: str) -> None:
        """`work` must not raise."""
        self._work = work
        self._name = name
        self._change = Condition()
        self._next: list[T] = []
        self._busy = False
        self._stop = False
        self._thread: Thread | None = None

    def give(self, thing: T, wait_s: float) -> bool:
        """Hand it over, and wait up to `wait_s` seconds; True: all is done.

        Not where it still works on an older one: who was waited for once in vain is not waited for again.
        """
        with self._change:
            wait_s = 0.0 if self._busy else wait_s
            self._next = [thing]
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._change.notify_all()
            return self._change.wait_for(lambda: not self._next and not self._busy, wait_s)

    def stop(self, wait_s: float) -> bool:
        """Finish what is begun, no more; True: the thread is gone."""
        with self._change:
            self._stop = True
            self._next = []
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(wait_s)
            return not self._thread.is_alive()
        return True

    def _run(self) -> None:
        while True:
            with self._change:
                self._busy = False
                self._change.notify_all()
                self._change.wait_for(lambda: bool(self._next) or self._stop)
                if self._stop:
                    return
                thing = self._next.pop()
                self._busy = True
            self._work(thing)
