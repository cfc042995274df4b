/* Gradients of painn_messages.c's sums, and the gradients of those: a member's atoms of one part. */

/* ---- backward -------------------------------------------------------------------------------- */

/* Arguments of one member's backward and double backward; NULL where not wanted. */
typedef struct {
    const float *phi, *mu, *weights, *gq, *gmu;       /* inputs of the gradient */
    const float *alpha, *beta, *rho;                  /* cotangents of its outputs */
    float *phi_out, *mu_out, *vectors_out, *weights_out, *gq_out, *gmu_out;
} member;

INLINE void to_vector(const float *u, float slope, const float *turn, float *out) {
    /* slope u + (1 - u u) turn / d */
    float along = turn[0] * u[0] + turn[1] * u[1] + turn[2] * u[2];
    for (int c = 0; c < 3; c++) out[c] = slope * u[c] + (turn[c] - along * u[c]) * u[3];
}

INLINE void backward_part(const graph *g, int64_t low, int64_t high, const member *x, int has_mu,
                          int want_vectors, int want_weights) {
    const int64_t size = record_size(g);
    const int messages = has_mu ? 3 : 2;
    for (int64_t i = low; i < high; i++)
        for (int64_t e = g->start[i]; e < g->start[i + 1]; e++) {
            const float *u = g->record + e * size;
            const int64_t j = g->neighbour[e] * 3 * F;
            vec slope = {}, turn[3] = {};
            for (int f = 0; f < F; f += STEP) {
                filter w[2], by[1];
                filters(g, e, x->weights, f, want_vectors ? 2 : 1, messages, w);
                EACH (int b = 0; b < BLOCK; b++) {
                    const int o = f + b * LANES;
                    const float *row = x->gmu + i * 3 * F + o, *a = x->phi + j + o;
                    vec G[3] = {load(row), load(row + F), load(row + 2 * F)};
                    vec p[3] = {load(x->gq + i * F + o), u[0] * G[0] + u[1] * G[1] + u[2] * G[2]};
                    if (has_mu) {
                        const float *v = x->mu + j + o;
                        p[2] = load(v) * G[0] + load(v + F) * G[1] + load(v + 2 * F) * G[2];
                        vec across = w[0].w[2][b] * load(a + 2 * F);
                        EACH (int c = 0; c < 3; c++) add(x->mu_out + j + c * F + o, across * G[c]);
                    }
                    EACH (int n = 0; n < messages; n++) {
                        add(x->phi_out + j + n * F + o, w[0].w[n][b] * p[n]);
                        vec product = load(a + n * F) * p[n];
                        if (want_vectors) slope += w[1].w[n][b] * product;
                        if (want_weights) by[0].w[n][b] = product;
                    }
                    if (want_vectors) {
                        vec along = w[0].w[1][b] * load(a + F);
                        EACH (int c = 0; c < 3; c++) turn[c] += along * G[c];
                    }
                }
                if (want_weights) add_weights(g, e, x->weights_out, f, 1, messages, by);
            }
            if (want_vectors) {
                float sums[3] = {total(turn[0]), total(turn[1]), total(turn[2])};
                to_vector(u, total(slope), sums, x->vectors_out + 3 * e);
            }
        }
}

/* ---- backward of the backward ---------------------------------------------------------------- */

/* d/dr of (rho.u) slope + (1 - u u) rho . turn / d, slope and turn held fixed. */
INLINE void add_projection(const float *u, const float *rho, float slope, const float *turn,
                           float *out) {
    float s = 0, y = 0, both = 0;
    for (int c = 0; c < 3; c++) s += rho[c] * u[c], y += turn[c] * u[c], both += turn[c] * rho[c];
    for (int c = 0; c < 3; c++) {
        out[c] += slope * (rho[c] - s * u[c]) * u[3];
        out[c] += (3 * y * s * u[c] - both * u[c] - turn[c] * s - rho[c] * y) * u[3] * u[3];
    }
}

