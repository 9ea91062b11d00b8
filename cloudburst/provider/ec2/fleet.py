"""One instance as one instant fleet: the request, and what became of it. Pure.

A call launches one instance, because a tag that is another on each instance can only so be in the launch
call. docs/burst-ec2.md has what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.ec2.errors import fleet_trouble
from hetslurm.cloudburst.provider.ec2.tags import CLUSTER, as_aws
from hetslurm.cloudburst.provider.protocol import Order, ProviderError, Trouble


def client_token(order: Order, cluster: str, answered: int = 0) -> str:
    """64 letters that are the same for the same try: the order's token at one offering.

    Another offering is another request, which AWS would refuse under the same token. Prices and deadlines
    are not in it: with others, AWS refuses (IdempotentParameterMismatch), and that is right.

    `answered`: how often AWS has said that this try started nothing. The same again would be told the same
    again; after no answer at all, it must be.
    """
    words = [cluster, order.token, order.pool.instance_type, str(order.purchase), order.zone]
    if answered:
        words.append(str(answered))
    return sha256("\0".join(words).encode()).hexdigest()


def fleet_request(
    order: Order,
    *,
    template: Mapping[str, str],
    subnet: str,
    max_price: str,
    tags: Mapping[str, str],
    answered: int = 0,
) -> dict[str, Any]:
    """Arguments of create_fleet. `max_price`: dollars an hour, for spot. `template`: a template's spec."""
    override: dict[str, Any] = {"InstanceType": order.pool.instance_type}
    if subnet:
        override["SubnetId"] = subnet
    elif order.zone:
        override["AvailabilityZone"] = order.zone
    is_spot = order.purchase is Purchase.SPOT
    request: dict[str, Any] = {
        "Type": "instant",
        "ClientToken": client_token(order, tags[CLUSTER], answered),
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": dict(template), "Overrides": [override]}],
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "spot" if is_spot else "on-demand",
        },
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": as_aws(tags)},
            {"ResourceType": "fleet", "Tags": as_aws({CLUSTER: tags[CLUSTER]})},
        ],
    }
    if is_spot:
        override["MaxPrice"] = max_price
        request["SpotOptions"] = {
            "AllocationStrategy": "price-capacity-optimized",
            "InstanceInterruptionBehavior": "terminate",
        }
    else:
        options: dict[str, Any] = {"AllocationStrategy": "lowest-price"}
        if order.purchase is Purchase.RESERVED:
            options["CapacityReservationOptions"] = {"UsageStrategy": "use-capacity-reservations-first"}
        request["OnDemandOptions"] = options
    return request


def launched_id(answer: Mapping[str, Any], order: Order) -> str | ProviderError:
    """The instance's id, or why there is none. An instance that is there counts, whatever else is said."""
    for fleet in answer.get("Instances") or ():
        for instance_id in fleet.get("InstanceIds") or ():
            return str(instance_id)
    where = f"{order.pool.instance_type}, {order.purchase}" + (f", {order.zone}" if order.zone else "")
    errors = answer.get("Errors") or ()
    if not errors:
        said = "EC2 gave no instance and no reason"
        return ProviderError(f"{where}: {said}", trouble=Trouble.CAPACITY, code="NoInstance")
    code = str(errors[0].get("ErrorCode", ""))
    text = " ".join(str(errors[0].get("ErrorMessage", "")).split())[:300]
    return ProviderError(f"{where}: {code}: {text}", trouble=fleet_trouble(code, text), code=code)
