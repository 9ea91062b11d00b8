"""Print what pyproject.toml asks for (build, run and dev), a requirement a line, for one pip install."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
requirements = {
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *project["project"]["optional-dependencies"]["dev"],
}
print("\n".join(sorted(requirements)))
