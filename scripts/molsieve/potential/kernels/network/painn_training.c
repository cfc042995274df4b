/* One PaiNN network whose weights are being trained: energies and dE/dr, then the gradient of a
 * loss on both by all weights.
 *
 * Structures come in blocks, as in painn.c. Weights are torch's own, dense ones (outputs, inputs).
 * The embedding and the first context network are torch's: their results are inputs.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

typedef float real;
#define F FEATURES
#define H (FEATURES / 2)
#define MAX_LAYERS 8
#define EPSILON 1e-8f
#define EXP expf
#define SQRT sqrtf
#define COS cosf
#define SIN sinf
#define NEGLIGIBLE 38.5f /* exp(-38.5 / 2) = 4e-9 */
typedef real vec __attribute__((vector_size(WIDTH * sizeof(real)), aligned(sizeof(real)), may_alias));

#include "painn_linear.h"
#include "painn_edges.h"
#include "painn_layers.h"
#include "painn_vectors.h"
#include "painn_room.h"
#include "painn_tangent.h"

static real *place(real **from, int64_t count)
{
    real *here = *from;
    *from += count;
    return here;
}

#include "painn_weights.h"

/* What both calls are about. */
typedef struct {
    int32_t layers, gaussians, blocks, threads;
    int64_t atoms, edges;
    const int64_t *block_atoms, *block_edges; /* (blocks + 1) first atom and edge */
    const int64_t *row;                       /* (N + 1) first edge of each centre */
    const int64_t *neighbour;                 /* (E) */
    const real *vectors;                      /* (E, 3) */
    const real *offsets, *widths;             /* (K) */
    double cutoff;
    const real *const *parameters; /* filter weight, bias; a layer's nine; the head's four */
    const real *q0, *x0;           /* (N, F), (N, 3 F) */
    int32_t *integers;             /* (painn_training_integers) */
    real *reals;                   /* (painn_training_reals): from the first call to the second */
} Training;

#define PARAMETERS_A_LAYER 9
#define KEPT 37                  /* times F, an atom and layer: Kept and Inputs */
#define TABLE(c) ((int64_t)((c)->gaussians + 1) * 3 * F)
#define TURNED(c) ((c)->layers * (TABLE(c) + 11 * F * F) + F * H) /* transposed weights */
#define AN_EDGE(c) EDGE_REALS((c)->gaussians)
#define AN_ATOM(c) ((int64_t)(c)->layers * KEPT * F + H + F)

int64_t painn_training_integers(const Training *c)
{
    return 2 * c->blocks + c->atoms + EDGE_INTEGERS * c->edges;
}

int64_t painn_training_reals(const Training *c)
{
    return TURNED(c) + AN_EDGE(c) * c->edges + AN_ATOM(c) * c->atoms;
}

/* ---- weights: as torch has them for adjoints, transposed for values ---- */

static const real *turned(real **to, const real *weight, int outputs, int inputs, int write)
{
    real *out = place(to, (int64_t)outputs * inputs);
    if (write)
        for (int i = 0; i < inputs; i++)
            for (int o = 0; o < outputs; o++) out[i * outputs + o] = weight[o * inputs + i];
    return out;
}

/* (K + 1, 3 F) of layer l from (layers 3 F, K) and (layers 3 F). */
static const real *table_of(const Training *c, int l, real **to, int write)
{
    const int K = c->gaussians;
    const real *weight = c->parameters[0] + (int64_t)l * 3 * F * K;
    const real *bias = c->parameters[1] + (int64_t)l * 3 * F;
    real *out = (real *)turned(to, weight, 3 * F, K, write);
    real *last = place(to, 3 * F);
    if (write) COPY(last, bias, 3 * F);
    return out;
}

