# One pair at a time: the terms of a chosen pair and of `explain`. The same operations, in the same order, as
# score_passes.pxi; tests hold the two to the same bits.

cdef struct het_run:
    # On a device of speed 1; seconds * spread is the 90 % quantile.
    double seconds, spread
    uint8_t source


cdef struct het_scale:
    # What turns a pair's terms into its score: weights over what the best pairs need.
    double per_time, per_money, per_energy, scarcity


cdef inline double need_of(const het_alt *alt) noexcept nogil:
    cdef double per = alt.cpus if alt.kind == HET_KIND_CPU else alt.devices
    return per * alt.nodes


cdef uint32_t first_class(const het_view *view, const het_alt *alt) noexcept nogil:
    """The first class, in the table's (kind, type) order, not before the alternative's."""
    cdef uint32_t low = 0, high = view.n_classes, middle
    cdef uint64_t kind
    while low < high:
        middle = low + ((high - low) >> 1)
        kind = view.cls.kind[middle]
        if kind < alt.kind or (kind == alt.kind and view.cls.type[middle] < alt.type):
            low = middle + 1
        else:
            high = middle
    return low


cdef inline bint fits_class(const het_view *view, const het_alt *alt, uint32_t cls) noexcept nogil:
    return cls < view.n_classes and view.cls.kind[cls] == alt.kind and (alt.type == 0 or view.cls.type[cls] == alt.type)


cdef inline uint32_t estimate_row(const het_view *view, const het_job *job, uint64_t key) noexcept nogil:
    """The row of an estimate that applies to this job; n_estimates when there is none."""
    cdef const uint64_t *keys = view.est.key
    cdef uint32_t low = 0, n = view.n_estimates, half
    while n > 1:
        half = n >> 1
        low += half if keys[low + half - 1] < key else 0  # no branch to mispredict
        n -= half
    return low if keys[low] == key and (job.work > 0.0 or not view.est.per_work[low]) else view.n_estimates


cdef inline uint32_t row_behind(const het_view *view, const het_job *job, const het_alt *alt, uint64_t type) noexcept nogil:
    """The row of the job's class on this type, else of the wider class; n_estimates: none."""
    cdef uint32_t row
    if alt.class_key == 0 or view.n_estimates == 0:
        return view.n_estimates
    row = estimate_row(view, job, het_estimate_key(alt.class_key, type))
    if row == view.n_estimates and alt.wider_key:
        row = estimate_row(view, job, het_estimate_key(alt.wider_key, type))
    return row


cdef het_run run_of(const het_view *view, const het_job *job, const het_alt *alt, uint64_t type) noexcept nogil:
    """The estimate of the job's class on this type, as far as it is trusted, and what the author declared."""
    cdef het_run run
    cdef uint32_t row
    cdef double declared = alt.declared_s, seconds, trust
    run.seconds = declared if declared > 0.0 else HET_UNDECLARED_S
    run.spread = 1.0
    run.source = HET_DECLARED if declared > 0.0 else HET_DEFAULT
    row = row_behind(view, job, alt, type)
    if row == view.n_estimates:
        return run
    seconds = view.est.mean_s[row] * job.work if view.est.per_work[row] else view.est.mean_s[row]
    seconds = seconds if seconds < HET_FOREVER else HET_FOREVER
    trust = view.est.trust[row]
    if trust < 1.0 and declared > 0.0 and seconds > 0.0:
        seconds = exp(trust * log(seconds) + (1.0 - trust) * log(declared))
    if alt.limit_min > 0 and seconds > 60.0 * alt.limit_min:
        seconds = 60.0 * alt.limit_min  # Slurm ends it there
    run.seconds = seconds if seconds < HET_FOREVER else HET_FOREVER
    run.spread = view.est.spread[row]
    run.source = view.est.source[row]
    return run


cdef void pair_transfer(const het_view *view, const het_job *job, uint32_t pool, het_terms *terms) noexcept nogil:
    """Adds up transfer_s, and the egress in money_micro."""
    cdef uint32_t d, site
    cdef size_t link
    cdef double rate, x
    terms.transfer_s = 0.0
    terms.money_micro = 0.0
    terms.transfer_source = HET_PREDICTED
    for d in range(min(job.n_data, <uint32_t>HET_MAX_JOB_DATA)):
        site = job.site[d]
        if site >= view.n_sites:
            terms.transfer_source = HET_DEFAULT
            continue
        if not job.bytes[d] > 0.0:
            terms.transfer_source = HET_DEFAULT
        link = <size_t>site * view.n_pools + pool
        rate = view.link.bytes_per_s[link]
        if rate > 0.0:
            x = job.bytes[d] / rate
            terms.transfer_s += x if x < HET_FOREVER else HET_FOREVER
        else:
            terms.reasons |= HET_WHY_RESIDENCY
        terms.money_micro += job.bytes[d] * view.link.egress[link]


cdef void pair_filter(const het_view *view, const het_alt *alt, uint32_t always, uint32_t pool,
                      het_terms *terms) noexcept nogil:
    cdef uint32_t why = always | view.pool.reasons[pool] | alt.reasons
    if alt.devices > view.pool.devices_per_node[pool]:
        why |= HET_WHY_DEVICES
    if alt.cpus > view.pool.cpus_per_node[pool] or alt.cpus > view.pool.max_cpus_per_node[pool]:
        why |= HET_WHY_CPUS
    if alt.mem_mb > view.pool.mem_mb_per_node[pool] or alt.mem_mb > view.pool.max_mem_mb_per_node[pool]:
        why |= HET_WHY_MEMORY
    if alt.nodes > view.pool.nodes[pool]:
        why |= HET_WHY_NODES
    elif need_of(alt) > view.pool.units[pool]:
        why |= HET_WHY_NO_NODE_UP
    if alt.nodes > view.pool.max_nodes[pool]:
        why |= HET_WHY_MAX_NODES
    if alt.nodes < view.pool.min_nodes[pool]:
        why |= HET_WHY_MIN_NODES
    if alt.limit_min > view.pool.limit_min[pool]:
        why |= HET_WHY_MAX_TIME
    terms.reasons = why


