#include "sim/import_texture.h"

#include <math.h>
#include <stdlib.h>

vk_status vk_import_png(vk_visuals_builder *b, const char *name, const void *bytes, size_t n,
                        bool is_cube, int side_max, uint32_t *texture, vk_err *err)
{
  vk_image image;
  VK_TRY(vk_image_parse(&image, bytes, n, name, err));
  vk_status st = VK_OK;
  if (is_cube && image.width != image.height)
    st = vk_fail(err, VK_E_FORMAT, "%s: %d x %d pixels, expected a square for the faces of a cube",
                 name, image.width, image.height);
  else if (is_cube)
    *texture = vk_visuals_put_cube(
        b, name, (const vk_image[6]){image, image, image, image, image, image}, side_max);
  else
    *texture = vk_visuals_put_picture(b, name, &image, side_max);
  vk_image_free(&image);
  return st;
}

/* ---- sky ------------------------------------------------------------------------------------ */

/* Direction through a texel of a cube's face; x, y in [-1, 1] with y down. Source: OpenGL 4.6,
 * table 8.19. */
static void face_direction(double d[3], int face, double x, double y)
{
  const double of[6][3] = {{1, -y, -x}, {-1, -y, x}, {x, 1, y},
                           {x, -1, -y}, {x, -y, 1},  {-x, -y, -1}};
  for (int k = 0; k < 3; k++)
    d[k] = of[face][k];
}

/* Between rgb2 (at -1) and rgb1 (at 1). */
static void gradient(uint8_t *out, const double rgb1[3], const double rgb2[3], double at)
{
  double alpha = 0.5 * (1 + at / sqrt(1 + at * at) * sqrt(2));
  alpha = fmin(fmax(alpha, 0), 1);
  for (int k = 0; k < 3; k++)
    out[k] = (uint8_t)(255 * fmin(fmax(alpha * rgb1[k] + (1 - alpha) * rgb2[k], 0), 1));
}

vk_status vk_import_sky(vk_visuals_builder *b, const char *name, const double rgb1[3],
                        const double rgb2[3], int side, uint32_t *texture, vk_err *err)
{
  const size_t n_face = (size_t)side * (size_t)side * 3;
  uint8_t *pixel = malloc(6 * n_face);
  if (!pixel)
    return vk_fail(err, VK_E_NOMEM, "no memory for a sky of %d texels", side);
  vk_image face[6];
  for (int i = 0; i < 6; i++) {
    face[i] = (vk_image){side, side, 3, pixel + (size_t)i * n_face};
    for (int r = 0; r < side; r++)
      for (int c = 0; c < side; c++) {
        double d[3];
        /* MuJoCo puts the first and the last texel on the edges of the face */
        face_direction(d, i, side > 1 ? 2.0 * c / (side - 1) - 1 : 0,
                       side > 1 ? 2.0 * r / (side - 1) - 1 : 0);
        double elevation = asin(d[2] / sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]));
        gradient(face[i].pixel + 3 * ((size_t)r * (size_t)side + (size_t)c), rgb1, rgb2,
                 elevation / (0.5 * M_PI));
      }
  }
  *texture = vk_visuals_put_cube(b, name, face, side);
  free(pixel);
  return VK_OK;
}
