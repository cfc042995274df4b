/* The tangent of painn_layers.h: how forward and adjoint change as the edges move. */

static void norms_tangent(int atoms, const Kept *k, const Moving *d, const real *qt,
                          real *restrict ctx)
{
    for (int i = 0; i < atoms; i++)
        for (int f = 0; f < F; f++) {
            const real *v = k->vw + 6 * F * i + f, *vt = d->vw + 6 * F * i + f;
            d->n[F * i + f] = (v[0] * vt[0] + v[2 * F] * vt[2 * F] + v[4 * F] * vt[4 * F]) /
                              k->n[F * i + f];
        }
    join(atoms, qt, d->n, ctx);
}

static void update_tangent(int atoms, const Kept *k, const Moving *d, real *restrict qt,
                           const real *restrict mut, real *restrict mut_out)
{
    for (int i = 0; i < atoms; i++) {
        const real *y = k->y + 3 * F * i, *yt = d->y + 3 * F * i;
        const real *v = k->vw + 6 * F * i, *w = v + F, *vt = d->vw + 6 * F * i, *wt = vt + F;
        for (int f = 0; f < F; f++) {
            real p = 0, pt = 0;
            for (int c = 0; c < 6 * F; c += 2 * F) {
                p += v[c + f] * w[c + f];
                pt += vt[c + f] * w[c + f] + v[c + f] * wt[c + f];
            }
            qt[F * i + f] += yt[f] + yt[2 * F + f] * p + y[2 * F + f] * pt;
        }
        if (mut_out)
            for (int c = 0; c < 3; c++)
                for (int f = 0; f < F; f++)
                    mut_out[(3 * i + c) * F + f] = mut[(3 * i + c) * F + f] +
                                                   yt[F + f] * w[2 * F * c + f] +
                                                   y[F + f] * wt[2 * F * c + f];
    }
}

static void slope_times(int64_t count, const real *restrict h, const real *restrict ht,
                        real *restrict out)
{
    silu_slope(count, h, out);
    scale(count, ht, out);
}

/* extra (or NULL): the tangents of the inputs of dense layers. */
static void forward_tangent(const Member *m, const Edges *g, const Saved *saved, Extra *extra,
                            Scratch *t)
{
    const int n = g->atoms;
    for (int l = 0; l < m->layers; l++) {
        const Weights *w = &m->layer[l];
        const Kept *k = &saved->layer[l];
        Moving *d = &t->layer[l];
        if (l) {
            if (extra) COPY(extra->layer[l].q_in, t->q, n * F);
            linear(n, F, F, t->q, w->a1, d->h, 0, 0);
            slope_times(n * F, k->h, d->h, t->s);
            linear(n, F, 3 * F, t->s, w->a2, d->x, 0, 0);
        }
        filters(g, 2, w->filter, l == 0, t->w);
        if (l) send_tangent(g, 0, t->w, k->x, k->mu, d->x, d->mu, t->dt, t->ut, t->q, t->mu);
        else send_tangent(g, 1, t->w, k->x, k->x, k->x, k->x, t->dt, t->ut, t->q, t->mu);
        if (extra) {
            COPY(extra->layer[l].q_mid, t->q, n * F);
            COPY(extra->layer[l].mu_mid, t->mu, n * 3 * F);
        }
        linear(3 * n, F, 2 * F, t->mu, w->mix, d->vw, 0, 0);
        norms_tangent(n, k, d, t->q, t->ctx);
        linear(n, 2 * F, F, t->ctx, w->c1, d->hm, 0, 0);
        slope_times(n * F, k->hm, d->hm, t->s);
        linear(n, F, 3 * F, t->s, w->c2, d->y, 0, 0);
        update_tangent(n, k, d, t->q, t->mu, l + 1 < m->layers ? t->layer[l + 1].mu : 0);
    }
    if (extra) COPY(extra->q_last, t->q, n * F);
    linear(n, F, H, t->q, m->d1, t->head, 0, 0);
}

static void update_back_tangent(int atoms, const Kept *k, const Moving *d,
                                const real *restrict qbt, const real *restrict mubt,
                                real *restrict ybt)
{
    for (int i = 0; i < atoms; i++) {
        const real *v = k->vw + 6 * F * i, *w = v + F, *vt = d->vw + 6 * F * i, *wt = vt + F;
        const real *b = k->mubb + 3 * F * i, *bt = mubt + 3 * F * i;
        for (int f = 0; f < F; f++) {
            real p = 0, pt = 0, turn = 0;
            for (int c = 0; c < 3; c++) {
                const int o = 2 * F * c + f;
                p += v[o] * w[o];
                pt += vt[o] * w[o] + v[o] * wt[o];
                turn += bt[F * c + f] * w[o] + b[F * c + f] * wt[o];
            }
            ybt[3 * F * i + f] = qbt[F * i + f];
            ybt[3 * F * i + F + f] = turn;
            ybt[3 * F * i + 2 * F + f] = qbt[F * i + f] * p + k->qbb[F * i + f] * pt;
        }
    }
}

