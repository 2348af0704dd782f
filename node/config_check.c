/* node/config_check.c: the schema walked over the file's YAML nodes: each mistake with its line.
 *
 * The walk is a list of (node, schema, path) still to be looked at; a node's children are added to
 * its end. Each value of the file is visited once, so the list is bounded by what the file may hold.
 */
#include "node/config_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    VISITS_MAX = 512, /* a full configuration has under 200 values; more is refused */
    PATH_BYTES = 96,
    ALLOWED_BYTES = 640,
};

struct visit {
    yaml_node_t *node;
    const cyaml_schema_value_t *schema;
    char path[PATH_BYTES]; /* sequences as "[]" */
};

struct walk {
    struct config_source *source;
    uint32_t count;
    struct visit visit[VISITS_MAX];
};

static size_t line_of(const yaml_node_t *node)
{
    return node->start_mark.line + 1;
}

static const char *text_of(const yaml_node_t *scalar)
{
    return (const char *)scalar->data.scalar.value;
}

static void walk_add(struct walk *walk, yaml_node_t *node, const cyaml_schema_value_t *schema,
                     const char *path)
{
    if (walk->count == VISITS_MAX) {
        config_complain(walk->source, line_of(node), "too many values: at most %d are read",
                        VISITS_MAX);
        return;
    }
    struct visit *visit = &walk->visit[walk->count++];
    visit->node = node;
    visit->schema = schema;
    snprintf(visit->path, sizeof visit->path, "%.*s", PATH_BYTES - 1, path);
}

static const cyaml_schema_field_t *field_of(const cyaml_schema_field_t *fields, const char *key)
{
    for (const cyaml_schema_field_t *field = fields; field->key != NULL; field++) {
        if (strcmp(field->key, key) == 0)
            return field;
    }
    return NULL;
}

/* ", "-separated, cut off when it gets absurdly long. */
static void list_add(char *list, const char *word)
{
    const size_t used = strlen(list);
    snprintf(list + used, ALLOWED_BYTES - used, "%s%s", used > 0 ? ", " : "", word);
}

static void complain_unknown(struct walk *walk, const struct visit *visit, const yaml_node_t *key)
{
    char allowed[ALLOWED_BYTES] = "";

    for (const cyaml_schema_field_t *f = visit->schema->mapping.fields; f->key != NULL; f++)
        list_add(allowed, f->key);
    config_complain(walk->source, line_of(key), "unknown key \"%s\"%s%s; allowed here: %s",
                    text_of(key), visit->path[0] != '\0' ? " in " : "", visit->path, allowed);
}

/* The line of the same key earlier in the mapping; 0: this is the first. */
static size_t earlier_line(yaml_document_t *document, const yaml_node_t *mapping,
                           const yaml_node_pair_t *until)
{
    const char *name = text_of(yaml_document_get_node(document, until->key));

    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < until; p++) {
        const yaml_node_t *key = yaml_document_get_node(document, p->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(text_of(key), name) == 0)
            return line_of(key);
    }
    return 0;
}

static void check_pair(struct walk *walk, const struct visit *visit, const yaml_node_pair_t *pair)
{
    yaml_document_t *document = &walk->source->document;
    yaml_node_t *key = yaml_document_get_node(document, pair->key);
    yaml_node_t *value = yaml_document_get_node(document, pair->value);
    char path[PATH_BYTES + 64];

    if (key->type != YAML_SCALAR_NODE) {
        config_complain(walk->source, line_of(key), "a key must be a plain word");
        return;
    }
    const cyaml_schema_field_t *field = field_of(visit->schema->mapping.fields, text_of(key));
    if (field == NULL) {
        complain_unknown(walk, visit, key);
        return;
    }
    const size_t earlier = earlier_line(document, visit->node, pair);
    if (earlier != 0) {
        config_complain(walk->source, line_of(key),
                        "key \"%s\" stands here a second time; the first is on line %zu, keep one",
                        text_of(key), earlier);
        return;
    }
    snprintf(path, sizeof path, "%s%s%s", visit->path, visit->path[0] != '\0' ? "." : "",
             field->key);
    walk_add(walk, value, &field->value, path);
}

static void check_missing(struct walk *walk, const struct visit *visit)
{
    yaml_document_t *document = &walk->source->document;

    for (const cyaml_schema_field_t *f = visit->schema->mapping.fields; f->key != NULL; f++) {
        bool found = (f->value.flags & CYAML_FLAG_OPTIONAL) != 0;
        const yaml_node_pair_t *p = visit->node->data.mapping.pairs.start;

        for (; p < visit->node->data.mapping.pairs.top && !found; p++) {
            const yaml_node_t *key = yaml_document_get_node(document, p->key);
            found = key->type == YAML_SCALAR_NODE && strcmp(text_of(key), f->key) == 0;
        }
        if (!found)
            config_complain(walk->source, line_of(visit->node), "key \"%s\" is missing%s%s", f->key,
                            visit->path[0] != '\0' ? " in " : "", visit->path);
    }
}

