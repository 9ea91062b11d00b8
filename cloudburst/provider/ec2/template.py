"""The launch template: what every instance of a provider has alike. Pure."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.ec2.tags import CLUSTER, as_aws

_MARK = "hetslurm "


def template_name(settings: Ec2Settings) -> str:
    """The name of the template that we make."""
    return f"hetslurm-{settings.cluster}-{settings.name}"


def template_data(settings: Ec2Settings, user_data: str) -> dict[str, Any]:
    """LaunchTemplateData: shut down is terminated; metadata by token only, with the instance's own tags."""
    data: dict[str, Any] = {
        "ImageId": settings.image,
        "UserData": b64encode(user_data.encode()).decode("ascii"),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": as_aws({**settings.tags, CLUSTER: settings.cluster})}
            for kind in ("volume", "network-interface")
        ],
    }
    if settings.security_groups:
        data["SecurityGroupIds"] = list(settings.security_groups)
    if settings.key_name:
        data["KeyName"] = settings.key_name
    if settings.instance_profile:
        data["IamInstanceProfile"] = {"Name": settings.instance_profile}
    if settings.disk_gb:
        disk = {"VolumeSize": settings.disk_gb, "VolumeType": "gp3", "DeleteOnTermination": True}
        data["BlockDeviceMappings"] = [{"DeviceName": settings.disk_device, "Ebs": disk}]
    return data


def description_of(data: dict[str, Any]) -> str:
    """A version's description, by which we know our own again: it changes with the data."""
    return _MARK + sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:24]
