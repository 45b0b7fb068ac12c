#include "rl/advantage.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const double eps_std = 1e-5, eps_group = 1e-6;

int64_t vk_roll_n_head(const vk_roll *r)
{
  return r->per_chunk ? 1 : r->n_step;
}

int64_t vk_roll_n_row(const vk_roll *r)
{
  return r->n_chunk * r->n_traj;
}

/* Item of [*, B, C] and of [*, B, C']. */
static int64_t at(const vk_roll *r, int64_t k, int64_t b, int64_t a)
{
  return (k * r->n_traj + b) * r->n_step + a;
}

static int64_t at_head(const vk_roll *r, int64_t k, int64_t b, int64_t h)
{
  return (k * r->n_traj + b) * vk_roll_n_head(r) + h;
}

static bool any(const uint8_t *flag, int64_t n)
{
  for (int64_t i = 0; i < n; i++)
    if (flag[i])
      return true;
  return false;
}

void vk_adv_fold(int64_t n_epoch, int64_t n_row, int64_t n_traj, size_t item, const void *from,
                 void *to)
{
  size_t part = (size_t)n_traj * item;
  for (int64_t e = 0; e < n_epoch; e++)
    for (int64_t k = 0; k < n_row; k++)
      memcpy((char *)to + (size_t)(k * n_epoch + e) * part,
             (const char *)from + (size_t)(e * n_row + k) * part, part);
}

void vk_adv_valid(const vk_roll *r, const uint8_t *done, const uint8_t *begin, uint8_t *mask,
                  int32_t *n_valid)
{
  for (int64_t b = 0; b < r->n_traj; b++) {
    bool is_over = done[at(r, 0, b, r->n_step - 1)] != 0;
    n_valid[b] = 0;
    for (int64_t k = 0; k < r->n_chunk; k++) {
      is_over = is_over && !(begin && begin[k * r->n_traj + b]);
      if (r->per_chunk)
        mask[at_head(r, k, b, 0)] = !is_over;
      for (int64_t a = 0; a < r->n_step; a++) {
        if (!r->per_chunk)
          mask[at(r, k, b, a)] = !is_over;
        n_valid[b] += !is_over;
        is_over = is_over || done[at(r, k + 1, b, a)];
      }
    }
  }
}

void vk_adv_bootstrap(const vk_roll *r, vk_bootstrap kind, double gamma, const uint8_t *terminated,
                      const uint8_t *truncated, const float *value, float *reward)
{
  for (int64_t i = 0; i < vk_roll_n_row(r); i++) {
    int64_t last = (i + 1) * r->n_step - 1;
    bool is_term = terminated[last], is_trunc = truncated[last];
    bool is_on = kind == VK_BOOTSTRAP_ALWAYS ? is_term || is_trunc
                 : kind == VK_BOOTSTRAP_STANDARD
                     ? is_trunc
                     : kind == VK_BOOTSTRAP_TRUNCATED && is_trunc && !is_term;
    if (is_on)
      reward[last] = (float)((double)reward[last] + gamma * (double)value[i]);
  }
}

/* Reward of head h of a chunk step, and whether an episode ended with it. */
static double reward_of(const vk_roll *r, const float *reward, int64_t k, int64_t b, int64_t h)
{
  if (!r->per_chunk)
    return reward[at(r, k, b, h)];
  double sum = 0;
  for (int64_t a = 0; a < r->n_step; a++)
    sum += (double)reward[at(r, k, b, a)];
  return sum;
}

static bool done_after(const vk_roll *r, const uint8_t *done, int64_t k, int64_t b, int64_t h)
{
  return r->per_chunk ? any(done + at(r, k + 1, b, 0), r->n_step) : done[at(r, k + 1, b, h)] != 0;
}

void vk_adv_gae(const vk_roll *r, double gamma, double lambda, const float *reward,
                const uint8_t *done, const float *value, double *adv, double *ret)
{
  int64_t n_head = vk_roll_n_head(r);
  for (int64_t b = 0; b < r->n_traj; b++) {
    double next_a = 0, next_v = (double)value[at_head(r, r->n_chunk, b, 0)];
    for (int64_t t = r->n_chunk * n_head - 1; t >= 0; t--) {
      int64_t k = t / n_head, h = t % n_head, i = at_head(r, k, b, h);
      double go_on = done_after(r, done, k, b, h) ? 0 : 1, v = (double)value[i];
      double delta = reward_of(r, reward, k, b, h) + gamma * next_v * go_on - v;
      next_a = delta + gamma * lambda * go_on * next_a;
      next_v = v;
      adv[i] = next_a;
      ret[i] = next_a + v;
    }
  }
}

