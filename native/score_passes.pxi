# The hot loops: each walks one class's pools, column by column, with no branch that depends on a pool, so that
# the compiler turns it into SIMD. Where it can, glibc picks the widest variant at load (target_clones);
# no variant contracts or reorders arithmetic, so all give the same bits.
cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \\
        !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    #define HET_LANES __attribute__((target_clones("default", "avx2", "arch=skylake-avx512"), noinline))
    #else
    #define HET_LANES
    #endif
    #define HET_KIND_CPU UINT64_C(0xf5a8fa190cb314c9)   /* het_hash("cpu") */
    #define HET_QOS_NORMAL UINT64_C(0x61053f0e3ebbd272) /* het_hash("normal") */
    #define HET_UNLIMITED INT32_MAX
    #define HET_ALL_BITS UINT32_MAX
    #define HET_HARD (~(uint32_t) HET_WHY_SOFT)
    #define HET_PINNED (HET_WHY_PARTITION_NAMED | HET_WHY_GRES_NAMED | HET_WHY_CONSTRAINT | HET_WHY_NODELIST)
    #define HET_UNDECLARED_S 3600.0 /* an hour, when nobody said how long it runs */
    #define HET_OUT 1e300  /* the score of what must not win: above any that finite inputs give */
    #define HET_TINY 1e-9  /* money or energy below it counts as none, so that no reference is too small to divide by */
    typedef double *restrict het_out;
    typedef uint64_t *restrict het_bits; /* reasons, as wide as a double: mixed widths cost more code than arithmetic */
    typedef const uint64_t *restrict het_why;
    typedef int64_t *restrict het_sizes;
    typedef const int64_t __attribute__((may_alias)) *restrict het_f8_bits; /* doubles, as their bits */
    typedef const double *restrict het_f8;
    typedef const int32_t *restrict het_i4;
    typedef const uint32_t *restrict het_u4;
    typedef const uint64_t *restrict het_u8;
    /* Declared here first, since Cython cannot give its functions attributes. */
    HET_LANES static void het_pass_filter(size_t, const struct het_alt *, uint32_t, het_u4, het_u4, het_i4, het_i4,
        het_i4, het_i4, het_i4, het_i4, het_i4, het_i4, het_i4, het_bits);
    HET_LANES static void het_pass_open(size_t, uint32_t, het_u4, het_u4, het_bits);
    HET_LANES static void het_pass_size(size_t, double, het_f8, het_f8_bits, het_sizes, het_bits);
    HET_LANES static void het_pass_backlog(size_t, double, het_f8, het_f8, het_f8, het_f8, het_out);
    HET_LANES static double het_pass_run(size_t, double, het_f8, het_out);
    HET_LANES static void het_pass_slow(size_t, het_f8, het_f8, het_i4, het_bits);
    HET_LANES static void het_pass_link(size_t, double, het_f8, het_f8, het_out, het_out, het_bits);
    HET_LANES static void het_pass_startup(size_t, uint64_t, het_f8, het_u8, het_u8, het_f8, het_out);
    HET_LANES static void het_pass_time(size_t, double, double, het_f8, het_f8, het_f8, het_out, het_bits);
    HET_LANES static void het_pass_money(size_t, double, double, double, het_f8, het_f8, het_f8, het_f8, het_f8,
        het_f8, het_out);
    HET_LANES static void het_pass_worst(size_t, double, double, double, double, double, het_f8, het_f8, het_f8,
        het_f8, het_f8, het_f8, het_f8, het_bits);
    HET_LANES static void het_pass_energy(size_t, double, double, double, het_f8, het_f8, het_f8, het_f8, het_out);
    HET_LANES static uint32_t het_pass_tier(size_t, het_why, uint32_t *);
    HET_LANES static double het_pass_least(size_t, double, het_f8, het_why, uint64_t);
    HET_LANES static double het_pass_score(size_t, double, double, double, double, double, het_f8, het_f8, het_f8, het_f8,
        het_f8, het_f8, het_why, uint64_t, het_out);
    """
    uint64_t HET_KIND_CPU, HET_QOS_NORMAL
    int32_t HET_UNLIMITED
    uint32_t HET_ALL_BITS, HET_HARD, HET_PINNED
    double HET_OUT, HET_TINY, HET_UNDECLARED_S
    ctypedef double *het_out
    ctypedef uint64_t *het_bits
    ctypedef const uint64_t *het_why
    ctypedef int64_t *het_sizes
    ctypedef const int64_t *het_f8_bits
    ctypedef const double *het_f8
    ctypedef const int32_t *het_i4
    ctypedef const uint32_t *het_u4
    ctypedef const uint64_t *het_u8


cdef void het_pass_filter "het_pass_filter"(size_t n, const het_alt *alt, uint32_t always, het_u4 row, het_u4 own, het_i4 nodes,
                          het_i4 cpus, het_i4 max_cpus, het_i4 devices, het_i4 mem, het_i4 max_mem, het_i4 limit,
                          het_i4 min_nodes, het_i4 max_nodes, het_bits why) noexcept nogil:
    """Everything that needs no time: who the author is (row), the pool's own reasons, and sizes."""
    cdef size_t i
    cdef int32_t a_nodes = alt.nodes, a_cpus = alt.cpus, a_devices = alt.devices, a_mem = alt.mem_mb
    cdef int32_t a_limit = alt.limit_min
    for i in range(n):
        why[i] = (row[i] | own[i] | always
                  | (<uint32_t>(a_devices > devices[i])) * <uint32_t>HET_WHY_DEVICES
                  | (<uint32_t>((a_cpus > cpus[i]) | (a_cpus > max_cpus[i]))) * <uint32_t>HET_WHY_CPUS
                  | (<uint32_t>((a_mem > mem[i]) | (a_mem > max_mem[i]))) * <uint32_t>HET_WHY_MEMORY
                  | (<uint32_t>(a_nodes > nodes[i])) * <uint32_t>HET_WHY_NODES
                  | (<uint32_t>(a_nodes > max_nodes[i])) * <uint32_t>HET_WHY_MAX_NODES
                  | (<uint32_t>(a_nodes < min_nodes[i])) * <uint32_t>HET_WHY_MIN_NODES
                  | (<uint32_t>(a_limit > limit[i])) * <uint32_t>HET_WHY_MAX_TIME)


