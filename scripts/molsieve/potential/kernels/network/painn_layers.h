/* One member on one block of structures: forward, adjoint, and the tangent of both.
 *
 * Names follow the PaiNN paper; a trailing b is an adjoint (dE/d.), a trailing t a tangent.
 */

/* Weights of a layer, each dense one as (inputs, outputs) for values and (outputs, inputs) for
 * adjoints. a1, a2: interatomic context; mix: mu_channel_mix; c1, c2: intraatomic context. */
typedef struct {
    const real *filter, *a1, *a1_bias, *a2, *a2_bias, *mix, *c1, *c1_bias, *c2, *c2_bias;
    const real *a1_back, *a2_back, *mix_back, *c1_back, *c2_back;
} Weights;

typedef struct {
    Weights layer[MAX_LAYERS];
    const real *d1, *d1_bias, *d1_back, *d2, *d2_bias;
    int layers;
} Member;

/* What the tangent needs of a layer's forward and adjoint pass; (atoms, .) each. */
typedef struct {
    real *h, *x, *mu, *vw, *n, *hm, *y;      /* F 3F 3F 6F F F 3F */
    real *qbb, *mubb, *smb, *nb, *qb, *mub, *sb; /* F 3F F F F 3F F */
} Kept;

typedef struct {
    Kept layer[MAX_LAYERS];
    real *head; /* (atoms, H) */
    real *sums; /* (edges, 4): dE/dd and dE/du */
} Saved;

/* What the weights' gradient needs of a layer beyond Kept: inputs of its dense layers, and the
 * adjoint of x. */
typedef struct {
    real *q_in, *q_mid, *mu_mid, *xb; /* F F 3F 3F */
} Inputs;

typedef struct {
    Inputs layer[MAX_LAYERS];
    real *q_last;
} Extra;

/* Tangents of a layer's forward pass, and what every pass overwrites. */
typedef struct {
    real *h, *x, *mu, *vw, *n, *hm, *y;
} Moving;

typedef struct {
    Moving layer[MAX_LAYERS];
    real *head, *q, *mu, *s, *s1, *ctx, *y, *vw, *xb, *w, *sums, *dt, *ut;
} Scratch;

#define COPY(to, from, count) memcpy(to, from, (size_t)(count) * sizeof(real))
#define ZERO(to, count) memset(to, 0, (size_t)(count) * sizeof(real))

static void join(int atoms, const real *q, const real *n, real *ctx)
{
    for (int i = 0; i < atoms; i++) {
        COPY(ctx + 2 * F * i, q + F * i, F);
        COPY(ctx + 2 * F * i + F, n + F * i, F);
    }
}

/* n = sqrt(|V mu|^2 + eps) and ctx = [q, n]. */
static void norms(int atoms, const real *q, const real *vw, real *n, real *ctx)
{
    for (int i = 0; i < atoms; i++)
        for (int f = 0; f < F; f++) {
            const real *v = vw + 6 * F * i + f;
            n[F * i + f] = SQRT(v[0] * v[0] + v[2 * F] * v[2 * F] + v[4 * F] * v[4 * F] + EPSILON);
        }
    join(atoms, q, n, ctx);
}

/* q += y1 + y3 (V mu . W mu); mu_out = mu + y2 W mu. */
static void update(int atoms, const real *restrict y, const real *restrict vw, real *restrict q,
                   const real *restrict mu, real *restrict mu_out)
{
    for (int i = 0; i < atoms; i++) {
        const real *yi = y + 3 * F * i, *v = vw + 6 * F * i, *w = v + F;
        for (int f = 0; f < F; f++) {
            const real p = v[f] * w[f] + v[2 * F + f] * w[2 * F + f] + v[4 * F + f] * w[4 * F + f];
            q[F * i + f] += yi[f] + yi[2 * F + f] * p;
        }
        if (mu_out)
            for (int c = 0; c < 3; c++)
                for (int f = 0; f < F; f++)
                    mu_out[(3 * i + c) * F + f] =
                        mu[(3 * i + c) * F + f] + yi[F + f] * w[2 * F * c + f];
    }
}

/* Energies of the atoms; on the way everything the adjoint needs goes to saved, and what the
 * weights' gradient needs to extra (or NULL). */
static void forward(const Member *m, const Edges *g, const real *q0, const real *x0, Saved *saved,
                    Extra *extra, Scratch *t, real *energy, real *features)
{
    const int n = g->atoms;
    COPY(t->q, q0, n * F);
    COPY(saved->layer[0].x, x0, n * 3 * F);
    for (int l = 0; l < m->layers; l++) {
        const Weights *w = &m->layer[l];
        Kept *k = &saved->layer[l];
        if (extra) COPY(extra->layer[l].q_in, t->q, n * F);
        if (l) {
            linear(n, F, F, t->q, w->a1, k->h, w->a1_bias, 0);
            silu(n * F, k->h, t->s);
            linear(n, F, 3 * F, t->s, w->a2, k->x, w->a2_bias, 0);
        }
        filters(g, 1, w->filter, l == 0, t->w);
        if (l) send(g, 0, t->w, k->x, k->mu, t->q, t->mu);
        else send(g, 1, t->w, k->x, k->x, t->q, t->mu);
        if (extra) {
            COPY(extra->layer[l].q_mid, t->q, n * F);
            COPY(extra->layer[l].mu_mid, t->mu, n * 3 * F);
        }
        linear(3 * n, F, 2 * F, t->mu, w->mix, k->vw, 0, 0);
        norms(n, t->q, k->vw, k->n, t->ctx);
        linear(n, 2 * F, F, t->ctx, w->c1, k->hm, w->c1_bias, 0);
        silu(n * F, k->hm, t->s);
        linear(n, F, 3 * F, t->s, w->c2, k->y, w->c2_bias, 0);
        update(n, k->y, k->vw, t->q, t->mu, l + 1 < m->layers ? saved->layer[l + 1].mu : 0);
    }
    if (features) COPY(features, t->q, n * F);
    if (extra) COPY(extra->q_last, t->q, n * F);
    linear(n, F, H, t->q, m->d1, saved->head, m->d1_bias, 0);
    silu(n * H, saved->head, t->s);
    for (int i = 0; i < n; i++) {
        real sum = m->d2_bias[0];
        for (int f = 0; f < H; f++) sum += t->s[i * H + f] * m->d2[f];
        energy[i] = sum;
    }
}

