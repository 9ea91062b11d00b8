"""What AWS says when it says no, sorted by what helps. A table, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hetslurm.cloudburst.provider.protocol import ProviderError, Trouble

_CAPACITY = (
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientCapacityOnHost",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientVolumeCapacity",
    "ReservationCapacityExceeded",
    "UnfulfillableCapacity",
    # This type is not offered in this zone, or not this way.
    "Unsupported",
)
_QUOTA = (
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "MaxSpotFleetRequestCountExceeded",
    "SpotInstanceCountLimitExceeded",
    "FleetLimitExceeded",
    "AddressLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "VolumeLimitExceeded",
    "MaxIOPSLimitExceeded",
    "ResourceCountLimitExceeded",
    "ResourceLimitExceeded",
    "PendingVerification",
    "OptInRequired",
    "Blocked",
)
_THROTTLE = (
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "EC2ThrottledException",
    "TooManyRequestsException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
)
_PRICE = ("SpotMaxPriceTooLow", "InvalidSpotMaxPrice")
_CONFIGURATION = (
    "UnauthorizedOperation",
    "AuthFailure",
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "MissingParameter",
    "ValidationError",
    "ValidationException",
    "InvalidFleetConfiguration",
    "InvalidFleetConfig",
    "MalformedPolicyDocument",
    "UnsupportedOperation",
)
_UNAVAILABLE = (
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalErrorException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "RequestTimeout",
    "RequestTimeoutException",
    # The token was used with other words: there may be an instance already, its tag will tell.
    "IdempotentParameterMismatch",
    "IdempotentInstanceTerminated",
    # Just launched and not yet known everywhere, or gone: `seen` tells.
    "InvalidInstanceID.NotFound",
)

TROUBLES: Mapping[str, Trouble] = MappingProxyType(
    {
        code: trouble
        for trouble, codes in (
            (Trouble.CAPACITY, _CAPACITY),
            (Trouble.QUOTA, _QUOTA),
            (Trouble.THROTTLE, _THROTTLE),
            (Trouble.PRICE, _PRICE),
            (Trouble.CONFIGURATION, _CONFIGURATION),
            (Trouble.UNAVAILABLE, _UNAVAILABLE),
        )
        for code in codes
    }
)
# By how a code begins, where the rest of it only says what exactly: InvalidAMIID.NotFound, ….Malformed.
FAMILIES: Mapping[str, Trouble] = MappingProxyType(
    {
        "InsufficientInstanceCapacity.": Trouble.CAPACITY,
        "Unsupported.": Trouble.CAPACITY,
        "Invalid": Trouble.CONFIGURATION,
        "Malformed": Trouble.CONFIGURATION,
        "Missing": Trouble.CONFIGURATION,
        "Unauthorized": Trouble.CONFIGURATION,
    }
)
# Exceptions of botocore's own, by class: the request was never answered, or never sent.
EXCEPTIONS: Mapping[str, Trouble] = MappingProxyType(
    {
        "EndpointConnectionError": Trouble.UNAVAILABLE,
        "ConnectTimeoutError": Trouble.UNAVAILABLE,
        "ReadTimeoutError": Trouble.UNAVAILABLE,
        "ConnectionClosedError": Trouble.UNAVAILABLE,
        "ConnectionError": Trouble.UNAVAILABLE,
        "HTTPClientError": Trouble.UNAVAILABLE,
        "SSLError": Trouble.UNAVAILABLE,
        "ProxyConnectionError": Trouble.UNAVAILABLE,
        "IncompleteReadError": Trouble.UNAVAILABLE,
        "ResponseStreamingError": Trouble.UNAVAILABLE,
        "ResponseParserError": Trouble.UNAVAILABLE,
        "MetadataRetrievalError": Trouble.UNAVAILABLE,
        "CredentialRetrievalError": Trouble.CONFIGURATION,
        "NoCredentialsError": Trouble.CONFIGURATION,
        "PartialCredentialsError": Trouble.CONFIGURATION,
        "ProfileNotFound": Trouble.CONFIGURATION,
        "NoRegionError": Trouble.CONFIGURATION,
        "ParamValidationError": Trouble.CONFIGURATION,
        "InvalidEndpointConfigurationError": Trouble.CONFIGURATION,
        "UnknownServiceError": Trouble.CONFIGURATION,
    }
)


def trouble_of(code: str, status: int = 0) -> Trouble:
    """The trouble of AWS's code; one that nobody knows goes by its family, then by the HTTP status.

    Of a 5xx nobody knows whether it happened. Any other stranger is for an admin to read.
    """
    if (known := TROUBLES.get(code)) is not None:
        return known
    for family, trouble in FAMILIES.items():
        if code.startswith(family):
            return trouble
    if "LimitExceeded" in code:
        return Trouble.QUOTA
    if status == 429:
        return Trouble.THROTTLE
    return Trouble.UNAVAILABLE if status >= 500 or status == 408 else Trouble.CONFIGURATION


def fleet_trouble(code: str, text: str) -> Trouble:
    """Of an error inside a fleet's answer: a type that a zone does not have is told as a configuration."""
    if code == "InvalidFleetConfiguration" and "not supported in your requested Availability Zone" in text:
        return Trouble.CAPACITY
    return trouble_of(code)


def error_of(raised: Exception, doing: str) -> ProviderError:
    """What botocore raised, in our words. The response's code and message; no request, no credentials."""
    response = getattr(raised, "response", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        said = response["Error"]
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(said.get("Code", ""))
        text = " ".join(str(said.get("Message", "")).split())[:300]
        return ProviderError(f"{doing}: {code}: {text}", trouble=trouble_of(code, status), code=code)
    for kind in type(raised).__mro__:
        if (trouble := EXCEPTIONS.get(kind.__name__)) is not None:
            break
    else:
        trouble = Trouble.UNAVAILABLE
    name = type(raised).__name__
    text = " ".join(str(raised).split())[:300]
    return ProviderError(f"{doing}: {name}: {text}", trouble=trouble, code=name)
