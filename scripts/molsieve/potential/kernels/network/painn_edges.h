/* Edges: radial functions, filters, and message sums with their derivatives. */

/* The edges of a block, atoms and edges counted from its first. */
typedef struct {
    int atoms, edges, gaussians;
    int32_t *pairs;      /* how many */
    int32_t *row;        /* (atoms + 1) first edge of each centre */
    int32_t *neighbour;  /* (edges) */
    int32_t *pair;       /* (edges) which distance: an edge and its reverse share one */
    int32_t *from, *to;  /* (pairs) Gaussians that are not negligible */
    const real *vectors; /* (edges, 3) */
    real *unit;          /* (edges, 3) */
    real *distance;      /* (pairs) */
    real *radial;        /* (pairs, 3, K + 1) functions, first and second derivatives */
} Edges;

/* Integers and numbers an edge takes in the memory of a call. */
#define EDGE_INTEGERS 4
#define EDGE_REALS(gaussians) (4 + 3 * ((gaussians) + 1))

static int reverse_of(const Edges *g, int e, int i)
{
    const int j = g->neighbour[e];
    const real *r = g->vectors + 3 * e;
    for (int o = g->row[j]; o < g->row[j + 1] && o < e; o++) {
        if (g->neighbour[o] != i) continue;
        const real *s = g->vectors + 3 * o;
        const real x = r[0] + s[0], y = r[1] + s[1], z = r[2] + s[2];
        if (x * x + y * y + z * z < (real)1e-8) return o;
    }
    return -1;
}