INLINE void double_part(const graph *g, int64_t low, int64_t high, const member *x, int has_mu,
                        int want_vectors, int want_weights) {
    const int64_t size = record_size(g);
    const int messages = has_mu ? 3 : 2;
    for (int64_t i = low; i < high; i++)
        for (int64_t e = g->start[i]; e < g->start[i + 1]; e++) {
            const float *u = g->record + e * size, *rho = x->rho + 3 * e;
            const int64_t j = g->neighbour[e] * 3 * F;
            const float s = rho[0] * u[0] + rho[1] * u[1] + rho[2] * u[2];
            float t[3];
            for (int c = 0; c < 3; c++) t[c] = (rho[c] - s * u[c]) * u[3];
            vec slope = {}, change = {}, turn[3] = {}, turned[3] = {};
            for (int f = 0; f < F; f += STEP) {
                filter w[3], by[2];
                filters(g, e, x->weights, f, want_vectors ? 3 : 2, messages, w);
                EACH (int b = 0; b < BLOCK; b++) {
                    const int o = f + b * LANES;
                    const float *row = x->gmu + i * 3 * F + o;
                    float *to = x->gmu_out + i * 3 * F + o;
                    vec G[3] = {load(row), load(row + F), load(row + 2 * F)};
                    vec p[3] = {load(x->gq + i * F + o), u[0] * G[0] + u[1] * G[1] + u[2] * G[2]};
                    /* p moves by q along the cotangents, message n's coefficient a[n] by da[n]. */
                    vec q[3] = {p[0] - p[0], t[0] * G[0] + t[1] * G[1] + t[2] * G[2]};
                    vec a[3], da[3], dm[3];
                    EACH (int n = 0; n < messages; n++) {
                        a[n] = load(x->phi + j + n * F + o);
                        da[n] = load(x->alpha + j + n * F + o);
                        dm[n] = w[0].w[n][b] * da[n] + s * w[1].w[n][b] * a[n];
                    }
                    vec along = w[0].w[1][b] * a[1];
                    add(x->gq_out + i * F + o, dm[0]);
                    vec move[3];
                    EACH (int c = 0; c < 3; c++) move[c] = dm[1] * u[c] + along * t[c];
                    if (has_mu) {
                        const float *v = x->mu + j + o, *dv = x->beta + j + o;
                        vec across = w[0].w[2][b] * a[2];
                        p[2] = load(v) * G[0] + load(v + F) * G[1] + load(v + 2 * F) * G[2];
                        q[2] = load(dv) * G[0] + load(dv + F) * G[1] + load(dv + 2 * F) * G[2];
                        EACH (int c = 0; c < 3; c++) {
                            move[c] += dm[2] * load(v + c * F) + across * load(dv + c * F);
                            add(x->mu_out + j + c * F + o, dm[2] * G[c]);
                        }
                    }
                    EACH (int c = 0; c < 3; c++) add(to + c * F, move[c]);
                    EACH (int n = 0; n < messages; n++) {
                        vec moved = s * w[1].w[n][b] * p[n], first = da[n] * p[n];
                        vec product = a[n] * p[n];
                        if (n > 0) moved += w[0].w[n][b] * q[n], first += a[n] * q[n];
                        add(x->phi_out + j + n * F + o, moved);
                        if (want_vectors) {
                            change += w[1].w[n][b] * first + s * w[2].w[n][b] * product;
                            slope += w[1].w[n][b] * product;
                        }
                        if (want_weights) by[0].w[n][b] = first, by[1].w[n][b] = s * product;
                    }
                    if (want_vectors)
                        EACH (int c = 0; c < 3; c++) turn[c] += along * G[c], turned[c] += dm[1] * G[c];
                }
                if (want_weights) add_weights(g, e, x->weights_out, f, 2, messages, by);
            }
            if (want_vectors) {
                float sums[3], moved[3];
                for (int c = 0; c < 3; c++) sums[c] = total(turn[c]), moved[c] = total(turned[c]);
                to_vector(u, total(change), moved, x->vectors_out + 3 * e);
                add_projection(u, rho, total(slope), sums, x->vectors_out + 3 * e);
            }
        }
}
