/* node/config_internal.h: what the files of the configuration share; nobody else includes it. */
#ifndef NODE_CONFIG_INTERNAL_H
#define NODE_CONFIG_INTERNAL_H

#include "node/config.h"

#include <cyaml/cyaml.h>
#include <yaml.h>

/* A number's bounds, found by the path of its key ("timing.heartbeat_ms", "members[].node"). */
struct config_rule {
    const char *path;
    uint64_t usual, least, most;
    size_t offset; /* of its uint64_t in struct config; CONFIG_RULE_NO_DEFAULT: it has no default */
    bool power_of_two;
};
#define CONFIG_RULE_NO_DEFAULT SIZE_MAX

extern const cyaml_schema_value_t config_schema;
extern const struct config_rule config_rules[];
extern const uint32_t config_rule_count;

/* The file as libyaml sees it: kept until the last check, for the lines. */
struct config_source {
    const char *path; /* of the file, as the user named it */
    const char *text;
    size_t text_bytes;
    yaml_document_t document;
    FILE *complaints;
    uint32_t mistake_count;
};

/* One mistake: "path:line: sentence". */
void config_complain(struct config_source *source, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* 0, or a complaint about what is no YAML. */
int config_source_parse(struct config_source *source);
void config_source_close(struct config_source *source);
/* Line of the value at a path like "members[2].node"; of the nearest part of it that is there. */
size_t config_source_line(struct config_source *source, const char *path);
bool config_source_has(struct config_source *source, const char *path);
/* Walks the schema: unknown, doubled and missing keys, kinds, enumerations, bounds. */
void config_check_schema(struct config_source *source);
/* What relates several values. */
void config_check_meaning(struct config_source *source, const struct config *config);

#endif
