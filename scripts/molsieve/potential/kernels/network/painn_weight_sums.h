/* Sums over atoms and over edges that make the gradients of painn_weights.h. */

/* ---- dense layers ---- */

static inline __attribute__((always_inline)) void outer_tile(
    const int rows, const int vectors, int count, const real *restrict y, int ldy,
    const real *restrict x, int ldx, const real *restrict yb, const real *restrict xt,
    real *restrict gradient)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) sum[r][v] = *(const vec *)(gradient + r * ldx + v * WIDTH);
    for (int half = 0; half < 2; half++) {
        const real *a = half ? yb : y, *b = half ? xt : x;
        for (int i = 0; i < count; i++, a += ldy, b += ldx) {
            vec row[TILE_VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) row[v] = *(const vec *)(b + v * WIDTH);
#pragma GCC unroll 6
            for (int r = 0; r < rows; r++) {
                const real factor = a[r];
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++) sum[r][v] += factor * row[v];
            }
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) *(vec *)(gradient + r * ldx + v * WIDTH) = sum[r][v];
}

static inline __attribute__((always_inline)) void outer_strip(
    const int vectors, int count, int outputs, int inputs, const real *y, const real *x,
    const real *yb, const real *xt, real *gradient)
{
    int r = 0;
    for (; r + TILE_ROWS <= outputs; r += TILE_ROWS)
        outer_tile(TILE_ROWS, vectors, count, y + r, outputs, x, inputs, yb + r, xt,
                   gradient + r * inputs);
    for (; r + 2 <= outputs; r += 2)
        outer_tile(2, vectors, count, y + r, outputs, x, inputs, yb + r, xt, gradient + r * inputs);
    if (r < outputs)
        outer_tile(1, vectors, count, y + r, outputs, x, inputs, yb + r, xt, gradient + r * inputs);
}

/* gradient (outputs, inputs) += yh^T x + yb^T xt; bias += sum yh. */
static void dense_gradient(int count, int outputs, int inputs, const real *yh, const real *x,
                           const real *yb, const real *xt, real *gradient, real *bias)
{
    int n = 0;
    for (; n + TILE_VECTORS * WIDTH <= inputs; n += TILE_VECTORS * WIDTH)
        outer_strip(TILE_VECTORS, count, outputs, inputs, yh, x + n, yb, xt + n, gradient + n);
    for (; n < inputs; n += WIDTH)
        outer_strip(1, count, outputs, inputs, yh, x + n, yb, xt + n, gradient + n);
    if (bias)
        for (int i = 0; i < count; i++)
            for (int f = 0; f < outputs; f++) bias[f] += yh[i * outputs + f];
}

/* ---- edges ---- */

/* Adjoints by x and mu of neighbours, to xh and muh_out, and by the filters and their slopes, to
 * filter (pairs, 2, 3 F). w has orders 0 and 1. */
static inline __attribute__((always_inline)) void send_back_weights(
    const Edges *g, const int first, const real *w, const real *x, const real *mu, const real *xt,
    const real *mut, const real *dt, const real *ut, const real *qb, const real *mub,
    const real *qh, const real *muh, real *xh, real *muh_out, real *filter)
{
    const int messages = first ? 2 : 3;
    int seen = 0; /* pairs are numbered in the order in which edges meet them */
    for (int i = 0; i < g->atoms; i++)
        for (int64_t e = g->row[i]; e < g->row[i + 1]; e++) {
            const real *u = g->unit + 3 * e, *v = ut + 3 * e, rate = dt[e];
            const int64_t j = g->neighbour[e];
            const int again = g->pair[e] != seen;
            seen += !again;
            for (int f = 0; f < F; f += WIDTH) {
                const real *w0 = w + (int64_t)g->pair[e] * 6 * F + f, *w1 = w0 + 3 * F;
                real *out = filter + (int64_t)g->pair[e] * 6 * F + f;
                const real *xj = x + j * 3 * F + f, *xtj = xt + j * 3 * F + f;
                const real *mj = mu + j * 3 * F + f, *mtj = mut + j * 3 * F + f;
                const real *mi = mub + i * 3 * F + f, *hi = muh + i * 3 * F + f;
                real *xo = xh + j * 3 * F + f, *mo = muh_out + j * 3 * F + f;
                const vec m0 = V(mi), m1 = V(mi + F), m2 = V(mi + 2 * F);
                const vec h0 = V(hi), h1 = V(hi + F), h2 = V(hi + 2 * F);
                vec a[3], b[3];
                a[0] = V(qb + i * F + f), b[0] = V(qh + i * F + f);
                a[1] = u[0] * m0 + u[1] * m1 + u[2] * m2;
                b[1] = v[0] * m0 + v[1] * m1 + v[2] * m2 + u[0] * h0 + u[1] * h1 + u[2] * h2;
                if (!first) {
                    const vec n0 = V(mj), n1 = V(mj + F), n2 = V(mj + 2 * F);
                    a[2] = n0 * m0 + n1 * m1 + n2 * m2;
                    b[2] = V(mtj) * m0 + V(mtj + F) * m1 + V(mtj + 2 * F) * m2 + n0 * h0 + n1 * h1 +
                           n2 * h2;
                    const vec x3 = V(xj + 2 * F), across = V(w0 + 2 * F) * x3;
                    const vec turn = rate * V(w1 + 2 * F) * x3 + V(w0 + 2 * F) * V(xtj + 2 * F);
                    *(vec *)mo += turn * m0 + across * h0;
                    *(vec *)(mo + F) += turn * m1 + across * h1;
                    *(vec *)(mo + 2 * F) += turn * m2 + across * h2;
                }
#pragma GCC unroll 3
                for (int n = 0; n < messages; n++) {
                    const vec xn = V(xj + n * F);
                    vec value = xn * b[n], slope = rate * xn * a[n];
                    if (!first) value += V(xtj + n * F) * a[n];
                    *(vec *)(xo + n * F) += rate * V(w1 + n * F) * a[n] + V(w0 + n * F) * b[n];
                    if (again) value += V(out + n * F), slope += V(out + (3 + n) * F);
                    *(vec *)(out + n * F) = value;
                    *(vec *)(out + (3 + n) * F) = slope;
                }
            }
        }
}

/* gradient (K + 1, 3 F) += sum over pairs of g_k value + g'_k slope. */
static void filter_gradient(const Edges *g, int first, const real *filter, real *gradient)
{
    const int K = g->gaussians, used = first ? 2 * F : 3 * F;
    for (int p = 0; p < *g->pairs; p++) {
        const real *radial = g->radial + (int64_t)p * 3 * (K + 1);
        const real *value = filter + (int64_t)p * 6 * F, *slope = value + 3 * F;
        for (int k = g->from[p]; k <= K; k++) {
            if (k == g->to[p]) k = K;
            const real g0 = radial[k], g1 = radial[K + 1 + k];
            real *row = gradient + (int64_t)k * 3 * F;
            for (int f = 0; f < used; f += WIDTH)
                *(vec *)(row + f) += g0 * V(value + f) + g1 * V(slope + f);
        }
    }
}
