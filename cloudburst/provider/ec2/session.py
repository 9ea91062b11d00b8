"""boto3, loaded late, with short deadlines and no retries of its own."""

from __future__ import annotations

from typing import Any

from hetslurm import __version__
from hetslurm.cloudburst.provider.ec2.errors import error_of
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.protocol import ProviderError, Trouble

CONNECT_S = 3.0
# An instant fleet answers when its instance is there, or not.
READ_S = 30.0


def clients(settings: Ec2Settings) -> tuple[Any, Any]:
    """Clients for ec2 and pricing (None: the admin wants no price list). ProviderError: no boto3, no profile.

    Credentials come by boto3's own chain: environment, profile, the machine's role.
    """
    try:
        import boto3  # noqa: PLC0415  an extra, and slow to load
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as error:
        said = f"provider {settings.name}: boto3 is not installed: pip install 'hetslurm[ec2]'"
        raise ProviderError(said, trouble=Trouble.CONFIGURATION, code="NoBoto3") from error
    config = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=settings.calls_at_once + 2,
        user_agent_extra=f"hetslurm/{__version__}",
    )
    try:
        session = boto3.session.Session(profile_name=settings.profile or None, region_name=settings.region)
        ec2 = session.client("ec2", endpoint_url=settings.endpoint or None, config=config)
        pricing = None
        if settings.pricing_api:
            pricing = session.client(
                "pricing",
                region_name=pricing_region(settings.region),
                endpoint_url=settings.pricing_endpoint or None,
                config=config,
            )
    except Exception as error:
        raise error_of(error, f"provider {settings.name}") from error
    return ec2, pricing


def pricing_region(region: str) -> str:
    """The price list is served from three regions; the nearest of them."""
    for prefix, near in (("eu-", "eu-central-1"), ("me-", "eu-central-1"), ("ap-", "ap-south-1")):
        if region.startswith(prefix):
            return near
    return "cn-northwest-1" if region.startswith("cn-") else "us-east-1"
