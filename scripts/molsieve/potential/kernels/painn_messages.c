/* Messages of PaiNN, summed over neighbours, with first and second derivatives.
 *
 * Mathematics and shapes: messages.py (the function) and fused.py (its derivatives). Compiled by
 * message_library.py with -DFEATURES=F; no headers but the C library's.
 *
 * An edge e = (i, j) has a record: u[3], 1/d, then S = window + 1 values each of g, g' and g'': the
 * cutoff function first, then the Gaussians first[e] .. first[e] + count[e] - 1, the only ones that
 * are not negligible at its distance.
 *
 * Work is split into parts of whole structures (no edge leaves its part), so rows of neighbours
 * are summed in the order of the edges whatever the number of threads.
 *
 * NaN stays NaN: positions may diverge.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define F FEATURES
#if F % 16 == 0
#define LANES 16
#elif F % 8 == 0
#define LANES 8
#elif F % 4 == 0
#define LANES 4
#elif F % 2 == 0
#define LANES 2
#else
#define LANES 1
#endif
#define VECTORS (F / LANES)
#define BLOCK (VECTORS % 2 == 0 ? 2 : 1)
#define STEP (BLOCK * LANES)
#define INLINE static inline __attribute__((always_inline))
#define EACH _Pragma("GCC unroll 4") for

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef float loose __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec value) { *(loose *)to = value; }
INLINE void add(float *to, vec value) { store(to, load(to) + value); }

INLINE float total(vec value) {
    float sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += value[lane];
    return sum;
}

/* Denormal numbers count as zero while a kernel runs: they are slow and mean nothing. */
INLINE unsigned flush_denormals(void) {
#if defined(__SSE__)
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}
INLINE void restore_denormals(unsigned before) {
#if defined(__SSE__)
    _mm_setcsr(before);
#endif
}

typedef struct {
    int64_t members, atoms, edges, gaussians, window, parts, threads;
    const int64_t *neighbour;
    const int64_t *start; /* (N + 1) first edge of a centre */
    const int64_t *part;  /* (parts + 1) first atom of a part */
    const int32_t *span;  /* (E, 2) first Gaussian and how many */
    const float *record;  /* (E, 4 + 3 S) */
} graph;

INLINE int64_t record_size(const graph *g) { return 4 + 3 * (g->window + 1); }

#include "painn_messages_edges.h"

/* ---- filters --------------------------------------------------------------------------------- */

typedef struct {
    vec w[3][BLOCK];
} filter;

/* w, w' and w'' (as many as orders) of STEP features from f on, of the three messages. */
INLINE void filters(const graph *g, int64_t e, const float *weights, int f, int orders,
                    int messages, filter *out) {
    const int64_t size = g->window + 1, first = g->span[2 * e], count = g->span[2 * e + 1];
    const float *values = g->record + e * record_size(g) + 4;
    const float *bias = weights + g->gaussians * 3 * F + f, *row = weights + first * 3 * F + f;
    vec sum[3][3][BLOCK];
    EACH (int o = 0; o < orders; o++)
        EACH (int a = 0; a < messages; a++)
            EACH (int b = 0; b < BLOCK; b++)
                sum[o][a][b] = values[o * size] * load(bias + a * F + b * LANES);
    for (int64_t k = 1; k <= count; k++, row += 3 * F)
        EACH (int a = 0; a < messages; a++)
            EACH (int b = 0; b < BLOCK; b++) {
                vec weight = load(row + a * F + b * LANES);
                EACH (int o = 0; o < orders; o++) sum[o][a][b] += values[o * size + k] * weight;
            }
    EACH (int o = 0; o < orders; o++)
        EACH (int a = 0; a < messages; a++)
            EACH (int b = 0; b < BLOCK; b++) out[o].w[a][b] = sum[o][a][b];
}

/* gradient (K + 1, 3 F) += g x first + g' x second. */
INLINE void add_weights(const graph *g, int64_t e, float *gradient, int f, int orders,
                        int messages, const filter *by) {
    const int64_t size = g->window + 1, count = g->span[2 * e + 1];
    const float *values = g->record + e * record_size(g) + 4;
    float *row = gradient + g->gaussians * 3 * F + f;
    for (int64_t k = 0; k <= count; k++) {
        EACH (int a = 0; a < messages; a++)
            EACH (int b = 0; b < BLOCK; b++) {
                vec change = values[k] * by[0].w[a][b];
                if (orders > 1) change += values[size + k] * by[1].w[a][b];
                add(row + a * F + b * LANES, change);
            }
        row = gradient + (g->span[2 * e] + k) * 3 * F + f;
    }
}

/* ---- forward --------------------------------------------------------------------------------- */

