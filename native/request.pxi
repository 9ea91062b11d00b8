# A het_request and hetslurm.job.Request, each from the other. Included by parser.pyx and kernel.pyx;
# needs nothing but the header, so an extension that includes it need not link the parser.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from hetslurm.job import DataItem, Request
from hetslurm.target import Target


cdef extern from "directives.h" nogil:
    enum:
        HET_MAX_TARGETS
        HET_MAX_DATA
        HET_MAX_NAME
        HET_MAX_URI
        HET_GIVEN_APP
        HET_GIVEN_WORK
        HET_GIVEN_OBJECTIVE
        HET_GIVEN_DEADLINE
        HET_GIVEN_PREEMPTIBLE
        HET_GIVEN_BURST
        HET_GIVEN_MAX_COST
        HET_GIVEN_OFF
        HET_OBJ_WEIGHTS
        HET_W_TIME
        HET_W_COST
        HET_W_ENERGY
        HET_DEADLINE_AT
        HET_DEADLINE_IN

    struct het_target:
        char kind[64]
        char type[64]
        char name[64]
        char xclbin[256]
        uint32_t count
        uint32_t nodes
        uint32_t cpus
        uint64_t mem_mb
        uint32_t time_s
        uint32_t line

    struct het_data:
        char uri[256]
        uint64_t bytes

    struct het_request:
        uint32_t given
        uint32_t n_targets
        uint32_t n_data
        het_target target[16]
        het_data data[8]
        char app[64]
        double work
        uint8_t objective
        uint8_t deadline_kind
        uint8_t preemptible
        uint8_t burst
        double weight[3]
        int64_t deadline_s
        int64_t max_cost_micro


# In the order of enum het_objective, and of HET_BURST_*.
_OBJECTIVES = ("default", "latency", "throughput", "cost", "energy", "balanced", "weights")
_BURSTS = ("never", "allow", "only")


cdef int _fill_text(char *field, size_t size, str text, str what) except -1:
    cdef bytes encoded = text.encode("utf-8")
    if <size_t> len(encoded) >= size or b"\0" in encoded:
        raise ValueError(f"{what} is longer than {size - 1} bytes, or holds a NUL: {text!r}")
    memcpy(field, <const char *> encoded, len(encoded) + 1)
    return 0


cdef int _fill_target(object target, het_target *out) except -1:
    _fill_text(out.kind, sizeof(out.kind), target.kind, "a target's kind")
    _fill_text(out.type, sizeof(out.type), target.type, "a target's type")
    _fill_text(out.name, sizeof(out.name), target.name, "a target's name")
    _fill_text(out.xclbin, sizeof(out.xclbin), target.xclbin, "a target's xclbin")
    out.count = target.count
    out.nodes = target.nodes
    out.cpus = target.cpus
    out.mem_mb = target.mem_mb
    out.time_s = target.time_s
    out.line = target.line
    return 0


cdef int fill_request(object request, het_request *out) except -1:
    """Write a Request into out, every byte of it; raises ValueError or OverflowError for what cannot fit."""
    memset(out, 0, sizeof(out[0]))
    if len(request.targets) > HET_MAX_TARGETS or len(request.data) > HET_MAX_DATA:
        raise ValueError(f"a request has at most {HET_MAX_TARGETS} targets and {HET_MAX_DATA} data items")
    for target in request.targets:
        _fill_target(target, &out.target[out.n_targets])
        out.n_targets += 1
    for item in request.data:
        _fill_text(out.data[out.n_data].uri, HET_MAX_URI, item.uri, "a data URI")
        out.data[out.n_data].bytes = item.bytes
        out.n_data += 1
    if request.app is not None:
        out.given |= HET_GIVEN_APP
        _fill_text(out.app, sizeof(out.app), request.app, "app")
    if request.work is not None:
        out.given |= HET_GIVEN_WORK
        out.work = request.work
    if request.objective is not None:
        out.given |= HET_GIVEN_OBJECTIVE
        out.objective = _OBJECTIVES.index(request.objective)
    if request.weights is not None:
        for i in range(3):
            out.weight[i] = request.weights[i]
    if request.deadline_at is not None:
        out.given |= HET_GIVEN_DEADLINE
        out.deadline_kind = HET_DEADLINE_AT
        out.deadline_s = request.deadline_at
    elif request.deadline_in_s is not None:
        out.given |= HET_GIVEN_DEADLINE
        out.deadline_kind = HET_DEADLINE_IN
        out.deadline_s = request.deadline_in_s
    if request.preemptible is not None:
        out.given |= HET_GIVEN_PREEMPTIBLE
        out.preemptible = bool(request.preemptible)
    if request.burst is not None:
        out.given |= HET_GIVEN_BURST
        out.burst = _BURSTS.index(request.burst)
    if request.max_cost_micro is not None:
        out.given |= HET_GIVEN_MAX_COST
        out.max_cost_micro = request.max_cost_micro
    return 0


cdef object _target_from(const het_target *target):
    return Target(
        kind=(<const char *> target.kind).decode("utf-8"),
        type=(<const char *> target.type).decode("utf-8"),
        count=target.count,
        nodes=target.nodes,
        cpus=target.cpus,
        mem_mb=target.mem_mb,
        time_s=target.time_s,
        name=(<const char *> target.name).decode("utf-8"),
        xclbin=(<const char *> target.xclbin).decode("utf-8"),
        line=target.line,
    )


cdef object request_from(const het_request *request):
    """The Request that the parser's struct stands for."""
    cdef uint32_t given = request.given
    cdef bint weighted = given & HET_GIVEN_OBJECTIVE and request.objective == HET_OBJ_WEIGHTS
    cdef bint absolute = given & HET_GIVEN_DEADLINE and request.deadline_kind == HET_DEADLINE_AT
    cdef bint relative = given & HET_GIVEN_DEADLINE and request.deadline_kind == HET_DEADLINE_IN
    return Request(
        targets=tuple([_target_from(&request.target[i]) for i in range(request.n_targets)]),
        data=tuple([
            DataItem((<const char *> request.data[i].uri).decode("utf-8"), request.data[i].bytes)
            for i in range(request.n_data)
        ]),
        app=(<const char *> request.app).decode("utf-8") if given & HET_GIVEN_APP else None,
        work=request.work if given & HET_GIVEN_WORK else None,
        objective=_OBJECTIVES[request.objective] if given & HET_GIVEN_OBJECTIVE else None,
        weights=(request.weight[0], request.weight[1], request.weight[2]) if weighted else None,
        deadline_at=request.deadline_s if absolute else None,
        deadline_in_s=request.deadline_s if relative else None,
        preemptible=bool(request.preemptible) if given & HET_GIVEN_PREEMPTIBLE else None,
        burst=_BURSTS[request.burst] if given & HET_GIVEN_BURST else None,
        max_cost_micro=request.max_cost_micro if given & HET_GIVEN_MAX_COST else None,
    )