static void member_of(const Training *c, Member *m, int write)
{
    real *p = c->reals;
    m->layers = c->layers;
    for (int l = 0; l < c->layers; l++) {
        Weights *w = &m->layer[l];
        const real *const *from = c->parameters + 2 + PARAMETERS_A_LAYER * l;
        w->filter = table_of(c, l, &p, write);
        w->a1_back = from[0], w->a1_bias = from[1], w->a1 = turned(&p, from[0], F, F, write);
        w->a2_back = from[2], w->a2_bias = from[3], w->a2 = turned(&p, from[2], 3 * F, F, write);
        w->mix_back = from[4], w->mix = turned(&p, from[4], 2 * F, F, write);
        w->c1_back = from[5], w->c1_bias = from[6], w->c1 = turned(&p, from[5], F, 2 * F, write);
        w->c2_back = from[7], w->c2_bias = from[8], w->c2 = turned(&p, from[7], 3 * F, F, write);
    }
    const real *const *head = c->parameters + 2 + PARAMETERS_A_LAYER * c->layers;
    m->d1_back = head[0], m->d1_bias = head[1], m->d1 = turned(&p, head[0], H, F, write);
    m->d2 = head[2], m->d2_bias = head[3];
}

/* ---- blocks ---- */

typedef struct {
    int64_t atom, edge;
    Edges edges;
    Saved saved;
    Extra extra;
} Block;

static void edges_of_block(const Training *c, int block, Block *b)
{
    Edges *g = &b->edges;
    b->atom = c->block_atoms[block], b->edge = c->block_edges[block];
    g->atoms = (int)(c->block_atoms[block + 1] - b->atom);
    g->edges = (int)(c->block_edges[block + 1] - b->edge);
    g->gaussians = c->gaussians;
    g->vectors = c->vectors + 3 * b->edge;
    g->pairs = c->integers + 2 * block + b->atom + EDGE_INTEGERS * b->edge;
    g->row = g->pairs + 1;
    g->neighbour = g->row + g->atoms + 1;
    g->pair = g->neighbour + g->edges;
    g->from = g->pair + g->edges;
    g->to = g->from + g->edges;
    g->unit = c->reals + TURNED(c) + AN_EDGE(c) * b->edge;
    g->distance = g->unit + 3 * g->edges;
    g->radial = g->distance + g->edges;
}

static void block_of(const Training *c, int block, Block *b)
{
    edges_of_block(c, block, b);
    const int64_t n = b->edges.atoms;
    real *p = c->reals + TURNED(c) + AN_EDGE(c) * c->edges + AN_ATOM(c) * b->atom;
    for (int l = 0; l < c->layers; l++) {
        Kept *k = &b->saved.layer[l];
        k->h = place(&p, n * F), k->x = place(&p, n * 3 * F), k->mu = place(&p, n * 3 * F);
        k->vw = place(&p, n * 6 * F), k->n = place(&p, n * F), k->hm = place(&p, n * F);
        k->y = place(&p, n * 3 * F), k->qbb = place(&p, n * F), k->mubb = place(&p, n * 3 * F);
        k->smb = place(&p, n * F), k->nb = place(&p, n * F), k->qb = place(&p, n * F);
        k->mub = place(&p, n * 3 * F), k->sb = place(&p, n * F);
        Inputs *x = &b->extra.layer[l];
        x->q_in = place(&p, n * F), x->q_mid = place(&p, n * F);
        x->mu_mid = place(&p, n * 3 * F), x->xb = place(&p, n * 3 * F);
    }
    b->saved.head = place(&p, n * H);
    b->extra.q_last = place(&p, n * F);
}

static void prepare_edges(const Training *c, Block *b)
{
    Edges *g = &b->edges;
    for (int i = 0; i <= g->atoms; i++) g->row[i] = (int32_t)(c->row[b->atom + i] - b->edge);
    for (int e = 0; e < g->edges; e++)
        g->neighbour[e] = (int32_t)(c->neighbour[b->edge + e] - b->atom);
    pair_edges(g);
    radial_functions(g, c->offsets, c->widths, (real)c->cutoff);
}

/* ---- a thread's room for the largest block ---- */

