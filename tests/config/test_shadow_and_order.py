"""[shadow_prices] and [order]: every key reaches the site, and mistakes are named."""

from __future__ import annotations

from hetslurm.config import parse_site, read_site
from hetslurm.site import OrderSite, ShadowSite


def test_every_key_of_shadow_prices_and_order_reaches_the_site() -> None:
    site = parse_site(
        """
        [shadow_prices]
        mode = "off"
        every_s = 60
        jobs = 300
        min_jobs = 30
        deadline_s = 5
        [order]
        mode = "short-first"
        points = 5000
        shortest_s = 30
        longest_s = 86400
        """
    )
    assert site.shadow == ShadowSite("off", 60.0, 300, 30, 5.0)
    assert site.order == OrderSite("short-first", 5000, 30.0, 86400.0)


def test_mistakes_in_them_say_what_was_expected() -> None:
    _, found = read_site(
        """
        [shadow_prices]
        mode = "maybe"
        every = 5
        jobs = 3
        [order]
        mode = "shortest"
        points = 0
        shortest_s = 100
        longest_s = 50
        """
    )
    words = "\n".join(problem.render("hetslurm.toml") for problem in found)
    for expected in (
        'shadow_prices.mode: expected "off" or "on", found "maybe"',
        'shadow_prices.every: unknown key; did you mean "every_s"?',
        "shadow_prices.jobs: expected a number from 10",
        'order.mode: expected "off" or "short-first", found "shortest"',
        "order.points: expected a number from 1",
        "order.longest_s: expected more than shortest_s (100 s), found 50",
    ):
        assert expected in words


def test_a_mix_that_never_has_enough_jobs_for_prices_is_refused() -> None:
    _, found = read_site("[shadow_prices]\njobs = 20\nmin_jobs = 500\n")
    (words,) = [problem.render("hetslurm.toml") for problem in found]
    assert "shadow_prices.min_jobs: expected at most jobs (20), found 500" in words
