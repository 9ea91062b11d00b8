# SPDX-License-Identifier: GPL-2.0-or-later
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# distutils: extra_compile_args = -ffinite-math-only -fno-signed-zeros -fno-trapping-math
"""Python over the scoring kernel: checked views of snapshot slots, admission, batches over threads, all terms of a job.

Everything is validated here, before the GIL is released; the kernel itself trusts what it is given.
"""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from hetslurm.errors import SnapshotError

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.stdlib cimport posix_memalign

include "score.pyx"
include "request.pxi"
include "kernel_records.pxi"
include "kernel_resolve.pxi"

cdef extern from "<snapshot.h>":
    int HET_SNAP_OK
    const char *het_snap_text(int status) noexcept nogil
    int het_view_check(const void *slot, size_t size, int check_sum, het_view *view) noexcept nogil


cdef extern from "<order_points.h>":
    uint32_t het_order_points(double run_s, uint32_t points, double shortest, double longest) noexcept nogil


cdef extern from "<class_floor.h>":
    void het_set_floors(het_view *view, het_floor *floors) noexcept nogil


cdef class View:
    """A private, checked copy of one snapshot slot.

    `slot` is any contiguous buffer that holds one (bytes, mmap, a uint8 array). Raises SnapshotError with the reason
    when the plugin would refuse it; `check_sum=False` leaves the checksum out.
    """
    cdef het_view view
    cdef void *memory
    cdef het_floor *floors

    def __cinit__(self, const unsigned char[::1] slot not None, bint check_sum=True):
        cdef size_t size = slot.shape[0]
        cdef int status
        self.memory = NULL
        self.floors = NULL
        if posix_memalign(&self.memory, 64, size + 64) != 0:
            self.memory = NULL
            raise MemoryError
        if size:
            memcpy(self.memory, &slot[0], size)
        with nogil:
            status = het_view_check(self.memory, size, check_sum, &self.view)
        if status != HET_SNAP_OK:
            raise SnapshotError(f"the snapshot is refused: {het_snap_text(status).decode('ascii')}")
        self.floors = <het_floor *>malloc((self.view.n_classes + 1) * sizeof(het_floor))
        if self.floors == NULL:
            raise MemoryError
        het_set_floors(&self.view, self.floors)

    def __dealloc__(self):
        free(self.floors)
        free(self.memory)

    cdef str text(self, uint32_t at):
        return (self.view.str + at).decode("utf-8", "surrogateescape")

    cdef tuple texts(self, const uint32_t *at, size_t n):
        cdef size_t i
        return tuple([self.text(at[i]) for i in range(n)])

    @property
    def slot(self):
        """The slot's bytes, a copy."""
        return (<const char *>self.memory)[:self.view.slot.used]

    @property
    def generation(self):
        return self.view.slot.generation

    @property
    def written_at(self):
        """Unix seconds."""
        return self.view.slot.written_at_ns / 1e9

    @property
    def read_at(self):
        """Unix seconds when the controller began to read Slurm."""
        return self.view.slot.read_at_ns / 1e9

    @property
    def max_age_s(self):
        return self.view.slot.max_age_ns / 1e9

    @property
    def currency(self):
        return (<const char *>self.view.slot.currency).decode("utf-8", "surrogateescape")

    @property
    def cluster(self):
        return (<const char *>self.view.slot.cluster).decode("utf-8", "surrogateescape")

    @property
    def default_objective(self):
        """Index of the preset that jobs without an objective get."""
        return self.view.slot.default_objective

    @property
    def resolves_as(self):
        """What resolve() takes from a view, as bytes: its records hold for all views that give the same."""
        cdef size_t i
        cdef const het_view *view = &self.view
        cdef list parts = [(<const char *>view.slot.preset)[:sizeof(view.slot.preset)],
                           (<const char *>&view.slot.default_objective)[:sizeof(uint32_t)],
                           (<const char *>view.cls.kind)[:view.n_classes * sizeof(uint64_t)]]
        for i in range(view.n_sites):
            parts.append((view.str + view.site.prefix[i]) + b"\0")
        return b"".join(parts)

    @property
    def order(self):
        """What order_points() takes beside a run: (points, shortest, longest); 0 points: no order is asked for."""
        return (self.view.slot.order_points, self.view.slot.order_short_s, self.view.slot.order_long_s)

    @property
    def n_pools(self):
        return self.view.n_pools

    @property
    def n_sites(self):
        return self.view.n_sites

    @property
    def pools(self):
        return self.texts(self.view.pool.name, self.view.n_pools)

    @property
    def kinds(self):
        """Each pool's device kind."""
        return self.texts(self.view.pool.kind_name, self.view.n_pools)

    @property
    def types(self):
        """Each pool's device type; "" where it has none."""
        return self.texts(self.view.pool.type_name, self.view.n_pools)

    @property
    def partitions(self):
        """Each pool's partition."""
        cdef size_t i
        return tuple([self.text(self.view.part.name[self.view.pool.part[i]]) for i in range(self.view.n_pools)])

    @property
    def health(self):
        """Each pool's health, in [0, 1]."""
        cdef size_t i
        return tuple([self.view.pool.health[i] for i in range(self.view.n_pools)])


