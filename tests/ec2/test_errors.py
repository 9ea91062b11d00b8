"""Every no of AWS is of one kind, and each kind wants another reaction."""

from __future__ import annotations

import pytest
from botocore import exceptions

from hetslurm.cloudburst.provider.ec2.errors import (
    EXCEPTIONS,
    FAMILIES,
    TROUBLES,
    error_of,
    fleet_trouble,
    trouble_of,
)
from hetslurm.cloudburst.provider.protocol import Trouble

WORDS = {
    Trouble.CAPACITY: (
        "InsufficientInstanceCapacity InsufficientHostCapacity InsufficientReservedInstanceCapacity "
        "InsufficientFreeAddressesInSubnet UnfulfillableCapacity Unsupported ReservationCapacityExceeded"
    ),
    Trouble.QUOTA: (
        "VcpuLimitExceeded InstanceLimitExceeded MaxSpotInstanceCountExceeded VolumeLimitExceeded "
        "PendingVerification SomeNewLimitExceeded"
    ),
    Trouble.THROTTLE: "RequestLimitExceeded Throttling ThrottlingException TooManyRequestsException",
    Trouble.PRICE: "SpotMaxPriceTooLow",
    Trouble.CONFIGURATION: (
        "InvalidAMIID.NotFound InvalidAMIID.Malformed InvalidAMIID.Unavailable UnauthorizedOperation "
        "InvalidLaunchTemplateId.NotFound InvalidLaunchTemplateName.NotFoundException AuthFailure "
        "InvalidSubnetID.NotFound InvalidGroup.NotFound InvalidKeyPair.NotFound InvalidParameterValue "
        "MissingParameter ExpiredToken OneThatNobodyKnows"
    ),
    Trouble.UNAVAILABLE: (
        "InternalError ServiceUnavailable Unavailable RequestTimeout IdempotentParameterMismatch "
        "InvalidInstanceID.NotFound"
    ),
}


@pytest.mark.parametrize(
    ("code", "trouble"), [(code, t) for t, codes in WORDS.items() for code in codes.split()]
)
def test_a_code_is_the_trouble_that_helps(code: str, trouble: Trouble) -> None:
    assert trouble_of(code, 400) is trouble


@pytest.mark.parametrize("code", sorted(TROUBLES))
def test_no_code_of_the_table_is_another_trouble_for_its_status(code: str) -> None:
    assert {trouble_of(code, status) for status in (0, 400, 429, 503)} == {TROUBLES[code]}


def test_throttling_is_never_taken_for_missing_capacity() -> None:
    assert not any(
        "hrottl" in code or "RequestLimit" in code for code in TROUBLES if TROUBLES[code] is Trouble.CAPACITY
    )
    assert trouble_of("RequestLimitExceeded", 503) is Trouble.THROTTLE


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (500, Trouble.UNAVAILABLE),
        (503, Trouble.UNAVAILABLE),
        (408, Trouble.UNAVAILABLE),
        (429, Trouble.THROTTLE),
        (400, Trouble.CONFIGURATION),
        (403, Trouble.CONFIGURATION),
    ],
)
def test_a_stranger_goes_by_its_http_status(status: int, trouble: Trouble) -> None:
    assert trouble_of("Whatever", status) is trouble


def test_a_type_that_a_zone_does_not_have_is_missing_capacity() -> None:
    said = (
        "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone (x)."
    )
    assert fleet_trouble("InvalidFleetConfiguration", said) is Trouble.CAPACITY
    assert fleet_trouble("InvalidFleetConfiguration", "no such role") is Trouble.CONFIGURATION


@pytest.mark.parametrize(
    ("raised", "trouble"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="https://ec2"), Trouble.UNAVAILABLE),
        (exceptions.ConnectTimeoutError(endpoint_url="https://ec2"), Trouble.UNAVAILABLE),
        (exceptions.ReadTimeoutError(endpoint_url="https://ec2"), Trouble.UNAVAILABLE),
        (exceptions.ConnectionClosedError(endpoint_url="https://ec2"), Trouble.UNAVAILABLE),
        (exceptions.SSLError(endpoint_url="https://ec2", error="x"), Trouble.UNAVAILABLE),
        (exceptions.ProxyConnectionError(proxy_url="http://p"), Trouble.UNAVAILABLE),
        (exceptions.NoCredentialsError(), Trouble.CONFIGURATION),
        (exceptions.PartialCredentialsError(provider="env", cred_var="x"), Trouble.CONFIGURATION),
        (exceptions.ProfileNotFound(profile="x"), Trouble.CONFIGURATION),
        (exceptions.NoRegionError(), Trouble.CONFIGURATION),
        (exceptions.ParamValidationError(report="x"), Trouble.CONFIGURATION),
        (RuntimeError("whatever"), Trouble.UNAVAILABLE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_what_was_never_answered_is_told_from_what_was_never_right(
    raised: Exception, trouble: Trouble
) -> None:
    error = error_of(raised, "launching")
    assert error.trouble is trouble
    assert error.code == type(raised).__name__
    assert str(error).startswith("launching: ")


def test_every_exception_of_the_table_is_one_of_botocores() -> None:
    assert all(hasattr(exceptions, name) or name == "ResponseParserError" for name in EXCEPTIONS)
    assert set(FAMILIES.values()) <= set(Trouble)


def test_an_answer_is_quoted_in_one_line_with_its_code() -> None:
    response = {
        "Error": {"Code": "VcpuLimitExceeded", "Message": "You have requested\nmore vCPU " + "x" * 1000},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    error = error_of(exceptions.ClientError(response, "CreateFleet"), "launching")  # type: ignore[arg-type]
    assert (error.trouble, error.code) == (Trouble.QUOTA, "VcpuLimitExceeded")
    assert "\n" not in str(error)
    assert len(str(error)) < 400
