/* node/config_schema.c: the schema of the configuration file, made from the lists in config.h. */
#include "node/config_internal.h"

#include <stddef.h>

#define FIELD_UINT(structure, key) CYAML_FIELD_UINT(#key, CYAML_FLAG_OPTIONAL, structure, key)
#define RULE(section, key, usual, least, most, power) \
    {#section "." #key, usual, least, most, offsetof(struct config, section.key), power},

#define TIMING_FIELD(key, usual, least, most, power) FIELD_UINT(struct config_timing, key),
#define LOG_FIELD(key, usual, least, most, power)    FIELD_UINT(struct config_log, key),
#define STORE_FIELD(key, usual, least, most, power)  FIELD_UINT(struct config_store, key),
#define SNAPSHOT_FIELD(key, usual, least, most, power) \
    FIELD_UINT(struct config_snapshot, key),
#define LIMITS_FIELD(key, usual, least, most, power) FIELD_UINT(struct config_limits, key),

#define TIMING_RULE(key, usual, least, most, power) RULE(timing, key, usual, least, most, power)
#define LOG_RULE(key, usual, least, most, power)    RULE(log, key, usual, least, most, power)
#define STORE_RULE(key, usual, least, most, power)  RULE(store, key, usual, least, most, power)
#define SNAPSHOT_RULE(key, usual, least, most, power) \
    RULE(snapshot, key, usual, least, most, power)
#define LIMITS_RULE(key, usual, least, most, power) RULE(limits, key, usual, least, most, power)

static const cyaml_strval_t flush_names[] = {
    {"dsync", CONFIG_FLUSH_DSYNC},
    {"fdatasync", CONFIG_FLUSH_FDATASYNC},
};

static const cyaml_strval_t port_kind_names[] = {{"memif", CONFIG_PORT_MEMIF}};

static const cyaml_strval_t idle_names[] = {
    {"adaptive", CONFIG_IDLE_ADAPTIVE},
    {"busy", CONFIG_IDLE_BUSY},
};

static const cyaml_strval_t reads_names[] = {
    {"quorum", CONFIG_READS_QUORUM},
    {"lease", CONFIG_READS_LEASE},
};

static const cyaml_strval_t yes_names[] = {{"false", 0}, {"true", 1}};

static const cyaml_strval_t role_names[] = {
    {"rx", CONFIG_ROLE_RX},           {"api", CONFIG_ROLE_API},     {"raft", CONFIG_ROLE_RAFT},
    {"persist", CONFIG_ROLE_PERSIST}, {"store", CONFIG_ROLE_STORE}, {"tx", CONFIG_ROLE_TX},
};

static const cyaml_schema_field_t timing_fields[] = {CONFIG_TIMING_LIST(TIMING_FIELD)
                                                         CYAML_FIELD_END};

static const cyaml_schema_field_t log_fields[] = {
    CYAML_FIELD_ENUM("flush", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_log, flush,
                     flush_names, CYAML_ARRAY_LEN(flush_names)),
    CONFIG_LOG_LIST(LOG_FIELD) CYAML_FIELD_END};

static const cyaml_schema_field_t store_fields[] = {CONFIG_STORE_LIST(STORE_FIELD) CYAML_FIELD_END};

static const cyaml_schema_field_t snapshot_fields[] = {CONFIG_SNAPSHOT_LIST(SNAPSHOT_FIELD)
                                                           CYAML_FIELD_END};

static const cyaml_schema_field_t limits_fields[] = {CONFIG_LIMITS_LIST(LIMITS_FIELD)
                                                         CYAML_FIELD_END};

static const cyaml_schema_field_t port_fields[] = {
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT, struct config_port, kind, port_kind_names,
                     CYAML_ARRAY_LEN(port_kind_names)),
    CYAML_FIELD_END};

