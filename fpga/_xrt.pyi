from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

class xrt_info_device(IntEnum):  # noqa: N801
    bdf = 0
    interface_uuid = 1
    kdma = 2
    max_clock_frequency_mhz = 3
    m2m = 4
    name = 5  # type: ignore[assignment]
    nodma = 6
    offline = 7
    electrical = 8
    thermal = 9
    mechanical = 10
    memory = 11
    platform = 12
    pcie_info = 13
    host = 14
    aie = 15
    aie_shim = 16
    dynamic_regions = 17
    vmr = 18

class xclBOSyncDirection(IntEnum):  # noqa: N801
    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1
    XCL_BO_SYNC_BO_GMIO_TO_AIE = 2
    XCL_BO_SYNC_BO_AIE_TO_GMIO = 3

class _flags(IntEnum):  # noqa: N801
    normal = 0
    cacheable = 1 << 24
    device_only = 1 << 28
    host_only = 1 << 29
    p2p = 1 << 30
    svm = 1 << 27

class uuid:  # noqa: N801
    def __init__(self, text: str) -> None: ...
    def to_string(self) -> str: ...

class xclbin:  # noqa: N801
    def __init__(self, path: str) -> None: ...
    def get_uuid(self) -> uuid: ...
    def get_xsa_name(self) -> str: ...

class device:  # noqa: N801
    def __init__(self, which: int | str) -> None: ...
    def get_info(self, key: xrt_info_device) -> str: ...
    def get_xclbin_uuid(self) -> uuid: ...
    def load_xclbin(self, what: str | xclbin) -> uuid: ...

class bo(Buffer):  # noqa: N801
    flags: ClassVar[type[_flags]]
    normal: ClassVar[_flags]
    cacheable: ClassVar[_flags]
    device_only: ClassVar[_flags]
    host_only: ClassVar[_flags]
    p2p: ClassVar[_flags]
    svm: ClassVar[_flags]
    card: device
    def __init__(self, card: device, size: int, flags: _flags, group: int) -> None: ...
    def map(self) -> memoryview: ...
    def size(self) -> int: ...
    def address(self) -> int: ...
    def sync(self, direction: xclBOSyncDirection, size: int, offset: int) -> None: ...
    def write(self, data: Buffer, seek: int) -> None: ...
    def read(self, size: int, skip: int) -> NDArray[np.int8]: ...

def enumerate_devices() -> int: ...
