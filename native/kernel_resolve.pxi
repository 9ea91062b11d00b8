# From a Request and what the command line fixed to the kernel's records, by the plugin's own resolve.c.
cdef extern from "<resolve.h>":
    struct het_asked:
        uint32_t uid, privileged
        const char *account
        const char *qos
        const char *partition
        const char *constraint
        const char *gres
        const char *submit_host
        const uint64_t *node
        uint32_t n_nodes_named, has_reservation
        int32_t nodes, cpus, mem_mb, limit_min
        uint32_t n_tasks

    struct het_resolved:
        het_author author
        het_job job
        het_alt alt[16]

    void het_resolve(const het_view *view, const het_request *request, const het_asked *asked, int64_t now_s,
                     het_resolved *resolved) noexcept nogil


cdef const char *text_of(str value, list keep) except? NULL:
    """C text that lives as long as keep; NULL for the empty one."""
    if not value:
        return NULL
    encoded = value.encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise ValueError(f"text with a NUL: {value!r}")
    keep.append(encoded)
    return <const char *>encoded


cdef object one_record(const void *data, size_t size, dtype):
    return np.frombuffer((<const char *>data)[:size], dtype=dtype)[0].copy()


cdef object resolve_one(View view, object request, object asked, int64_t now, het_resolved *resolved):
    """Fill *resolved; gives the hashes of the nodes that --nodelist named."""
    cdef het_request wanted
    cdef het_asked fixed
    cdef list keep = []
    fill_request(request, &wanted)
    memset(&fixed, 0, sizeof(fixed))
    fixed.uid = asked.uid
    fixed.privileged = asked.privileged
    fixed.account = text_of(asked.account, keep)
    fixed.qos = text_of(asked.qos, keep)
    fixed.partition = text_of(asked.partition, keep)
    fixed.constraint = text_of(asked.constraint, keep)
    fixed.gres = text_of(asked.gres, keep)
    fixed.submit_host = text_of(asked.submit_host, keep)
    fixed.has_reservation = asked.has_reservation
    fixed.nodes = asked.nodes
    fixed.cpus = asked.cpus
    fixed.mem_mb = asked.mem_mb
    fixed.limit_min = asked.limit_min
    fixed.n_tasks = asked.n_tasks
    het_resolve(&view.view, &wanted, &fixed, now, resolved)
    nodes = [name_hash(name) for name in asked.node_names]
    resolved.author.node = NULL  # admit() takes the hashes beside the record
    resolved.author.n_nodes = <uint32_t>len(nodes)
    return nodes


def resolve(View view not None, request not None, asked not None, int64_t now):
    """(author, nodes, job, alts) of one request: an AUTHOR_DTYPE, hashes of named nodes, a JOB_DTYPE, ALT_DTYPE[n].

    request: hetslurm.job.Request; asked: hetslurm.placement.Asked; now: Unix seconds, for absolute deadlines.
    """
    cdef het_resolved resolved
    nodes = np.array(resolve_one(view, request, asked, now, &resolved), dtype=np.uint64)
    alts = np.frombuffer((<const char *>resolved.alt)[:resolved.job.n_alts * sizeof(het_alt)], dtype=ALT_DTYPE).copy()
    return (one_record(&resolved.author, sizeof(het_author), AUTHOR_DTYPE), nodes,
            one_record(&resolved.job, sizeof(het_job), JOB_DTYPE), alts)


def resolve_batch(View view not None, wanted not None, int64_t now, dict authors not None, uint32_t first_alt=0):
    """(JOB_DTYPE[n], ALT_DTYPE[all]) of n pairs (request, asked), as resolve() takes them.

    `authors` maps what an author is, as bytes that authors_of() reads, to his row; new ones are added. The jobs' rows are
    of it, and their first_alt counts from `first_alt`.
    """
    cdef het_resolved resolved
    cdef uint32_t at = first_alt
    cdef list jobs = [], alts = []
    for request, asked in wanted:
        nodes = resolve_one(view, request, asked, now, &resolved)
        author = (<const char *>&resolved.author)[:sizeof(het_author)]
        if nodes:
            author += np.array(nodes, dtype=np.uint64).tobytes()
        row = authors.get(author)
        if row is None:
            row = authors[author] = len(authors)
        resolved.job.row = row
        resolved.job.first_alt = at
        at += resolved.job.n_alts
        jobs.append((<const char *>&resolved.job)[:sizeof(het_job)])
        alts.append((<const char *>resolved.alt)[:resolved.job.n_alts * sizeof(het_alt)])
    return np.frombuffer(b"".join(jobs), dtype=JOB_DTYPE), np.frombuffer(b"".join(alts), dtype=ALT_DTYPE)


def authors_of(keys):
    """(AUTHOR_DTYPE[n], the hashes of the nodes that each named) from resolve_batch()'s keys, for admit()."""
    cdef size_t size = sizeof(het_author)
    records = np.frombuffer(b"".join([key[:size] for key in keys]), dtype=AUTHOR_DTYPE)
    return records, [np.frombuffer(key[size:], dtype=np.uint64) for key in keys]


cdef uint64_t name_hash(str name):
    cdef bytes text = name.encode("utf-8", "surrogateescape")
    return het_hash(text, len(text))