def admit(View view not None, authors not None, nodes=None):
    """uint32[n_authors, n_pools] of HET_WHY_* bits: what keeps each author (AUTHOR_DTYPE) out of each pool.

    `nodes` gives, for each author, the uint64 hashes of the nodes that --nodelist named, or None.
    """
    authors = np.array(authors, dtype=AUTHOR_DTYPE, order="C", ndmin=1)
    named = [np.ascontiguousarray(n if n is not None else [], dtype=np.uint64) for n in nodes or [None] * len(authors)]
    if len(named) != len(authors):
        raise ValueError(f"{len(named)} lists of nodes for {len(authors)} authors")
    rows = np.zeros((len(authors), view.view.n_pools), dtype=np.uint32)
    cdef unsigned char[::1] author_bytes = authors.view(np.uint8)
    cdef uint32_t[:, ::1] out = rows
    cdef const uint64_t[::1] list
    cdef het_author *author
    cdef size_t i
    if not view.view.n_pools:
        return rows
    for i in range(len(authors)):
        author = <het_author *>&author_bytes[i * sizeof(het_author)]
        list = named[i]
        author.n_nodes = <uint32_t>list.shape[0]
        author.node = &list[0] if list.shape[0] else NULL
        with nogil:
            het_admit(&view.view, author, &out[i, 0])
    return rows


cdef object jobs_of(View view, jobs, alts, rows):
    """The job records, or ValueError when one points outside of alts or rows."""
    jobs = np.ascontiguousarray(jobs, dtype=JOB_DTYPE)
    if rows.ndim != 2 or rows.shape[1] != view.view.n_pools:
        raise ValueError(f"rows have shape {rows.shape}; the view has {view.view.n_pools} pools")
    ends = jobs["first_alt"].astype(np.uint64) + jobs["n_alts"]
    if len(jobs) and (ends.max() > len(alts) or jobs["row"].max() >= len(rows)):
        raise ValueError("a job points outside of the alternatives or the rows")
    return jobs


cdef het_backlog backlog_of(View view, backlog, list keep) except *:
    cdef het_backlog to
    cdef const double[::1] column
    to.units = NULL
    to.unit_s = NULL
    if backlog is not None and view.view.n_pools:
        for name, values in zip(("units", "unit_s"), backlog, strict=True):
            values = np.ascontiguousarray(values, dtype=np.float64)
            if values.shape != (view.view.n_pools,) or not np.isfinite(values).all():
                raise ValueError(f"backlog {name} must hold a finite number for each pool")
            keep.append(values)
            column = values
            if name == "units":
                to.units = &column[0]
            else:
                to.unit_s = &column[0]
    return to


