/* node/config.c: from a file to a checked configuration. */
#include "node/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What libcyaml says goes nowhere: config_check.c has said it before, with its line. */
static const cyaml_config_t cyaml_settings = {
    .log_level = CYAML_LOG_ERROR,
    .log_fn = NULL,
    .mem_fn = cyaml_mem,
};

static const char *const role_name[CONFIG_ROLE_COUNT] = {
    [CONFIG_ROLE_RX] = "rx",           [CONFIG_ROLE_API] = "api",     [CONFIG_ROLE_RAFT] = "raft",
    [CONFIG_ROLE_PERSIST] = "persist", [CONFIG_ROLE_STORE] = "store", [CONFIG_ROLE_TX] = "tx",
};

const char *config_role_name(enum config_role role)
{
    return role_name[role];
}

/* The whole file, to be freed; NULL with the reason in errno. */
static char *read_file(const char *path, size_t *bytes)
{
    struct stat status;
    char *text = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &status) != 0)
        goto out;
    errno = S_ISDIR(status.st_mode) ? EISDIR : EFBIG;
    if (!S_ISREG(status.st_mode) || status.st_size > CONFIG_FILE_BYTES_MAX)
        goto out;
    text = malloc((size_t)status.st_size + 1);
    if (text == NULL)
        goto out;
    const ssize_t got = read(fd, text, (size_t)status.st_size);
    if (got < 0) {
        free(text);
        text = NULL;
        goto out;
    }
    *bytes = (size_t)got;
out:
    close(fd);
    return text;
}

static void fill_defaults(struct config_source *source, struct config *config)
{
    for (uint32_t i = 0; i < config_rule_count; i++) {
        const struct config_rule *rule = &config_rules[i];
        if (rule->offset == CONFIG_RULE_NO_DEFAULT)
            continue;
        uint64_t *value = (uint64_t *)(void *)((char *)config + rule->offset);
        if (*value == 0 && !config_source_has(source, rule->path))
            *value = rule->usual;
    }
}

/* Makes `*path` absolute, from the folder that the configuration lies in. */
static int resolve(char **path, const char *folder)
{
    char joined[PATH_MAX];

    if ((*path)[0] == '/')
        return 0;
    const int length = snprintf(joined, sizeof joined, "%s/%s", folder, *path);
    if (length < 0 || (size_t)length >= sizeof joined)
        return -ENAMETOOLONG;
    char *copy = strdup(joined);
    if (copy == NULL)
        return -ENOMEM;
    free(*path); /* libcyaml's memory is malloc's: cyaml_mem() */
    *path = copy;
    return 0;
}

static int resolve_paths(struct config *config, const char *file)
{
    char folder[PATH_MAX];
    int result;

    if (realpath(file, folder) == NULL)
        return -errno;
    *strrchr(folder, '/') = '\0';
    if ((result = resolve(&config->data, folder)) != 0)
        return result;
    if ((result = resolve(&config->run, folder)) != 0)
        return result;
    return resolve(&config->links, folder);
}

static int compare_members(const void *a, const void *b)
{
    const struct config_member *left = a;
    const struct config_member *right = b;
    return (left->node > right->node) - (left->node < right->node);
}

/* libcyaml makes the struct of what has passed the walk; then what only the struct can show. */
static void build(struct config_source *source, struct config **out)
{
    struct config *config = NULL;
    const cyaml_err_t error =
        cyaml_load_data((const uint8_t *)source->text, source->text_bytes, &cyaml_settings,
                        &config_schema, (cyaml_data_t **)&config, NULL);

    if (error != CYAML_OK) {
        config_complain(source, 1, "libcyaml refuses the file: %s", cyaml_strerror(error));
        return;
    }
    fill_defaults(source, config);
    if (resolve_paths(config, source->path) != 0)
        config_complain(source, 1, "its folder can't be found out: %s", strerror(errno));
    config_check_meaning(source, config);
    qsort(config->members, config->members_count, sizeof config->members[0], compare_members);
    *out = config;
}

int config_load(const char *path, struct config **out, FILE *complaints)
{
    struct config_source source = {.path = path, .complaints = complaints};
    struct config *config = NULL;
    char *text = read_file(path, &source.text_bytes);

    if (text == NULL) {
        fprintf(complaints, "%s: the configuration can't be read: %s; config/ has examples\n", path,
                strerror(errno));
        return 1;
    }
    source.text = text;
    if (config_source_parse(&source) == 0) {
        config_check_schema(&source);
        if (source.mistake_count == 0)
            build(&source, &config);
        config_source_close(&source);
    }
    free(text);
    if (source.mistake_count > CONFIG_MISTAKES_MAX)
        fprintf(complaints, "%s: and %u more\n", path, source.mistake_count - CONFIG_MISTAKES_MAX);
    if (source.mistake_count > 0) {
        config_free(config);
        return (int)source.mistake_count;
    }
    *out = config;
    return 0;
}

void config_free(struct config *config)
{
    cyaml_free(&cyaml_settings, &config_schema, config, 0);
}

const struct config_member *config_self(const struct config *config)
{
    for (uint32_t i = 0; i < config->members_count; i++) {
        if (config->members[i].node == config->node)
            return &config->members[i];
    }
    return NULL;
}
