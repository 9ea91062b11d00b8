# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The scoring kernel, once for both hosts: kernel.pyx includes this file, and the plugin links it without Python.

The plugin's recipe (tests/scoring/test_plugin_build.py runs it):

    cython -3 -I native native/score.pyx -o build/plugin/score_kernel.c
    cc -std=gnu11 -O2 -ftree-vectorize -fPIC -fno-math-errno -ffp-contract=off -ffinite-math-only -fno-signed-zeros
       -fno-trapping-math -ffunction-sections -fdata-sections -fvisibility=hidden -I native $(python3-config --includes) -c build/plugin/score_kernel.c
    cc -shared … score_kernel.o -Wl,--gc-sections -Wl,--version-script=plugin.map        (the script ends in `local: *;`)

The linker then drops the module's own init code, the only part that names Python. Never -ffast-math: reassociation or
contraction would give other bits than the extension and the twin. The three finite-math flags change
no result (het_view_check() lets only finite numbers in); they let the compiler vectorize comparisons.
docs/architecture.md, "The score, exactly", says what is computed; hetslurm/scoring/twin.py says it in NumPy.
"""
from libc.math cimport exp, log
from libc.string cimport memcpy, memset

include "score_types.pxi"
include "score_passes.pxi"
include "score_admit.pxi"
include "score_pair.pxi"


cdef struct het_columns:
    # Scratch, a slot per (alternative, pool that matches it), packed in the order they are visited.
    double *t
    double *run
    double *transfer  # the score, once it is known
    double *money
    double *energy
    uint64_t *why
    double *startup  # where a bitstream may have to be loaded; else the pools' own is read in place


cdef struct het_needs:
    # Which columns this job's weights and limits ask for; the rest would be multiplied by zero.
    bint money, energy


cdef public int het_size_class(double need, double units) noexcept nogil:
    cdef int size = 7
    while size > 0 and need * 2 <= units:
        need = need * 2
        size -= 1
    return size


cdef public size_t het_score_scratch(uint32_t n_alts, uint32_t n_pools) noexcept nogil:
    return (<size_t>n_alts * n_pools) * 7


cdef het_columns columns_of(double *scratch, size_t n) noexcept nogil:
    cdef het_columns to
    to.t = scratch
    to.run = scratch + n
    to.transfer = scratch + 2 * n
    to.money = scratch + 3 * n
    to.energy = scratch + 4 * n
    to.why = <uint64_t *>(scratch + 5 * n)
    to.startup = scratch + 6 * n
    return to


cdef het_columns columns_at(const het_columns *of, size_t slot) noexcept nogil:
    cdef het_columns to
    to.t = of.t + slot
    to.run = of.run + slot
    to.transfer = of.transfer + slot
    to.money = of.money + slot
    to.energy = of.energy + slot
    to.why = of.why + slot
    to.startup = of.startup + slot
    return to


cdef inline bint suits_all(const het_floor *floor, const het_alt *alt) noexcept nogil:
    """Whether every pool of the class is large enough for the alternative."""
    return (alt.nodes <= floor.nodes and alt.cpus <= floor.cpus and alt.devices <= floor.devices
            and alt.mem_mb <= floor.mem_mb and alt.limit_min <= floor.limit_min and alt.nodes <= floor.max_nodes
            and alt.nodes >= floor.min_nodes)


cdef void fill(const het_view *view, const het_job *job, const het_alt *alt, const uint32_t *row,
               const het_backlog *backlog, const het_place *place, uint32_t cls, het_needs needs,
               const het_columns *to) noexcept nogil:
    """Reasons, times, money and energy of one alternative on the pools of one class; `place` is on this alternative."""
    cdef size_t first = view.cls.first[cls], n = view.cls.count[cls], i
    cdef double need = need_of(alt), nodes = alt.nodes, cpus = alt.cpus, devices = alt.devices
    cdef het_run run = run_of(view, job, alt, view.cls.type[cls])
    cdef uint32_t d, site
    cdef double slowest
    cdef const double *startup = view.pool.startup_s + first

    if alt.bitstream:
        het_pass_startup(n, alt.bitstream, startup, view.pool.bitstream + first, view.pool.bitstream_id + first,
                         view.pool.bitstream_s + first, to.startup)
        startup = to.startup
    if view.floor and suits_all(view.floor + cls, alt):
        het_pass_open(n, alt.reasons, row + first, view.pool.reasons + first, to.why)
    else:
        het_pass_filter(n, alt, alt.reasons, row + first, view.pool.reasons + first, view.pool.nodes + first,
                        view.pool.cpus_per_node + first, view.pool.max_cpus_per_node + first,
                        view.pool.devices_per_node + first, view.pool.mem_mb_per_node + first,
                        view.pool.max_mem_mb_per_node + first, view.pool.limit_min + first,
                        view.pool.min_nodes + first, view.pool.max_nodes + first, to.why)
    het_pass_size(n, need, view.pool.units + first, <const int64_t *>(view.pool.units + first), <int64_t *>to.energy,
                  to.why)
    het_pass_wait(n, view.pool.wait_s + het_length_class(alt.limit_min) * <size_t>view.n_pools + first,
                  HET_WAIT_LENGTHS * <size_t>view.n_pools, <const int64_t *>to.energy, to.t)
    if backlog and backlog.units and backlog.unit_s:
        het_pass_backlog(n, need, backlog.units + first, backlog.unit_s + first, view.pool.units + first,
                         view.pool.units_free + first, to.t)
    if place and place.wait_s >= 0.0 and place.pool >= 0 and first <= <size_t>place.pool < first + n:
        to.t[place.pool - first] = place.wait_s
    slowest = het_pass_run(n, run.seconds, view.pool.speed + first, to.run)
    if alt.limit_min > 0 and slowest < 1.0:
        het_pass_slow(n, view.pool.speed + first, to.run, view.pool.limit_min + first, to.why)
    memset(to.transfer, 0, n * sizeof(double))
    if needs.money or job.n_data:
        memset(to.money, 0, n * sizeof(double))
    for d in range(min(job.n_data, <uint32_t>HET_MAX_JOB_DATA)):
        site = job.site[d]
        if site < view.n_sites:
            i = <size_t>site * view.n_pools + first
            het_pass_link(n, job.bytes[d], view.link.bytes_per_s + i, view.link.egress + i, to.transfer, to.money, to.why)
    het_pass_time(n, job.deadline_s if job.deadline_s < HET_FOREVER else HET_OUT, run.spread, startup, to.transfer, to.run, to.t, to.why)
    if needs.money:
        if job.max_cost_micro < HET_FOREVER:
            het_pass_worst(n, job.max_cost_micro, 60.0 * alt.limit_min, nodes, cpus, devices,
                           view.pool.price_cpu + first, view.pool.price_device + first, view.pool.price_node + first,
                           startup, to.transfer, to.run, to.money, to.why)
        het_pass_money(n, nodes, cpus, devices, view.pool.price_cpu + first, view.pool.price_device + first,
                       view.pool.price_node + first, startup, to.transfer, to.run, to.money)
    if needs.energy:
        het_pass_energy(n, nodes, cpus, devices, view.pool.watt_cpu + first, view.pool.watt_device + first,
                        view.pool.watt_node + first, to.run, to.energy)


cdef inline double own_wait(const het_place *place, int32_t alt, int32_t pool) noexcept nogil:
    """What a pending job has left to wait where it is; below 0 elsewhere."""
    return place.wait_s if place and place.alt == alt and place.pool == pool else -1.0


cdef struct het_refusals:
    # Reasons of the pairs that no pin of the author's rules out, and the pins of the others.
    uint32_t others, pins


cdef inline void note_refusal(het_refusals *refusals, uint32_t why) noexcept nogil:
    if why & HET_PINNED:
        refusals.pins |= why & HET_PINNED
    else:
        refusals.others |= why


cdef inline uint32_t words_of(const het_refusals *refusals) noexcept nogil:
    """What to tell an author whom no pair suits: what stands in the way where his pins lead, else the pins."""
    if refusals.others:
        return refusals.others
    return refusals.pins if refusals.pins else <uint32_t>HET_WHY_KIND


cdef het_scale score_job(const het_view *view, const het_job *job, const het_alt *alts, const uint32_t *row,
                         const het_backlog *backlog, const het_place *place, double *scratch, het_choice *choice) noexcept nogil:
    """Choose, and give the scale that the scores are on; nothing of sense where no pair suits."""
    cdef het_columns of = columns_of(scratch, <size_t>job.n_alts * view.n_pools), to
    cdef het_needs needs
    cdef het_scale scale = het_scale(0.0, 0.0, 0.0, 0.0)
    cdef const het_alt *alt
    cdef const het_place *here
    cdef uint32_t a, cls, least, hard, least_all = HET_ALL_BITS, hard_all = HET_ALL_BITS, mask
    cdef het_refusals refusals = het_refusals(0, 0)
    cdef size_t used = 0, i, n
    cdef double t_min = HET_OUT, money_ref = HET_OUT, energy_ref = HET_OUT, x, best = HET_OUT

    needs.money = job.weights.cost > 0.0 or job.max_cost_micro < HET_FOREVER
    needs.energy = job.weights.energy > 0.0
    for a in range(job.n_alts):
        alt = alts + job.first_alt + a
        here = place if place and place.alt == <int32_t>a else NULL
        cls = first_class(view, alt)
        while fits_class(view, alt, cls):
            to = columns_at(&of, used)
            n = view.cls.count[cls]
            fill(view, job, alt, row, backlog, here, cls, needs, &to)
            least = het_pass_tier(n, to.why, &hard)
            least_all = min(least, least_all)
            hard_all = min(hard, hard_all)
            used += n
            cls += 1

    choose_none(choice)
    if hard_all != 0:
        for i in range(used):
            note_refusal(&refusals, <uint32_t>of.why[i])
        choice.reasons = words_of(&refusals)
        return scale
    choice.tier = HET_TIER_FEASIBLE if least_all == 0 else HET_TIER_SOFT
    mask = HET_ALL_BITS if least_all == 0 else HET_HARD

    if job.weights.time > 0.0:
        t_min = het_pass_least(used, -1.0, of.t, of.why, mask)
    if job.weights.cost > 0.0:
        money_ref = het_pass_least(used, HET_TINY, of.money, of.why, mask)
    if needs.energy:
        energy_ref = het_pass_least(used, HET_TINY, of.energy, of.why, mask)
    scale = scale_of(&job.weights, t_min, money_ref, energy_ref)

    used = 0
    for a in range(job.n_alts):
        alt = alts + job.first_alt + a
        cls = first_class(view, alt)
        while fits_class(view, alt, cls):
            to = columns_at(&of, used)
            n = view.cls.count[cls]
            i = view.cls.first[cls]
            x = het_pass_score(n, scale.per_time, scale.scarcity, need_of(alt), scale.per_money, scale.per_energy, to.t,
                               to.run, view.pool.shadow + i, to.money if job.weights.cost > 0.0 else to.t,
                               to.energy if needs.energy else to.t, view.pool.risk + i, to.why, mask, to.transfer)
            if x < best:
                best = x
                choice.alt = <int32_t>a
                for i in range(n):
                    if to.transfer[i] == x:
                        choice.pool = <int32_t>(view.cls.first[cls] + i)
                        break
            used += n
            cls += 1
    if choice.pool >= 0:
        x = own_wait(place, choice.alt, choice.pool)
        pair_terms(view, job, alts + job.first_alt + choice.alt, row, backlog, x, <uint32_t>choice.pool, &choice.terms)
        choice.terms.score = best
        choice.reasons = choice.terms.reasons
    return scale


cdef public void het_score(const het_view *view, const het_job *job, const het_alt *alts, const uint32_t *row,
                           const het_backlog *backlog, double *scratch, het_choice *choice) noexcept nogil:
    score_job(view, job, alts, row, backlog, NULL, scratch, choice)


cdef public void het_rescore(const het_view *view, const het_job *job, const het_alt *alts, const uint32_t *row,
                             const het_backlog *backlog, const het_place *place, double *scratch, het_choice *choice,
                             het_terms *now) noexcept nogil:
    cdef het_scale scale = score_job(view, job, alts, row, backlog, place, scratch, choice)
    if place.alt < 0 or place.pool < 0 or <uint32_t>place.alt >= job.n_alts or <uint32_t>place.pool >= view.n_pools:
        memset(now, 0, sizeof(het_terms))
        now.reasons = HET_WHY_KIND
        return
    pair_terms(view, job, alts + job.first_alt + place.alt, row, backlog, place.wait_s, <uint32_t>place.pool, now)
    if choice.tier != HET_TIER_NONE and now.reasons != HET_WHY_KIND:
        now.score = score_of(&scale, now)


cdef public void het_explain(const het_view *view, const het_job *job, const het_alt *alts, const uint32_t *row,
                             const het_backlog *backlog, het_terms *terms, het_choice *choice) noexcept nogil:
    cdef size_t n = view.n_pools, i
    cdef uint32_t a, pool, mask
    cdef het_refusals refusals = het_refusals(0, 0)
    cdef het_terms *pair
    cdef het_scale scale
    cdef double t_min = HET_OUT, money_ref = HET_OUT, energy_ref = HET_OUT, t, best = HET_OUT

    choose_none(choice)
    for a in range(job.n_alts):
        for pool in range(view.n_pools):
            pair = terms + a * n + pool
            pair_terms(view, job, alts + job.first_alt + a, row, backlog, -1.0, pool, pair)
            if pair.reasons == HET_WHY_KIND:
                continue
            note_refusal(&refusals, pair.reasons)
            if pair.reasons == 0:
                choice.tier = HET_TIER_FEASIBLE
            elif (pair.reasons & HET_HARD) == 0 and choice.tier == HET_TIER_NONE:
                choice.tier = HET_TIER_SOFT
    if choice.tier == HET_TIER_NONE:
        choice.reasons = words_of(&refusals)
        return
    mask = HET_ALL_BITS if choice.tier == HET_TIER_FEASIBLE else HET_HARD
    for i in range(job.n_alts * n):
        pair = terms + i
        if pair.reasons & mask:
            continue
        t = pair.wait_s + pair.startup_s + pair.transfer_s + pair.run_s
        t_min = min(t_min, t)
        if pair.money_micro > HET_TINY:
            money_ref = min(money_ref, pair.money_micro)
        if pair.energy_j > HET_TINY:
            energy_ref = min(energy_ref, pair.energy_j)
    scale = scale_of(&job.weights, t_min, money_ref, energy_ref)
    for i in range(job.n_alts * n):
        pair = terms + i
        if pair.reasons == HET_WHY_KIND:
            continue
        pair.score = score_of(&scale, pair)
        if (pair.reasons & mask) == 0 and pair.score < best:
            best = pair.score
            choice.alt = <int32_t>(i / n)
            choice.pool = <int32_t>(i % n)
            choice.terms = pair[0]
            choice.reasons = pair.reasons


cdef public void het_order(const het_view *view, const het_job *job, const het_alt *alts, const uint32_t *row,
                           het_choice *choice) noexcept nogil:
    cdef uint32_t a, cls
    cdef het_refusals refusals = het_refusals(0, 0)
    cdef size_t pool, end
    cdef het_terms terms
    choose_none(choice)
    for a in range(job.n_alts):
        cls = first_class(view, alts + job.first_alt + a)
        while fits_class(view, alts + job.first_alt + a, cls):
            end = view.cls.first[cls] + view.cls.count[cls]
            for pool in range(view.cls.first[cls], end):
                pair_terms(view, job, alts + job.first_alt + a, row, NULL, -1.0, <uint32_t>pool, &terms)
                # Waits are stale here, and a deadline cannot be judged without them.
                terms.wait_s = 0.0
                terms.wait_source = HET_DEFAULT
                terms.reasons &= ~<uint32_t>HET_WHY_DEADLINE
                note_refusal(&refusals, terms.reasons)
                if terms.reasons & HET_HARD:
                    continue
                if choice.pool < 0 or (choice.reasons and not terms.reasons):
                    choice.alt = <int32_t>a
                    choice.pool = <int32_t>pool
                    choice.terms = terms
                    choice.reasons = terms.reasons
                    choice.tier = HET_TIER_SOFT if terms.reasons else HET_TIER_FEASIBLE
                if choice.reasons == 0:
                    return
            cls += 1
        if choice.pool >= 0:
            return
    choice.reasons = words_of(&refusals)