/* qbt, mubt are those that came into update_back_tangent. */
static void mix_back_tangent(int atoms, const Kept *k, const Moving *d, const real *restrict qbt,
                             const real *restrict mubt, const real *restrict nbt,
                             real *restrict vwbt)
{
    for (int i = 0; i < atoms; i++)
        for (int c = 0; c < 3; c++) {
            const int o = (6 * i + 2 * c) * F, a = F * i;
            const real *v = k->vw + o, *w = v + F, *vt = d->vw + o, *wt = vt + F;
            const real *y = k->y + 3 * a, *yt = d->y + 3 * a;
            const real *b = k->mubb + (3 * i + c) * F, *bt = mubt + (3 * i + c) * F;
            real *out = vwbt + o;
            for (int f = 0; f < F; f++) {
                const real pb = k->qbb[a + f] * y[2 * F + f];
                const real pbt = qbt[a + f] * y[2 * F + f] + k->qbb[a + f] * yt[2 * F + f];
                const real r = 1 / k->n[a + f], nb = k->nb[a + f] * r;
                const real nbt_over = (nbt[a + f] - nb * d->n[a + f]) * r;
                out[f] = pbt * w[f] + pb * wt[f] + nbt_over * v[f] + nb * vt[f];
                out[F + f] = pbt * v[f] + pb * vt[f] + yt[F + f] * b[f] + y[F + f] * bt[f];
            }
        }
}

/* out = sbt silu'(h) + sb silu''(h) ht. */
static void context_back_tangent(int64_t count, const real *restrict h, const real *restrict ht,
                                 const real *restrict sb, const real *restrict sbt,
                                 real *restrict out, real *restrict curvature)
{
    silu_slopes(count, h, out, curvature);
    for (int64_t e = 0; e < count; e++)
        out[e] = sbt[e] * out[e] + sb[e] * curvature[e] * ht[e];
}

static void head_back_tangent(const Member *m, int atoms, const Saved *saved, Scratch *t)
{
    silu_slopes(atoms * H, saved->head, t->s, t->s1);
    for (int i = 0; i < atoms; i++)
        for (int f = 0; f < H; f++) t->s[i * H + f] = t->s1[i * H + f] * t->head[i * H + f] * m->d2[f];
    linear(atoms, H, F, t->s, m->d1_back, t->q, 0, 0);
}

/* Tangents of dE/dd and dE/du of every edge to t->sums; after forward_tangent. */
static void backward_tangent(const Member *m, const Edges *g, const Saved *saved, Scratch *t)
{
    const int n = g->atoms;
    head_back_tangent(m, n, saved, t);
    ZERO(t->mu, n * 3 * F);
    ZERO(t->sums, (int64_t)g->edges * 4 * WIDTH);
    for (int l = m->layers - 1; l >= 0; l--) {
        const Weights *w = &m->layer[l];
        const Kept *k = &saved->layer[l];
        const Moving *d = &t->layer[l];
        update_back_tangent(n, k, d, t->q, t->mu, t->y);
        linear(n, 3 * F, F, t->y, w->c2_back, t->xb, 0, 0);
        context_back_tangent(n * F, k->hm, d->hm, k->smb, t->xb, t->s, t->s1);
        linear(n, F, 2 * F, t->s, w->c1_back, t->ctx, 0, 0);
        COPY(t->y, t->q, n * F);
        split_context(n, t->ctx, t->q, t->s1);
        mix_back_tangent(n, k, d, t->y, t->mu, t->s1, t->vw);
        linear(3 * n, 2 * F, F, t->vw, w->mix_back, t->mu, 0, 1);
        filters(g, 3, w->filter, l == 0, t->w);
        if (l == 0) {
            send_back_tangent(g, 1, t->w, k->x, k->x, k->x, k->x, t->dt, t->ut, k->qb, k->mub, t->q,
                              t->mu, 0, 0, t->sums);
            break;
        }
        ZERO(t->xb, n * 3 * F);
        COPY(t->y, t->mu, n * 3 * F);
        send_back_tangent(g, 0, t->w, k->x, k->mu, d->x, d->mu, t->dt, t->ut, k->qb, k->mub, t->q,
                          t->y, t->xb, t->mu, t->sums);
        linear(n, 3 * F, F, t->xb, w->a2_back, t->s1, 0, 0);
        context_back_tangent(n * F, k->h, d->h, k->sb, t->s1, t->s, t->ctx);
        linear(n, F, F, t->s, w->a1_back, t->q, 0, 1);
    }
}