void vk_adv_score(const vk_roll *r, const float *reward, const uint8_t *done, double *score)
{
  int64_t n_head = vk_roll_n_head(r);
  for (int64_t b = 0; b < r->n_traj; b++) {
    score[b] = 0;
    for (int64_t t = 0; t < r->n_chunk * n_head; t++) {
      score[b] += reward_of(r, reward, t / n_head, b, t % n_head);
      if (done_after(r, done, t / n_head, b, t % n_head))
        break;
    }
  }
}

/* Sets column b to x where the mask holds and to 0 elsewhere. */
static void fill_traj(const vk_roll *r, int64_t b, double x, const uint8_t *mask, double *adv)
{
  for (int64_t k = 0; k < r->n_chunk; k++)
    for (int64_t h = 0; h < vk_roll_n_head(r); h++) {
      int64_t i = at_head(r, k, b, h);
      adv[i] = !mask || mask[i] ? x : 0;
    }
}

void vk_adv_group(const vk_roll *r, int64_t group, const double *score, const uint8_t *mask,
                  double *adv)
{
  VK_ASSERT(group >= 1 && r->n_traj % group == 0);
  for (int64_t first = 0; first < r->n_traj; first += group) {
    const double *s = score + first;
    double sum = 0, square = 0;
    bool is_equal = true;
    for (int64_t i = 0; i < group; i++) {
      sum += s[i];
      is_equal = is_equal && s[i] == s[0];
    }
    double mean = sum / (double)group;
    for (int64_t i = 0; i < group; i++)
      square += (s[i] - mean) * (s[i] - mean);
    double scale = is_equal ? 0 : 1 / (sqrt(square / (double)(group - 1)) + eps_group);
    for (int64_t i = 0; i < group; i++)
      fill_traj(r, first + i, is_equal ? 0 : (s[i] - mean) * scale, mask, adv);
  }
}

vk_status vk_adv_check_groups(int64_t n_traj, int64_t group, const int64_t *task,
                              const int64_t *start, vk_err *err)
{
  if (group < 1 || n_traj % group)
    return vk_fail(err, VK_E_SHAPE,
                   "%" PRId64 " trajectories are no groups of %" PRId64
                   ": choose a number of environments that the group's size divides",
                   n_traj, group);
  for (int64_t i = 0; i < n_traj; i++) {
    int64_t first = i - i % group;
    if (task[i] != task[first] || start[i] != start[first])
      return vk_fail(err, VK_E_MISMATCH,
                     "trajectories %" PRId64 " and %" PRId64 " of one group are of task %" PRId64
                     ", start %" PRId64 " and of task %" PRId64 ", start %" PRId64
                     ", expected the same",
                     first, i, task[first], start[first], task[i], start[i]);
  }
  return VK_OK;
}

int64_t vk_adv_filter(const vk_roll *r, int64_t group, const double *score, double lo, double hi,
                      uint8_t *mask, uint8_t *keep)
{
  VK_ASSERT(group >= 1 && r->n_traj % group == 0);
  int64_t n_head = vk_roll_n_head(r), n_kept = 0;
  for (int64_t first = 0; first < r->n_traj; first += group) {
    double sum = 0;
    for (int64_t i = 0; i < group; i++)
      sum += score[first + i];
    double mean = sum / (double)group;
    bool is_kept = mean >= lo && mean <= hi;
    n_kept += is_kept;
    if (keep)
      keep[first / group] = is_kept;
    for (int64_t k = 0; k < r->n_chunk && mask && !is_kept; k++)
      memset(mask + at_head(r, k, first, 0), 0, (size_t)(group * n_head));
  }
  return n_kept;
}

/* ---- normalisation ------------------------------------------------------------------------- */