/* Adjoint of y and of V mu, W mu through update and norms, less what comes back through n. */
static void update_back(int atoms, const Kept *k, const real *restrict qb, const real *restrict mub,
                        real *restrict yb)
{
    for (int i = 0; i < atoms; i++) {
        const real *v = k->vw + 6 * F * i, *w = v + F, *b = mub + 3 * F * i;
        for (int f = 0; f < F; f++) {
            const real p = v[f] * w[f] + v[2 * F + f] * w[2 * F + f] + v[4 * F + f] * w[4 * F + f];
            const real turn = b[f] * w[f] + b[F + f] * w[2 * F + f] + b[2 * F + f] * w[4 * F + f];
            yb[3 * F * i + f] = qb[F * i + f];
            yb[3 * F * i + F + f] = turn;
            yb[3 * F * i + 2 * F + f] = qb[F * i + f] * p;
        }
    }
}

static void mix_back(int atoms, const Kept *k, const real *restrict qb, const real *restrict mub,
                     const real *restrict nb, real *restrict vwb)
{
    for (int i = 0; i < atoms; i++)
        for (int c = 0; c < 3; c++) {
            const real *v = k->vw + (6 * i + 2 * c) * F, *w = v + F, *y = k->y + 3 * F * i;
            real *out = vwb + (6 * i + 2 * c) * F;
            for (int f = 0; f < F; f++) {
                const real pb = qb[F * i + f] * y[2 * F + f];
                out[f] = pb * w[f] + nb[F * i + f] / k->n[F * i + f] * v[f];
                out[F + f] = pb * v[f] + y[F + f] * mub[(3 * i + c) * F + f];
            }
        }
}

static void split_context(int atoms, const real *restrict ctxb, real *restrict qb,
                          real *restrict nb)
{
    for (int i = 0; i < atoms; i++)
        for (int f = 0; f < F; f++) {
            qb[F * i + f] += ctxb[2 * F * i + f];
            nb[F * i + f] = ctxb[2 * F * i + F + f];
        }
}

static void scale(int64_t count, const real *restrict by, real *restrict values)
{
    for (int64_t t = 0; t < count; t++) values[t] *= by[t];
}

/* dE/dd and dE/du of every edge, (4, WIDTH) partial sums each, to t->sums. */
static void backward(const Member *m, const Edges *g, Saved *saved, Extra *extra, Scratch *t)
{
    const int n = g->atoms;
    silu_slope(n * H, saved->head, t->s);
    for (int i = 0; i < n; i++)
        for (int f = 0; f < H; f++) t->s[i * H + f] *= m->d2[f];
    linear(n, H, F, t->s, m->d1_back, t->q, 0, 0);
    ZERO(t->mu, n * 3 * F);
    ZERO(t->sums, (int64_t)g->edges * 4 * WIDTH);
    for (int l = m->layers - 1; l >= 0; l--) {
        const Weights *w = &m->layer[l];
        Kept *k = &saved->layer[l];
        real *xb = extra ? extra->layer[l].xb : t->xb;
        COPY(k->qbb, t->q, n * F);
        COPY(k->mubb, t->mu, n * 3 * F);
        update_back(n, k, t->q, t->mu, t->y);
        linear(n, 3 * F, F, t->y, w->c2_back, k->smb, 0, 0);
        silu_slope(n * F, k->hm, t->s);
        scale(n * F, k->smb, t->s);
        linear(n, F, 2 * F, t->s, w->c1_back, t->ctx, 0, 0);
        split_context(n, t->ctx, t->q, k->nb);
        mix_back(n, k, k->qbb, k->mubb, k->nb, t->vw);
        linear(3 * n, 2 * F, F, t->vw, w->mix_back, t->mu, 0, 1);
        COPY(k->qb, t->q, n * F);
        COPY(k->mub, t->mu, n * 3 * F);
        filters(g, 2, w->filter, l == 0, t->w);
        if (l == 0) {
            send_back(g, 1, t->w, k->x, k->x, k->qb, k->mub, 0, 0, t->sums);
            break;
        }
        ZERO(xb, n * 3 * F);
        send_back(g, 0, t->w, k->x, k->mu, k->qb, k->mub, xb, t->mu, t->sums);
        linear(n, 3 * F, F, xb, w->a2_back, k->sb, 0, 0);
        silu_slope(n * F, k->h, t->s);
        scale(n * F, k->sb, t->s);
        linear(n, F, F, t->s, w->a1_back, t->q, 0, 1);
    }
}
