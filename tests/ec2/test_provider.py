"""The provider against a whole AWS (moto) over real HTTP."""

from __future__ import annotations

import base64
import json
import logging
import time
from dataclasses import replace

import pytest

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import ProviderError, Seen, SeenState, Trouble

from .conftest import KIND, POOL, REGION, Cloud


def _seen(launched: object) -> Seen:
    assert isinstance(launched, Seen), launched
    return launched


def _error(launched: object) -> ProviderError:
    assert isinstance(launched, ProviderError), launched
    return launched


def test_a_launched_instance_carries_who_it_is_and_whose_money_from_its_first_moment(cloud: Cloud) -> None:
    provider = cloud.open()
    launched = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert (launched.node, launched.generation, launched.token) == ("c1", 1, f"{cloud.cluster}-c1-1")
    assert (launched.zone, launched.purchase) == (f"{REGION}a", Purchase.SPOT)
    assert launched.address
    (instance,) = cloud.instances()
    assert instance["InstanceId"] == launched.instance_id
    assert instance["InstanceType"] == KIND
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]} == {
        "Name": "c1",
        "hetslurm:cluster": cloud.cluster,
        "hetslurm:node": "c1",
        "hetslurm:generation": "1",
        "hetslurm:token": f"{cloud.cluster}-c1-1",
        "hetslurm:deadline": "1900000000",
        "hetslurm:job": "17",
        "hetslurm:account": "lab",
        "hetslurm:user": "ada",
        "hetslurm:price-micro": "9",
        "hetslurm:max-price-micro": "150000",
        "hetslurm:purchase": "spot",
        "project": "genomes",
    }


def test_the_template_ends_what_shuts_down_and_gives_metadata_by_token_only(cloud: Cloud) -> None:
    cloud.open(instance_profile="nodes", security_groups=("sg-1",)).launch([cloud.order("c1")])
    (version,) = cloud.client.describe_launch_template_versions(
        LaunchTemplateName=f"hetslurm-{cloud.cluster}-aws"
    )["LaunchTemplateVersions"]
    data = version["LaunchTemplateData"]
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert data["IamInstanceProfile"] == {"Name": "nodes"}
    assert base64.b64decode(data["UserData"]).startswith(b"#cloud-config\n")


def test_a_template_is_made_once_and_changed_by_a_further_version(cloud: Cloud) -> None:
    cloud.open().launch([cloud.order("c1"), cloud.order("c2")])
    cloud.open().launch([cloud.order("c3")])
    cloud.open(disk_gb=100).launch([cloud.order("c4")])
    answer = cloud.client.describe_launch_template_versions(
        LaunchTemplateName=f"hetslurm-{cloud.cluster}-aws"
    )
    assert sorted(one["VersionNumber"] for one in answer["LaunchTemplateVersions"]) == [1, 2]


def test_an_admins_own_template_is_used_as_it_is(cloud: Cloud) -> None:
    ours = f"ours-{cloud.cluster}"
    cloud.client.create_launch_template(
        LaunchTemplateName=ours, LaunchTemplateData={"ImageId": cloud.image, "KeyName": "k"}
    )
    provider = cloud.open(launch_template=ours, image="", conf_server="", slurm_key="")
    _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    names = {t["LaunchTemplateName"] for t in cloud.client.describe_launch_templates()["LaunchTemplates"]}
    assert f"hetslurm-{cloud.cluster}-aws" not in names
    assert cloud.instances()[0]["ImageId"] == cloud.image


