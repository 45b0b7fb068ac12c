#include "core/image.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

enum { DEFLATE_RATIO_MAX = 1032, CHUNK_MAX = 8 << 20 };

/* libpng leaves by longjmp, so that all that is needed afterwards lives here, not in locals. */
typedef struct reader {
  png_structp png;
  png_infop info;
  const uint8_t *at;
  size_t n_left;
  vk_image image;
  char reason[160];
} reader;

static void on_error(png_structp png, png_const_charp reason)
{
  snprintf(png_get_error_ptr(png), sizeof((reader *)0)->reason, "%s", reason);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp reason)
{
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
  reader *r = png_get_io_ptr(png);
  if (n > r->n_left)
    png_error(png, "the file is cut short");
  memcpy(out, r->at, n);
  r->at += n;
  r->n_left -= n;
}

static vk_status check_size(int64_t width, int64_t height, int64_t n_channel, const char *what,
                            vk_err *err)
{
  if (width < 1 || height < 1 || width > VK_IMAGE_SIDE_MAX || height > VK_IMAGE_SIDE_MAX ||
      width * height * n_channel > VK_IMAGE_BYTES_MAX)
    return vk_fail(
        err, VK_E_RANGE, "%s: a picture of %lld x %lld; sides of 1 to %d and %d MiB are possible",
        what, (long long)width, (long long)height, VK_IMAGE_SIDE_MAX, VK_IMAGE_BYTES_MAX >> 20);
  return VK_OK;
}

static vk_status fail_png(const reader *r, const char *what, vk_err *err)
{
  return vk_fail(err, VK_E_FORMAT, "%s: not a valid PNG picture: %s", what, r->reason);
}

/* Everything before the rows. Under a caller's setjmp no local of it may change, hence the two
 * functions, each with its own. */
static vk_status read_head(reader *r, const char *what, vk_err *err)
{
  if (setjmp(png_jmpbuf(r->png)))
    return fail_png(r, what, err);
  png_set_read_fn(r->png, r, read_bytes);
  png_set_user_limits(r->png, 0x7fffffff, 0x7fffffff); /* ours have a better sentence */
  png_set_chunk_malloc_max(r->png, CHUNK_MAX);
  png_read_info(r->png, r->info);
  png_set_expand(r->png); /* palettes to colours, 1, 2, 4 bits to 8 */
  png_set_scale_16(r->png);
  png_set_strip_alpha(r->png);
  png_set_interlace_handling(r->png);
  int64_t width = png_get_image_width(r->png, r->info);
  int64_t height = png_get_image_height(r->png, r->info);
  int bits = png_get_bit_depth(r->png, r->info) * png_get_channels(r->png, r->info);
  VK_TRY(check_size(width, height, 3, what, err));
  /* Checked before memory is taken: the rows cannot unpack to so much. */
  if (width * height * bits / 8 / DEFLATE_RATIO_MAX > (int64_t)r->n_left)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: not a valid PNG picture: %zu bytes cannot hold %d x %d pixels", what,
                   r->n_left, (int)width, (int)height);
  png_read_update_info(r->png, r->info);
  r->image = (vk_image){
      .width = (int)width, .height = (int)height, .n_channel = png_get_channels(r->png, r->info)};
  VK_ASSERT((r->image.n_channel == 1 || r->image.n_channel == 3) &&
            png_get_bit_depth(r->png, r->info) == 8);
  r->image.pixel = malloc((size_t)(width * height) * (size_t)r->image.n_channel);
  if (!r->image.pixel)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %d x %d pixels", what, (int)width,
                   (int)height);
  return VK_OK;
}

static vk_status read_rows(reader *r, const char *what, vk_err *err)
{
  if (setjmp(png_jmpbuf(r->png)))
    return fail_png(r, what, err);
  int n_pass = png_get_interlace_type(r->png, r->info) == PNG_INTERLACE_ADAM7 ? 7 : 1;
  for (int i_pass = 0; i_pass < n_pass; i_pass++)
    for (int y = 0; y < r->image.height; y++)
      png_read_row(r->png, r->image.pixel + (size_t)y * r->image.width * r->image.n_channel, NULL);
  png_read_end(r->png, NULL);
  return VK_OK;
}

vk_status vk_image_parse(vk_image *image, const void *bytes, size_t n, const char *what,
                         vk_err *err)
{
  memset(image, 0, sizeof *image);
  reader r = {.at = bytes, .n_left = n};
  r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r.reason, on_error, on_warning);
  r.info = r.png ? png_create_info_struct(r.png) : NULL;
  vk_status st = VK_OK;
  if (!r.info)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory to read a PNG picture", what);
  if (st == VK_OK)
    st = read_head(&r, what, err);
  if (st == VK_OK)
    st = read_rows(&r, what, err);
  png_destroy_read_struct(&r.png, &r.info, NULL);
  if (st != VK_OK)
    vk_image_free(&r.image);
  *image = r.image;
  return st;
}

vk_status vk_image_read(vk_image *image, const char *path, vk_err *err)
{
  memset(image, 0, sizeof *image);
  char *bytes = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_read(&bytes, &n, path, VK_IMAGE_BYTES_MAX, err));
  vk_status st = vk_image_parse(image, bytes, n, path, err);
  free(bytes);
  return st;
}

void vk_image_free(vk_image *image)
{
  free(image->pixel);
  memset(image, 0, sizeof *image);
}

/* ---- writing ---- */

typedef struct writer {
  png_structp png;
  png_infop info;
  vk_fs_writer file;
  vk_status st; /* what file said */
  vk_err *err;
  char reason[160];
} writer;

static void write_bytes(png_structp png, png_bytep bytes, size_t n)
{
  writer *w = png_get_io_ptr(png);
  w->st = vk_fs_writer_add(&w->file, bytes, n, w->err);
  if (w->st != VK_OK)
    png_error(png, "write error");
}

static void flush_bytes(png_structp png)
{
}

static vk_status write_png(writer *w, const uint8_t *pixel, int width, int height, int n_channel)
{
  if (setjmp(png_jmpbuf(w->png)))
    return w->st != VK_OK ? w->st
                          : vk_fail(w->err, VK_E_IO, "%s: cannot write the picture: %s",
                                    w->file.path, w->reason);
  png_set_write_fn(w->png, w, write_bytes, flush_bytes);
  png_set_IHDR(w->png, w->info, (png_uint_32)width, (png_uint_32)height, 8,
               n_channel == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w->png, w->info);
  for (int y = 0; y < height; y++)
    png_write_row(w->png, pixel + (size_t)y * (size_t)width * (size_t)n_channel);
  png_write_end(w->png, NULL);
  return VK_OK;
}

vk_status vk_image_write(const char *path, const uint8_t *pixel, int width, int height,
                         int n_channel, vk_err *err)
{
  VK_ASSERT(n_channel == 1 || n_channel == 3);
  VK_TRY(check_size(width, height, n_channel, path, err));
  writer w = {.err = err};
  VK_TRY(vk_fs_writer_open(&w.file, path, err));
  w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w.reason, on_error, on_warning);
  w.info = w.png ? png_create_info_struct(w.png) : NULL;
  vk_status st = w.info ? write_png(&w, pixel, width, height, n_channel)
                        : vk_fail(err, VK_E_NOMEM, "%s: no memory to write a PNG picture", path);
  png_destroy_write_struct(&w.png, &w.info);
  if (st == VK_OK)
    st = vk_fs_writer_commit(&w.file, err);
  vk_fs_writer_abort(&w.file);
  return st;
}
