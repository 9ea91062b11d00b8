# SPDX-License-Identifier: GPL-2.0-or-later
"""The snapshot's layout, hashes and checks, as C declares them, for the writer and the tools in Python."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from hetslurm.errors import SnapshotError

cdef extern from *:
    """
    #include <stddef.h>
    #include <time.h>
    #include "hash.h"
    #include "length_class.h"
    #include "resolve.h"
    #include "snapshot.h"

    struct het_column_info {
        const char *table, *name, *format;
        uint32_t table_index, per_row;
    };
    struct het_member_info {
        const char *name, *format;
        size_t offset, count;
    };
    struct het_constant_info {
        const char *name;
        double value;
    };
    struct het_reason_info {
        const char *name, *text;
        int soft;
    };

    #define HET_INFO_pool(c, np, name, n) {"pool", #name, np, 0, n},
    #define HET_INFO_cls(c, np, name, n) {"cls", #name, np, 1, n},
    #define HET_INFO_part(c, np, name, n) {"part", #name, np, 2, n},
    #define HET_INFO_assoc(c, np, name, n) {"assoc", #name, np, 3, n},
    #define HET_INFO_est(c, np, name, n) {"est", #name, np, 4, n},
    #define HET_INFO_site(c, np, name, n) {"site", #name, np, 5, n},
    #define HET_INFO_link(c, np, name, n) {"link", #name, np, 6, n},
    #define HET_INFO_ids(c, np, name, n) {"ids", #name, np, 7, n},
    #define HET_INFO_str(c, np, name, n) {"str", #name, np, 8, n},
    #define HET_INFO(name, COLUMNS, index) COLUMNS(HET_INFO_##name)
    static const struct het_column_info het_column_infos[] = {HET_TABLES(HET_INFO)};

    #define HET_MEMBER(type, name, format, n) {#name, format, offsetof(struct type, name), n}
    static const struct het_member_info het_slot_members[] = {
        HET_MEMBER(het_slot, checksum, "u8", 1), HET_MEMBER(het_slot, generation, "u8", 1),
        HET_MEMBER(het_slot, written_at_ns, "i8", 1), HET_MEMBER(het_slot, max_age_ns, "i8", 1),
        HET_MEMBER(het_slot, read_at_ns, "i8", 1), HET_MEMBER(het_slot, used, "u8", 1),
        HET_MEMBER(het_slot, flags, "u4", 1), HET_MEMBER(het_slot, default_part, "u4", 1),
        HET_MEMBER(het_slot, default_objective, "u4", 1), HET_MEMBER(het_slot, order_points, "u4", 1),
        HET_MEMBER(het_slot, order_short_s, "f8", 1), HET_MEMBER(het_slot, order_long_s, "f8", 1),
        HET_MEMBER(het_slot, preset, "f8", 4 * HET_N_PRESETS),
        HET_MEMBER(het_slot, currency, "S16", 1), HET_MEMBER(het_slot, cluster, "S64", 1),
        HET_MEMBER(het_slot, rows, "u4", 16), HET_MEMBER(het_slot, offset, "u8", 96),
    };
    static const struct het_member_info het_file_members[] = {
        HET_MEMBER(het_file, magic, "u8", 1), HET_MEMBER(het_file, layout_version, "u4", 1),
        HET_MEMBER(het_file, header_size, "u4", 1), HET_MEMBER(het_file, slot_size, "u8", 1),
        HET_MEMBER(het_file, active, "u4", 1), HET_MEMBER(het_file, superseded, "u4", 1),
        HET_MEMBER(het_file, generation, "u8", 2),
    };
    #define HET_CONSTANT(name) {#name, HET_##name}
    static const struct het_constant_info het_constants[] = {
        HET_CONSTANT(LAYOUT_VERSION), HET_CONSTANT(ALIGN), HET_CONSTANT(MAX_POOLS), HET_CONSTANT(MAX_SLOT),
        HET_CONSTANT(WAIT_SIZES), HET_CONSTANT(WAIT_LENGTHS), HET_CONSTANT(MAX_ORDER_POINTS),
        HET_CONSTANT(NO_PARTITION), HET_CONSTANT(SUM_START), HET_CONSTANT(N_TABLES),
        HET_CONSTANT(PART_ROOT_ONLY), HET_CONSTANT(PART_NO_ROOT), HET_CONSTANT(PART_REQ_RESV),
        HET_CONSTANT(PART_ALLOW_ACCOUNT), HET_CONSTANT(PART_DENY_ACCOUNT), HET_CONSTANT(PART_ALLOW_QOS),
        HET_CONSTANT(PART_DENY_QOS), HET_CONSTANT(PART_ALLOW_UID), HET_CONSTANT(PART_ALLOW_HOST),
        HET_CONSTANT(PART_NO_SUBMIT), HET_CONSTANT(PART_DOWN),
        HET_CONSTANT(SLOT_ASSOCIATIONS), HET_CONSTANT(SLOT_REJECT_ABSENT),
        HET_CONSTANT(PRESET_LATENCY), HET_CONSTANT(PRESET_THROUGHPUT), HET_CONSTANT(PRESET_COST),
        HET_CONSTANT(PRESET_ENERGY), HET_CONSTANT(PRESET_BALANCED),
        {"SLOT_BYTES", sizeof(struct het_slot)}, {"FILE_BYTES", sizeof(struct het_file)},
    };
    #define HET_REASON(NAME, soft, text) {#NAME, text, soft},
    static const struct het_reason_info het_reasons[] = {HET_REASONS(HET_REASON)};
    #define HET_COUNT(array) (sizeof(array) / sizeof((array)[0]))

    static int64_t het_now_ns(void)
    {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    }
    """
    ctypedef struct het_column_info "struct het_column_info":
        const char *table
        const char *name
        const char *format
        uint32_t table_index, per_row
    ctypedef struct het_member_info "struct het_member_info":
        const char *name
        const char *format
        size_t offset, count
    ctypedef struct het_constant_info "struct het_constant_info":
        const char *name
        double value
    ctypedef struct het_reason_info "struct het_reason_info":
        const char *name
        const char *text
        int soft
    const het_column_info het_column_infos[]
    const het_member_info het_slot_members[]
    const het_member_info het_file_members[]
    const het_constant_info het_constants[]
    const het_reason_info het_reasons[]
    size_t HET_COUNT(const void *)
    size_t N_COLUMNS "HET_COUNT(het_column_infos)"
    size_t N_SLOT_MEMBERS "HET_COUNT(het_slot_members)"
    size_t N_FILE_MEMBERS "HET_COUNT(het_file_members)"
    size_t N_CONSTANTS "HET_COUNT(het_constants)"
    size_t N_REASON_INFOS "HET_COUNT(het_reasons)"
    double HET_FOREVER
    int HET_WAIT_LENGTHS
    const int het_wait_bounds_min[]
    uint64_t HET_MAGIC
    uint64_t het_hash(const char *s, size_t n) nogil
    uint64_t het_app_key(const char *app, const char *kind) nogil
    uint64_t het_user_key(uint32_t uid, uint64_t kind, uint32_t units, uint32_t limit_min) nogil
    uint64_t het_estimate_key(uint64_t class_key, uint64_t type) nogil
    uint64_t het_checksum(const void *bytes, size_t n) nogil
    long long het_now_ns() nogil
    ctypedef struct het_slot "struct het_slot":
        uint64_t used
    ctypedef struct het_view "struct het_view":
        const het_slot *slot
    ctypedef struct het_reader "struct het_reader":
        pass
    ctypedef struct het_held "struct het_held":
        het_view view
    ctypedef enum het_snap "enum het_snap":
        HET_SNAP_OK
    const char *het_snap_text(het_snap status) nogil
    het_snap het_view_check(const void *slot, size_t size, int check_sum, het_view *view) nogil
    het_reader *het_reader_new(const char *path, unsigned int owner)
    void het_reader_free(het_reader *reader)
    het_held *het_reader_take(het_reader *reader, long long now_ns, het_snap *status) nogil
    void het_reader_give(het_reader *reader, het_held *held)


cdef str word(const char *text):
    return text.decode("ascii")


def layout_fields():
    """Every column in the file's order, as (table, name, NumPy format, values per row, table's index)."""
    cdef list found = []
    cdef size_t i
    cdef const het_column_info *c
    for i in range(N_COLUMNS):
        c = &het_column_infos[i]
        found.append((word(c.table), word(c.name), word(c.format), int(c.per_row), int(c.table_index)))
    return tuple(found)


cdef tuple members(const het_member_info *infos, size_t n):
    cdef list found = []
    cdef size_t i
    for i in range(n):
        found.append((word(infos[i].name), word(infos[i].format), int(infos[i].offset), int(infos[i].count)))
    return tuple(found)


def slot_fields():
    """The slot's header, as (name, NumPy format, offset in bytes, count)."""
    return members(het_slot_members, N_SLOT_MEMBERS)