cdef void het_pass_open "het_pass_open"(size_t n, uint32_t always, het_u4 row, het_u4 own, het_bits why) noexcept nogil:
    """het_pass_filter() where every pool is known to be large enough."""
    cdef size_t i
    for i in range(n):
        why[i] = row[i] | own[i] | always


cdef void het_pass_size "het_pass_size"(size_t n, double need, het_f8 units, het_f8_bits unit_bits, het_sizes size,
                                        het_bits why) noexcept nogil:
    """het_size_class() of every pool.

    The difference of two positive doubles' bits, shifted by the mantissa, is floor(log2(units / need)), exactly.
    """
    cdef size_t i
    cdef int64_t need_bits, times
    if need > 0.0:
        memcpy(&need_bits, &need, sizeof(need))
    else:
        need_bits = -(<int64_t>8 << 52)
    for i in range(n):
        times = unit_bits[i] - need_bits
        times = <int64_t>(<uint64_t>(times if times > 0 else 0) >> 52)
        size[i] = 7 - (times if times < 7 else 7)
        why[i] |= <uint64_t>((need > units[i]) & ((why[i] & HET_WHY_NODES) == 0)) * <uint64_t>HET_WHY_NO_NODE_UP


cdef void het_pass_wait(size_t n, het_f8 wait_s, size_t per_size, const int64_t *size, het_out wait) noexcept nogil:
    """wait_s starts at the job's length class; per_size lies between two size classes of it.

    Left scalar on purpose: gather instructions lose to plain loads on CPUs that are patched against Downfall.
    """
    cdef size_t i
    for i in range(n):
        wait[i] = wait_s[size[i] * per_size + i]


cdef void het_pass_backlog "het_pass_backlog"(size_t n, double need, het_f8 placed, het_f8 unit_s, het_f8 units, het_f8 free,
                           het_out wait) noexcept nogil:
    """What was placed since the snapshot drains at the speed of the whole pool, once it no longer fits beside us."""
    cdef size_t i
    cdef double whole, more
    for i in range(n):
        whole = units[i] if units[i] > 1.0 else 1.0
        more = unit_s[i] / whole
        wait[i] = wait[i] + (more if placed[i] + need > free[i] else 0.0)


cdef double het_pass_run "het_pass_run"(size_t n, double seconds, het_f8 speed, het_out run) noexcept nogil:
    """Gives the lowest speed."""
    cdef size_t i
    cdef double x, slowest = HET_OUT
    for i in range(n):
        slowest = speed[i] if speed[i] < slowest else slowest
        x = seconds / speed[i]
        run[i] = x if x < HET_FOREVER else HET_FOREVER
    return slowest


cdef void het_pass_slow "het_pass_slow"(size_t n, het_f8 speed, het_f8 run, het_i4 limit, het_bits why) noexcept nogil:
    """On a pool slower than its class the limit grows to the run, and must still fit."""
    cdef size_t i
    cdef double most
    for i in range(n):
        most = limit[i]
        why[i] |= (<uint64_t>((speed[i] < 1.0) & (run[i] > 60.0 * most) & (most < HET_UNLIMITED))
                   * <uint64_t>HET_WHY_MAX_TIME)