static int64_t lay_out(const Training *c, real *p, int64_t n, int64_t e, Scratch *t, More *r)
{
    real *begin = p;
    t->q = place(&p, n * F), t->mu = place(&p, n * 3 * F), t->s = place(&p, n * F);
    t->s1 = place(&p, n * F), t->ctx = place(&p, n * 2 * F), t->y = place(&p, n * 3 * F);
    t->vw = place(&p, n * 6 * F), t->xb = place(&p, n * 3 * F), t->head = place(&p, n * H);
    r->one = place(&p, n * F), r->two = place(&p, n * 2 * F), r->three = place(&p, n * 3 * F);
    r->six = place(&p, n * 6 * F), r->tangent.q_last = place(&p, n * F);
    for (int l = 0; l < c->layers; l++) {
        Moving *d = &t->layer[l];
        d->h = place(&p, n * F), d->x = place(&p, n * 3 * F), d->mu = place(&p, n * 3 * F);
        d->vw = place(&p, n * 6 * F), d->n = place(&p, n * F), d->hm = place(&p, n * F);
        d->y = place(&p, n * 3 * F);
        Inputs *x = &r->tangent.layer[l];
        x->q_in = place(&p, n * F), x->q_mid = place(&p, n * F), x->mu_mid = place(&p, n * 3 * F);
    }
    t->sums = place(&p, e * 4 * WIDTH), t->w = place(&p, e * 6 * F);
    r->filter = place(&p, e * 6 * F), t->dt = place(&p, e), t->ut = place(&p, 3 * e);
    return p - begin;
}

static int open_room(const Training *c, Scratch *t, More *r)
{
    int64_t n = 0, e = 0;
    for (int b = 0; b < c->blocks; b++) {
        const int64_t atoms = c->block_atoms[b + 1] - c->block_atoms[b];
        const int64_t edges = c->block_edges[b + 1] - c->block_edges[b];
        if (atoms > n) n = atoms;
        if (edges > e) e = edges;
    }
    real *room = room_of((size_t)lay_out(c, 0, n, e, t, r) * sizeof(real) + 64);
    if (!room) return 0;
    lay_out(c, room, n, e, t, r);
    return 1;
}

/* ---- calls ---- */

/* Atom energies (N) and dE/dr (E, 3); 0, or 1 without memory. */
int painn_training_evaluate(const Training *c, real *energy, real *slopes)
{
    int failed = 0;
    Member m;
    member_of(c, &m, 1);
#pragma omp parallel num_threads(c->threads) reduction(| : failed) if (c->threads > 1)
    {
        Scratch t;
        More r;
        const int open = open_room(c, &t, &r);
        failed = !open;
#pragma omp for schedule(static)
        for (int block = 0; block < c->blocks; block++) {
            if (!open) continue;
            Block b;
            block_of(c, block, &b);
            prepare_edges(c, &b);
            forward(&m, &b.edges, c->q0 + b.atom * F, c->x0 + b.atom * 3 * F, &b.saved, &b.extra,
                    &t, energy + b.atom, 0);
            backward(&m, &b.edges, &b.saved, &b.extra, &t);
            gradient_of(&b.edges, t.sums, 0, slopes + 3 * b.edge);
        }
    }
    return failed;
}

int64_t painn_gradient_size(const Training *c)
{
    Gradient unused;
    return gradient_at(0, c->layers, c->gaussians, &unused);
}

/* After painn_training_evaluate. force (N): dL/dE of each atom; moves (E, 3): dL/d(dE/dr). To own
 * (threads, P), which comes zeroed: each thread's part of the weights' gradient, of the same
 * blocks every time. q0h, x0h: dL/dq0, dL/dx0. */
int painn_training_gradient(const Training *c, const real *force, const real *moves, real *own,
                            real *q0h, real *x0h)
{
    int failed = 0;
    const int64_t size = painn_gradient_size(c);
    Member m;
    member_of(c, &m, 0);
#pragma omp parallel num_threads(c->threads) reduction(| : failed) if (c->threads > 1)
    {
        Scratch t;
        More r;
        Gradient out;
        int64_t thread = 0;
#ifdef _OPENMP
        thread = omp_get_thread_num();
#endif
        gradient_at(own + thread * size, c->layers, c->gaussians, &out);
        const int open = open_room(c, &t, &r);
        failed = !open;
#pragma omp for schedule(static)
        for (int block = 0; block < c->blocks; block++) {
            if (!open) continue;
            Block b;
            block_of(c, block, &b);
            edge_tangents(&b.edges, moves + 3 * b.edge, t.dt, t.ut);
            forward_tangent(&m, &b.edges, &b.saved, &r.tangent, &t);
            weights_gradient(&m, &b.edges, force + b.atom, &b.saved, &b.extra, &t, &r, &out,
                             q0h + b.atom * F, x0h + b.atom * 3 * F);
        }
    }
    return failed;
}