def file_fields():
    """The file's header, as (name, NumPy format, offset in bytes, count)."""
    return members(het_file_members, N_FILE_MEMBERS)


cdef dict named_constants():
    cdef dict found = {}
    cdef size_t i
    for i in range(N_CONSTANTS):
        found[word(het_constants[i].name)] = int(het_constants[i].value)
    return found


cdef tuple reason_table():
    cdef list found = []
    cdef size_t i
    for i in range(N_REASON_INFOS):
        found.append((word(het_reasons[i].name), bool(het_reasons[i].soft), word(het_reasons[i].text)))
    return tuple(found)


CONSTANTS = named_constants()
# Upper bounds of the length classes, minutes; the last class has none.
WAIT_BOUNDS_MIN = tuple([int(het_wait_bounds_min[i]) for i in range(HET_WAIT_LENGTHS - 1)])
REASONS = reason_table()
REASON_BITS = {name: 1 << bit for bit, (name, _, _) in enumerate(REASONS)}
FOREVER = HET_FOREVER
MAGIC = int(HET_MAGIC)


def name_hash(str name not None):
    """The hash by which the snapshot knows a name; 0 for the empty one."""
    cdef bytes text = name.encode("utf-8", "surrogateescape")
    return het_hash(text, len(text))


def estimate_key(str app not None, str kind not None, str type not None):
    """The key of a run estimate of this app on this device kind and type."""
    return het_estimate_key(het_app_key(app.encode("utf-8", "surrogateescape"), kind.encode("utf-8", "surrogateescape")),
                            name_hash(type))


