/* test_video.c - films: the boxes of the file, what FFmpeg's own programs say of it where they are
 * installed, colours that come back, same bytes, full disks, missing encoders. Skipped in builds
 * without films. */
#include "temp_dir.h"

#include <stdio.h>
#include <unistd.h>

#include "core/video.h"

enum { WIDTH = 64, HEIGHT = 48, N_PICTURE = 30, FPS = 20 };

static vk_video_config config_of(int width, int height)
{
  return (vk_video_config){.width = width, .height = height, .fps = FPS, .title = "task 3, row 7"};
}

/* Four flat quarters, and a mark that moves: what pictures of a film are. */
static void draw(uint8_t *pixel, int i)
{
  static const uint8_t quarter[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {200, 180, 20}};
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++)
      memcpy(pixel + 3 * (y * WIDTH + x), quarter[2 * (y >= HEIGHT / 2) + (x >= WIDTH / 2)], 3);
  memset(pixel + 3 * (HEIGHT / 2 * WIDTH + i), 255, 3);
}

static vk_video *film_of(int n_picture, const char *encoder)
{
  vk_err err = VK_ERR_INIT;
  vk_video *v = NULL;
  vk_video_config config = config_of(WIDTH, HEIGHT);
  static uint8_t pixel[HEIGHT * WIDTH * 3];
  config.encoder = encoder;
  vk_assert_ok(vk_video_new(&v, &config, &err), &err);
  for (int i = 0; i < n_picture; i++) {
    draw(pixel, i);
    vk_assert_ok(vk_video_add(v, pixel, 3 * WIDTH, &err), &err);
  }
  return v;
}

static void write_film(const char *path, int n_picture)
{
  vk_err err = VK_ERR_INIT;
  vk_video *v = film_of(n_picture, NULL);
  vk_assert_ok(vk_video_write(v, path, &err), &err);
  vk_video_free(v);
}

/* ---- boxes of MP4 ---- */

static uint32_t u32_at(const char *p)
{
  const unsigned char *b = (const unsigned char *)p;
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The content of the box PATH ("moov/trak/...") inside bytes[0..n); NULL: none. */
static const char *find_box(const char *bytes, size_t n, const char *path, size_t *n_box)
{
  for (size_t at = 0; at + 8 <= n;) {
    size_t size = u32_at(bytes + at);
    if (size < 8 || size > n - at)
      return NULL;
    if (memcmp(bytes + at + 4, path, 4) == 0) {
      *n_box = size - 8;
      return path[4] ? find_box(bytes + at + 8, size - 8, path + 5, n_box) : bytes + at + 8;
    }
    at += size;
  }
  return NULL;
}

static void test_boxes(void **state)
{
  write_film(in_dir("a.mp4"), N_PICTURE);
  char *bytes;
  size_t n, n_box;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("a.mp4"), 1 << 24, NULL), NULL);
  const char *file_type = find_box(bytes, n, "ftyp", &n_box);
  assert_ptr_equal(file_type, bytes + 8);
  const char *index = find_box(bytes, n, "moov", &n_box);
  const char *pictures = find_box(bytes, n, "mdat", &n_box);
  assert_non_null(index);
  assert_non_null(pictures);
  assert_true(index < pictures);
  assert_true(pictures + n_box <= bytes + n);

  const char *sizes = find_box(bytes, n, "moov/trak/mdia/minf/stbl/stsz", &n_box);
  assert_non_null(sizes);
  assert_int_equal(u32_at(sizes + 8), N_PICTURE);
  /* the first picture's bytes are where the index says, inside mdat */
  const char *chunks = find_box(bytes, n, "moov/trak/mdia/minf/stbl/stco", &n_box);
  assert_non_null(chunks);
  assert_int_equal(u32_at(chunks + 8), pictures - bytes);

  const char *entry = find_box(bytes, n, "moov/trak/mdia/minf/stbl/stsd", &n_box);
  assert_non_null(entry);
  assert_memory_equal(entry + 12, "avc1", 4);
  assert_int_equal(u32_at(entry + 8 + 32), WIDTH << 16 | HEIGHT);
  const char *colour = find_box(entry + 8 + 86, n_box - 94, "colr", &n_box);
  assert_non_null(colour);
  /* primaries BT.709, transfer sRGB, matrix BT.601, limited range */
  assert_memory_equal(colour, "nclx\0\x01\0\x0d\0\x06\0", 11);
  free(bytes);
}

/* ---- what FFmpeg's programs say ---- */

static bool has_program(const char *name)
{
  char command[100];
  snprintf(command, sizeof command, "command -v %s >/dev/null", name);
  return system(command) == 0;
}

