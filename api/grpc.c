/* api/grpc.c: framing and the small grammars of gRPC's headers. */
#include "api/grpc.h"

#include "base/assert.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *path;
    uint8_t length;
    uint8_t method;
} methods[] = {
#define GRPC_PATH(path_of, method_of)           \
    {                                           \
        path_of, sizeof(path_of) - 1, method_of \
    }
    GRPC_PATH("/etcdserverpb.KV/Put", GRPC_KV_PUT),
    GRPC_PATH("/etcdserverpb.KV/Range", GRPC_KV_RANGE),
    GRPC_PATH("/etcdserverpb.KV/DeleteRange", GRPC_KV_DELETE_RANGE),
    GRPC_PATH("/etcdserverpb.Maintenance/Status", GRPC_MAINTENANCE_STATUS),
    GRPC_PATH("/etcdserverpb.Cluster/MemberList", GRPC_CLUSTER_MEMBER_LIST),
#undef GRPC_PATH
};

enum { METHOD_COUNT = sizeof methods / sizeof methods[0], TIMEOUT_DIGITS_MAX = 8 };

static bool service_known(const char *service, size_t length);

enum grpc_method grpc_method_find(const uint8_t *path, size_t length)
{
    for (uint32_t i = 0; i < METHOD_COUNT; i++) {
        if (methods[i].length == length && memcmp(methods[i].path, path, length) == 0)
            return (enum grpc_method)methods[i].method;
    }
    return GRPC_METHOD_NONE;
}

/* The three sentences are grpc-go's. */
void grpc_method_missing(const char *path, char *out, size_t out_bytes)
{
    const char *slash = strrchr(path, '/');

    if (path[0] != '/' || slash == path) {
        snprintf(out, out_bytes, "malformed method name: \"%s\"", path);
        return;
    }
    const int service_bytes = (int)(slash - path - 1);
    if (service_known(path + 1, (size_t)service_bytes))
        snprintf(out, out_bytes, "unknown method %s for service %.*s", slash + 1, service_bytes,
                 path + 1);
    else
        snprintf(out, out_bytes, "unknown service %.*s", service_bytes, path + 1);
}

bool grpc_content_type_good(const uint8_t *value, size_t length)
{
    static const char wanted[] = "application/grpc";
    const size_t wanted_bytes = sizeof wanted - 1;

    if (length < wanted_bytes || memcmp(value, wanted, wanted_bytes) != 0)
        return false;
    return length == wanted_bytes || value[wanted_bytes] == '+' || value[wanted_bytes] == ';';
}

bool grpc_timeout_parse(const uint8_t *value, size_t length, uint64_t *timeout_ns)
{
    uint64_t count = 0, unit_ns;

    if (length < 2 || length > TIMEOUT_DIGITS_MAX + 1)
        return false;
    for (size_t i = 0; i < length - 1; i++) {
        if (value[i] < '0' || value[i] > '9')
            return false;
        count = count * 10 + (uint64_t)(value[i] - '0');
    }
    switch (value[length - 1]) {
    case 'n':
        unit_ns = 1;
        break;
    case 'u':
        unit_ns = 1000;
        break;
    case 'm':
        unit_ns = 1000000;
        break;
    case 'S':
        unit_ns = 1000000000;
        break;
    case 'M':
        unit_ns = 60ULL * 1000000000;
        break;
    case 'H':
        unit_ns = 3600ULL * 1000000000;
        break;
    default:
        return false;
    }
    /* Eight digits of hours are more nanoseconds than 64 bits hold: then it is for ever. */
    *timeout_ns = count > UINT64_MAX / unit_ns ? UINT64_MAX : count * unit_ns;
    return true;
}

size_t grpc_text_encode(const char *text, char *out, size_t out_bytes)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t used = 0;

    for (const char *at = text; *at != '\0'; at++) {
        const uint8_t byte = (uint8_t)*at;
        const bool plain = byte >= 0x20 && byte <= 0x7e && byte != '%';
        if (used + (plain ? 1 : 3) > out_bytes)
            break;
        if (plain) {
            out[used++] = *at;
        } else {
            out[used++] = '%';
            out[used++] = hex[byte >> 4];
            out[used++] = hex[byte & 15];
        }
    }
    return used;
}

enum grpc_event grpc_framer_next(struct grpc_framer *f, struct grpc_input *input)
{
    if (f->prefix_used == GRPC_PREFIX_BYTES && f->left == 0)
        f->prefix_used = 0; /* the message before is complete */

    if (f->prefix_used < GRPC_PREFIX_BYTES) {
        const size_t wanted = GRPC_PREFIX_BYTES - f->prefix_used;
        const size_t taken = wanted < input->left ? wanted : input->left;
        if (taken > 0)
            memcpy(f->prefix + f->prefix_used, input->at, taken);
        f->prefix_used = (uint8_t)(f->prefix_used + taken);
        input->at += taken;
        input->left -= taken;
        if (f->prefix_used < GRPC_PREFIX_BYTES)
            return GRPC_EVENT_NONE;
        f->left = grpc_framer_length(f);
        return GRPC_EVENT_MESSAGE;
    }

    if (input->left == 0)
        return GRPC_EVENT_NONE;
    input->piece = input->at;
    input->piece_bytes = f->left < input->left ? f->left : (uint32_t)input->left;
    input->at += input->piece_bytes;
    input->left -= input->piece_bytes;
    f->left -= input->piece_bytes;
    return GRPC_EVENT_PIECE;
}

uint32_t grpc_framer_length(const struct grpc_framer *f)
{
    ASSERT(f->prefix_used == GRPC_PREFIX_BYTES);
    return (uint32_t)f->prefix[1] << 24 | (uint32_t)f->prefix[2] << 16 |
           (uint32_t)f->prefix[3] << 8 | f->prefix[4];
}

bool grpc_framer_compressed(const struct grpc_framer *f)
{
    ASSERT(f->prefix_used == GRPC_PREFIX_BYTES);
    return f->prefix[0] != 0;
}

bool grpc_framer_idle(const struct grpc_framer *f)
{
    if (f->prefix_used == 0)
        return true;
    return f->prefix_used == GRPC_PREFIX_BYTES && f->left == 0;
}

void grpc_prefix_write(uint8_t *out, uint32_t length)
{
    out[0] = 0; /* never compressed */
    out[1] = (uint8_t)(length >> 24);
    out[2] = (uint8_t)(length >> 16);
    out[3] = (uint8_t)(length >> 8);
    out[4] = (uint8_t)length;
}

static bool service_known(const char *service, size_t length)
{
    for (uint32_t i = 0; i < METHOD_COUNT; i++) {
        const char *begin = methods[i].path + 1;
        const size_t bytes = (size_t)(strchr(begin, '/') - begin);
        if (bytes == length && memcmp(begin, service, length) == 0)
            return true;
    }
    return false;
}