def user_key(unsigned int uid, str kind not None, str type not None, unsigned int units=0, unsigned int limit_min=0):
    """The key of a run estimate of a user's jobs without an app, of so many units (of all nodes) with such a limit.

    0 and 0: of all his jobs on the kind.
    """
    return het_estimate_key(het_user_key(uid, name_hash(kind), units, limit_min), name_hash(type))


def checksum(const unsigned char[::1] data not None):
    """The snapshot's checksum of these bytes."""
    cdef size_t n = data.shape[0]
    cdef const unsigned char *start = &data[0] if n else NULL
    cdef uint64_t total
    with nogil:
        total = het_checksum(start, n)
    return total


def check_slot(const unsigned char[::1] slot not None, bint check_sum=True):
    """Check a slot as slurmctld's plugin would; its bytes must lie at an address that 8 divides.

    Raises SnapshotError with the reason.
    """
    cdef size_t n = slot.shape[0]
    cdef const unsigned char *start = &slot[0] if n else NULL
    cdef het_view view
    cdef het_snap status
    with nogil:
        status = het_view_check(start, n, check_sum, &view)
    if status != HET_SNAP_OK:
        raise SnapshotError(f"the snapshot's content is refused: {word(het_snap_text(status))}")


def read_slot(path, unsigned int owner):
    """The bytes of the active slot of a snapshot file, read and checked by the plugin's own reader.

    `owner` is the only uid, besides root, whose file is trusted. Raises SnapshotError with the reason.
    """
    cdef het_reader *reader = het_reader_new(str(path).encode("utf-8", "surrogateescape"), owner)
    cdef het_held *held
    cdef het_snap status = HET_SNAP_OK
    if reader is NULL:
        raise MemoryError
    try:
        with nogil:
            held = het_reader_take(reader, het_now_ns(), &status)
        if held is NULL:
            raise SnapshotError(f"{path}: {word(het_snap_text(status))}")
        try:
            return (<const char *>held.view.slot)[:held.view.slot.used]
        finally:
            het_reader_give(reader, held)
    finally:
        het_reader_free(reader)