static void check_mapping(struct walk *walk, const struct visit *visit)
{
    if (visit->node->type != YAML_MAPPING_NODE) {
        config_complain(walk->source, line_of(visit->node),
                        "%s must be keys with values (key: value), one below the other",
                        visit->path[0] != '\0' ? visit->path : "a configuration");
        return;
    }
    const yaml_node_pair_t *pair = visit->node->data.mapping.pairs.start;
    for (; pair < visit->node->data.mapping.pairs.top; pair++)
        check_pair(walk, visit, pair);
    check_missing(walk, visit);
}

static void check_sequence(struct walk *walk, const struct visit *visit)
{
    const uint32_t least = visit->schema->sequence.min;
    const uint32_t most = visit->schema->sequence.max;
    char path[PATH_BYTES + 4];

    if (visit->node->type != YAML_SEQUENCE_NODE) {
        config_complain(walk->source, line_of(visit->node),
                        "%s must be a list: [a, b] or lines that begin with \"- \"", visit->path);
        return;
    }
    const yaml_node_item_t *item = visit->node->data.sequence.items.start;
    const size_t count = (size_t)(visit->node->data.sequence.items.top - item);
    if (count < least || count > most) {
        config_complain(walk->source, line_of(visit->node),
                        "%s has %zu entries; allowed are %u to %u", visit->path, count, least,
                        most);
        return;
    }
    snprintf(path, sizeof path, "%s[]", visit->path);
    for (size_t i = 0; i < count; i++)
        walk_add(walk, yaml_document_get_node(&walk->source->document, item[i]),
                 visit->schema->sequence.entry, path);
}

static const struct config_rule *rule_of(const char *path)
{
    for (uint32_t i = 0; i < config_rule_count; i++) {
        if (strcmp(config_rules[i].path, path) == 0)
            return &config_rules[i];
    }
    return NULL;
}

static void check_number(struct walk *walk, const struct visit *visit)
{
    const struct config_rule *rule = rule_of(visit->path);
    const char *text = text_of(visit->node);
    char *end;

    /* strtoull() takes signs and spaces; a configuration does not. */
    errno = 0;
    const uint64_t value = strtoull(text, &end, 0);
    const bool number = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    const bool fits = number && value >= rule->least && value <= rule->most;
    const bool shaped = !rule->power_of_two || (value & (value - 1)) == 0;
    if (!fits || !shaped)
        config_complain(walk->source, line_of(visit->node),
                        "%s is \"%s\"; allowed is a whole number from %" PRIu64 " to %" PRIu64 "%s",
                        visit->path, text, rule->least, rule->most,
                        rule->power_of_two ? " that is a power of two" : "");
}

static void check_choice(struct walk *walk, const struct visit *visit)
{
    char allowed[ALLOWED_BYTES] = "";

    for (uint32_t i = 0; i < visit->schema->enumeration.count; i++) {
        if (strcmp(visit->schema->enumeration.strings[i].str, text_of(visit->node)) == 0)
            return;
        list_add(allowed, visit->schema->enumeration.strings[i].str);
    }
    config_complain(walk->source, line_of(visit->node), "%s is \"%s\"; allowed: %s", visit->path,
                    text_of(visit->node), allowed);
}

static void check_string(struct walk *walk, const struct visit *visit)
{
    const size_t length = visit->node->data.scalar.length;

    if (length < visit->schema->string.min || length > visit->schema->string.max)
        config_complain(walk->source, line_of(visit->node),
                        "%s has %zu characters; allowed are %u to %u", visit->path, length,
                        visit->schema->string.min, visit->schema->string.max);
}

static void check_scalar(struct walk *walk, const struct visit *visit)
{
    if (visit->node->type != YAML_SCALAR_NODE) {
        config_complain(walk->source, line_of(visit->node), "%s must be a single value",
                        visit->path);
        return;
    }
    switch (visit->schema->type) {
    case CYAML_UINT:
    case CYAML_INT:
        check_number(walk, visit);
        break;
    case CYAML_ENUM:
        check_choice(walk, visit);
        break;
    default:
        check_string(walk, visit);
        break;
    }
}

void config_check_schema(struct config_source *source)
{
    yaml_node_t *root = yaml_document_get_root_node(&source->document);

    if (root == NULL) {
        config_complain(source, 1, "the file is empty; config/ has commented examples");
        return;
    }
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) {
        config_complain(source, 1, "no memory to read it");
        return;
    }
    walk->source = source;
    walk_add(walk, root, &config_schema, "");
    for (uint32_t i = 0; i < walk->count; i++) {
        const struct visit *visit = &walk->visit[i];
        if (visit->schema->type == CYAML_MAPPING)
            check_mapping(walk, visit);
        else if (visit->schema->type == CYAML_SEQUENCE)
            check_sequence(walk, visit);
        else
            check_scalar(walk, visit);
    }
    free(walk);
}
