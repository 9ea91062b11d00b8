# cython: language_level=3, boundscheck=False, wraparound=False
# SPDX-License-Identifier: GPL-2.0-or-later
"""XRT's C++ API for Python, shaped like pyxrt, for systems that package XRT without it.

A program written for pyxrt reads the same: class and method names, argument order, strings from `get_info`,
RuntimeError (or ValueError, IndexError, MemoryError) for what XRT throws. Two things are kinder than pyxrt: the
memory that `bo.map()` shows lives as long as anybody looks at it, and a range outside a buffer is refused
before XRT sees it. The GIL is released around everything that talks to a card. Where there is none
(XCL_EMULATION_MODE), calls about buffers take turns: XRT 2.13's noop shim keeps its buffers in a table without a
lock, and four threads crash it about once in ten thousand calls.
"""

from enum import IntEnum
from uuid import UUID

from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint32_t, uint64_t
from libcpp.string cimport string


cdef extern from *:
    """
    #include "xrt/xrt_bo.h"
    #include "xrt/xrt_device.h"
    #include "experimental/xrt_system.h"
    #include "experimental/xrt_xclbin.h"

    #include <cstdlib>
    #include <mutex>

    namespace hetslurm {

    // Held for as long as it lives, in emulation; with real cards it does nothing.
    class turn {
        std::unique_lock<std::mutex> lock;
    public:
        turn()
        {
            static std::mutex shim;
            static const bool emulated = std::getenv("XCL_EMULATION_MODE") != nullptr;
            if (emulated)
                lock = std::unique_lock<std::mutex>(shim);
        }
    };

    // get_info() has one C++ type a key, known when compiling; Python gets text, as from pyxrt.
    static std::string typed_info_text(const xrt::device& device, unsigned int key)
    {
        using param = xrt::info::device;
        switch (static_cast<param>(key)) {
        case param::bdf: return device.get_info<param::bdf>();
        case param::interface_uuid: return device.get_info<param::interface_uuid>().to_string();
        case param::kdma: return std::to_string(device.get_info<param::kdma>());
        case param::max_clock_frequency_mhz:
            return std::to_string(device.get_info<param::max_clock_frequency_mhz>());
        case param::m2m: return std::to_string(device.get_info<param::m2m>());
        case param::name: return device.get_info<param::name>();
        case param::nodma: return std::to_string(device.get_info<param::nodma>());
        case param::offline: return std::to_string(device.get_info<param::offline>());
        case param::electrical: return device.get_info<param::electrical>();
        case param::thermal: return device.get_info<param::thermal>();
        case param::mechanical: return device.get_info<param::mechanical>();
        case param::memory: return device.get_info<param::memory>();
        case param::platform: return device.get_info<param::platform>();
        case param::pcie_info: return device.get_info<param::pcie_info>();
        case param::host: return device.get_info<param::host>();
        case param::aie: return device.get_info<param::aie>();
        case param::aie_shim: return device.get_info<param::aie_shim>();
        case param::dynamic_regions: return device.get_info<param::dynamic_regions>();
        case param::vmr: return device.get_info<param::vmr>();
        }
        throw std::invalid_argument("no such key of xrt_info_device");
    }

    // XRT 2.13 answers some keys with another type than it declares; to Python that is a RuntimeError as well.
    static std::string info_text(const xrt::device& device, unsigned int key)
    {
        try {
            return typed_info_text(device, key);
        } catch (const std::bad_cast& error) {
            throw std::runtime_error(error.what());
        }
    }

    static xrt::device* open_index(unsigned int index)
    {
        turn mine;
        return new xrt::device(index);
    }

    static xrt::device* open_bdf(const std::string& bdf)
    {
        turn mine;
        return new xrt::device(bdf);
    }

    static void close(xrt::device* device)
    {
        turn mine;
        delete device;
    }

    static std::string loaded_uuid(const xrt::device& device)
    {
        return device.get_xclbin_uuid().to_string();
    }

    static std::string load_path(xrt::device& device, const std::string& path)
    {
        return device.load_xclbin(path).to_string();
    }

    static std::string load_object(xrt::device& device, const xrt::xclbin& object)
    {
        return device.load_xclbin(object).to_string();
    }

    static std::string uuid_of(const xrt::xclbin& object) { return object.get_uuid().to_string(); }

    static xrt::bo* allocate(const xrt::device& device, size_t size, uint32_t flags, uint32_t group)
    {
        turn mine;
        return new xrt::bo(device, size, static_cast<xrt::bo::flags>(flags), group);
    }

    static void release(xrt::bo* buffer)
    {
        turn mine;
        delete buffer;
    }

    static void* map(xrt::bo& buffer)
    {
        turn mine;
        return buffer.map();
    }

    static void write(xrt::bo& buffer, const void* data, size_t size, size_t seek)
    {
        turn mine;
        buffer.write(data, size, seek);
    }

    static void read(xrt::bo& buffer, void* data, size_t size, size_t skip)
    {
        turn mine;
        buffer.read(data, size, skip);
    }

    static void sync(xrt::bo& buffer, int direction, size_t size, size_t offset)
    {
        turn mine;
        buffer.sync(static_cast<xclBOSyncDirection>(direction), size, offset);
    }

    } // namespace hetslurm
    """
    cdef cppclass xrt_device "xrt::device":
        pass

    cdef cppclass xrt_xclbin "xrt::xclbin":
        xrt_xclbin(const string&) except + nogil
        string get_xsa_name() except + nogil

    cdef cppclass xrt_bo "xrt::bo":
        size_t size() except + nogil
        uint64_t address() except + nogil

    xrt_device* open_index "hetslurm::open_index"(unsigned int) except + nogil
    xrt_device* open_bdf "hetslurm::open_bdf"(const string&) except + nogil
    string info_text "hetslurm::info_text"(const xrt_device&, unsigned int) except + nogil
    string loaded_uuid "hetslurm::loaded_uuid"(const xrt_device&) except + nogil
    string load_path "hetslurm::load_path"(xrt_device&, const string&) except + nogil
    string load_object "hetslurm::load_object"(xrt_device&, const xrt_xclbin&) except + nogil
    string uuid_of "hetslurm::uuid_of"(const xrt_xclbin&) except + nogil
    void close_device "hetslurm::close"(xrt_device*) nogil
    void release_buffer "hetslurm::release"(xrt_bo*) nogil
    void* map_buffer "hetslurm::map"(xrt_bo&) except + nogil
    void write_buffer "hetslurm::write"(xrt_bo&, const void*, size_t, size_t) except + nogil
    void read_buffer "hetslurm::read"(xrt_bo&, void*, size_t, size_t) except + nogil
    xrt_bo* allocate "hetslurm::allocate"(const xrt_device&, size_t, uint32_t, uint32_t) except + nogil
    void sync_range "hetslurm::sync"(xrt_bo&, int, size_t, size_t) except + nogil
    unsigned int count_devices "xrt::system::enumerate_devices"() except + nogil


