/* e to the power of x, in a form that compilers make vectors of. */
#ifndef EXPONENTIAL_H
#define EXPONENTIAL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Within 2e-7 of exact: x = n ln 2 + r, and e^r by its series. Beyond the ends of float32 it stays at the ends,
 * and NaN stays NaN. */
static inline float exponential(float x) {
    x = x < -87.0F ? -87.0F : x;
    x = x > 88.0F ? 88.0F : x;
    float n = floorf(x * 1.44269504F + 0.5F);
    float r = (x - n * 0.693359375F) + n * 2.12194440e-4F; /* ln 2 in two parts: nothing is lost in n ln 2 */
    float p = 1.0F / 5040.0F;
    p = p * r + 1.0F / 720.0F;
    p = p * r + 1.0F / 120.0F;
    p = p * r + 1.0F / 24.0F;
    p = p * r + 1.0F / 6.0F;
    p = p * r + 0.5F;
    p = p * r * r + r + 1.0F;
    int32_t bits = ((int32_t)(n == n ? n : 0.0F) + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static inline float sigmoid(float x) {
    return 1.0F / (1.0F + exponential(-x));
}

#endif