static const cyaml_schema_field_t member_fields[] = {
    CYAML_FIELD_UINT("node", CYAML_FLAG_DEFAULT, struct config_member, node),
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct config_member, name, 1,
                           CONFIG_NAME_BYTES - 1),
    CYAML_FIELD_STRING_PTR("client", CYAML_FLAG_POINTER, struct config_member, client, 1,
                           CONFIG_ADDRESS_BYTES - 1),
    CYAML_FIELD_ENUM("joins", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_member, joins,
                     yes_names, CYAML_ARRAY_LEN(yes_names)),
    CYAML_FIELD_UINT("priority", CYAML_FLAG_OPTIONAL, struct config_member, priority),
    CYAML_FIELD_END};

static const cyaml_schema_value_t member_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_member, member_fields)};

static const cyaml_schema_value_t role_schema = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, int, role_names, CYAML_ARRAY_LEN(role_names))};

static const cyaml_schema_field_t lcore_fields[] = {
    CYAML_FIELD_INT_PTR("cpu", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_lcore, cpu),
    CYAML_FIELD_SEQUENCE("roles", CYAML_FLAG_POINTER, struct config_lcore, roles, &role_schema, 1,
                         CONFIG_ROLE_COUNT),
    CYAML_FIELD_END};

static const cyaml_schema_value_t lcore_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_lcore, lcore_fields)};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_UINT("cluster", CYAML_FLAG_DEFAULT, struct config, cluster),
    CYAML_FIELD_UINT("node", CYAML_FLAG_DEFAULT, struct config, node),
    CYAML_FIELD_STRING_PTR("data", CYAML_FLAG_POINTER, struct config, data, 1, 4095),
    CYAML_FIELD_STRING_PTR("run", CYAML_FLAG_POINTER, struct config, run, 1, 4095),
    CYAML_FIELD_STRING_PTR("links", CYAML_FLAG_POINTER, struct config, links, 1, 4095),
    CYAML_FIELD_SEQUENCE("members", CYAML_FLAG_POINTER, struct config, members, &member_schema, 1,
                         CONFIG_MEMBERS_MAX),
    CYAML_FIELD_SEQUENCE("lcores", CYAML_FLAG_POINTER, struct config, lcores, &lcore_schema, 1,
                         CONFIG_LCORES_MAX),
    CYAML_FIELD_ENUM("idle", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config, idle,
                     idle_names, CYAML_ARRAY_LEN(idle_names)),
    CYAML_FIELD_ENUM("reads", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config, reads,
                     reads_names, CYAML_ARRAY_LEN(reads_names)),
    CYAML_FIELD_MAPPING("port", CYAML_FLAG_DEFAULT, struct config, port, port_fields),
    CYAML_FIELD_MAPPING("timing", CYAML_FLAG_OPTIONAL, struct config, timing, timing_fields),
    CYAML_FIELD_MAPPING("log", CYAML_FLAG_OPTIONAL, struct config, log, log_fields),
    CYAML_FIELD_MAPPING("store", CYAML_FLAG_OPTIONAL, struct config, store, store_fields),
    CYAML_FIELD_MAPPING("snapshot", CYAML_FLAG_OPTIONAL, struct config, snapshot, snapshot_fields),
    CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, struct config, limits, limits_fields),
    CYAML_FIELD_END};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields)};

const struct config_rule config_rules[] = {
    {"cluster", 0, 1, INT64_MAX, CONFIG_RULE_NO_DEFAULT, false},
    {"node", 0, 1, 65535, CONFIG_RULE_NO_DEFAULT, false},
    {"members[].node", 0, 1, 65535, CONFIG_RULE_NO_DEFAULT, false},
    {"members[].priority", 0, 0, 255, CONFIG_RULE_NO_DEFAULT, false},
    {"lcores[].cpu", 0, 0, 1023, CONFIG_RULE_NO_DEFAULT, false},
    CONFIG_TIMING_LIST(TIMING_RULE) CONFIG_LOG_LIST(LOG_RULE) CONFIG_STORE_LIST(STORE_RULE)
        CONFIG_SNAPSHOT_LIST(SNAPSHOT_RULE) CONFIG_LIMITS_LIST(LIMITS_RULE)};

const uint32_t config_rule_count = CYAML_ARRAY_LEN(config_rules);