/* phi (N, 3 F), mu (N, 3, F) -> dq (N, F), dmu (N, 3, F): one member, atoms of one part. */
INLINE void forward_part(const graph *g, int64_t low, int64_t high, const float *phi,
                         const float *mu, const float *weights, float *dq, float *dmu,
                         int has_mu) {
    const int64_t size = record_size(g);
    for (int64_t i = low; i < high; i++)
        for (int f = 0; f < F; f += STEP) {
            vec q[BLOCK] = {}, m[3][BLOCK] = {};
            for (int64_t e = g->start[i]; e < g->start[i + 1]; e++) {
                filter w[1];
                filters(g, e, weights, f, 1, has_mu ? 3 : 2, w);
                const float *u = g->record + e * size, *a = phi + g->neighbour[e] * 3 * F + f;
                const float *v = mu + g->neighbour[e] * 3 * F + f;
                EACH (int b = 0; b < BLOCK; b++) {
                    const int o = b * LANES;
                    q[b] += w[0].w[0][b] * load(a + o);
                    vec along = w[0].w[1][b] * load(a + F + o);
                    EACH (int c = 0; c < 3; c++) m[c][b] += along * u[c];
                    if (has_mu) {
                        vec across = w[0].w[2][b] * load(a + 2 * F + o);
                        EACH (int c = 0; c < 3; c++) m[c][b] += across * load(v + c * F + o);
                    }
                }
            }
            EACH (int b = 0; b < BLOCK; b++) {
                store(dq + i * F + f + b * LANES, q[b]);
                EACH (int c = 0; c < 3; c++)
                    store(dmu + (3 * i + c) * F + f + b * LANES, m[c][b]);
            }
        }
}

/* Run code for every member and part, as `m` and atoms low .. high. */
#define FOR_PARTS(g, ...)                                                                      \
    _Pragma("omp parallel for num_threads(g->threads) if (g->threads > 1) schedule(static)")   \
    for (int64_t task = 0; task < g->members * g->parts; task++) {                             \
        const int64_t m = task / g->parts, low = g->part[task % g->parts];                     \
        const int64_t high = g->part[task % g->parts + 1];                                     \
        unsigned before = flush_denormals();                                                   \
        __VA_ARGS__;                                                                               \
        restore_denormals(before);                                                             \
    }

void messages_forward(const graph *g, const float *phi, const float *mu, const float *weights,
                      float *dq, float *dmu) {
    const int64_t wide = g->atoms * 3 * F, table = (g->gaussians + 1) * 3 * F;
    FOR_PARTS(g, {
        const float *p = phi + m * wide, *w = weights + m * table;
        float *q = dq + m * g->atoms * F, *v = dmu + m * wide;
        if (mu)
            forward_part(g, low, high, p, mu + m * wide, w, q, v, 1);
        else
            forward_part(g, low, high, p, NULL, w, q, v, 0);
    })
}

#include "painn_messages_gradients.h"

/* ---- entry points ---------------------------------------------------------------------------- */

/* The arguments of member m; each part adds to weights of its own, which are summed afterwards. */
static member of_member(const graph *g, const member *x, int64_t m, float *own_weights) {
    const int64_t wide = m * g->atoms * 3 * F, one = m * g->atoms * F, e = m * g->edges * 3;
    const int64_t table = m * (g->gaussians + 1) * 3 * F;
#define AT(name, offset) .name = x->name ? x->name + (offset) : NULL
    return (member){AT(phi, wide), AT(mu, wide), AT(weights, table), AT(gq, one), AT(gmu, wide),
                    AT(alpha, wide), AT(beta, wide), AT(rho, e), AT(phi_out, wide),
                    AT(mu_out, wide), AT(vectors_out, e), AT(gq_out, one), AT(gmu_out, wide),
                    .weights_out = own_weights};
#undef AT
}

#define WITH_FLAGS(part, x)                                                   \
    do {                                                                      \
        const int v = (x).vectors_out != NULL, w = (x).weights_out != NULL;   \
        if ((x).mu) {                                                         \
            if (v && w) part(g, low, high, &(x), 1, 1, 1);                    \
            else if (v) part(g, low, high, &(x), 1, 1, 0);                    \
            else if (w) part(g, low, high, &(x), 1, 0, 1);                    \
            else part(g, low, high, &(x), 1, 0, 0);                           \
        } else {                                                              \
            if (v && w) part(g, low, high, &(x), 0, 1, 1);                    \
            else if (v) part(g, low, high, &(x), 0, 1, 0);                    \
            else if (w) part(g, low, high, &(x), 0, 0, 1);                    \
            else part(g, low, high, &(x), 0, 0, 0);                           \
        }                                                                     \
    } while (0)

static void sum_weights(const graph *g, const float *own, float *weights) {
    const int64_t table = (g->gaussians + 1) * 3 * F;
    for (int64_t m = 0; m < g->members; m++)
        for (int64_t p = 0; p < g->parts; p++)
            for (int64_t k = 0; k < table; k++)
                weights[m * table + k] += own[(m * g->parts + p) * table + k];
}

/* Outputs onto atoms and weights must come zeroed. Not 0: no memory. */
int messages_backward(const graph *g, const member *x, int twice) {
    const int64_t table = (g->gaussians + 1) * 3 * F;
    float *own = NULL;
    if (x->weights_out && !(own = calloc(g->members * g->parts * table, sizeof *own))) return 1;
    FOR_PARTS(g, {
        member y = of_member(g, x, m, own ? own + task * table : NULL);
        if (twice)
            WITH_FLAGS(double_part, y);
        else
            WITH_FLAGS(backward_part, y);
    })
    if (own) sum_weights(g, own, x->weights_out);
    free(own);
    return 0;
}
