"""Users and groups as slurmctld sees them: through the system's name service.

AllowGroups admits a group's listed members, and users whose primary group it is. The latter can only be
found by walking all users, which a site with LDAP or SSSD enumeration turned off does not allow: there,
list a partition's users as members of the group, as such sites must do for Slurm itself.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterable


def uids_of_users(names: Iterable[str]) -> dict[str, int]:
    """The uid of every user that exists here."""
    found = {}
    for name in names:
        try:
            found[name] = pwd.getpwnam(name).pw_uid
        except KeyError:
            continue
    return found


def members_of_groups(names: Iterable[str]) -> dict[str, frozenset[int]]:
    """The uids of every group's members, primary members included; a group that does not exist has none."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    everybody = pwd.getpwall()
    found = {}
    for name in wanted:
        try:
            group = grp.getgrnam(name)
        except KeyError:
            found[name] = frozenset[int]()
            continue
        members = set(uids_of_users(group.gr_mem).values())
        members.update(user.pw_uid for user in everybody if user.pw_gid == group.gr_gid)
        found[name] = frozenset(members)
    return found
