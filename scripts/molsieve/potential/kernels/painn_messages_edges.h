/* Edges for painn_messages.c: records, radial functions, and the parts that threads share out. */

/* exp(x) for x <= 0 to 1e-7, branch-free, so that loops over it become vector code. */
INLINE float exponential(float x) {
    float y = x < -87.0f ? -87.0f : x;
    float n = rintf(y * 1.44269504088896341f);
    float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    union {
        int32_t bits;
        float value;
    } power = {((int32_t)n + 127) << 23};
    return p * power.value;
}

/* The cosine cutoff and its derivatives; with z = pi (d / cutoff - 1/2), cos(pi d / cutoff) is
 * -sin z and sin(pi d / cutoff) is cos z; Taylor series, exact to 1e-8 for |z| <= pi / 2. */
INLINE void cutoff_function(float d, float cutoff, float *values) {
    const float k = 3.14159265358979324f / cutoff;
    float z = d * k - 1.57079632679489662f, s = z * z;
    float sine = z * (1 + s * (-1.f / 6 + s * (1.f / 120 + s * (-1.f / 5040 + s * (1.f / 362880
                 + s * (-1.f / 39916800 + s * (1.f / 6227020800.f)))))));
    float cosine = 1 + s * (-1.f / 2 + s * (1.f / 24 + s * (-1.f / 720 + s * (1.f / 40320
                   + s * (-1.f / 3628800 + s * (1.f / 479001600.f))))));
    values[0] = 0.5f - 0.5f * sine;
    values[1] = -0.5f * k * cosine;
    values[2] = 0.5f * k * k * sine;
}

/* Gaussians that are not negligible at distance d: |d - offset| < reach. */
INLINE void window_of(float d, const float *offset, int64_t n, int64_t window, float reach,
                      int32_t *span) {
    if (window == n || !(d == d)) {
        span[0] = 0;
        span[1] = window;
        return;
    }
    float step = offset[1] - offset[0];
    float low = ceilf((d - reach - offset[0]) / step), high = floorf((d + reach - offset[0]) / step);
    int64_t first = low < 0 ? 0 : low > n - 1 ? n - 1 : (int64_t)low;
    int64_t last = high < 0 ? -1 : high > n - 1 ? n - 1 : (int64_t)high;
    int64_t count = last - first + 1;
    span[0] = first;
    span[1] = count < 0 ? 0 : count > window ? window : count;
}

INLINE void radial_record(const float *r, int64_t n, int64_t window, const float *offset,
                          const float *width, float cutoff, float reach, float *record,
                          int32_t *span) {
    const int64_t size = window + 1;
    float d = sqrtf(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), values[3];
    for (int c = 0; c < 3; c++) record[c] = r[c] / d;
    record[3] = 1 / d;
    float *g = record + 4, *g1 = g + size, *g2 = g1 + size;
    if (d >= cutoff) {
        span[0] = span[1] = 0;
        g[0] = g1[0] = g2[0] = 0;
        return;
    }
    window_of(d, offset, n, window, reach, span);
    cutoff_function(d, cutoff, values);
    const float f0 = values[0], f1 = values[1], f2 = values[2];
    g[0] = f0, g1[0] = f1, g2[0] = f2;
    for (int64_t k = 0; k < span[1]; k++) {
        float inverse = 1 / width[span[0] + k], x = (d - offset[span[0] + k]) * inverse;
        float e = exponential(-0.5f * x * x), e1 = -x * inverse * e;
        float e2 = (x * x - 1) * inverse * inverse * e;
        g[k + 1] = e * f0;
        g1[k + 1] = e1 * f0 + e * f1;
        g2[k + 1] = e2 * f0 + 2 * e1 * f1 + e * f2;
    }
}

/* Records of all edges from vectors (E, 3). */
void edge_records(int64_t edges, const float *vectors, int64_t n, int64_t window,
                  const float *offset, const float *width, float cutoff, float reach,
                  float *record, int32_t *span) {
    unsigned before = flush_denormals();
    for (int64_t e = 0; e < edges; e++)
        radial_record(vectors + 3 * e, n, window, offset, width, cutoff, reach,
                      record + e * (4 + 3 * (window + 1)), span + 2 * e);
    restore_denormals(before);
}

/* start (N + 1) and part (at most wanted + 1 atoms); the number of parts, or -1 where the edges
 * are not sorted by centre or name atoms that are not there. crossing: (N + 1) zeroed scratch. */
int64_t edge_layout(int64_t atoms, int64_t edges, const int64_t *centre, const int64_t *neighbour,
                    int64_t wanted, int64_t *start, int64_t *part, int64_t *crossing) {
    int64_t atom = 0;
    for (int64_t e = 0; e < edges; e++) {
        int64_t i = centre[e], j = neighbour[e];
        if (i < 0 || i >= atoms || j < 0 || j >= atoms || (e && i < centre[e - 1])) return -1;
        while (atom <= i) start[atom++] = e;
        crossing[(i < j ? i : j) + 1]++;
        crossing[(i < j ? j : i) + 1]--;
    }
    while (atom <= atoms) start[atom++] = edges;
    int64_t parts = 0, open = 0;
    part[0] = 0;
    for (int64_t i = 1; i < atoms; i++) {
        open += crossing[i];
        if (open == 0 && parts + 1 < wanted && start[i] * wanted >= (parts + 1) * edges &&
            start[i] > start[part[parts]])
            part[++parts] = i;
    }
    part[++parts] = atoms;
    return parts;
}
