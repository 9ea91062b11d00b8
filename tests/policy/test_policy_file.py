"""burst.toml: what is right becomes a Policy, what is wrong is said all at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetslurm.cloudburst.policy import Alert, Cap, Level, Period, Policy, Purchase, Retry, Spill
from hetslurm.cloudburst.policy_file import (
    PolicyFile,
    load_policy,
    looks_like_policy,
    parse_policy,
    read_policy,
)
from hetslurm.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "examples" / "burst.toml"
SITE_CAP = '[[cap]]\nlevel = "site"\nper = "day"\nlimit = 100\n'
POOL = """
[provider.here]
kind = "local"
[[pool]]
partition = "cloud"
provider = "here"
instance_type = "small"
max_price = 0.5
"""


def problems_of(text: str) -> list[str]:
    policy, problems = read_policy(text)
    assert policy is None
    return [problem.render("burst.toml") for problem in problems]


def test_the_example_is_right_and_shows_the_defaults() -> None:
    policy = load_policy(EXAMPLE)
    assert policy.retry == Retry()
    assert policy.spill == Spill(stays=frozenset({"/protected/"}))
    assert policy.pools[0].purchases == (Purchase.SPOT, Purchase.ON_DEMAND)
    assert policy.pools[0].max_price_micro == 1_800_000
    assert policy.partitions == {"cloud-cpu", "cloud-gpu"}
    assert policy.caps[2] == Cap(Level.ACCOUNT, "*", Period.DAY, 120_000_000)
    assert policy.alerts == (Alert((0.5, 0.8, 1.0), ("/usr/local/sbin/burst-alert",)),)


def test_every_mistake_is_said_in_one_run_with_its_line_and_the_nearest_key() -> None:
    said = problems_of(
        """
[provider.aws]
kind = "ec2"
regoin = "eu-central-1"
launch_template = "node"
[[pool]]
partition = "cloud"
provider = "azs"
instance_type = "c7i.large"
max_price = 0
purchases = ["sopt"]
[[cap]]
level = "user"
per = "week"
limit = -1
[spill]
min_wait = 60
[retry.cooldown_s]
capcity = 1
"""
    )
    assert said == [
        'burst.toml: cap: expected a [[cap]] with level = "site": without one nothing bounds what the site '
        "spends",
        "burst.toml:2: provider.aws.region: expected a region, found nothing",
        "burst.toml:2: provider.aws.cluster: expected a name that instances carry, such as Slurm's "
        "ClusterName",
        "burst.toml:2: provider.aws.usd_rate: expected what one US dollar is in the site's currency "
        "(1 where that is it)",
        'burst.toml:4: provider.aws.regoin: unknown key; did you mean "region"?',
        'burst.toml:8: pool[1].provider: there is no [provider.azs] in this file; did you mean "aws"?',
        "burst.toml:10: pool[1].max_price: expected an amount above 0: nothing dearer is launched",
        'burst.toml:11: pool[1].purchases: "sopt" is no way to pay; did you mean "spot"?',
        'burst.toml:12: cap[1].name: expected the name of one user, or "*" for each, found nothing',
        'burst.toml:14: cap[1].per: expected "hour" or "day" or "month" or "total", found "week"',
        "burst.toml:15: cap[1].limit: expected an amount of money, 0 or more, found -1",
        'burst.toml:17: spill.min_wait: unknown key; did you mean "min_wait_s"?',
        'burst.toml:19: retry.cooldown_s.capcity: unknown key; did you mean "capacity"?',
    ]


def test_without_a_cap_for_the_site_a_policy_is_refused() -> None:
    assert any('level = "site"' in line for line in problems_of(POOL))
    assert parse_policy(POOL + SITE_CAP).caps[0].limit_micro == 100_000_000


def test_a_pool_without_a_price_cap_is_refused() -> None:
    said = problems_of(POOL.replace("max_price = 0.5\n", "") + SITE_CAP)
    assert "max_price" in said[0]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (
            POOL + POOL.replace('[provider.here]\nkind = "local"\n', "") + SITE_CAP,
            "is the partition of pool[1]",
        ),
        (SITE_CAP + SITE_CAP, "same level, name and period as cap[1]"),
        (POOL + "boot_s = 700\n" + SITE_CAP, "no more than boot_timeout_s"),
        ('[provider.x]\nkind = "exec"\ncommand = ["cloud"]\n' + SITE_CAP, "path from /"),
        ('[provider.x]\nkind = "gce"\n' + SITE_CAP, '"local" or "ec2" or "exec"'),
        ('[[cap]]\nlevel = "site"\nname = "x"\nper = "day"\nlimit = 1\n', "expected none beside"),
        (SITE_CAP + "[[alert]]\nat = [0.5]\n", "a command (a list) or a webhook"),
        (SITE_CAP + '[[alert]]\nat = [50]\nwebhook = "https://x"\n', "above 0 and at most 1"),
        (SITE_CAP + '[retry]\ncheckpoint_signal = "SIGUSR1"\n', "a signal such as"),
        (SITE_CAP + '[spill]\naccounts = ["A"]\ndeny_accounts = ["a"]\n', "is in accounts, too"),
        (SITE_CAP.replace("100", "0.1234567"), "six digits"),
        ('currency = "USD"\n' + SITE_CAP, "unknown key"),
        ("[[pool", "not TOML"),
    ],
)
def test_a_mistake_is_explained(text: str, word: str) -> None:
    assert any(word in line for line in problems_of(text))


def test_money_is_exact() -> None:
    policy = parse_policy(SITE_CAP.replace("100", "9007199254.740993"))
    assert policy.caps[0].limit_micro == 9_007_199_254_740_993


def test_slurms_accounts_are_lower_case_and_so_are_the_policys() -> None:
    text = SITE_CAP + '[[cap]]\nlevel = "account"\nname = "Physics"\nper = "day"\nlimit = 1\n'
    policy = parse_policy(text + '[spill]\naccounts = ["Physics"]\n')
    assert policy.caps[1].name == "physics"
    assert policy.spill.accounts == {"physics"}


def test_a_change_that_is_wrong_leaves_the_old_policy_in_force(tmp_path: Path) -> None:
    path = tmp_path / "burst.toml"
    path.write_text(SITE_CAP)
    file = PolicyFile(path, "CHF")
    assert file.policy is not None
    assert file.policy.currency == "CHF"
    old = file.policy
    path.write_text(SITE_CAP + "[spil]\n")
    assert file.follow()
    assert file.policy is old
    assert "spil" in str(file.error)
    path.unlink()
    assert file.follow()
    assert file.policy is old
    assert "cannot be read" in str(file.error)
    path.write_text(SITE_CAP.replace("100", "200"))
    assert file.follow()
    assert file.error is None
    assert file.policy.caps[0].limit_micro == 200_000_000
    assert not file.follow()


def test_a_policy_that_never_was_right_allows_nothing(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path / "none.toml")
    assert file.policy is None
    assert file.error is not None
    assert PolicyFile(None).policy is None
    assert PolicyFile(None).error is None


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "burst.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_policy(path)


def test_a_policy_is_known_by_its_tables() -> None:
    assert looks_like_policy(SITE_CAP)
    assert not looks_like_policy('[[pool]]\nkind = "gpu"\n')
    assert not looks_like_policy("[[")
    assert Policy().pool_of("cloud") is None
