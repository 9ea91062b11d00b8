"""The exec provider: an admin's own program, asked in JSON, so that any cloud works today.

A program is run for every call, with the request on its stdin and its answer on its stdout;
docs/burst-exec.md tells how to write one.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import TypeVar

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import CloudPool, ProviderSite
from hetslurm.cloudburst.provider.exec_messages import (
    Answer,
    LaunchAnswer,
    Quotes,
    SeenAnswer,
    TerminateAnswer,
    check_prices,
    order_content,
    pool_content,
    quotes_of,
    read_answer,
    request,
)
from hetslurm.cloudburst.provider.protocol import Launched, Order, ProviderError, Quote, Seen, Trouble
from hetslurm.errors import ConfigError

TIMEOUT_S = 60.0
_Answer = TypeVar("_Answer", bound=Answer)


def open_provider(site: ProviderSite, clock: Clock) -> ExecProvider:
    """The provider of a policy. ConfigError: it names no program."""
    command = site.settings.get("command")
    if not isinstance(command, tuple | list) or not command:
        raise ConfigError(f"[provider.{site.name}]: an exec provider needs command, a list of words")
    timeout_s = float(str(site.settings.get("timeout_s", TIMEOUT_S)))
    return ExecProvider(tuple(map(str, command)), clock, timeout_s=timeout_s)


class ExecProvider:
    """See Provider. A call that takes longer than `timeout_s` is killed, with all that it started."""

    def __init__(self, command: Sequence[str], clock: Clock, *, timeout_s: float = TIMEOUT_S) -> None:
        self._command = list(command)
        self._clock = clock
        self._timeout_s = timeout_s
        self._name = PurePath(command[0]).name

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """See Provider."""
        answer = self._ask("quotes", Quotes, pool=pool_content(pool))
        check_prices([price.price_micro for price in answer.quotes], self._what("quotes"))
        return quotes_of(answer, self._clock.now())

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """See Provider."""
        answer = self._ask("launch", LaunchAnswer, orders=[order_content(order) for order in orders])
        check_prices([there.price_micro for there in answer.launched], self._what("launch"))
        wanted = {order.token for order in orders}
        found: dict[str, Launched] = {
            failed.token: failed.error(self._what("launch")) for failed in answer.failed
        }
        # What exists counts, whatever else is said of it.
        found |= {there.token: there.seen() for there in answer.launched}
        return {token: said for token, said in found.items() if token in wanted}

    def seen(self) -> tuple[Seen, ...]:
        """See Provider."""
        answer = self._ask("seen", SeenAnswer)
        if answer.instances is None:
            words = f"{self._what('seen')}: the answer has no instances, not even an empty list"
            raise ProviderError(words, trouble=Trouble.UNAVAILABLE, code="answer")
        check_prices([there.price_micro for there in answer.instances], self._what("seen"))
        return tuple(there.seen() for there in answer.instances)

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """See Provider."""
        answer = self._ask("terminate", TerminateAnswer, instance_ids=list(instance_ids))
        return {one.instance_id: one.error(self._what("terminate")) for one in answer.refused}

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """See Provider."""
        self._ask("extend", Answer, instance_id=instance_id, deadline_at=deadline_at)

    def close(self) -> None:
        """See Provider."""

    def _what(self, verb: str) -> str:
        return f"{self._name} {verb}"

    def _ask(self, verb: str, kind: type[_Answer], **content: object) -> _Answer:
        try:
            child = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise ProviderError(
                f"{self._command[0]} cannot be run: {error.strerror or error}",
                trouble=Trouble.CONFIGURATION,
                code="exec",
            ) from error
        with child:
            try:
                out, err = child.communicate(request(verb, **content), timeout=self._timeout_s)
            except subprocess.TimeoutExpired as error:
                _end(child)
                words = f"{self._what(verb)}: no answer within {self._timeout_s:g} s"
                raise ProviderError(words, trouble=Trouble.UNAVAILABLE, code="timeout") from error
            except BaseException:
                _end(child)
                raise
        return read_answer(kind, self._what(verb), child.returncode, out, err)


def _end(child: subprocess.Popen[bytes]) -> None:
    """With all that it started; its pid is its own until somebody waits for it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