cdef void score_range(const het_view *view, const unsigned char *jobs, size_t n, const unsigned char *alts,
                      const uint32_t *rows, const het_backlog *backlog, double *scratch,
                      unsigned char *choices) noexcept nogil:
    cdef size_t i
    cdef const het_job *job
    for i in range(n):
        job = (<const het_job *>jobs) + i
        het_score(view, job, <const het_alt *>alts, rows + <size_t>job.row * view.n_pools, backlog, scratch,
                  (<het_choice *>choices) + i)


cdef void rescore_range(const het_view *view, const unsigned char *jobs, size_t n, const unsigned char *alts,
                        const uint32_t *rows, const het_backlog *backlog, const unsigned char *places, double *scratch,
                        unsigned char *choices, unsigned char *now) noexcept nogil:
    cdef size_t i
    cdef const het_job *job
    for i in range(n):
        job = (<const het_job *>jobs) + i
        het_rescore(view, job, <const het_alt *>alts, rows + <size_t>job.row * view.n_pools, backlog,
                    (<const het_place *>places) + i, scratch, (<het_choice *>choices) + i, (<het_terms *>now) + i)


def over_threads(chunk, size_t n, int threads):
    """chunk(start, end) over n jobs, on so many threads."""
    threads = max(1, min(threads, n))
    if threads == 1:
        chunk(0, n)
        return
    bounds = [n * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(chunk, a, b) for a, b in zip(bounds, bounds[1:], strict=False)]:
            done.result()


def score_batch(View view not None, jobs not None, alts not None, rows not None, int threads=1, backlog=None):
    """Choose for each job: CHOICE_DTYPE[n_jobs].

    jobs: JOB_DTYPE[n_jobs]; alts: ALT_DTYPE, which jobs index by first_alt and n_alts; rows: uint32[n_rows, n_pools] from
    admit(); backlog: (units, unit_s) per pool, or None. Runs without the GIL on `threads` threads.
    """
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    rows = np.ascontiguousarray(rows, dtype=np.uint32)
    jobs = jobs_of(view, jobs, alts, rows)
    choices = np.zeros(len(jobs), dtype=CHOICE_DTYPE)
    most = int(jobs["n_alts"].max()) if len(jobs) else 0
    if not len(jobs) or not view.view.n_pools or not most:
        choices["alt"] = choices["pool"] = -1
        choices["reasons"] = HET_WHY_KIND
        return choices
    cdef list keep = []
    cdef het_backlog behind = backlog_of(view, backlog, keep)
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const uint32_t[:, ::1] row_values = rows
    cdef unsigned char[::1] choice_bytes = choices.view(np.uint8)

    def chunk(size_t start, size_t end):
        cdef double[::1] scratch = np.empty(het_score_scratch(most, view.view.n_pools), dtype=np.float64)
        with nogil:
            score_range(&view.view, &job_bytes[start * sizeof(het_job)], end - start, &alt_bytes[0], &row_values[0, 0],
                        &behind, &scratch[0], &choice_bytes[start * sizeof(het_choice)])

    over_threads(chunk, len(jobs), threads)
    return choices


