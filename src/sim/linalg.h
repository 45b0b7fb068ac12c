/* linalg.h - small dense matrices in double, row-major, no aliasing between out and in.
 * Test: tests/unit/test_linalg.c */
#ifndef VK_SIM_LINALG_H
#define VK_SIM_LINALG_H

enum { VK_MAT_N_MAX = 8 };

/* out [n, p] = a [n, m] b [m, p] */
void vk_mat_mul(double *out, const double *a, const double *b, int n, int m, int p);

/* out [n, n] = inverse of a, Gauss-Jordan with partial pivoting, n <= VK_MAT_N_MAX. a must be
 * regular (an inertia matrix is). */
void vk_mat_inv(double *out, const double *a, int n);

/* Pseudo-inverse of a symmetric positive semidefinite a [n, n] with NumPy's default cut-off: 1e-15
 * times the largest singular value. Equals the inverse away from singularity. */
void vk_mat_pinv_sym(double *out, const double *a, int n);

#endif