void vk_adv_moments(const vk_roll *r, const double *adv, const uint8_t *mask, int64_t begin,
                    int64_t end, vk_moments *per_traj)
{
  for (int64_t b = begin; b < end; b++) {
    vk_moments m = {0};
    for (int64_t k = 0; k < r->n_chunk; k++)
      for (int64_t h = 0; h < vk_roll_n_head(r); h++) {
        int64_t i = at_head(r, k, b, h);
        if (mask && !mask[i])
          continue;
        double d = adv[i] - m.mean;
        m.n++;
        m.mean += d / (double)m.n;
        m.m2 += d * (adv[i] - m.mean);
      }
    per_traj[b] = m;
  }
}

vk_moments vk_moments_join(int64_t n, const vk_moments *part)
{
  vk_moments all = {0};
  for (int64_t i = 0; i < n; i++) {
    if (part[i].n == 0)
      continue;
    double d = part[i].mean - all.mean, n_all = (double)(all.n + part[i].n);
    all.m2 += part[i].m2 + d * d * (double)all.n * (double)part[i].n / n_all;
    all.mean += d * (double)part[i].n / n_all;
    all.n += part[i].n;
  }
  return all;
}

void vk_adv_normalise(int64_t n_item, const vk_moments *all, vk_normalise how, double *adv)
{
  if (all->n == 0 && how == VK_NORMALISE_STD)
    return;
  double n = all->n > 0 ? (double)all->n : 1, scale;
  if (how == VK_NORMALISE_VAR)
    scale = sqrt(all->m2 / n + eps_std);
  else if (how == VK_NORMALISE_STD_BIASED)
    scale = sqrt(all->m2 / n) + eps_std;
  else
    scale = (all->n > 1 ? sqrt(all->m2 / (n - 1)) : 0) + eps_std;
  for (int64_t i = 0; i < n_item; i++)
    adv[i] = (adv[i] - all->mean) / scale;
}

/* ---- weights of a loss --------------------------------------------------------------------- */

void vk_adv_weights(const vk_roll *r, const uint8_t *mask, const int32_t *n_valid, double t_max,
                    float *weight)
{
  for (int64_t k = 0; k < r->n_chunk; k++)
    for (int64_t b = 0; b < r->n_traj; b++) {
      double w = !n_valid ? 1 : n_valid[b] > 0 ? t_max / (double)n_valid[b] : 0;
      for (int64_t h = 0; h < vk_roll_n_head(r); h++) {
        int64_t i = at_head(r, k, b, h);
        weight[i] = !mask || mask[i] ? (float)w : 0;
      }
    }
}

double vk_adv_norm(int64_t n_row, int64_t n_head, int64_t width, const float *weight,
                   bool with_length)
{
  VK_ASSERT(n_head >= 1 && width % n_head == 0);
  if (with_length)
    return (double)n_row * (double)width;
  double sum = 0;
  for (int64_t i = 0; i < n_row * n_head; i++)
    sum += (double)weight[i];
  return sum * (double)(width / n_head);
}

int64_t vk_adv_rows(int64_t n_row, int64_t n_head, const float *weight, const double *adv,
                    int32_t *row, double *saved)
{
  int64_t n = 0;
  for (int64_t i = 0; i < n_row; i++) {
    bool is_needed = false;
    for (int64_t h = i * n_head; h < (i + 1) * n_head; h++)
      is_needed = is_needed || (weight[h] != 0 && (!adv || adv[h] != 0));
    if (is_needed)
      row[n++] = (int32_t)i;
  }
  if (saved)
    *saved = n_row > 0 ? 1 - (double)n / (double)n_row : 0;
  return n;
}

void vk_adv_spread(int64_t n_row, const int32_t *row, int64_t n_head, int64_t width,
                   const double *x, float *y)
{
  VK_ASSERT(n_head >= 1 && width % n_head == 0);
  int64_t times = width / n_head;
  for (int64_t i = 0; i < n_row; i++)
    for (int64_t j = 0; j < width; j++)
      y[i * width + j] = (float)x[(row ? row[i] : i) * n_head + j / times];
}

void vk_adv_spread_f32(int64_t n_row, const int32_t *row, int64_t n_head, int64_t width,
                       const float *x, float *y)
{
  VK_ASSERT(n_head >= 1 && width % n_head == 0);
  int64_t times = width / n_head;
  for (int64_t i = 0; i < n_row; i++)
    for (int64_t j = 0; j < width; j++)
      y[i * width + j] = x[(row ? row[i] : i) * n_head + j / times];
}
