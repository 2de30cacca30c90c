/* The three products of a linear layer y = x W^T: forward, gradient of the input, gradient of the weight.
 *
 * All run on one kernel: a tile of TALL x WIDE sums stays in registers while the depth is walked through,
 * c[i][j] += a[i] b[j]. `a` is read number by number, each spread over a vector; `b` is read in whole vectors,
 * from operands packed in strips of WIDE columns, padded with zeros. Weights are read where they lie, once. */
#include <string.h>

#include "internal.h"

/* As wide as the processor's registers: wider ones live in memory. A tile of TALL x 2 vectors fits into 32 of
 * them with AVX-512, and into 16 else. */
#if defined(__AVX512F__)
enum { VECTOR = 16, TALL = 8 };
#elif defined(__AVX__)
enum { VECTOR = 8, TALL = 4 };
#else
enum { VECTOR = 4, TALL = 4 };
#endif
enum { WIDE = 2 * VECTOR, DEPTH = 256 };

typedef float vector __attribute__((vector_size(VECTOR * sizeof(float)), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))

typedef struct {
    const float *a[TALL]; /* Rows of the tile; those beyond the edge repeat the last. */
    int64_t step;         /* From one depth to the next in `a`. */
    const float *b;       /* (depth, WIDE) */
    int64_t depth;
} operands;