class xrt_info_device(IntEnum):
    """What `device.get_info` can be asked for (xrt::info::device)."""

    bdf = 0
    interface_uuid = 1
    kdma = 2
    max_clock_frequency_mhz = 3
    m2m = 4
    name = 5
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


class xclBOSyncDirection(IntEnum):
    """Which way `bo.sync` copies."""

    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1
    XCL_BO_SYNC_BO_GMIO_TO_AIE = 2
    XCL_BO_SYNC_BO_AIE_TO_GMIO = 3


class _flags(IntEnum):
    """What kind of buffer (xrt::bo::flags)."""

    normal = 0
    cacheable = 1 << 24
    device_only = 1 << 28
    host_only = 1 << 29
    p2p = 1 << 30
    svm = 1 << 27


cdef class uuid:
    """A UUID as XRT writes it: lower case, with dashes."""

    cdef str text

    def __init__(self, str text not None):
        # libuuid leaves its result undefined for what it cannot parse; Python's own parser does not.
        self.text = str(UUID(text))

    def to_string(self):
        """The text."""
        return self.text

    def __repr__(self):
        return f"uuid({self.text!r})"

    def __eq__(self, other):
        return isinstance(other, uuid) and self.text == (<uuid> other).text

    def __hash__(self):
        return hash(self.text)


cdef class xclbin:
    """A bitstream's container, read from a file."""

    cdef xrt_xclbin* handle

    def __cinit__(self, path):
        cdef string name = _encoded(path)
        with nogil:
            self.handle = new xrt_xclbin(name)

    def __dealloc__(self):
        del self.handle

    def get_uuid(self):
        """The UUID that a card reports while this is loaded."""
        return uuid(uuid_of(self.handle[0]).decode())

    def get_xsa_name(self):
        """The platform that it was built for."""
        return self.handle.get_xsa_name().decode("utf-8", "replace")


