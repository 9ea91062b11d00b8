# Admission: which pools slurmctld would let this author use. Mirrors slurmctld's _part_access_check(),
# part_policy_valid_acct(), part_policy_valid_qos() and assoc_mgr_fill_in_assoc(), and refuses where in doubt.

cdef extern from *:
    """
    /* Out of line: most jobs pass every pool by a shorter way. Cython cannot give its functions attributes. */
    __attribute__((noinline)) static uint32_t het_part_reasons(const struct het_view *, const struct het_author *,
        const void *, uint32_t);
    __attribute__((noinline)) static uint32_t het_node_reasons(const struct het_view *, const struct het_author *, size_t);
    """


cdef struct het_standing:
    # The author as the associations know them: account in force, and the rows [first, end) of that account.
    uint64_t account
    uint32_t first, end


cdef inline bint has_id(const uint64_t *ids, uint32_t n, uint64_t id) noexcept nogil:
    """Whether the sorted ids[n] hold id."""
    cdef uint32_t low = 0, high = n, middle
    while low < high:
        middle = low + ((high - low) >> 1)
        if ids[middle] < id:
            low = middle + 1
        else:
            high = middle
    return low < n and ids[low] == id


cdef uint32_t assoc_bound(const het_view *view, uint32_t uid, uint64_t account, bint whole_user) noexcept nogil:
    """First association not before (uid, account); with whole_user, the first of a later uid."""
    cdef uint32_t low = 0, high = view.n_assocs, middle, its
    while low < high:
        middle = low + ((high - low) >> 1)
        its = view.assoc.uid[middle]
        if its < uid or (its == uid and (whole_user or view.assoc.account[middle] < account)):
            low = middle + 1
        else:
            high = middle
    return low


cdef het_standing standing_of(const het_view *view, const het_author *author) noexcept nogil:
    cdef het_standing standing
    cdef uint32_t row, end = assoc_bound(view, author.uid, 0, True)
    standing.account = author.account
    if standing.account == 0:
        row = assoc_bound(view, author.uid, 0, False)
        while row < end and view.assoc.is_default[row] == 0:
            row += 1
        if row < end:
            standing.account = view.assoc.account[row]
    standing.first = assoc_bound(view, author.uid, standing.account, False)
    standing.end = standing.first
    while standing.account and standing.end < end and view.assoc.account[standing.end] == standing.account:
        standing.end += 1
    return standing


cdef uint32_t assoc_for(const het_view *view, const het_standing *standing, uint32_t part) noexcept nogil:
    """The association for this partition, else the one for any; n_assocs when there is neither."""
    cdef uint32_t low = standing.first, high = standing.end, middle
    while low < high:
        middle = low + ((high - low) >> 1)
        if view.assoc.part[middle] < part:
            low = middle + 1
        else:
            high = middle
    if low < standing.end and view.assoc.part[low] == part:
        return low
    low = standing.end  # rows for any partition sort last
    while low > standing.first and view.assoc.part[low - 1] == <uint32_t>HET_NO_PARTITION:
        low -= 1
    return low if low < standing.end else view.n_assocs


