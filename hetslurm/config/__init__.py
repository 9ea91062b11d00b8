"""hetslurm.toml: text to a checked, frozen `Site`.

`read_site` is pure and finds every mistake at once; `SiteFile` is the edge that follows a file as it changes.
"""

from hetslurm.config.follow import SiteFile, find_config
from hetslurm.config.problems import Problem
from hetslurm.config.site_file import load_site, parse_site, read_site, read_what_is_right

__all__ = ["Problem", "SiteFile", "find_config", "load_site", "parse_site", "read_site", "read_what_is_right"]