def rescore(View view not None, jobs not None, alts not None, rows not None, places not None, int threads=1, backlog=None):
    """score_batch() of pending jobs, and where they stand: (CHOICE_DTYPE[n_jobs], TERMS_DTYPE[n_jobs]).

    places: PLACE_DTYPE[n_jobs]: the alternative (of the job's own) and the pool that each is on now, -1 for none, and the
    seconds it has left to wait there; below 0: what a new job would wait. The terms are of that pair, its score on the
    scale of the choice's, 0 where no pair suits; without a place, or on a pool of another kind, the reasons are KIND alone.
    """
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    rows = np.ascontiguousarray(rows, dtype=np.uint32)
    jobs = jobs_of(view, jobs, alts, rows)
    places = np.array(places, dtype=PLACE_DTYPE, order="C", ndmin=1)
    if places.shape != jobs.shape:
        raise ValueError(f"{len(places)} places for {len(jobs)} jobs")
    if np.isnan(places["wait_s"]).any():
        raise ValueError("a wait is no number")
    np.clip(places["wait_s"], -1.0, HET_FOREVER, out=places["wait_s"])
    choices, now = np.zeros(len(jobs), dtype=CHOICE_DTYPE), np.zeros(len(jobs), dtype=TERMS_DTYPE)
    most = int(jobs["n_alts"].max()) if len(jobs) else 0
    if not len(jobs) or not view.view.n_pools or not most:
        choices["alt"] = choices["pool"] = -1
        choices["reasons"] = now["reasons"] = HET_WHY_KIND
        return choices, now
    cdef list keep = []
    cdef het_backlog behind = backlog_of(view, backlog, keep)
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const unsigned char[::1] place_bytes = places.view(np.uint8)
    cdef const uint32_t[:, ::1] row_values = rows
    cdef unsigned char[::1] choice_bytes = choices.view(np.uint8), now_bytes = now.view(np.uint8)

    def chunk(size_t start, size_t end):
        cdef double[::1] scratch = np.empty(het_score_scratch(most, view.view.n_pools), dtype=np.float64)
        with nogil:
            rescore_range(&view.view, &job_bytes[start * sizeof(het_job)], end - start, &alt_bytes[0], &row_values[0, 0],
                          &behind, &place_bytes[start * sizeof(het_place)], &scratch[0],
                          &choice_bytes[start * sizeof(het_choice)], &now_bytes[start * sizeof(het_terms)])

    over_threads(chunk, len(jobs), threads)
    return choices, now


def score_order(View view not None, jobs not None, alts not None, rows not None):
    """Choose for each job by its author's order alone, as a stale snapshot allows: CHOICE_DTYPE[n_jobs]."""
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    rows = np.ascontiguousarray(rows, dtype=np.uint32)
    jobs = jobs_of(view, jobs, alts, rows)
    choices = np.zeros(len(jobs), dtype=CHOICE_DTYPE)
    choices["alt"] = choices["pool"] = -1
    choices["reasons"] = HET_WHY_KIND
    if not len(jobs) or not len(alts) or not view.view.n_pools:
        return choices
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const uint32_t[:, ::1] row_values = rows
    cdef unsigned char[::1] choice_bytes = choices.view(np.uint8)
    cdef size_t i, n = len(jobs)
    cdef const het_job *job
    with nogil:
        for i in range(n):
            job = (<const het_job *>&job_bytes[0]) + i
            het_order(&view.view, job, <const het_alt *>&alt_bytes[0], &row_values[job.row, 0],
                      (<het_choice *>&choice_bytes[0]) + i)
    return choices


def explain(View view not None, job not None, alts not None, row not None, backlog=None):
    """(TERMS_DTYPE[n_alts, n_pools], CHOICE_DTYPE) of one job: every term of every pair, and what is chosen."""
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    rows = np.ascontiguousarray(row, dtype=np.uint32).reshape(1, -1)
    jobs = np.array(job, dtype=JOB_DTYPE, order="C", ndmin=1)
    jobs["row"] = 0
    jobs = jobs_of(view, jobs, alts, rows)
    choices = np.zeros(1, dtype=CHOICE_DTYPE)
    terms = np.zeros((int(jobs["n_alts"][0]), view.view.n_pools), dtype=TERMS_DTYPE)
    if not terms.size:
        choices["alt"] = choices["pool"] = -1
        choices["reasons"] = HET_WHY_KIND
        return terms, choices[0]
    cdef list keep = []
    cdef het_backlog behind = backlog_of(view, backlog, keep)
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const uint32_t[:, ::1] row_values = rows
    cdef unsigned char[::1] choice_bytes = choices.view(np.uint8), term_bytes = terms.reshape(-1).view(np.uint8)
    het_explain(&view.view, <const het_job *>&job_bytes[0], <const het_alt *>&alt_bytes[0], &row_values[0, 0], &behind,
                <het_terms *>&term_bytes[0], <het_choice *>&choice_bytes[0])
    return terms, choices[0]