cdef void pair_terms(const het_view *view, const het_job *job, const het_alt *alt, const uint32_t *row,
                     const het_backlog *backlog, double wait_s, uint32_t pool, het_terms *terms) noexcept nogil:
    """Every term of one pair but its score; wait_s below 0: the pool's. A pool of another kind or type gets KIND and nothing else."""
    cdef het_run run
    cdef double need = need_of(alt), units = view.pool.units[pool], rate, longest, worst, x
    memset(terms, 0, sizeof(het_terms))
    if view.pool.kind[pool] != alt.kind or (alt.type != 0 and view.pool.type[pool] != alt.type):
        terms.reasons = HET_WHY_KIND
        return
    pair_filter(view, alt, row[pool], pool, terms)
    terms.wait_s = view.pool.wait_s[(het_size_class(need, units) * HET_WAIT_LENGTHS + het_length_class(alt.limit_min))
                                    * <size_t>view.n_pools + pool]
    if backlog and backlog.units and backlog.unit_s and backlog.units[pool] + need > view.pool.units_free[pool]:
        terms.wait_s += backlog.unit_s[pool] / (units if units > 1.0 else 1.0)
    if wait_s >= 0.0:
        terms.wait_s = wait_s
    terms.startup_s = view.pool.startup_s[pool]
    terms.startup_source = view.pool.startup_source[pool]
    if alt.bitstream and alt.bitstream != view.pool.bitstream[pool] and alt.bitstream != view.pool.bitstream_id[pool]:
        terms.startup_s = terms.startup_s + view.pool.bitstream_s[pool]
        terms.startup_source = min(view.pool.startup_source[pool], view.pool.bitstream_source[pool])
    run = run_of(view, job, alt, view.pool.type[pool])
    x = run.seconds / view.pool.speed[pool]
    terms.run_s = x if x < HET_FOREVER else HET_FOREVER
    x = terms.run_s * run.spread
    terms.run_high_s = x if x < HET_FOREVER else HET_FOREVER
    if alt.limit_min > 0 and view.pool.limit_min[pool] < HET_UNLIMITED and view.pool.speed[pool] < 1.0 \
            and terms.run_s > 60.0 * <double>view.pool.limit_min[pool]:
        terms.reasons |= HET_WHY_MAX_TIME
    terms.limit_min = het_grown_limit(alt.limit_min, alt.declared_s, terms.run_s, view.pool.speed[pool],
                                      view.pool.limit_min[pool])
    pair_transfer(view, job, pool, terms)
    if job.deadline_s < HET_FOREVER and terms.wait_s + terms.startup_s + terms.transfer_s + terms.run_high_s > job.deadline_s:
        terms.reasons |= HET_WHY_DEADLINE
    rate = <double>alt.nodes * (<double>alt.cpus * view.pool.price_cpu[pool]
                                + <double>alt.devices * view.pool.price_device[pool] + view.pool.price_node[pool])
    longest = 60.0 * alt.limit_min
    longest = terms.run_s if terms.run_s > longest else longest
    worst = rate * (terms.startup_s + terms.transfer_s + longest) + terms.money_micro
    if job.max_cost_micro < HET_FOREVER and worst > job.max_cost_micro:
        terms.reasons |= HET_WHY_MAX_COST
    terms.money_micro = rate * (terms.startup_s + terms.transfer_s + terms.run_s) + terms.money_micro
    terms.energy_j = <double>alt.nodes * (<double>alt.cpus * view.pool.watt_cpu[pool]
                                          + <double>alt.devices * view.pool.watt_device[pool]
                                          + view.pool.watt_node[pool]) * terms.run_s
    terms.scarce_s = need * (view.pool.shadow[pool] * terms.run_s)
    terms.risk = view.pool.risk[pool]
    # A product is known no better than its worst factor.
    terms.run_source = run.source
    terms.wait_source = view.pool.wait_source[pool]
    terms.scarce_source = min(view.pool.shadow_source[pool], run.source)
    terms.money_source = min(view.pool.price_source[pool], run.source)
    terms.energy_source = min(view.pool.watt_source[pool], run.source)
    terms.health_source = view.pool.health_source[pool]


cdef het_scale scale_of(const het_weights *weights, double t_min, double money_ref, double energy_ref) noexcept nogil:
    """References of HET_OUT mean that no pair has any: they count as 1."""
    cdef het_scale scale
    scale.per_time = weights.time / (t_min if t_min > 1.0 and t_min < HET_OUT else 1.0)
    scale.per_money = weights.cost / (money_ref if money_ref < HET_OUT else 1.0)
    scale.per_energy = weights.energy / (energy_ref if energy_ref < HET_OUT else 1.0)
    scale.scarcity = weights.scarcity
    return scale


cdef double score_of(const het_scale *scale, const het_terms *pair) noexcept nogil:
    cdef double t = pair.wait_s + pair.startup_s + pair.transfer_s + pair.run_s
    return (scale.per_time * (t + scale.scarcity * pair.scarce_s) + scale.per_money * pair.money_micro
            + scale.per_energy * pair.energy_j) * pair.risk


cdef void choose_none(het_choice *choice) noexcept nogil:
    memset(choice, 0, sizeof(het_choice))
    choice.alt = -1
    choice.pool = -1
    choice.tier = HET_TIER_NONE