cdef void het_pass_link "het_pass_link"(size_t n, double bytes, het_f8 bytes_per_s, het_f8 egress, het_out transfer, het_out money,
                        het_bits why) noexcept nogil:
    cdef size_t i
    cdef double x, rate
    for i in range(n):
        rate = bytes_per_s[i]
        x = bytes / (rate if rate > 0.0 else 1.0)
        x = x if x < HET_FOREVER else HET_FOREVER
        transfer[i] += x if rate > 0.0 else 0.0
        money[i] += bytes * egress[i]
        why[i] |= <uint64_t>(not rate > 0.0) * <uint64_t>HET_WHY_RESIDENCY


cdef void het_pass_startup "het_pass_startup"(size_t n, uint64_t wanted, het_f8 startup, het_u8 loaded, het_u8 loaded_id,
                           het_f8 load_s, het_out out) noexcept nogil:
    """What a target with a bitstream waits for on top, where the cards have another one loaded."""
    cdef size_t i
    for i in range(n):
        out[i] = startup[i] + (0.0 if (wanted == loaded[i]) | (wanted == loaded_id[i]) else load_s[i])


cdef void het_pass_time "het_pass_time"(size_t n, double deadline, double spread, het_f8 startup, het_f8 transfer, het_f8 run,
                        het_out t, het_bits why) noexcept nogil:
    """t comes in as the wait. A deadline must hold for the run's 90 % quantile."""
    cdef size_t i
    cdef double x
    for i in range(n):
        x = t[i] + startup[i] + transfer[i]
        t[i] = x + run[i]
        why[i] |= <uint64_t>(x + run[i] * spread > deadline) * <uint64_t>HET_WHY_DEADLINE


cdef void het_pass_money "het_pass_money"(size_t n, double nodes, double cpus, double devices, het_f8 price_cpu, het_f8 price_device,
                         het_f8 price_node, het_f8 startup, het_f8 transfer, het_f8 run, het_out money) noexcept nogil:
    """money comes in as the egress."""
    cdef size_t i
    for i in range(n):
        money[i] = (nodes * (cpus * price_cpu[i] + devices * price_device[i] + price_node[i])
                    * (startup[i] + transfer[i] + run[i]) + money[i])


cdef void het_pass_worst "het_pass_worst"(size_t n, double max_cost, double limit_s, double nodes, double cpus, double devices,
                         het_f8 price_cpu, het_f8 price_device, het_f8 price_node, het_f8 startup, het_f8 transfer,
                         het_f8 run, het_f8 egress, het_bits why) noexcept nogil:
    """max_cost must hold even when the job runs until its limit ends it."""
    cdef size_t i
    cdef double longest, money
    for i in range(n):
        longest = run[i] if run[i] > limit_s else limit_s
        money = (nodes * (cpus * price_cpu[i] + devices * price_device[i] + price_node[i])
                 * (startup[i] + transfer[i] + longest) + egress[i])
        why[i] |= <uint64_t>(money > max_cost) * <uint64_t>HET_WHY_MAX_COST


cdef void het_pass_energy "het_pass_energy"(size_t n, double nodes, double cpus, double devices, het_f8 watt_cpu, het_f8 watt_device,
                          het_f8 watt_node, het_f8 run, het_out energy) noexcept nogil:
    cdef size_t i
    for i in range(n):
        energy[i] = nodes * (cpus * watt_cpu[i] + devices * watt_device[i] + watt_node[i]) * run[i]


cdef uint32_t het_pass_tier "het_pass_tier"(size_t n, het_why why, uint32_t *hard) noexcept nogil:
    """The least of all reasons, and of the hard ones alone: 0 says that some pool has none."""
    cdef size_t i
    cdef uint64_t least = HET_ALL_BITS, least_hard = HET_ALL_BITS, x
    for i in range(n):
        x = why[i]
        least = x if x < least else least
        x = x & HET_HARD
        least_hard = x if x < least_hard else least_hard
    hard[0] = <uint32_t>least_hard
    return <uint32_t>least


cdef double het_pass_least "het_pass_least"(size_t n, double above, het_f8 value, het_why why, uint64_t mask) noexcept nogil:
    """The smallest value over `above` among the pools without a reason in mask; HET_OUT when there is none."""
    cdef size_t i
    cdef double least = HET_OUT, x
    for i in range(n):
        x = value[i] if ((why[i] & mask) == 0) & (value[i] > above) else HET_OUT
        least = x if x < least else least
    return least


cdef double het_pass_score "het_pass_score"(size_t n, double per_time, double scarcity, double need, double per_money, double per_energy,
                           het_f8 t, het_f8 run, het_f8 shadow, het_f8 money, het_f8 energy, het_f8 risk, het_why why,
                           uint64_t mask, het_out score) noexcept nogil:
    """Score every pool, HET_OUT where a reason in mask holds; gives the lowest."""
    cdef size_t i
    cdef double x, least = HET_OUT
    for i in range(n):
        x = (per_time * (t[i] + scarcity * (need * (shadow[i] * run[i]))) + per_money * money[i] + per_energy * energy[i]) * risk[i]
        x = x if (why[i] & mask) == 0 else HET_OUT
        score[i] = x
        least = x if x < least else least
    return least
