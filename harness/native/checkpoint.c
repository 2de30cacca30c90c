/* Checkpoints in the safetensors format, which other programs read too: the header's size (8 bytes, little
 * endian), a JSON header {"name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},...}, the numbers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { ENTRY = 192, MOST_HEADER = 1 << 24 };

static size_t write_entry(char *to, const parameter *p, size_t offset, bool first) {
    char shape[48];
    if (p->axes == 1) {
        snprintf(shape, sizeof shape, "%lld", (long long)p->shape[0]);
    } else {
        snprintf(shape, sizeof shape, "%lld,%lld", (long long)p->shape[0], (long long)p->shape[1]);
    }
    return (size_t)snprintf(to, ENTRY, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                            first ? "{" : ",", p->name, shape, offset, offset + p->size * sizeof(float));
}

/* The header, to be freed; its length is a multiple of 8, so that the numbers are aligned. */
static char *make_header(const engine *e, uint64_t *length) {
    char *header = malloc((size_t)e->parameter_count * ENTRY + 16);
    size_t used = 0, offset = 0;
    for (int64_t i = 0; header && i < e->parameter_count; i++) {
        used += write_entry(header + used, &e->parameters[i], offset, i == 0);
        offset += e->parameters[i].size * sizeof(float);
    }
    if (header) {
        header[used++] = '}';
        while (used % 8) {
            header[used++] = ' ';
        }
    }
    *length = used;
    return header;
}

static bool write_all(const engine *e, FILE *file, const char *header, uint64_t length) {
    bool good = fwrite(&length, sizeof length, 1, file) == 1 && fwrite(header, 1, length, file) == length;
    for (int64_t i = 0; good && i < e->parameter_count; i++) {
        const parameter *p = &e->parameters[i];
        good = fwrite(p->weights, sizeof(float), p->size, file) == p->size;
    }
    return good;
}

int engine_save(engine *e, const char *path) {
    uint64_t length;
    char *header = make_header(e, &length);
    FILE *file = header ? fopen(path, "wb") : NULL;
    bool good = file && write_all(e, file, header, length);
    int reason = errno;
    if (file && fclose(file)) {
        good = false;
        reason = errno;
    }
    free(header);
    return good ? ENGINE_OK : fail(e, "%.150s: cannot be written: %s", path, strerror(reason));
}

/* What follows `"key":` in a JSON text without blanks, from `from` on. */
static const char *after(const char *from, const char *key) {
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *found = strstr(from, quoted);
    return found ? found + strlen(quoted) : NULL;
}

static bool has_shape(const char *entry, const parameter *p) {
    char wanted[64];
    if (p->axes == 1) {
        snprintf(wanted, sizeof wanted, "[%lld]", (long long)p->shape[0]);
    } else {
        snprintf(wanted, sizeof wanted, "[%lld,%lld]", (long long)p->shape[0], (long long)p->shape[1]);
    }
    const char *shape = after(entry, "shape"), *dtype = after(entry, "dtype");
    return shape && dtype && strncmp(shape, wanted, strlen(wanted)) == 0 && strncmp(dtype, "\"F32\"", 5) == 0;
}

static int read_tensor(engine *e, const parameter *p, FILE *file, const char *header, uint64_t length) {
    const char *entry = after(header, p->name);
    const char *offsets = entry ? after(entry, "data_offsets") : NULL;
    unsigned long long start, end;
    if (!offsets || !has_shape(entry, p) || sscanf(offsets, "[%llu,%llu]", &start, &end) != 2 ||
        end - start != p->size * sizeof(float)) {
        return fail(e, "checkpoint: holds no float32 tensor '%s' of the model's shape", p->name);
    }
    if (fseek(file, (long)(8 + length + start), SEEK_SET) || fread(p->weights, sizeof(float), p->size, file) != p->size) {
        return fail(e, "checkpoint: ends within '%s'", p->name);
    }
    return ENGINE_OK;
}

static int64_t count_tensors(const char *header) {
    int64_t count = 0;
    for (const char *at = header; (at = after(at, "data_offsets")); count++) {
    }
    return count;
}

static int read_all(engine *e, FILE *file, const char *header, uint64_t length) {
    if (count_tensors(header) != e->parameter_count) {
        return fail(e, "checkpoint: holds %lld tensors, the model has %lld", (long long)count_tensors(header),
                    (long long)e->parameter_count);
    }
    for (int64_t i = 0; i < e->parameter_count; i++) {
        if (read_tensor(e, &e->parameters[i], file, header, length)) {
            return ENGINE_ERROR;
        }
    }
    return ENGINE_OK;
}

int engine_load(engine *e, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return fail(e, "%.150s: cannot be read: %s", path, strerror(errno));
    }
    uint64_t length = 0;
    bool good = fread(&length, sizeof length, 1, file) == 1 && length <= MOST_HEADER;
    char *header = good ? calloc(length + 1, 1) : NULL;
    good = header && fread(header, 1, length, file) == length && header[0] == '{';
    int result = good ? read_all(e, file, header, length) : fail(e, "%.150s: is no safetensors file", path);
    free(header);
    fclose(file);
    return result;
}
