"""Print what pyproject.toml asks for (build, run, the extras named), a line each, for one pip install."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
requirements = {*project["build-system"]["requires"], *project["project"]["dependencies"]}
for extra in sys.argv[2:]:
    requirements.update(project["project"]["optional-dependencies"][extra])
print("\n".join(sorted(requirements)))