static void test_probe(void **state)
{
  if (!has_program("ffprobe"))
    skip();
  write_film(in_dir("p.mp4"), N_PICTURE);
  char command[400], *text;
  size_t n;
  snprintf(command, sizeof command,
           "cd %s && ffprobe -v error -count_frames -show_streams -show_format p.mp4 >p.txt",
           temp_dir);
  assert_int_equal(system(command), 0);
  vk_assert_ok(vk_fs_read(&text, &n, in_dir("p.txt"), 1 << 20, NULL), NULL);
  const char *const want[] = {"codec_name=h264",
                              "pix_fmt=yuv420p",
                              "width=64",
                              "height=48",
                              "color_range=tv",
                              "color_space=smpte170m",
                              "color_transfer=iec61966-2-1",
                              "color_primaries=bt709",
                              "r_frame_rate=20/1",
                              "nb_read_frames=30",
                              "duration=1.500000",
                              "TAG:title=task 3, row 7",
                              "nb_streams=1"};
  for (size_t i = 0; i < VK_COUNT(want); i++)
    if (!strstr(text, want[i])) {
      print_error("%s lacks %s\n", text, want[i]);
      fail();
    }
  free(text);
}

static void test_colours(void **state)
{
  if (!has_program("ffmpeg"))
    skip();
  write_film(in_dir("c.mp4"), N_PICTURE);
  char command[400], *bytes;
  size_t n;
  snprintf(command, sizeof command,
           "cd %s && ffmpeg -v error -i c.mp4 -f rawvideo -pix_fmt rgb24 -y c.rgb </dev/null",
           temp_dir);
  assert_int_equal(system(command), 0);
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("c.rgb"), 1 << 24, NULL), NULL);
  assert_int_equal(n, N_PICTURE * HEIGHT * WIDTH * 3);
  static uint8_t pixel[HEIGHT * WIDTH * 3];
  draw(pixel, 0);
  static const int inside[4][2] = {{16, 8}, {48, 8}, {16, 40}, {48, 40}};
  for (int i = 0; i < N_PICTURE; i++)
    for (int q = 0; q < 4; q++)
      for (int k = 0; k < 3; k++) {
        int at = 3 * (inside[q][1] * WIDTH + inside[q][0]) + k;
        vk_assert_close((unsigned char)bytes[i * HEIGHT * WIDTH * 3 + at], pixel[at], 6, 0);
      }
  free(bytes);
}

/* ---- the same, few and no pictures ---- */

static void test_same_bytes(void **state)
{
  char *a, *b;
  size_t n_a, n_b;
  write_film(in_dir("s.mp4"), N_PICTURE);
  vk_assert_ok(vk_fs_read(&a, &n_a, in_dir("s.mp4"), 1 << 24, NULL), NULL);
  write_film(in_dir("s.mp4"), N_PICTURE); /* replaced */
  vk_assert_ok(vk_fs_read(&b, &n_b, in_dir("s.mp4"), 1 << 24, NULL), NULL);
  assert_int_equal(n_a, n_b);
  assert_memory_equal(a, b, n_a);
  free(a);
  free(b);
  write_film(in_dir("one.mp4"), 1);
  assert_true(vk_fs_is_file(in_dir("one.mp4")));
}

static void test_given_up(void **state)
{
  int n_before = n_file_in_dir();
  vk_video_free(film_of(0, NULL));
  vk_video_free(film_of(N_PICTURE, NULL));
  vk_video_free(NULL);
  assert_int_equal(n_file_in_dir(), n_before);
}

/* ---- what can go wrong ---- */

static void test_config(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_video *v;
  static const int bad[][2] = {{63, 48}, {64, 47}, {0, 48}, {64, -2}, {4098, 48}};
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_video_config config = config_of(bad[i][0], bad[i][1]);
    vk_assert_fails(vk_video_new(&v, &config, &err), VK_E_RANGE);
    assert_null(v);
  }
  vk_video_config config = config_of(64, 48);
  config.fps = 0;
  vk_assert_fails(vk_video_new(&v, &config, &err), VK_E_RANGE);
  config.fps = FPS;
  config.encoder = "no such encoder";
  vk_assert_fails(vk_video_new(&v, &config, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "apt-get install libavcodec");
  config.encoder = "mpeg4"; /* one that is there, but is not H.264 */
  vk_assert_fails(vk_video_new(&v, &config, &err), VK_E_UNSUPPORTED);
}

static void test_disk(void **state)
{
  vk_err err = VK_ERR_INIT;
  int n_before = n_file_in_dir();
  vk_video *v = film_of(N_PICTURE, NULL);
  vk_assert_fails(vk_video_write(v, in_dir("none/x.mp4"), &err), VK_E_NOTFOUND);
  vk_video_free(v);
  v = film_of(N_PICTURE, NULL);
  limit_file_size(500);
  vk_assert_fails(vk_video_write(v, in_dir("x.mp4"), &err), VK_E_IO);
  limit_file_size(UINT64_MAX);
  vk_assert_says(&err, "x.mp4");
  vk_video_free(v);
  assert_int_equal(n_file_in_dir(), n_before);
}

int main(void)
{
  char version[100];
  vk_err err = VK_ERR_INIT;
  if (vk_video_version(version, sizeof version, &err) != VK_OK) {
    print_message("skipped: %s\n", err.text);
    return VK_TEST_SKIP;
  }
  print_message("%s\n", version);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_boxes),    cmocka_unit_test(test_probe),
      cmocka_unit_test(test_colours),  cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_given_up), cmocka_unit_test(test_config),
      cmocka_unit_test(test_disk),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
