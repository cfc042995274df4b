/* Gradients of the weights of a loss on energies and on dE/dr.
 *
 * With c = dL/dE of each atom and rho = dL/d(dE/dr) of each edge, dL = dS for
 *
 *     S = sum c E + rho . dE/dr = sum c E + Et ,
 *
 * Et the tangent of the energy along rho. The adjoints of S by the tangent pass's values are the
 * adjoints of E (trailing b, kept from the gradient's pass); those by the forward pass's values
 * have a trailing h here, and obey the equations of painn_tangent.h with c added at the head. So
 * a dense layer y = x W, with its tangent yt = xt W, has the gradient x^T yh + xt^T yb.
 */

/* The tangents of Extra, and room of its own. */
typedef struct {
    Extra tangent; /* without xb */
    real *one, *two, *three, *six, *filter; /* F 2F 3F 6F an atom; 6F a pair */
} More;

/* As Weights, dense ones as (outputs, inputs), which is torch's order. */
typedef struct {
    real *filter, *a1, *a1_bias, *a2, *a2_bias, *mix, *c1, *c1_bias, *c2, *c2_bias;
} LayerGradient;

typedef struct {
    LayerGradient layer[MAX_LAYERS];
    real *d1, *d1_bias, *d2, *d2_bias;
} Gradient;

static int64_t gradient_at(real *p, int layers, int gaussians, Gradient *g)
{
    real *begin = p;
    for (int l = 0; l < layers; l++) {
        LayerGradient *w = &g->layer[l];
        w->filter = place(&p, (gaussians + 1) * 3 * F);
        w->a1 = place(&p, F * F), w->a1_bias = place(&p, F);
        w->a2 = place(&p, 3 * F * F), w->a2_bias = place(&p, 3 * F);
        w->mix = place(&p, 2 * F * F);
        w->c1 = place(&p, 2 * F * F), w->c1_bias = place(&p, F);
        w->c2 = place(&p, 3 * F * F), w->c2_bias = place(&p, 3 * F);
    }
    g->d1 = place(&p, F * H), g->d1_bias = place(&p, H);
    g->d2 = place(&p, H), g->d2_bias = place(&p, 1);
    return p - begin;
}

#include "painn_weight_sums.h"

/* c (atoms): dL/dE of each. The adjoint of q to t->q. */
static void head_gradient(const Member *m, int n, const real *c, const Saved *saved,
                          const Extra *extra, Scratch *t, More *r, Gradient *out)
{
    silu_slopes(n * H, saved->head, t->s, t->s1);
    silu(n * H, saved->head, t->ctx);
    for (int i = 0; i < n; i++) {
        for (int f = 0; f < H; f++) {
            const int a = i * H + f;
            out->d2[f] += c[i] * t->ctx[a] + t->s[a] * t->head[a];
            r->one[a] = m->d2[f] * t->s[a];
            t->s1[a] = m->d2[f] * (c[i] * t->s[a] + t->s1[a] * t->head[a]);
        }
        out->d2_bias[0] += c[i];
    }
    dense_gradient(n, H, F, t->s1, extra->q_last, r->one, r->tangent.q_last, out->d1, out->d1_bias);
    linear(n, H, F, t->s1, m->d1_back, t->q, 0, 0);
}

/* Through the mixing of layer l: t->q and t->mu are its outputs' adjoints, then its inputs'. */
static void mixing_gradient(const Weights *w, int n, const Kept *k, const Moving *d,
                            const Inputs *x, const Inputs *xt, Scratch *t, More *r,
                            LayerGradient *out)
{
    update_back_tangent(n, k, d, t->q, t->mu, t->y);
    update_back(n, k, k->qbb, k->mubb, r->three);
    silu(n * F, k->hm, t->s);
    slope_times(n * F, k->hm, d->hm, t->s1);
    dense_gradient(n, 3 * F, F, t->y, t->s, r->three, t->s1, out->c2, out->c2_bias);
    linear(n, 3 * F, F, t->y, w->c2_back, t->xb, 0, 0);
    context_back_tangent(n * F, k->hm, d->hm, k->smb, t->xb, t->s, t->s1);
    silu_slope(n * F, k->hm, r->one);
    scale(n * F, k->smb, r->one);
    join(n, x->q_mid, k->n, t->ctx);
    join(n, xt->q_mid, d->n, r->two);
    dense_gradient(n, F, 2 * F, t->s, t->ctx, r->one, r->two, out->c1, out->c1_bias);
    linear(n, F, 2 * F, t->s, w->c1_back, t->ctx, 0, 0);
    COPY(t->y, t->q, n * F);
    split_context(n, t->ctx, t->q, t->s1);
    mix_back_tangent(n, k, d, t->y, t->mu, t->s1, t->vw);
    mix_back(n, k, k->qbb, k->mubb, k->nb, r->six);
    dense_gradient(3 * n, 2 * F, F, t->vw, x->mu_mid, r->six, xt->mu_mid, out->mix, 0);
    linear(3 * n, 2 * F, F, t->vw, w->mix_back, t->mu, 0, 1);
}

/* Adds to the weights' gradient; q0h, x0h (atoms, F), (atoms, 3 F): adjoints of the inputs. */
static void weights_gradient(const Member *m, const Edges *g, const real *c, const Saved *saved,
                             const Extra *extra, Scratch *t, More *r, Gradient *out, real *q0h,
                             real *x0h)
{
    const int n = g->atoms;
    head_gradient(m, n, c, saved, extra, t, r, out);
    ZERO(t->mu, n * 3 * F);
    for (int l = m->layers - 1; l >= 0; l--) {
        const Weights *w = &m->layer[l];
        const Kept *k = &saved->layer[l];
        const Moving *d = &t->layer[l];
        const Inputs *x = &extra->layer[l], *xt = &r->tangent.layer[l];
        LayerGradient *to = &out->layer[l];
        mixing_gradient(w, n, k, d, x, xt, t, r, to);
        filters(g, 2, w->filter, l == 0, t->w);
        ZERO(t->xb, n * 3 * F);
        COPY(t->y, t->mu, n * 3 * F);
        if (l == 0) {
            send_back_weights(g, 1, t->w, k->x, k->x, k->x, k->x, t->dt, t->ut, k->qb, k->mub, t->q,
                              t->y, t->xb, t->mu, r->filter);
            filter_gradient(g, 1, r->filter, to->filter);
            COPY(q0h, t->q, n * F);
            COPY(x0h, t->xb, n * 3 * F);
            break;
        }
        send_back_weights(g, 0, t->w, k->x, k->mu, d->x, d->mu, t->dt, t->ut, k->qb, k->mub, t->q,
                          t->y, t->xb, t->mu, r->filter);
        filter_gradient(g, 0, r->filter, to->filter);
        silu(n * F, k->h, r->one);
        slope_times(n * F, k->h, d->h, r->two);
        dense_gradient(n, 3 * F, F, t->xb, r->one, x->xb, r->two, to->a2, to->a2_bias);
        linear(n, 3 * F, F, t->xb, w->a2_back, t->s1, 0, 0);
        context_back_tangent(n * F, k->h, d->h, k->sb, t->s1, t->s, t->ctx);
        silu_slope(n * F, k->h, r->one);
        scale(n * F, k->sb, r->one);
        dense_gradient(n, F, F, t->s, x->q_in, r->one, xt->q_in, to->a1, to->a1_bias);
        linear(n, F, F, t->s, w->a1_back, t->q, 0, 1);
    }
}
