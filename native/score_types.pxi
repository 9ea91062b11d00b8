# The structs of score_types.h, as Cython sees them. The C compiler holds every name and type to the headers.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef extern from "<score.h>":
    enum:
        HET_WAIT_SIZES, HET_WAIT_LENGTHS
        HET_NO_PARTITION
        HET_MAX_PINS
        HET_MAX_TERMS
        HET_MAX_JOB_DATA
        HET_N_REASONS
        HET_SLOT_ASSOCIATIONS
        HET_DEFAULT, HET_DECLARED, HET_PREDICTED, HET_MEASURED
        HET_TIER_NONE, HET_TIER_SOFT, HET_TIER_FEASIBLE
        HET_PART_ROOT_ONLY, HET_PART_NO_ROOT, HET_PART_REQ_RESV, HET_PART_NO_SUBMIT, HET_PART_DOWN
        HET_PART_ALLOW_ACCOUNT, HET_PART_DENY_ACCOUNT, HET_PART_ALLOW_QOS, HET_PART_DENY_QOS
        HET_PART_ALLOW_UID, HET_PART_ALLOW_HOST
        HET_WHY_KIND, HET_WHY_PARTITION_NAMED, HET_WHY_CONSTRAINT, HET_WHY_NODELIST, HET_WHY_DEVICES
        HET_WHY_CPUS, HET_WHY_MEMORY, HET_WHY_NODES, HET_WHY_MAX_NODES, HET_WHY_MIN_NODES, HET_WHY_MAX_TIME
        HET_WHY_ROOT_ONLY, HET_WHY_NO_ROOT, HET_WHY_REQ_RESV, HET_WHY_ACCOUNT, HET_WHY_QOS, HET_WHY_GROUP
        HET_WHY_SUBMIT_HOST, HET_WHY_ASSOCIATION, HET_WHY_NO_SUBMIT, HET_WHY_RESIDENCY, HET_WHY_MAX_COST
        HET_WHY_PARTITION_DOWN, HET_WHY_NO_NODE_UP, HET_WHY_DEADLINE
        HET_WHY_SOFT
    double HET_FOREVER

    struct het_weights:
        double time, cost, energy, scarcity

    struct het_slot:
        uint64_t generation
        int64_t written_at_ns, max_age_ns, read_at_ns
        uint64_t used
        uint32_t flags, default_part, default_objective, order_points
        double order_short_s, order_long_s
        het_weights preset[5]
        char currency[16]
        char cluster[64]

    # The column groups have no name in C: use them through a view only.
    struct het_pool_columns:
        const uint64_t *kind
        const uint64_t *type
        const uint32_t *name
        const uint32_t *kind_name
        const uint32_t *type_name
        const uint32_t *part
        const uint32_t *reasons
        const int32_t *nodes
        const int32_t *cpus_per_node
        const int32_t *devices_per_node
        const int32_t *mem_mb_per_node
        const int32_t *limit_min
        const int32_t *min_nodes
        const int32_t *max_nodes
        const int32_t *max_cpus_per_node
        const int32_t *max_mem_mb_per_node
        const uint32_t *feature_first
        const uint32_t *feature_count
        const uint32_t *node_first
        const uint32_t *node_count
        const double *units
        const double *units_free
        const double *wait_s
        const double *startup_s
        const uint64_t *bitstream
        const uint64_t *bitstream_id
        const double *bitstream_s
        const double *speed
        const double *price_cpu
        const double *price_device
        const double *price_node
        const double *watt_cpu
        const double *watt_device
        const double *watt_node
        const double *shadow
        const double *health
        const double *risk
        const uint8_t *wait_source
        const uint8_t *startup_source
        const uint8_t *bitstream_source
        const uint8_t *speed_source
        const uint8_t *price_source
        const uint8_t *watt_source
        const uint8_t *shadow_source
        const uint8_t *health_source

    struct het_cls_columns:
        const uint64_t *kind
        const uint64_t *type
        const uint32_t *first
        const uint32_t *count

    struct het_part_columns:
        const uint64_t *hash
        const uint32_t *name
        const uint32_t *flags
        const uint32_t *account_first
        const uint32_t *account_count
        const uint32_t *qos_first
        const uint32_t *qos_count
        const uint32_t *uid_first
        const uint32_t *uid_count
        const uint32_t *host_first
        const uint32_t *host_count

    struct het_assoc_columns:
        const uint32_t *uid
        const uint32_t *part
        const uint64_t *account
        const uint64_t *default_qos
        const uint32_t *is_default

    struct het_est_columns:
        const uint64_t *key
        const double *mean_s
        const double *spread
        const double *trust
        const double *log_sd
        const uint32_t *n
        const uint8_t *per_work
        const uint8_t *source

    struct het_site_columns:
        const uint32_t *prefix

    struct het_link_columns:
        const double *bytes_per_s
        const double *egress

    struct het_floor:
        int32_t nodes, cpus, devices, mem_mb, limit_min, max_nodes, min_nodes

    struct het_view:
        const het_slot *slot
        uint32_t n_pools, n_classes, n_parts, n_assocs, n_estimates, n_sites, n_ids, n_bytes
        het_pool_columns pool
        het_cls_columns cls
        het_part_columns part
        het_assoc_columns assoc
        het_est_columns est
        het_site_columns site
        het_link_columns link
        const uint64_t *ids
        const char *str
        const het_floor *floor

    struct het_author:
        uint32_t uid, privileged
        uint64_t account, qos, submit_host
        uint32_t has_reservation, n_partitions
        uint64_t partition[16]
        uint32_t n_terms
        uint32_t n_features[8]
        uint64_t feature[8][8]
        uint32_t n_nodes
        const uint64_t *node

    struct het_alt:
        uint64_t kind, type, bitstream, class_key, wider_key
        double declared_s
        uint32_t reasons
        int32_t nodes, cpus, devices, mem_mb, limit_min

    struct het_job:
        uint32_t first_alt, n_alts, row, n_tasks
        het_weights weights
        double work, deadline_s, max_cost_micro
        uint32_t n_data
        uint32_t site[8]
        double bytes[8]

    struct het_backlog:
        const double *units
        const double *unit_s

    struct het_place:
        int32_t alt, pool
        double wait_s

    struct het_terms:
        double wait_s, startup_s, transfer_s, run_s, run_high_s, scarce_s, money_micro, energy_j, risk, score
        uint8_t wait_source, startup_source, transfer_source, run_source
        uint8_t scarce_source, money_source, energy_source, health_source
        uint32_t reasons
        int32_t limit_min

    struct het_choice:
        int32_t alt, pool
        uint32_t tier, reasons
        het_terms terms

cdef extern from "<hash.h>":
    uint64_t het_hash(const char *s, size_t n) noexcept nogil

cdef extern from "<limit_growth.h>":
    int32_t het_grown_limit(int32_t limit_min, double declared_s, double run_s, double speed, int32_t most_min) noexcept nogil

cdef extern from "<length_class.h>":
    int het_length_class(int32_t limit_min) noexcept nogil

cdef extern from "<resolve.h>":
    uint64_t het_estimate_key(uint64_t app_key, uint64_t type) noexcept nogil