def run_times(View view not None, jobs not None, alts not None, places not None):
    """(float64[n_jobs], uint8[n_jobs]): how long each job runs where it is, in seconds, and the source of that.

    places: PLACE_DTYPE[n_jobs]. A job that is on no pair, or on a pool of another kind, gets 0 and HET_DEFAULT. As
    rescore() has it, without scoring any other pair.
    """
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    jobs = np.array(jobs, dtype=JOB_DTYPE, order="C", ndmin=1)
    jobs["row"] = 0
    open_to = np.zeros((1, view.view.n_pools), dtype=np.uint32)
    jobs = jobs_of(view, jobs, alts, open_to)
    places = np.array(places, dtype=PLACE_DTYPE, order="C", ndmin=1)
    if places.shape != jobs.shape:
        raise ValueError(f"{len(places)} places for {len(jobs)} jobs")
    run_s, sources = np.zeros(len(jobs)), np.zeros(len(jobs), dtype=np.uint8)
    if not len(jobs) or not len(alts) or not view.view.n_pools:
        return run_s, sources
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const unsigned char[::1] place_bytes = places.view(np.uint8)
    cdef const uint32_t[:, ::1] row = open_to
    cdef double[::1] seconds = run_s
    cdef uint8_t[::1] source = sources
    cdef size_t i, n = len(jobs)
    cdef const het_job *job
    cdef const het_place *place
    cdef het_terms terms
    with nogil:
        for i in range(n):
            job = (<const het_job *>&job_bytes[0]) + i
            place = (<const het_place *>&place_bytes[0]) + i
            if 0 <= place.alt < <int32_t>job.n_alts and 0 <= place.pool < <int32_t>view.view.n_pools:
                pair_terms(&view.view, job, (<const het_alt *>&alt_bytes[0]) + job.first_alt + place.alt, &row[0, 0], NULL,
                           0.0, <uint32_t>place.pool, &terms)
                seconds[i] = terms.run_s
                source[i] = terms.run_source
    return run_s, sources


def runs_behind(View view not None, job not None, alts not None):
    """BEHIND_DTYPE[n_alts, n_pools]: the row of the view's estimates behind each run time that explain() gives, -1 for none.

    `n` is the number of runs behind that row and `log_sd` the standard deviation of their logarithm; `wider`: it is of the
    alternative's wider class. A lookup of its own, for people: the terms that scoring works on carry no such numbers.
    """
    alts = np.ascontiguousarray(alts, dtype=ALT_DTYPE)
    jobs = np.array(job, dtype=JOB_DTYPE, order="C", ndmin=1)
    jobs["row"] = 0
    jobs = jobs_of(view, jobs, alts, np.zeros((1, view.view.n_pools), dtype=np.uint32))
    cdef size_t i, first = jobs["first_alt"][0], n_alts = jobs["n_alts"][0]
    cdef uint32_t pool, row
    behind = np.zeros((n_alts, view.view.n_pools), dtype=BEHIND_DTYPE)
    behind["row"] = -1
    if not behind.size or not view.view.n_estimates:
        return behind
    cdef const unsigned char[::1] job_bytes = jobs.view(np.uint8), alt_bytes = alts.view(np.uint8)
    cdef const het_job *one = <const het_job *>&job_bytes[0]
    cdef const het_alt *alt
    for i in range(n_alts):
        alt = (<const het_alt *>&alt_bytes[0]) + first + i
        for pool in range(view.view.n_pools):
            if view.view.pool.kind[pool] != alt.kind or (alt.type != 0 and view.view.pool.type[pool] != alt.type):
                continue
            row = row_behind(&view.view, one, alt, view.view.pool.type[pool])
            if row < view.view.n_estimates:
                wider = view.view.est.key[row] != het_estimate_key(alt.class_key, view.view.pool.type[pool])
                behind[i, pool] = (row, view.view.est.n[row], view.view.est.log_sd[row], wider)
    return behind


def size_class(double need, double units):
    """The size class of a job that needs `need` of a pool's `units`: 0 (1/128 or less) to 7 (more than half)."""
    return het_size_class(need, units)


def order_points(double run_s, unsigned int points, double shortest, double longest):
    """What a job of so many seconds gains in priority: `points` up to `shortest`, none from `longest`, by the logarithm between."""
    return het_order_points(run_s, points, shortest, longest)
