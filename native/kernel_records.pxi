# The kernel's structs as NumPy records: sizes and offsets come from the C compiler.
cdef extern from *:
    """
    #include <stddef.h>
    struct het_field { const char *name, *format; size_t offset; int rows, columns; };
    #define HET_AT(type, name, format, rows, columns) {#name, format, offsetof(struct type, name), rows, columns}
    static const struct het_field het_weights_fields[] = {HET_AT(het_weights, time, "f8", 0, 0),
        HET_AT(het_weights, cost, "f8", 0, 0), HET_AT(het_weights, energy, "f8", 0, 0),
        HET_AT(het_weights, scarcity, "f8", 0, 0), {0}};
    static const struct het_field het_author_fields[] = {HET_AT(het_author, uid, "u4", 0, 0),
        HET_AT(het_author, privileged, "u4", 0, 0), HET_AT(het_author, account, "u8", 0, 0),
        HET_AT(het_author, qos, "u8", 0, 0), HET_AT(het_author, submit_host, "u8", 0, 0),
        HET_AT(het_author, has_reservation, "u4", 0, 0), HET_AT(het_author, n_partitions, "u4", 0, 0),
        HET_AT(het_author, partition, "u8", HET_MAX_PINS, 0), HET_AT(het_author, n_terms, "u4", 0, 0),
        HET_AT(het_author, n_features, "u4", HET_MAX_TERMS, 0),
        HET_AT(het_author, feature, "u8", HET_MAX_TERMS, HET_MAX_TERMS), HET_AT(het_author, n_nodes, "u4", 0, 0), {0}};
    static const struct het_field het_alt_fields[] = {HET_AT(het_alt, kind, "u8", 0, 0), HET_AT(het_alt, type, "u8", 0, 0),
        HET_AT(het_alt, bitstream, "u8", 0, 0),
        HET_AT(het_alt, class_key, "u8", 0, 0), HET_AT(het_alt, wider_key, "u8", 0, 0),
        HET_AT(het_alt, declared_s, "f8", 0, 0),
        HET_AT(het_alt, reasons, "u4", 0, 0), HET_AT(het_alt, nodes, "i4", 0, 0), HET_AT(het_alt, cpus, "i4", 0, 0),
        HET_AT(het_alt, devices, "i4", 0, 0), HET_AT(het_alt, mem_mb, "i4", 0, 0),
        HET_AT(het_alt, limit_min, "i4", 0, 0), {0}};
    static const struct het_field het_job_fields[] = {HET_AT(het_job, first_alt, "u4", 0, 0),
        HET_AT(het_job, n_alts, "u4", 0, 0), HET_AT(het_job, row, "u4", 0, 0), HET_AT(het_job, n_tasks, "u4", 0, 0),
        HET_AT(het_job, weights, "weights", 0, 0), HET_AT(het_job, work, "f8", 0, 0),
        HET_AT(het_job, deadline_s, "f8", 0, 0), HET_AT(het_job, max_cost_micro, "f8", 0, 0),
        HET_AT(het_job, n_data, "u4", 0, 0), HET_AT(het_job, site, "u4", HET_MAX_JOB_DATA, 0),
        HET_AT(het_job, bytes, "f8", HET_MAX_JOB_DATA, 0), {0}};
    static const struct het_field het_terms_fields[] = {HET_AT(het_terms, wait_s, "f8", 0, 0),
        HET_AT(het_terms, startup_s, "f8", 0, 0), HET_AT(het_terms, transfer_s, "f8", 0, 0),
        HET_AT(het_terms, run_s, "f8", 0, 0), HET_AT(het_terms, run_high_s, "f8", 0, 0),
        HET_AT(het_terms, scarce_s, "f8", 0, 0),
        HET_AT(het_terms, money_micro, "f8", 0, 0), HET_AT(het_terms, energy_j, "f8", 0, 0),
        HET_AT(het_terms, risk, "f8", 0, 0), HET_AT(het_terms, score, "f8", 0, 0),
        HET_AT(het_terms, wait_source, "u1", 0, 0), HET_AT(het_terms, startup_source, "u1", 0, 0),
        HET_AT(het_terms, transfer_source, "u1", 0, 0), HET_AT(het_terms, run_source, "u1", 0, 0),
        HET_AT(het_terms, scarce_source, "u1", 0, 0), HET_AT(het_terms, money_source, "u1", 0, 0),
        HET_AT(het_terms, energy_source, "u1", 0, 0), HET_AT(het_terms, health_source, "u1", 0, 0),
        HET_AT(het_terms, reasons, "u4", 0, 0), HET_AT(het_terms, limit_min, "i4", 0, 0), {0}};
    static const struct het_field het_place_fields[] = {HET_AT(het_place, alt, "i4", 0, 0), HET_AT(het_place, pool, "i4", 0, 0),
        HET_AT(het_place, wait_s, "f8", 0, 0), {0}};
    static const struct het_field het_choice_fields[] = {HET_AT(het_choice, alt, "i4", 0, 0),
        HET_AT(het_choice, pool, "i4", 0, 0), HET_AT(het_choice, tier, "u4", 0, 0),
        HET_AT(het_choice, reasons, "u4", 0, 0), HET_AT(het_choice, terms, "terms", 0, 0), {0}};
    """
    ctypedef struct het_field "struct het_field":
        const char *name
        const char *format
        size_t offset
        int rows, columns
    const het_field het_weights_fields[]
    const het_field het_author_fields[]
    const het_field het_alt_fields[]
    const het_field het_job_fields[]
    const het_field het_terms_fields[]
    const het_field het_choice_fields[]
    const het_field het_place_fields[]


cdef object record(const het_field *fields, size_t size, dict nested):
    names, formats, offsets = [], [], []
    while fields.name is not NULL:
        format = fields.format.decode("ascii")
        shape = tuple(n for n in (fields.rows, fields.columns) if n)
        names.append(fields.name.decode("ascii"))
        formats.append((nested.get(format, format), shape) if shape else nested.get(format, format))
        offsets.append(fields.offset)
        fields += 1
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})


WEIGHTS_DTYPE = record(het_weights_fields, sizeof(het_weights), {})
AUTHOR_DTYPE = record(het_author_fields, sizeof(het_author), {})
ALT_DTYPE = record(het_alt_fields, sizeof(het_alt), {})
JOB_DTYPE = record(het_job_fields, sizeof(het_job), {"weights": WEIGHTS_DTYPE})
PLACE_DTYPE = record(het_place_fields, sizeof(het_place), {})
TERMS_DTYPE = record(het_terms_fields, sizeof(het_terms), {})
BEHIND_DTYPE = np.dtype([("row", "i8"), ("n", "u4"), ("log_sd", "f8"), ("wider", "?")])
CHOICE_DTYPE = record(het_choice_fields, sizeof(het_choice), {"terms": TERMS_DTYPE})