static void pair_edges(Edges *g)
{
    *g->pairs = 0;
    for (int i = 0; i < g->atoms; i++)
        for (int e = g->row[i]; e < g->row[i + 1]; e++) {
            const real *r = g->vectors + 3 * e;
            const real d = SQRT(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
            const int other = reverse_of(g, e, i);
            g->pair[e] = other < 0 ? (*g->pairs)++ : g->pair[other];
            if (other < 0) g->distance[g->pair[e]] = d;
            for (int c = 0; c < 3; c++) g->unit[3 * e + c] = r[c] / d;
        }
}

/* g_k(d) = exp(-(d - o_k)^2 / 2 w_k^2) f(d), g_K = f(d), f(d) = (1 + cos(pi d / cutoff)) / 2. */
static void radial_functions(Edges *g, const real *offset, const real *width, real cutoff)
{
    const int K = g->gaussians;
    const real rate = (real)M_PI / cutoff;
    for (int p = 0; p < *g->pairs; p++) {
        const real d = g->distance[p], inside = d < cutoff;
        const real f = inside * (real)0.5 * (1 + COS(rate * d));
        const real f1 = inside * (real)-0.5 * rate * SIN(rate * d);
        const real f2 = inside * (real)-0.5 * rate * rate * COS(rate * d);
        real *value = g->radial + (int64_t)p * 3 * (K + 1), *first = value + K + 1,
             *second = first + K + 1;
        g->from[p] = K;
        g->to[p] = 0;
        for (int k = 0; k < K; k++) {
            const real x = (d - offset[k]) / width[k], e = EXP((real)-0.5 * x * x);
            const real e1 = -x / width[k] * e, e2 = (x * x - 1) / (width[k] * width[k]) * e;
            value[k] = e * f;
            first[k] = e1 * f + e * f1;
            second[k] = e2 * f + 2 * e1 * f1 + e * f2;
            if (x * x < NEGLIGIBLE) {
                if (k < g->from[p]) g->from[p] = k;
                g->to[p] = k + 1;
            }
        }
        value[K] = f, first[K] = f1, second[K] = f2;
    }
}

/* Filters (pairs, orders, 3 F) of one layer: sum_k g_k(d) weight[k] and derivatives by d. As many
 * sums at once as there are registers: a multiply-add waits four cycles for the one before. */
#define STRIP 12
static inline __attribute__((always_inline)) void filter_strip(
    const Edges *g, const int orders, const int vectors, const real *weight, real *restrict out)
{
    const int K = g->gaussians, channels = 3 * F;
    for (int p = 0; p < *g->pairs; p++) {
        const real *value = g->radial + (int64_t)p * 3 * (K + 1);
        vec sum[3][STRIP];
#pragma GCC unroll 3
        for (int o = 0; o < orders; o++)
#pragma GCC unroll 12
            for (int v = 0; v < vectors; v++)
                sum[o][v] = value[o * (K + 1) + K] * *(const vec *)(weight + K * channels + v * WIDTH);
        for (int k = g->from[p]; k < g->to[p]; k++) {
            const real *row = weight + k * channels;
#pragma GCC unroll 12
            for (int v = 0; v < vectors; v++) {
                const vec here = *(const vec *)(row + v * WIDTH);
#pragma GCC unroll 3
                for (int o = 0; o < orders; o++) sum[o][v] += value[o * (K + 1) + k] * here;
            }
        }
#pragma GCC unroll 3
        for (int o = 0; o < orders; o++)
#pragma GCC unroll 12
            for (int v = 0; v < vectors; v++)
                *(vec *)(out + ((int64_t)p * orders + o) * channels + v * WIDTH) = sum[o][v];
    }
}

static inline __attribute__((always_inline)) void filters_of(
    const Edges *g, const int orders, const int widest, const real *weight, int used, real *out)
{
    int n = 0;
    for (; n + widest * WIDTH <= used; n += widest * WIDTH)
        filter_strip(g, orders, widest, weight + n, out + n);
    for (; n + 4 * WIDTH <= used; n += 4 * WIDTH)
        filter_strip(g, orders, 4, weight + n, out + n);
    for (; n < used; n += WIDTH) filter_strip(g, orders, 1, weight + n, out + n);
}

/* The first layer's vectors are zero: it needs two thirds of its filters. */
static void filters(const Edges *g, int orders, const real *weight, int first, real *out)
{
    const int used = first ? 2 * F : 3 * F;
    if (orders == 1 && first) filters_of(g, 1, 8, weight, used, out);
    else if (orders == 1) filters_of(g, 1, 12, weight, used, out);
    else if (orders == 2 && first) filters_of(g, 2, 8, weight, used, out);
    else if (orders == 2) filters_of(g, 2, 12, weight, used, out);
    else filters_of(g, 3, 8, weight, used, out);
}

#define V(pointer) (*(const vec *)(pointer))

/* q_i += sum_j w1 x1, mu_out_i = mu_i + sum_j w2 x2 u + w3 x3 mu_j. */
static inline __attribute__((always_inline)) void send(
    const Edges *g, const int first, const real *w, const real *x, const real *mu, real *q,
    real *mu_out)
{
    for (int i = 0; i < g->atoms; i++)
        for (int f = 0; f < F; f += WIDTH) {
            vec s = V(q + i * F + f), m[3];
            for (int c = 0; c < 3; c++) m[c] = first ? (vec){0} : V(mu + (3 * i + c) * F + f);
            for (int e = g->row[i]; e < g->row[i + 1]; e++) {
                const real *we = w + (int64_t)g->pair[e] * 3 * F + f, *u = g->unit + 3 * e;
                const int j = g->neighbour[e];
                const real *xj = x + j * 3 * F + f, *mj = mu + j * 3 * F + f;
                s += V(we) * V(xj);
                const vec along = V(we + F) * V(xj + F);
                for (int c = 0; c < 3; c++) m[c] += u[c] * along;
                if (first) continue;
                const vec across = V(we + 2 * F) * V(xj + 2 * F);
                for (int c = 0; c < 3; c++) m[c] += across * V(mj + c * F);
            }
            *(vec *)(q + i * F + f) = s;
            for (int c = 0; c < 3; c++) *(vec *)(mu_out + (3 * i + c) * F + f) = m[c];
        }
}

/* Adjoint of send. qb, mub (of i) come in; xb, mub_out (of j) and the edges' (4, WIDTH) sums,
 * of d and of the three components of u, are added to. w has orders 0 and 1. */
static inline __attribute__((always_inline)) void send_back(
    const Edges *g, const int first, const real *w, const real *x, const real *mu, const real *qb,
    const real *mub, real *xb, real *mub_out, real *sums)
{
    for (int i = 0; i < g->atoms; i++)
        for (int e = g->row[i]; e < g->row[i + 1]; e++) {
            const real *u = g->unit + 3 * e;
            vec *sum = (vec *)(sums + e * 4 * WIDTH);
            vec db = sum[0], ub[3] = {sum[1], sum[2], sum[3]};
            const int j = g->neighbour[e];
            for (int f = 0; f < F; f += WIDTH) {
                const real *w0 = w + (int64_t)g->pair[e] * 6 * F + f, *w1 = w0 + 3 * F;
                const real *xj = x + j * 3 * F + f, *mj = mu + j * 3 * F + f;
                const real *mi = mub + i * 3 * F + f;
                const vec m0 = V(mi), m1 = V(mi + F), m2 = V(mi + 2 * F);
                const vec a1 = V(qb + i * F + f), a2 = u[0] * m0 + u[1] * m1 + u[2] * m2;
                const vec x1 = V(xj), x2 = V(xj + F);
                db += V(w1) * a1 * x1 + V(w1 + F) * a2 * x2;
                const vec along = V(w0 + F) * x2;
                ub[0] += along * m0, ub[1] += along * m1, ub[2] += along * m2;
                if (first) continue;
                const vec a3 = V(mj) * m0 + V(mj + F) * m1 + V(mj + 2 * F) * m2;
                const vec x3 = V(xj + 2 * F), across = V(w0 + 2 * F) * x3;
                db += V(w1 + 2 * F) * a3 * x3;
                real *xo = xb + j * 3 * F + f, *mo = mub_out + j * 3 * F + f;
                *(vec *)xo += V(w0) * a1;
                *(vec *)(xo + F) += V(w0 + F) * a2;
                *(vec *)(xo + 2 * F) += V(w0 + 2 * F) * a3;
                *(vec *)mo += across * m0;
                *(vec *)(mo + F) += across * m1;
                *(vec *)(mo + 2 * F) += across * m2;
            }
            sum[0] = db, sum[1] = ub[0], sum[2] = ub[1], sum[3] = ub[2];
        }
}

/* Tangent of send: qt, mut move with xt, mut_in and the edges' dt (of d), ut (of u). */
static inline __attribute__((always_inline)) void send_tangent(
    const Edges *g, const int first, const real *w, const real *x, const real *mu, const real *xt,
    const real *mut, const real *dt, const real *ut, real *qt, real *mut_out)
{
    for (int i = 0; i < g->atoms; i++)
        for (int f = 0; f < F; f += WIDTH) {
            vec s = first ? (vec){0} : V(qt + i * F + f), m[3];
            for (int c = 0; c < 3; c++) m[c] = first ? (vec){0} : V(mut + (3 * i + c) * F + f);
            for (int e = g->row[i]; e < g->row[i + 1]; e++) {
                const real *w0 = w + (int64_t)g->pair[e] * 6 * F + f, *w1 = w0 + 3 * F;
                const real *u = g->unit + 3 * e, *v = ut + 3 * e, rate = dt[e];
                const int j = g->neighbour[e];
                const real *xj = x + j * 3 * F + f, *xtj = xt + j * 3 * F + f;
                const real *mj = mu + j * 3 * F + f, *mtj = mut + j * 3 * F + f;
                const vec x2 = V(xj + F), along = V(w0 + F) * x2;
                vec change = rate * V(w1 + F) * x2;
                s += rate * V(w1) * V(xj);
                if (!first) {
                    s += V(w0) * V(xtj);
                    change += V(w0 + F) * V(xtj + F);
                    const vec x3 = V(xj + 2 * F), across = V(w0 + 2 * F) * x3;
                    const vec turn = rate * V(w1 + 2 * F) * x3 + V(w0 + 2 * F) * V(xtj + 2 * F);
                    for (int c = 0; c < 3; c++) m[c] += turn * V(mj + c * F) + across * V(mtj + c * F);
                }
                for (int c = 0; c < 3; c++) m[c] += u[c] * change + v[c] * along;
            }
            *(vec *)(qt + i * F + f) = s;
            for (int c = 0; c < 3; c++) *(vec *)(mut_out + (3 * i + c) * F + f) = m[c];
        }
}

/* Tangent of send_back; w has orders 0, 1 and 2. */
static inline __attribute__((always_inline)) void send_back_tangent(
    const Edges *g, const int first, const real *w, const real *x, const real *mu, const real *xt,
    const real *mut, const real *dt, const real *ut, const real *qb, const real *mub,
    const real *qbt, const real *mubt, real *xbt, real *mubt_out, real *sums)
{
    for (int i = 0; i < g->atoms; i++)
        for (int e = g->row[i]; e < g->row[i + 1]; e++) {
            const real *u = g->unit + 3 * e, *v = ut + 3 * e, rate = dt[e];
            vec *sum = (vec *)(sums + e * 4 * WIDTH);
            vec db = sum[0], ub[3] = {sum[1], sum[2], sum[3]};
            const int j = g->neighbour[e];
            for (int f = 0; f < F; f += WIDTH) {
                const real *w0 = w + (int64_t)g->pair[e] * 9 * F + f, *w1 = w0 + 3 * F,
                           *w2 = w1 + 3 * F;
                const real *xj = x + j * 3 * F + f, *mj = mu + j * 3 * F + f;
                const real *xtj = xt + j * 3 * F + f, *mtj = mut + j * 3 * F + f;
                const real *mi = mub + i * 3 * F + f, *mti = mubt + i * 3 * F + f;
                const vec m0 = V(mi), m1 = V(mi + F), m2 = V(mi + 2 * F);
                const vec t0 = V(mti), t1 = V(mti + F), t2 = V(mti + 2 * F);
                const vec a1 = V(qb + i * F + f), b1 = V(qbt + i * F + f);
                const vec a2 = u[0] * m0 + u[1] * m1 + u[2] * m2;
                const vec b2 = v[0] * m0 + v[1] * m1 + v[2] * m2 + u[0] * t0 + u[1] * t1 + u[2] * t2;
                const vec x1 = V(xj), x2 = V(xj + F);
                const vec s1 = rate * V(w1), s2 = rate * V(w1 + F);
                const vec along = V(w0 + F) * x2;
                vec change = s2 * x2;
                db += (rate * V(w2) * a1 + V(w1) * b1) * x1;
                db += (rate * V(w2 + F) * a2 + V(w1 + F) * b2) * x2;
                if (!first) {
                    const vec y1 = V(xtj), y2 = V(xtj + F);
                    db += V(w1) * a1 * y1 + V(w1 + F) * a2 * y2;
                    change += V(w0 + F) * y2;
                }
                ub[0] += change * m0 + along * t0;
                ub[1] += change * m1 + along * t1;
                ub[2] += change * m2 + along * t2;
                if (first) continue;
                const vec n0 = V(mj), n1 = V(mj + F), n2 = V(mj + 2 * F);
                const vec a3 = n0 * m0 + n1 * m1 + n2 * m2;
                const vec b3 = V(mtj) * m0 + V(mtj + F) * m1 + V(mtj + 2 * F) * m2 + n0 * t0 +
                               n1 * t1 + n2 * t2;
                const vec x3 = V(xj + 2 * F), y3 = V(xtj + 2 * F), s3 = rate * V(w1 + 2 * F);
                const vec across = V(w0 + 2 * F) * x3, turn = s3 * x3 + V(w0 + 2 * F) * y3;
                db += (rate * V(w2 + 2 * F) * a3 + V(w1 + 2 * F) * b3) * x3;
                db += V(w1 + 2 * F) * a3 * y3;
                real *xo = xbt + j * 3 * F + f, *mo = mubt_out + j * 3 * F + f;
                *(vec *)xo += s1 * a1 + V(w0) * b1;
                *(vec *)(xo + F) += s2 * a2 + V(w0 + F) * b2;
                *(vec *)(xo + 2 * F) += s3 * a3 + V(w0 + 2 * F) * b3;
                *(vec *)mo += turn * m0 + across * t0;
                *(vec *)(mo + F) += turn * m1 + across * t1;
                *(vec *)(mo + 2 * F) += turn * m2 + across * t2;
            }
            sum[0] = db, sum[1] = ub[0], sum[2] = ub[1], sum[3] = ub[2];
        }
}
