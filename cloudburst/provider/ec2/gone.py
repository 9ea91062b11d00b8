"""Which ids an answer names: EC2 says "The instance IDs 'i-1, i-2' do not exist". Pure."""

from __future__ import annotations

import re

_ID = re.compile(r"\bi-[0-9a-f]{8,17}\b")


def ids_in(text: str) -> set[str]:
    """All instance ids in a text."""
    return set(_ID.findall(text))
