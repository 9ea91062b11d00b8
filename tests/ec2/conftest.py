from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fake_imds import FakeImds, fake_imds


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as service:
        yield service
