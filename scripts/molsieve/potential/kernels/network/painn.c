/* A committee of frozen PaiNN networks: energies, their gradient by the edges' vectors, and the
 * product of their Hessian with a vector, without parameter gradients.
 *
 * PaiNN: Schuett, Unke, Gastegger, ICML 2021, arXiv:2102.03150, with SchNetPack's definitions.
 * Structures come in blocks small enough that what a block needs stays in a core's cache.
 * Compiled once per (REAL, FEATURES); the first embedding and its context network, which do not
 * depend on positions, are inputs.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef REAL real;
#define F FEATURES
#define H (FEATURES / 2)
#define MAX_LAYERS 8
#define EPSILON ((real)1e-8)
#ifdef DOUBLE
#define EXP exp
#define SQRT sqrt
#define COS cos
#define SIN sin
#define NEGLIGIBLE 81
#else
#define EXP expf
#define SQRT sqrtf
#define COS cosf
#define SIN sinf
#define NEGLIGIBLE 38.5f /* exp(-38.5 / 2) = 4e-9 */
#endif
typedef real vec __attribute__((vector_size(WIDTH * sizeof(real)), aligned(sizeof(real)), may_alias));

#include "painn_linear.h"
#include "painn_edges.h"
#include "painn_layers.h"
#include "painn_vectors.h"
#include "painn_room.h"
#include "painn_tangent.h"
#include "painn_call.h"

static void curvature_of(const Edges *g, const Scratch *t, const real *kept, real *out)
{
    for (int e = 0; e < g->edges; e++) {
        real s[4] = {0};
        for (int k = 0; k < 4; k++)
            for (int w = 0; w < WIDTH; w++) s[k] += t->sums[(4 * e + k) * WIDTH + w];
        const real *u = g->unit + 3 * e, *v = t->ut + 3 * e, d = g->distance[g->pair[e]];
        const real *b = kept + 4 * e, rate = t->dt[e] / d;
        const real along = b[1] * u[0] + b[2] * u[1] + b[3] * u[2];
        const real turn = s[1] * u[0] + s[2] * u[1] + s[3] * u[2] + b[1] * v[0] + b[2] * v[1] + b[3] * v[2];
        for (int k = 0; k < 3; k++)
            out[3 * e + k] = s[0] * u[k] + b[0] * v[k] +
                             (s[k + 1] - turn * u[k] - along * v[k] - rate * (b[k + 1] - along * u[k])) / d;
    }
}

static void saved_of(const Call *c, int member, int block, Saved *saved)
{
    real *here = c->saved + member * c->saved_size;
    saved_at(here + KEPT_PER_ATOM(c->layers) * c->block_atoms[block],
             here + KEPT_PER_ATOM(c->layers) * c->atoms + 4 * c->block_edges[block], c->layers,
             (int)(c->block_atoms[block + 1] - c->block_atoms[block]), saved);
}

static void evaluate_block(const Call *c, Room *room, int member, int block, real *energy,
                           real *features, real *gradient)
{
    Edges block_edges;
    const Edges *g = &block_edges;
    edges_of(c, block, &block_edges);
    const int64_t atom = member * c->atoms + c->block_atoms[block];
    const int64_t edge = c->block_edges[block];
    Member m;
    Saved saved;
    member_of(c, member, &m);
    if (c->saved) saved_of(c, member, block, &saved);
    else saved_at(room->saved, room->sums, c->layers, g->atoms, &saved);
    forward(&m, g, c->q0 + atom * F, c->x0 + atom * 3 * F, &saved, 0, &room->scratch, energy + atom,
            features ? features + atom * F : 0);
    if (!gradient) return;
    backward(&m, g, &saved, 0, &room->scratch);
    gradient_of(g, room->scratch.sums, saved.sums, gradient + 3 * (member * c->edges + edge));
}

static void differentiate_block(const Call *c, Room *room, int member, int block,
                                const real *moves, real *change)
{
    Edges block_edges;
    const Edges *g = &block_edges;
    edges_of(c, block, &block_edges);
    const int64_t edge = c->block_edges[block], here = 3 * (member * c->edges + edge);
    Member m;
    Saved saved;
    member_of(c, member, &m);
    saved_of(c, member, block, &saved);
    edge_tangents(g, moves + here, room->scratch.dt, room->scratch.ut);
    forward_tangent(&m, g, &saved, 0, &room->scratch);
    backward_tangent(&m, g, &saved, &room->scratch);
    curvature_of(g, &room->scratch, saved.sums, change + here);
}

int64_t painn_edge_reals(int32_t gaussians) { return EDGE_REALS(gaussians); }

/* What all members need of the edges; before the other two. */
void painn_prepare(const Call *c)
{
#pragma omp parallel for num_threads(c->threads) schedule(static)
    for (int block = 0; block < c->blocks; block++) prepare_block(c, block);
}

int64_t painn_saved_size(int32_t layers, int64_t atoms, int64_t edges)
{
    return (KEPT_PER_ATOM(layers) * atoms + 4 * edges + 15) / 16 * 16;
}

/* Atom energies (members, N), features (members, N, F) and dE/dr (members, E, 3) where not NULL;
 * 0, or 1 without memory. */
int painn_evaluate(const Call *c, real *energy, real *features, real *gradient)
{
    int failed = 0;
#pragma omp parallel num_threads(c->threads) reduction(| : failed)
    {
        Room room;
        const int open = open_room(&room, c, 0);
        failed = !open;
#pragma omp for schedule(static)
        for (int item = 0; item < c->blocks * c->members; item++)
            if (open)
                evaluate_block(c, &room, item / c->blocks, item % c->blocks, energy, features,
                               gradient);
    }
    return failed;
}

/* Change (members, E, 3) of dE/dr for moves (members, E, 3) of the vectors; after painn_evaluate
 * with the same call and saved. */
int painn_differentiate(const Call *c, const real *moves, real *change)
{
    int failed = 0;
#pragma omp parallel num_threads(c->threads) reduction(| : failed)
    {
        Room room;
        const int open = open_room(&room, c, 1);
        failed = !open;
#pragma omp for schedule(static)
        for (int item = 0; item < c->blocks * c->members; item++)
            if (open)
                differentiate_block(c, &room, item / c->blocks, item % c->blocks, moves, change);
    }
    return failed;
}
