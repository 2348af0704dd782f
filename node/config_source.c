/* node/config_source.c: the file behind a configuration: its YAML nodes and the lines they stand on. */
#include "node/config_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 64, PARTS_MAX = 8 };

void config_complain(struct config_source *source, size_t line, const char *format, ...)
{
    va_list arguments;

    source->mistake_count++;
    if (source->mistake_count > CONFIG_MISTAKES_MAX)
        return;
    fprintf(source->complaints, "%s:%zu: ", source->path, line);
    va_start(arguments, format);
    vfprintf(source->complaints, format, arguments);
    va_end(arguments);
    fputc('\n', source->complaints);
}

/* The line of what stopped the parser. Its reader, which meets bytes that are no text, knows only
 * the offset. */
static size_t line_of_problem(const struct config_source *source, const yaml_parser_t *parser)
{
    size_t line = 1;

    if (parser->error != YAML_READER_ERROR)
        return parser->problem_mark.line + 1;
    for (size_t i = 0; i < parser->problem_offset && i < source->text_bytes; i++)
        line += source->text[i] == '\n';
    return line;
}

int config_source_parse(struct config_source *source)
{
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)source->text, source->text_bytes);
    if (!yaml_parser_load(&parser, &source->document)) {
        config_complain(source, line_of_problem(source, &parser),
                        "this is not YAML: %s%s%s; check the indentation, the colons and the "
                        "brackets here and on the line before",
                        parser.problem != NULL ? parser.problem : "unreadable",
                        parser.context != NULL ? " " : "",
                        parser.context != NULL ? parser.context : "");
        yaml_parser_delete(&parser);
        return -EINVAL;
    }
    yaml_parser_delete(&parser);
    return 0;
}

void config_source_close(struct config_source *source)
{
    yaml_document_delete(&source->document);
}

/* The value of `key` in a mapping; NULL: not there. */
static yaml_node_t *mapping_value(yaml_document_t *document, const yaml_node_t *mapping,
                                  const char *key)
{
    const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;

    for (; pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (name->type != YAML_SCALAR_NODE)
            continue;
        if (strcmp((const char *)name->data.scalar.value, key) == 0)
            return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

static yaml_node_t *sequence_value(yaml_document_t *document, const yaml_node_t *sequence,
                                   unsigned long index)
{
    const yaml_node_item_t *item = sequence->data.sequence.items.start;
    const size_t count = (size_t)(sequence->data.sequence.items.top - item);

    return index < count ? yaml_document_get_node(document, item[index]) : NULL;
}

/* One step down: `part` is "key" or "[index]". */
static yaml_node_t *step_down(yaml_document_t *document, const yaml_node_t *node, const char *part)
{
    if (part[0] == '[' && node->type == YAML_SEQUENCE_NODE)
        return sequence_value(document, node, strtoul(part + 1, NULL, 10));
    if (part[0] != '[' && node->type == YAML_MAPPING_NODE)
        return mapping_value(document, node, part);
    return NULL;
}

/* The value at `path`, or the nearest part of the way that is there; `whole`: which of them. */
static const yaml_node_t *find(struct config_source *source, const char *path, bool *whole)
{
    const yaml_node_t *node = yaml_document_get_root_node(&source->document);
    const char *rest = path;

    for (uint32_t depth = 0; depth < PARTS_MAX && *rest != '\0'; depth++) {
        char part[PART_BYTES];
        const size_t length = 1 + strcspn(rest + 1, ".[");

        snprintf(part, sizeof part, "%.*s", (int)length, rest);
        const yaml_node_t *next = step_down(&source->document, node, part);
        if (next == NULL)
            break;
        node = next;
        rest += length;
        rest += *rest == '.';
    }
    *whole = *rest == '\0';
    return node;
}

size_t config_source_line(struct config_source *source, const char *path)
{
    bool whole;

    return find(source, path, &whole)->start_mark.line + 1;
}

bool config_source_has(struct config_source *source, const char *path)
{
    bool whole;

    (void)find(source, path, &whole);
    return whole;
}