def test_the_same_token_twice_is_one_instance_also_for_another_process(cloud: Cloud) -> None:
    first = _seen(cloud.open().launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    again = _seen(cloud.open().launch([cloud.order("c1"), cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert again.instance_id == first.instance_id
    assert len(cloud.instances()) == 1


def test_the_token_of_an_instance_that_ended_starts_nothing_again(cloud: Cloud) -> None:
    provider = cloud.open()
    first = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert provider.terminate([first.instance_id]) == {}
    again = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert (again.instance_id, again.state) == (first.instance_id, SeenState.ENDED)


def test_a_further_generation_of_a_node_is_a_further_instance(cloud: Cloud) -> None:
    provider = cloud.open()
    provider.launch([cloud.order("c1", 1)])
    provider.launch([cloud.order("c1", 2)])
    assert sorted(one.generation for one in provider.seen()) == [1, 2]


@pytest.mark.parametrize("purchase", [Purchase.ON_DEMAND, Purchase.RESERVED])
def test_what_is_no_spot_instance_is_launched_and_seen_as_what_it_is(
    cloud: Cloud, purchase: Purchase
) -> None:
    provider = cloud.open()
    pool = replace(POOL, purchases=(purchase,))
    launched = _seen(
        provider.launch([cloud.order("c1", purchase=purchase, pool=pool)])[f"{cloud.cluster}-c1-1"]
    )
    assert (launched.purchase, launched.price_micro) == (purchase, 85_000)
    (seen,) = provider.seen()
    assert seen == launched
    assert "InstanceLifecycle" not in cloud.instances()[0]


def test_many_orders_are_as_many_instances_each_in_its_zone(cloud: Cloud) -> None:
    provider = cloud.open()
    zones = sorted(cloud.subnets)
    orders = [cloud.order(f"c{n}", zone=zones[n % len(zones)]) for n in range(30)]
    launched = provider.launch(orders)
    assert {one.token: one.zone for one in orders} == {t: _seen(one).zone for t, one in launched.items()}
    assert len({_seen(one).instance_id for one in launched.values()}) == 30
    assert len(provider.seen()) == 30


def test_only_this_clusters_instances_are_seen(cloud: Cloud) -> None:
    cloud.open(cluster=f"other-{cloud.cluster}").launch([cloud.order("c1", token=f"other-{cloud.cluster}")])
    cloud.client.run_instances(ImageId=cloud.image, MinCount=1, MaxCount=1)
    provider = cloud.open()
    provider.launch([cloud.order("c2")])
    assert [one.node for one in provider.seen()] == ["c2"]


def test_what_was_ended_is_seen_as_ended_with_its_time(cloud: Cloud) -> None:
    provider = cloud.open()
    launched = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert provider.terminate([launched.instance_id]) == {}
    (seen,) = provider.seen()
    assert seen.state is SeenState.ENDED
    assert seen.ended_at is not None
    assert abs(seen.ended_at - time.time()) < 120
    assert seen.launched_at <= seen.ended_at


def test_to_end_what_is_gone_is_no_error_and_the_others_still_end(cloud: Cloud) -> None:
    provider = cloud.open()
    launched = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    strangers = ["i-0123456789abcdef0", "i-0123456789abcdef1"]
    assert provider.terminate([strangers[0], launched.instance_id, strangers[1]]) == {}
    assert provider.terminate([launched.instance_id]) == {}
    assert [one.state for one in provider.seen()] == [SeenState.ENDED]
    assert provider.terminate([]) == {}


def test_more_money_is_a_later_deadline_in_the_tag_that_the_guard_reads(cloud: Cloud) -> None:
    provider = cloud.open()
    launched = _seen(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    provider.extend(launched.instance_id, 1_900_003_600.2)
    tags = {tag["Key"]: tag["Value"] for tag in cloud.instances()[0]["Tags"]}
    assert tags["hetslurm:deadline"] == "1900003600"


def test_quotes_are_in_the_sites_currency_by_zone(cloud: Cloud) -> None:
    quotes = cloud.open().quotes(POOL)
    spot = [quote for quote in quotes if quote.purchase is Purchase.SPOT]
    # moto's spot price is 0.00001 dollars: 9 micro-units at 0.90.
    assert {(quote.zone, quote.price_micro, quote.on_demand_micro) for quote in spot} == {
        (zone, 9, 85_000) for zone in cloud.subnets
    }
    assert {quote.price_micro for quote in quotes if quote.purchase is Purchase.ON_DEMAND} == {85_000}
    assert all(abs(quote.seen_at - time.time()) < 60 for quote in quotes)


def test_without_a_price_there_is_no_quote_and_no_launch(cloud: Cloud) -> None:
    provider = cloud.open(prices={})
    assert {quote.purchase for quote in provider.quotes(POOL)} == {Purchase.SPOT}
    error = _error(provider.launch([cloud.order("c1", purchase=Purchase.ON_DEMAND)])[f"{cloud.cluster}-c1-1"])
    assert (error.trouble, error.code) == (Trouble.PRICE, "NoPrice")
    assert cloud.instances() == []


def test_nothing_dearer_than_the_order_allows_is_launched(cloud: Cloud) -> None:
    provider = cloud.open()
    dear = cloud.order("c1", purchase=Purchase.ON_DEMAND, max_price_micro=84_999)
    error = _error(provider.launch([dear])[f"{cloud.cluster}-c1-1"])
    assert (error.trouble, error.code) == (Trouble.PRICE, "TooDear")
    assert "0.0850" in str(error)
    assert cloud.instances() == []


def test_one_order_that_is_too_dear_does_not_keep_others_from_starting(cloud: Cloud) -> None:
    provider = cloud.open()
    dear = cloud.order("c1", purchase=Purchase.ON_DEMAND, max_price_micro=1)
    launched = provider.launch([dear, cloud.order("c2", purchase=Purchase.ON_DEMAND)])
    _error(launched[f"{cloud.cluster}-c1-1"])
    _seen(launched[f"{cloud.cluster}-c2-1"])


def test_a_zone_without_a_subnet_of_ours_is_quoted_nothing_and_launches_nothing(cloud: Cloud) -> None:
    zones = sorted(cloud.subnets)
    provider = cloud.open(subnets=(cloud.subnets[zones[0]],))
    assert {quote.zone for quote in provider.quotes(POOL)} == {zones[0]}
    launched = provider.launch([cloud.order("c1", zone=zones[1]), cloud.order("c2", zone=zones[0])])
    assert _error(launched[f"{cloud.cluster}-c1-1"]).trouble is Trouble.PRICE
    _seen(launched[f"{cloud.cluster}-c2-1"])


def test_without_subnets_and_zones_ec2_chooses_and_the_dearest_zone_is_quoted(cloud: Cloud) -> None:
    provider = cloud.open(subnets=())
    assert {(quote.purchase, quote.zone) for quote in provider.quotes(POOL)} == {
        (Purchase.SPOT, ""),
        (Purchase.ON_DEMAND, ""),
    }
    launched = provider.launch([cloud.order("c1", zone="")])
    assert _seen(launched[f"{cloud.cluster}-c1-1"]).zone.startswith(REGION)


def test_a_template_that_does_not_exist_is_a_configuration_to_mend(cloud: Cloud) -> None:
    provider = cloud.open(launch_template="nobody's", image="", conf_server="", slurm_key="")
    error = _error(provider.launch([cloud.order("c1")])[f"{cloud.cluster}-c1-1"])
    assert error.trouble is Trouble.CONFIGURATION
    assert "LaunchTemplate" in error.code


def test_an_aws_that_is_down_is_unavailable_within_seconds_and_nothing_is_started(cloud: Cloud) -> None:
    provider = cloud.open(endpoint="http://127.0.0.1:1")
    begun = time.monotonic()
    launched = provider.launch([cloud.order("c1"), cloud.order("c2")])
    assert {_error(one).trouble for one in launched.values()} == {Trouble.UNAVAILABLE}
    for call in (provider.seen, lambda: provider.quotes(POOL), lambda: provider.extend("i-1", 1.0)):
        with pytest.raises(ProviderError) as raised:
            call()
        assert raised.value.trouble is Trouble.UNAVAILABLE
    assert {e.trouble for e in provider.terminate(["i-1"]).values()} == {Trouble.UNAVAILABLE}
    assert time.monotonic() - begun < 20


def test_no_credentials_are_a_configuration_to_mend(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ProviderError) as raised:
        cloud.open().seen()
    assert raised.value.trouble is Trouble.CONFIGURATION
    assert raised.value.code == "NoCredentialsError"


def test_credentials_are_in_no_log_and_no_error(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-key")
    caplog.set_level(logging.DEBUG, "hetslurm")
    provider = cloud.open(launch_template="nobody's", image="", conf_server="", slurm_key="")
    launched = provider.launch([cloud.order("c1")])
    said = json.dumps([str(one) for one in launched.values()])
    assert "very-secret-key" not in said + "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("hetslurm")
    )


def test_a_pool_of_another_region_has_no_quotes_here(cloud: Cloud) -> None:
    with pytest.raises(ProviderError, match="one provider is one region"):
        cloud.open().quotes(replace(POOL, region="us-east-1"))