/* vectors: 2, or 1 where the columns fit into one. */
INLINE void walk(float (*tile)[WIDE], const operands *o, int64_t step, int vectors) {
    vector sum[TALL][2];
#pragma GCC unroll 8
    for (int i = 0; i < TALL; i++) {
        sum[i][0] = sum[i][1] = (vector){0};
    }
    const float *a[TALL];
#pragma GCC unroll 8
    for (int i = 0; i < TALL; i++) {
        a[i] = o->a[i];
    }
    const float *b = o->b;
    for (int64_t d = 0; d < o->depth; d++, b += WIDE) {
        vector b0 = *(const vector *)b;
        vector b1 = vectors > 1 ? *(const vector *)(b + VECTOR) : b0;
#pragma GCC unroll 8
        for (int i = 0; i < TALL; i++) {
            vector spread = (vector){0} + a[i][d * step];
            sum[i][0] += spread * b0;
            if (vectors > 1) {
                sum[i][1] += spread * b1;
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < TALL; i++) {
        *(vector *)&tile[i][0] = sum[i][0];
        *(vector *)&tile[i][VECTOR] = sum[i][1];
    }
}

static void kernel(float (*tile)[WIDE], const operands *o, int64_t columns) {
    if (o->step == 1) {
        if (columns > VECTOR) {
            walk(tile, o, 1, 2);
        } else {
            walk(tile, o, 1, 1);
        }
    } else if (columns > VECTOR) {
        walk(tile, o, TALL, 2);
    } else {
        walk(tile, o, TALL, 1);
    }
}

static int64_t blocks_of(int64_t size, int64_t block) {
    return (size + block - 1) / block;
}

/* Enough for either way of packing, by rows or by columns. */
size_t packed_floats(int64_t rows, int64_t columns) {
    int64_t by_rows = blocks_of(rows, WIDE) * WIDE * columns, by_columns = blocks_of(columns, WIDE) * WIDE * rows;
    return (size_t)(by_rows > by_columns ? by_rows : by_columns);
}

typedef struct {
    float *packed;
    const float *x;
    int64_t rows, columns;
} packing;

/* packed[strip][column][WIDE rows]; items are columns. */
static void pack_transposed_part(void *context, int64_t from, int64_t to, int thread) {
    const packing *p = context;
    (void)thread;
    for (int64_t first = 0; first < p->rows; first += WIDE) {
        float *strip = p->packed + first * p->columns;
        int64_t count = MIN(WIDE, p->rows - first);
        for (int64_t row = 0; row < WIDE; row++) {
            const float *x = p->x + (first + row) * p->columns;
            for (int64_t column = from; column < to; column++) {
                strip[column * WIDE + row] = row < count ? x[column] : 0.0F;
            }
        }
    }
}

void pack_transposed(pool *p, float *packed, const float *x, int64_t rows, int64_t columns) {
    packing job = {packed, x, rows, columns};
    pool_run(p, pack_transposed_part, &job, columns, (double)rows * (double)columns);
}

/* packed[strip][row][WIDE columns]; items are rows. */
static void pack_columns_part(void *context, int64_t from, int64_t to, int thread) {
    const packing *p = context;
    (void)thread;
    for (int64_t first = 0; first < p->columns; first += WIDE) {
        float *strip = p->packed + first * p->rows;
        int64_t count = MIN(WIDE, p->columns - first);
        for (int64_t row = from; row < to; row++) {
            memcpy(strip + row * WIDE, p->x + row * p->columns + first, (size_t)count * sizeof(float));
            memset(strip + row * WIDE + count, 0, (size_t)(WIDE - count) * sizeof(float));
        }
    }
}

void pack_columns(pool *p, float *packed, const float *x, int64_t rows, int64_t columns) {
    packing job = {packed, x, rows, columns};
    pool_run(p, pack_columns_part, &job, rows, (double)rows * (double)columns);
}

typedef struct {
    float *y;
    const float *packed, *x, *residual;
    const linear *w;
    int64_t rows;
    bool add;
} product;

/* tile[output][row] into y[row][output]. */
static void store_transposed(const product *p, float (*tile)[WIDE], int64_t output, int64_t row) {
    int64_t rows = MIN(WIDE, p->rows - row), outputs = MIN(TALL, p->w->outputs - output);
    const float *bias = p->w->bias ? p->w->bias->weights + output : NULL;
    for (int64_t j = 0; j < rows; j++) {
        float *y = p->y + (row + j) * p->w->outputs + output;
        const float *residual = p->residual ? p->residual + (row + j) * p->w->outputs + output : NULL;
        for (int64_t i = 0; i < outputs; i++) {
            y[i] = tile[i][j] + (bias ? bias[i] : 0.0F) + (residual ? residual[i] : 0.0F);
        }
    }
}

/* y = x W^T + b (+ residual); items are blocks of outputs. */
static void forward_part(void *context, int64_t from, int64_t to, int thread) {
    const product *p = context;
    int64_t inputs = p->w->inputs, outputs = p->w->outputs;
    float tile[TALL][WIDE] __attribute__((aligned(64)));
    (void)thread;
    for (int64_t output = from * TALL; output < MIN(to * TALL, outputs); output += TALL) {
        operands o = {.step = 1, .depth = inputs};
        for (int64_t i = 0; i < TALL; i++) {
            o.a[i] = p->w->weight->weights + MIN(output + i, outputs - 1) * inputs;
        }
        for (int64_t row = 0; row < p->rows; row += WIDE) {
            o.b = p->packed + row * inputs;
            kernel(tile, &o, p->rows - row);
            store_transposed(p, tile, output, row);
        }
    }
}

static double cost(const linear *w, int64_t rows) {
    return (double)rows * (double)w->inputs * (double)w->outputs;
}

/* packed: x by pack_transposed. residual: (rows, outputs) to be added, or NULL. */
void multiply_weight(pool *p, float *y, const float *packed, const linear *w, const float *residual, int64_t rows) {
    product job = {.y = y, .packed = packed, .residual = residual, .w = w, .rows = rows};
    pool_run(p, forward_part, &job, blocks_of(w->outputs, TALL), cost(w, rows));
}

static void store_rows(const product *p, float (*tile)[WIDE], int64_t row, int64_t column, bool add) {
    int64_t rows = MIN(TALL, p->rows - row), columns = MIN(WIDE, p->w->inputs - column);
    for (int64_t i = 0; i < rows; i++) {
        float *y = p->y + (row + i) * p->w->inputs + column;
        for (int64_t j = 0; j < columns; j++) {
            y[j] = add ? y[j] + tile[i][j] : tile[i][j];
        }
    }
}

/* One strip of columns, one stretch of outputs. */
static void input_gradient_strip(const product *p, const float *strip, int64_t column, int64_t output, int64_t depth) {
    float tile[TALL][WIDE] __attribute__((aligned(64)));
    for (int64_t row = 0; row < p->rows; row += TALL) {
        operands o = {.step = 1, .b = strip, .depth = depth};
        for (int64_t i = 0; i < TALL; i++) {
            o.a[i] = p->x + MIN(row + i, p->rows - 1) * p->w->outputs + output;
        }
        kernel(tile, &o, p->w->inputs - column);
        store_rows(p, tile, row, column, p->add || output > 0);
    }
}

/* dx = dy W; items are strips of columns of W. */
static void input_gradient_part(void *context, int64_t from, int64_t to, int thread) {
    const product *p = context;
    int64_t inputs = p->w->inputs, outputs = p->w->outputs;
    float strip[DEPTH * WIDE] __attribute__((aligned(64)));
    (void)thread;
    for (int64_t column = from * WIDE; column < MIN(to * WIDE, inputs); column += WIDE) {
        int64_t columns = MIN(WIDE, inputs - column);
        for (int64_t output = 0; output < outputs; output += DEPTH) {
            int64_t depth = MIN(DEPTH, outputs - output);
            for (int64_t d = 0; d < depth; d++) {
                const float *w = p->w->weight->weights + (output + d) * inputs + column;
                memcpy(strip + d * WIDE, w, (size_t)columns * sizeof(float));
                memset(strip + d * WIDE + columns, 0, (size_t)(WIDE - columns) * sizeof(float));
            }
            input_gradient_strip(p, strip, column, output, depth);
        }
    }
}

/* add: to what is in dx, instead of in its place. */
void multiply_input_gradient(pool *p, float *dx, const float *dy, const linear *w, bool add, int64_t rows) {
    product job = {.y = dx, .x = dy, .w = w, .rows = rows, .add = add};
    pool_run(p, input_gradient_part, &job, blocks_of(w->inputs, WIDE), cost(w, rows));
}

/* strip[row][TALL] of dy, and the bias's gradient on the way. */
static void gather_outputs(const product *p, float *strip, int64_t output, int64_t row, int64_t depth) {
    int64_t count = MIN(TALL, p->w->outputs - output);
    float *bias = p->w->bias ? p->w->bias->gradients + output : NULL;
    for (int64_t d = 0; d < depth; d++) {
        const float *dy = p->x + (row + d) * p->w->outputs + output;
        for (int64_t i = 0; i < TALL; i++) {
            strip[d * TALL + i] = i < count ? dy[i] : 0.0F;
        }
        for (int64_t i = 0; bias && i < count; i++) {
            bias[i] += dy[i];
        }
    }
}

static void add_rows(const product *p, float (*tile)[WIDE], int64_t output, int64_t column) {
    int64_t outputs = MIN(TALL, p->w->outputs - output), columns = MIN(WIDE, p->w->inputs - column);
    for (int64_t i = 0; i < outputs; i++) {
        float *gradient = p->w->weight->gradients + (output + i) * p->w->inputs + column;
        for (int64_t j = 0; j < columns; j++) {
            gradient[j] += tile[i][j];
        }
    }
}

/* dW += dy^T x, db += sum of dy; items are blocks of outputs. */
static void weight_gradient_part(void *context, int64_t from, int64_t to, int thread) {
    const product *p = context;
    int64_t inputs = p->w->inputs, outputs = p->w->outputs;
    float tile[TALL][WIDE] __attribute__((aligned(64))), strip[DEPTH * TALL] __attribute__((aligned(64)));
    (void)thread;
    for (int64_t output = from * TALL; output < MIN(to * TALL, outputs); output += TALL) {
        for (int64_t row = 0; row < p->rows; row += DEPTH) {
            int64_t depth = MIN(DEPTH, p->rows - row);
            gather_outputs(p, strip, output, row, depth);
            for (int64_t column = 0; column < inputs; column += WIDE) {
                operands o = {.step = TALL, .depth = depth, .b = p->packed + column * p->rows + row * WIDE};
                for (int64_t i = 0; i < TALL; i++) {
                    o.a[i] = strip + i;
                }
                kernel(tile, &o, inputs - column);
                add_rows(p, tile, output, column);
            }
        }
    }
}

/* packed: x by pack_columns. */
void multiply_weight_gradient(pool *p, const linear *w, const float *dy, const float *packed, int64_t rows) {
    if (!w->weight->gradients) { /* It was laid out without room for any. */
        return;
    }
    product job = {.packed = packed, .x = dy, .w = w, .rows = rows};
    pool_run(p, weight_gradient_part, &job, blocks_of(w->outputs, TALL), cost(w, rows));
}