cdef class device:
    """A card, opened by its index or by its PCI address. RuntimeError where there is none, or it is not ready."""

    cdef xrt_device* handle

    def __cinit__(self, which):
        cdef string bdf
        cdef unsigned int index
        if isinstance(which, int):
            index = which
            with nogil:
                self.handle = open_index(index)
        else:
            bdf = _encoded(which)
            with nogil:
                self.handle = open_bdf(bdf)

    def __dealloc__(self):
        with nogil:
            close_device(self.handle)

    def get_info(self, key):
        """What XRT says for a key of xrt_info_device, as text; JSON for sensors, memory, platform and host."""
        cdef unsigned int number = xrt_info_device(key)
        cdef string text
        with nogil:
            text = info_text(self.handle[0], number)
        return text.decode("utf-8", "replace")

    def get_xclbin_uuid(self):
        """The UUID of what is loaded now; all zeros where nothing is."""
        cdef string text
        with nogil:
            text = loaded_uuid(self.handle[0])
        return uuid(text.decode())

    def load_xclbin(self, what):
        """Load a bitstream, given as a path or an xclbin, and return its UUID. Takes seconds."""
        cdef string path, text
        cdef xclbin image
        if isinstance(what, xclbin):
            image = what
            with nogil:
                text = load_object(self.handle[0], image.handle[0])
        else:
            path = _encoded(what)
            with nogil:
                text = load_path(self.handle[0], path)
        return uuid(text.decode())


cdef class bo:
    """A buffer: memory of the host, memory of the card, and DMA between the two.

    Also a writable buffer of bytes by itself, which is what `map` shows.
    """

    cdef xrt_bo* handle
    cdef void* memory
    cdef readonly device card

    flags = _flags
    normal = _flags.normal
    cacheable = _flags.cacheable
    device_only = _flags.device_only
    host_only = _flags.host_only
    p2p = _flags.p2p
    svm = _flags.svm

    def __cinit__(self, device card not None, size_t size, flags, uint32_t group):
        cdef uint32_t bits = _flags(flags)
        if not size:
            raise ValueError("a buffer of no bytes")
        self.card = card
        with nogil:
            self.handle = allocate(card.handle[0], size, bits, group)

    def __dealloc__(self):
        with nogil:
            release_buffer(self.handle)

    def __getbuffer__(self, Py_buffer* view, int wanted):
        if self.memory is NULL:
            with nogil:
                self.memory = map_buffer(self.handle[0])
        PyBuffer_FillInfo(view, self, self.memory, self.handle.size(), 0, wanted)

    def map(self):
        """The host's side, as a memoryview of bytes."""
        return memoryview(self)

    def size(self):
        """In bytes."""
        return self.handle.size()

    def address(self):
        """Where it lies in the card's memory."""
        return self.handle.address()

    def sync(self, direction, size_t size, size_t offset):
        """Copy a range between host and card, and wait until it is there."""
        cdef int way = xclBOSyncDirection(direction)
        self._inside(size, offset)
        with nogil:
            sync_range(self.handle[0], way, size, offset)

    def write(self, data, size_t seek):
        """Copy bytes into the host's side, from `seek` on."""
        cdef const unsigned char[::1] view = memoryview(data).cast("B")
        cdef size_t size = view.shape[0]
        self._inside(size, seek)
        if size:
            with nogil:
                write_buffer(self.handle[0], &view[0], size, seek)

    def read(self, size_t size, size_t skip):
        """So many bytes of the host's side, from `skip` on: a NumPy array of int8, as pyxrt gives."""
        import numpy

        self._inside(size, skip)
        result = numpy.empty(size, numpy.int8)
        cdef signed char[::1] view = result
        if size:
            with nogil:
                read_buffer(self.handle[0], &view[0], size, skip)
        return result

    cdef _inside(self, size_t size, size_t offset):
        cdef size_t whole = self.handle.size()
        if offset > whole or size > whole - offset:
            raise ValueError(f"{size} bytes from {offset} are outside a buffer of {whole}")


def enumerate_devices():
    """How many cards are ready. 0 in noop mode, whose devices open all the same."""
    cdef unsigned int count
    with nogil:
        count = count_devices()
    return count


cdef string _encoded(text) except *:
    # A path or an address; os.fspath would be wrong for the latter, and XRT takes neither with a NUL in it.
    cdef bytes raw = text.encode() if isinstance(text, str) else bytes(text)
    if b"\0" in raw:
        raise ValueError("a NUL byte in a name")
    return <string> raw
