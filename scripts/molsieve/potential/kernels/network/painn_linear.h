/* Dense layers: C = A B (+ bias, or + C), row-major, B packed as (inputs, outputs).
 *
 * A register tile is 6 rows by 4 vectors: 24 sums, which with 4 vectors of B and one number of A
 * fill the 32 registers of AVX-512. Included by painn.c.
 */
#define TILE_ROWS 6
#define TILE_VECTORS 4

static inline __attribute__((always_inline)) void tile(
    const int rows, const int vectors, int inputs, const real *restrict a, int lda,
    const real *restrict b, int ldb, real *restrict c, int ldc, const real *bias, int add)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[r][v] = add    ? *(const vec *)(c + r * ldc + v * WIDTH)
                        : bias ? *(const vec *)(bias + v * WIDTH)
                               : (vec){0};
    for (int k = 0; k < inputs; k++) {
        vec row[TILE_VECTORS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) row[v] = *(const vec *)(b + k * ldb + v * WIDTH);
#pragma GCC unroll 6
        for (int r = 0; r < rows; r++) {
            const real factor = a[r * lda + k];
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++) sum[r][v] += factor * row[v];
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++) *(vec *)(c + r * ldc + v * WIDTH) = sum[r][v];
}

static inline __attribute__((always_inline)) void strip(
    const int vectors, int rows, int inputs, const real *a, int lda, const real *b, int ldb,
    real *c, int ldc, const real *bias, int add)
{
    int r = 0;
    for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
        tile(TILE_ROWS, vectors, inputs, a + r * lda, lda, b, ldb, c + r * ldc, ldc, bias, add);
    for (; r + 2 <= rows; r += 2)
        tile(2, vectors, inputs, a + r * lda, lda, b, ldb, c + r * ldc, ldc, bias, add);
    if (r < rows) tile(1, vectors, inputs, a + r * lda, lda, b, ldb, c + r * ldc, ldc, bias, add);
}

/* c (rows, outputs) = a (rows, inputs) b (inputs, outputs) + bias, or c += a b with add. */
static void linear(int rows, int inputs, int outputs, const real *a, const real *b, real *c,
                   const real *bias, int add)
{
    int n = 0;
    for (; n + TILE_VECTORS * WIDTH <= outputs; n += TILE_VECTORS * WIDTH)
        strip(TILE_VECTORS, rows, inputs, a, inputs, b + n, outputs, c + n, outputs,
              bias ? bias + n : 0, add);
    for (; n + 2 * WIDTH <= outputs; n += 2 * WIDTH)
        strip(2, rows, inputs, a, inputs, b + n, outputs, c + n, outputs, bias ? bias + n : 0, add);
    for (; n < outputs; n += WIDTH)
        strip(1, rows, inputs, a, inputs, b + n, outputs, c + n, outputs, bias ? bias + n : 0, add);
}

/* silu and its first two derivatives at h: the ones that are asked for (others NULL). */
static void silu(int64_t count, const real *restrict h, real *restrict value)
{
    for (int64_t t = 0; t < count; t++) value[t] = h[t] / (1 + EXP(-h[t]));
}

static void silu_slope(int64_t count, const real *restrict h, real *restrict slope)
{
    for (int64_t t = 0; t < count; t++) {
        const real s = 1 / (1 + EXP(-h[t]));
        slope[t] = s * (1 + h[t] * (1 - s));
    }
}

static void silu_slopes(int64_t count, const real *restrict h, real *restrict slope,
                        real *restrict curvature)
{
    for (int64_t t = 0; t < count; t++) {
        const real s = 1 / (1 + EXP(-h[t]));
        slope[t] = s * (1 + h[t] * (1 - s));
        curvature[t] = s * (1 - s) * (2 + h[t] * (1 - 2 * s));
    }
}