cdef uint32_t part_reasons "het_part_reasons"(const het_view *view, const het_author *author, const void *stands,
                                              uint32_t part) noexcept nogil:
    """What keeps this author, a het_standing, out of a partition."""
    cdef const het_standing *standing = <const het_standing *>stands
    cdef uint32_t why = 0, flags = view.part.flags[part], assoc, i
    cdef uint64_t qos = author.qos, hash
    cdef const uint64_t *list

    if author.n_partitions:
        hash = view.part.hash[part]
        why = HET_WHY_PARTITION_NAMED
        for i in range(min(author.n_partitions, <uint32_t>HET_MAX_PINS)):
            if author.partition[i] == hash:
                why = 0
    # An empty table means that associations could not be read, not that nobody has one.
    assoc = assoc_for(view, standing, part) if view.n_assocs else 0
    # An account that we do not know with this user may be minutes old: slurmctld judges that, for every partition alike.
    if (view.slot.flags & HET_SLOT_ASSOCIATIONS) and standing.first < standing.end and assoc == view.n_assocs:
        why |= HET_WHY_ASSOCIATION
    if flags == 0:
        return why
    if (flags & HET_PART_ROOT_ONLY) and not author.privileged:
        why |= HET_WHY_ROOT_ONLY
    if (flags & HET_PART_NO_ROOT) and author.uid == 0:
        why |= HET_WHY_NO_ROOT
    if (flags & HET_PART_REQ_RESV) and not author.has_reservation:
        why |= HET_WHY_REQ_RESV
    if flags & HET_PART_NO_SUBMIT:
        why |= HET_WHY_NO_SUBMIT
    if flags & HET_PART_DOWN:
        why |= HET_WHY_PARTITION_DOWN
    if flags & (HET_PART_ALLOW_ACCOUNT | HET_PART_DENY_ACCOUNT):
        list = view.ids + view.part.account_first[part]
        if has_id(list, view.part.account_count[part], standing.account) != ((flags & HET_PART_ALLOW_ACCOUNT) != 0):
            why |= HET_WHY_ACCOUNT
    if flags & (HET_PART_ALLOW_QOS | HET_PART_DENY_QOS):
        if qos == 0 and view.n_assocs:
            qos = view.assoc.default_qos[assoc] if assoc < view.n_assocs else 0
            if qos == 0:
                qos = HET_QOS_NORMAL  # what slurmctld falls back to
        list = view.ids + view.part.qos_first[part]
        if has_id(list, view.part.qos_count[part], qos) != ((flags & HET_PART_ALLOW_QOS) != 0):
            why |= HET_WHY_QOS
    if (flags & HET_PART_ALLOW_UID) and author.uid != 0:  # AllowGroups never keeps root out
        list = view.ids + view.part.uid_first[part]
        if not has_id(list, view.part.uid_count[part], author.uid):
            why |= HET_WHY_GROUP
    if (flags & HET_PART_ALLOW_HOST) and author.submit_host:
        list = view.ids + view.part.host_first[part]
        if not has_id(list, view.part.host_count[part], author.submit_host):
            why |= HET_WHY_SUBMIT_HOST
    return why


cdef uint32_t node_reasons "het_node_reasons"(const het_view *view, const het_author *author,
                                              size_t pool) noexcept nogil:
    """What keeps a pool's nodes from a --constraint or --nodelist."""
    cdef uint32_t why = 0, i, j, n
    cdef const uint64_t *list = view.ids + view.pool.feature_first[pool]
    cdef bint fits
    if author.n_terms:
        why = HET_WHY_CONSTRAINT
        for i in range(min(author.n_terms, <uint32_t>HET_MAX_TERMS)):
            fits = True
            n = min(author.n_features[i], <uint32_t>HET_MAX_TERMS)
            for j in range(n):
                if not has_id(list, view.pool.feature_count[pool], author.feature[i][j]):
                    fits = False
            if fits:
                why = 0
                break
    list = view.ids + view.pool.node_first[pool]
    for i in range(author.n_nodes):
        if not has_id(list, view.pool.node_count[pool], author.node[i]):
            why |= HET_WHY_NODELIST
            break
    return why


cdef public void het_admit(const het_view *view, const het_author *author, uint32_t *row) noexcept nogil:
    cdef het_standing standing = standing_of(view, author)
    cdef bint everywhere = not author.n_partitions and not (
        view.n_assocs and (view.slot.flags & HET_SLOT_ASSOCIATIONS))
    cdef bint by_node = author.n_terms or author.n_nodes
    cdef const uint32_t *parts = view.pool.part
    cdef const uint32_t *flags = view.part.flags
    cdef const uint32_t *own = view.pool.reasons
    cdef uint32_t part, why, known_part = <uint32_t>HET_NO_PARTITION, known = 0
    cdef size_t pool
    for pool in range(view.n_pools):
        part = parts[pool]
        why = own[pool]
        if not everywhere or flags[part] != 0:
            if part != known_part:
                known_part = part
                known = part_reasons(view, author, &standing, part)
            why |= known
        if by_node:
            why |= node_reasons(view, author, pool)
        row[pool] = why
