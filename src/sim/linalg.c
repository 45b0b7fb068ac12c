#include "sim/linalg.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/err.h"

void vk_mat_mul(double *out, const double *a, const double *b, int n, int m, int p)
{
  for (int i = 0; i < n; i++)
    for (int j = 0; j < p; j++) {
      double sum = 0;
      for (int k = 0; k < m; k++)
        sum += a[i * m + k] * b[k * p + j];
      out[i * p + j] = sum;
    }
}

/* Returns false when the best pivot of a column is not above tiny. */
static bool invert(double *out, const double *a, int n, double tiny)
{
  double w[VK_MAT_N_MAX][2 * VK_MAT_N_MAX];
  VK_ASSERT(n <= VK_MAT_N_MAX);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      w[i][j] = a[i * n + j];
      w[i][n + j] = i == j;
    }
  for (int c = 0; c < n; c++) {
    int best = c;
    for (int i = c + 1; i < n; i++)
      if (fabs(w[i][c]) > fabs(w[best][c]))
        best = i;
    if (!(fabs(w[best][c]) > tiny))
      return false;
    if (best != c)
      for (int j = 0; j < 2 * n; j++) {
        double t = w[c][j];
        w[c][j] = w[best][j];
        w[best][j] = t;
      }
    double pivot = w[c][c];
    for (int j = c; j < 2 * n; j++)
      w[c][j] /= pivot;
    for (int i = 0; i < n; i++) {
      double factor = w[i][c];
      if (i == c || factor == 0)
        continue;
      for (int j = c; j < 2 * n; j++)
        w[i][j] -= factor * w[c][j];
    }
  }
  for (int i = 0; i < n; i++)
    memcpy(out + i * n, w[i] + n, sizeof(double) * (size_t)n);
  return true;
}

void vk_mat_inv(double *out, const double *a, int n)
{
  if (!invert(out, a, n, 0))
    memset(out, 0, sizeof(double) * (size_t)(n * n));
}

/* Eigenvalues and vectors of symmetric a by cyclic Jacobi; a is destroyed, columns of v. */
static void jacobi_eigen(double *a, double *v, int n)
{
  for (int i = 0; i < n * n; i++)
    v[i] = i % (n + 1) == 0;
  for (int sweep = 0; sweep < 60; sweep++) {
    double off = 0, diagonal = 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        *(i == j ? &diagonal : &off) += a[i * n + j] * a[i * n + j];
    if (off <= 1e-32 * diagonal)
      return;
    for (int p = 0; p < n; p++)
      for (int q = p + 1; q < n; q++) {
        if (a[p * n + q] == 0)
          continue;
        double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
        double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
        double c = 1 / sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < n; k++) {
          double x = a[k * n + p], y = a[k * n + q];
          a[k * n + p] = c * x - s * y;
          a[k * n + q] = s * x + c * y;
        }
        for (int k = 0; k < n; k++) {
          double x = a[p * n + k], y = a[q * n + k];
          a[p * n + k] = c * x - s * y;
          a[q * n + k] = s * x + c * y;
        }
        for (int k = 0; k < n; k++) {
          double x = v[k * n + p], y = v[k * n + q];
          v[k * n + p] = c * x - s * y;
          v[k * n + q] = s * x + c * y;
        }
      }
  }
}

void vk_mat_pinv_sym(double *out, const double *a, int n)
{
  double largest = 0;
  for (int i = 0; i < n * n; i++)
    largest = fmax(largest, fabs(a[i]));
  /* Regular by a wide margin: eliminate, as it costs a tenth of the eigenvectors. */
  if (invert(out, a, n, 1e-9 * largest))
    return;
  double w[VK_MAT_N_MAX * VK_MAT_N_MAX], v[VK_MAT_N_MAX * VK_MAT_N_MAX];
  memcpy(w, a, sizeof(double) * (size_t)(n * n));
  jacobi_eigen(w, v, n);
  largest = 0;
  for (int i = 0; i < n; i++)
    largest = fmax(largest, fabs(w[i * n + i]));
  memset(out, 0, sizeof(double) * (size_t)(n * n));
  for (int k = 0; k < n; k++) {
    double value = w[k * n + k];
    if (!(fabs(value) > 1e-15 * largest))
      continue;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++)
        out[i * n + j] += v[i * n + k] * v[j * n + k] / value;
  }
}
