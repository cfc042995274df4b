/* What a call is about, and where its memory and that of a thread lie. Included by painn.c. */

/* What a call is about; the same for both entry points. */
typedef struct {
    int32_t members, layers, gaussians, blocks, threads;
    const int64_t *block_atoms, *block_edges; /* (blocks + 1) first atom and edge */
    const int64_t *row;                       /* (N + 1) first edge of each centre */
    const int64_t *neighbour;                 /* (E) */
    int32_t *edge_integers;                   /* (2 blocks + N + EDGE_INTEGERS E) */
    real *edge_reals;                         /* (EDGE_REALS(K) E) */
    const real *vectors;                      /* (E, 3) */
    const real *offsets, *widths;             /* (K) */
    double cutoff;
    const real *weights;                      /* (members, .), in the order of member_of */
    int64_t weights_size;
    const real *q0, *x0;                      /* (members, N, F), (members, N, 3 F) */
    int64_t atoms, edges;
    real *saved;                              /* (members, saved_size), or NULL: not kept */
    int64_t saved_size;
} Call;

#define KEPT_PER_ATOM(layers) ((int64_t)(layers) * 29 * F + H)
#define MOVING_PER_ATOM(layers) ((int64_t)(layers) * 18 * F + H)

static const real *take(const real **from, int64_t count)
{
    const real *here = *from;
    *from += count;
    return here;
}

static real *place(real **from, int64_t count) { return (real *)take((const real **)from, count); }

static void member_of(const Call *c, int index, Member *m)
{
    const real *p = c->weights + index * c->weights_size;
    m->layers = c->layers;
    for (int l = 0; l < c->layers; l++) {
        Weights *w = &m->layer[l];
        w->filter = take(&p, (c->gaussians + 1) * 3 * F);
        w->a1 = take(&p, F * F), w->a1_bias = take(&p, F);
        w->a2 = take(&p, 3 * F * F), w->a2_bias = take(&p, 3 * F);
        w->mix = take(&p, 2 * F * F);
        w->c1 = take(&p, 2 * F * F), w->c1_bias = take(&p, F);
        w->c2 = take(&p, 3 * F * F), w->c2_bias = take(&p, 3 * F);
        w->a1_back = take(&p, F * F), w->a2_back = take(&p, 3 * F * F);
        w->mix_back = take(&p, 2 * F * F);
        w->c1_back = take(&p, 2 * F * F), w->c2_back = take(&p, 3 * F * F);
    }
    m->d1 = take(&p, F * H), m->d1_bias = take(&p, H), m->d1_back = take(&p, F * H);
    m->d2 = take(&p, H), m->d2_bias = take(&p, 1);
}

/* From p on, except the edges' numbers: between the blocks those would shift the rest out of line. */
static void saved_at(real *p, real *sums, int layers, int64_t atoms, Saved *s)
{
    for (int l = 0; l < layers; l++) {
        Kept *k = &s->layer[l];
        k->h = place(&p, atoms * F), k->x = place(&p, atoms * 3 * F);
        k->mu = place(&p, atoms * 3 * F), k->vw = place(&p, atoms * 6 * F);
        k->n = place(&p, atoms * F), k->hm = place(&p, atoms * F), k->y = place(&p, atoms * 3 * F);
        k->qbb = place(&p, atoms * F), k->mubb = place(&p, atoms * 3 * F);
        k->smb = place(&p, atoms * F), k->nb = place(&p, atoms * F);
        k->qb = place(&p, atoms * F), k->mub = place(&p, atoms * 3 * F);
        k->sb = place(&p, atoms * F);
    }
    s->head = place(&p, atoms * H);
    s->sums = sums;
}

/* The edges of a block, in the memory that painn_prepare has filled or will. */
static void edges_of(const Call *c, int block, Edges *g)
{
    const int64_t atom = c->block_atoms[block], edge = c->block_edges[block];
    g->atoms = (int)(c->block_atoms[block + 1] - atom);
    g->edges = (int)(c->block_edges[block + 1] - edge);
    g->gaussians = c->gaussians;
    g->vectors = c->vectors + 3 * edge;
    int32_t *integers = c->edge_integers + 2 * block + atom + EDGE_INTEGERS * edge;
    g->pairs = integers;
    g->row = integers + 1;
    g->neighbour = g->row + g->atoms + 1;
    g->pair = g->neighbour + g->edges;
    g->from = g->pair + g->edges;
    g->to = g->from + g->edges;
    g->unit = c->edge_reals + EDGE_REALS(c->gaussians) * edge;
    g->distance = g->unit + 3 * g->edges;
    g->radial = g->distance + g->edges;
}

static void prepare_block(const Call *c, int block)
{
    Edges g;
    edges_of(c, block, &g);
    const int64_t atom = c->block_atoms[block], edge = c->block_edges[block];
    for (int i = 0; i <= g.atoms; i++) g.row[i] = (int32_t)(c->row[atom + i] - edge);
    for (int e = 0; e < g.edges; e++) g.neighbour[e] = (int32_t)(c->neighbour[edge + e] - atom);
    pair_edges(&g);
    radial_functions(&g, c->offsets, c->widths, (real)c->cutoff);
}

/* A thread's room for the largest block. */
typedef struct {
    Scratch scratch;
    real *saved, *sums;
} Room;

static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* First (base NULL) the size, then the addresses. */
static size_t lay_out(Room *room, char *base, int layers, int64_t n, int64_t e, int tangent)
{
    size_t used = 0;
    Scratch *t = &room->scratch;
#define PUT(target, count) \
    do { target = (real *)(base + used); used += rounded((size_t)(count) * sizeof(real)); } while (0)
    PUT(t->q, n * F);
    PUT(t->mu, n * 3 * F);
    PUT(t->s, n * F);
    PUT(t->s1, n * F);
    PUT(t->ctx, n * 2 * F);
    PUT(t->y, n * 3 * F);
    PUT(t->vw, n * 6 * F);
    PUT(t->xb, n * 3 * F);
    PUT(t->sums, e * 4 * WIDTH);
    PUT(t->w, e * (tangent ? 9 : 6) * F);
    if (tangent) {
        PUT(t->dt, e);
        PUT(t->ut, 3 * e);
        PUT(t->head, n * H);
        for (int l = 0; l < layers; l++) {
            Moving *d = &t->layer[l];
            PUT(d->h, n * F);
            PUT(d->x, n * 3 * F);
            PUT(d->mu, n * 3 * F);
            PUT(d->vw, n * 6 * F);
            PUT(d->n, n * F);
            PUT(d->hm, n * F);
            PUT(d->y, n * 3 * F);
        }
    } else {
        PUT(room->saved, KEPT_PER_ATOM(layers) * n);
        PUT(room->sums, 4 * e);
    }
#undef PUT
    return used;
}

static int open_room(Room *room, const Call *c, int tangent)
{
    int64_t n = 0, e = 0;
    for (int b = 0; b < c->blocks; b++) {
        const int64_t atoms = c->block_atoms[b + 1] - c->block_atoms[b];
        const int64_t edges = c->block_edges[b + 1] - c->block_edges[b];
        if (atoms > n) n = atoms;
        if (edges > e) e = edges;
    }
    const size_t bytes = lay_out(room, 0, c->layers, n, e, tangent) + 64;
    void *memory = room_of(bytes);
    if (!memory) return 0;
    lay_out(room, memory, c->layers, n, e, tangent);
    return 1;
}
