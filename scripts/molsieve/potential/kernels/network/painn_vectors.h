/* From distances and directions of edges to their vectors, and back. */

/* dE/dr = (dE/dd) u + (dE/du - (dE/du . u) u) / d, and dE/dd, dE/du to kept (or NULL). */
static void gradient_of(const Edges *g, const real *sums, real *kept, real *out)
{
    for (int e = 0; e < g->edges; e++) {
        real s[4] = {0};
        for (int k = 0; k < 4; k++)
            for (int w = 0; w < WIDTH; w++) s[k] += sums[(4 * e + k) * WIDTH + w];
        const real *u = g->unit + 3 * e, d = g->distance[g->pair[e]];
        const real along = s[1] * u[0] + s[2] * u[1] + s[3] * u[2];
        for (int k = 0; k < 3; k++) out[3 * e + k] = s[0] * u[k] + (s[k + 1] - along * u[k]) / d;
        if (kept) COPY(kept + 4 * e, s, 4);
    }
}

/* How distances and directions move with the vectors: dt (E), ut (E, 3). */
static void edge_tangents(const Edges *g, const real *moves, real *dt, real *ut)
{
    for (int e = 0; e < g->edges; e++) {
        const real *u = g->unit + 3 * e, *r = moves + 3 * e, d = g->distance[g->pair[e]];
        dt[e] = r[0] * u[0] + r[1] * u[1] + r[2] * u[2];
        for (int k = 0; k < 3; k++) ut[3 * e + k] = (r[k] - dt[e] * u[k]) / d;
    }
}
