#include "core/video.h"

#include <dlfcn.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

enum {
  IO_BYTES = 1 << 16,
  KEY_S = 2,                  /* between pictures that a player can jump to */
  PLAIN_BITS_PER_S = 1500000, /* of an encoder that aims at a rate, not at a quality */
  FILM_BYTES_MAX = 1 << 30
};

/* Every function used: of which library, and its name. */
#define AV_FUNCTIONS(X)                                                                            \
  X(util, av_dict_free)                                                                            \
  X(util, av_dict_set)                                                                             \
  X(util, av_frame_alloc)                                                                          \
  X(util, av_frame_free)                                                                           \
  X(util, av_frame_get_buffer)                                                                     \
  X(util, av_frame_make_writable)                                                                  \
  X(util, av_freep)                                                                                \
  X(util, av_log_set_level)                                                                        \
  X(util, av_malloc)                                                                               \
  X(util, av_strerror)                                                                             \
  X(codec, av_packet_alloc)                                                                        \
  X(codec, av_packet_free)                                                                         \
  X(codec, av_packet_rescale_ts)                                                                   \
  X(codec, avcodec_alloc_context3)                                                                 \
  X(codec, avcodec_find_encoder_by_name)                                                           \
  X(codec, avcodec_free_context)                                                                   \
  X(codec, avcodec_open2)                                                                          \
  X(codec, avcodec_parameters_from_context)                                                        \
  X(codec, avcodec_receive_packet)                                                                 \
  X(codec, avcodec_send_frame)                                                                     \
  X(codec, avcodec_version)                                                                        \
  X(format, av_interleaved_write_frame)                                                            \
  X(format, av_write_trailer)                                                                      \
  X(format, avformat_alloc_output_context2)                                                        \
  X(format, avformat_free_context)                                                                 \
  X(format, avformat_new_stream)                                                                   \
  X(format, avformat_version)                                                                      \
  X(format, avformat_write_header)                                                                 \
  X(format, avio_alloc_context)                                                                    \
  X(format, avio_context_free)

typedef struct av_lib {
#define X(library, name) __typeof__(name) *name;
  AV_FUNCTIONS(X)
#undef X
} av_lib;

/* A place in the film's bytes that libavformat reads or writes at. */
typedef struct cursor {
  vk_video *video;
  int64_t at;
} cursor;

struct vk_video {
  av_lib lib;
  AVFormatContext *format;
  AVCodecContext *codec;
  AVStream *stream; /* the format's */
  AVIOContext *io;
  AVFrame *frame;
  AVPacket *packet;
  cursor out;
  uint8_t *bytes; /* the film */
  size_t n, room;
};

/* ---- the libraries ---- */

#define MAJOR_OF_UTIL   AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR)
#define MAJOR_OF_CODEC  AV_STRINGIFY(LIBAVCODEC_VERSION_MAJOR)
#define MAJOR_OF_FORMAT AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR)

static vk_status fail_library(vk_err *err, const char *reason)
{
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "films need FFmpeg's libraries as this program was built for (%s); Debian: "
                 "apt-get install libavcodec" MAJOR_OF_CODEC " libavformat" MAJOR_OF_FORMAT
                 ", or build again",
                 reason);
}

/* Structs are laid out as in the headers only with the same major version, and have all members of
 * the headers only when the library is not older. */
static vk_status check_version(const char *name, unsigned have, unsigned want, vk_err *err)
{
  if (have >> 16 == want >> 16 && have >= want)
    return VK_OK;
  char reason[100];
  snprintf(reason, sizeof reason, "found %s %u.%u.%u, built for %u.%u.%u", name, have >> 16,
           have >> 8 & 255, have & 255, want >> 16, want >> 8 & 255, want & 255);
  return fail_library(err, reason);
}

/* The libraries stay open: a later film takes them as they are. */
static vk_status open_libraries(av_lib *lib, vk_err *err)
{
  static const char *const names[] = {"libavutil.so." MAJOR_OF_UTIL,
                                      "libavcodec.so." MAJOR_OF_CODEC,
                                      "libavformat.so." MAJOR_OF_FORMAT};
  enum { util, codec, format, n_library };
  void *handle[n_library];
  for (int i = 0; i < n_library; i++)
    if (!(handle[i] = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL)))
      return fail_library(err, names[i]);
  void *symbol;
#define X(library, name)                                                                           \
  if (!(symbol = dlsym(handle[library], #name)))                                                   \
    return fail_library(err, "without " #name);                                                    \
  memcpy(&lib->name, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
  AV_FUNCTIONS(X)
#undef X
  VK_TRY(check_version("libavcodec", lib->avcodec_version(), LIBAVCODEC_VERSION_INT, err));
  VK_TRY(check_version("libavformat", lib->avformat_version(), LIBAVFORMAT_VERSION_INT, err));
  lib->av_log_set_level(AV_LOG_QUIET); /* errors are returned */
  return VK_OK;
}

static vk_status find_encoder(const av_lib *lib, const char *name, const AVCodec **out, vk_err *err)
{
  static const char *const names[] = {"libx264", "libopenh264"};
  *out = NULL;
  for (size_t i = 0; i < VK_COUNT(names) && !*out && !name; i++)
    *out = lib->avcodec_find_encoder_by_name(names[i]);
  if (name)
    *out = lib->avcodec_find_encoder_by_name(name);
  if (*out && (*out)->id == AV_CODEC_ID_H264)
    return VK_OK;
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "films need an H.264 encoder, and libavcodec has neither libx264 nor libopenh264 "
                 "here; Debian's has libx264: apt-get install libavcodec" MAJOR_OF_CODEC);
}

vk_status vk_video_version(char *text, size_t n, vk_err *err)
{
  av_lib lib;
  const AVCodec *encoder;
  VK_TRY(open_libraries(&lib, err));
  VK_TRY(find_encoder(&lib, NULL, &encoder, err));
  unsigned v = lib.avcodec_version();
  snprintf(text, n, "%s of libavcodec %u.%u.%u", encoder->name, v >> 16, v >> 8 & 255, v & 255);
  return VK_OK;
}

/* What libav answered, as ours. */
static vk_status fail_av(const vk_video *v, int code, const char *doing, vk_err *err)
{
  char reason[AV_ERROR_MAX_STRING_SIZE] = "";
  if (code == AVERROR(ENOMEM))
    return vk_fail(err, VK_E_NOMEM, "no memory for a film");
  v->lib.av_strerror(code, reason, sizeof reason);
  return vk_fail(err, VK_E_UNSUPPORTED, "FFmpeg's libraries cannot %s a film: %s", doing, reason);
}

/* ---- the film's bytes ---- */

#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t io_byte;
#else
typedef uint8_t io_byte;
#endif

static int write_bytes(void *arg, io_byte *bytes, int n)
{
  cursor *c = arg;
  vk_video *v = c->video;
  size_t end = (size_t)c->at + (size_t)n;
  if (end > FILM_BYTES_MAX)
    return AVERROR(EFBIG);
  if (end > v->room) {
    size_t room = end < IO_BYTES ? IO_BYTES : 2 * end;
    uint8_t *grown = realloc(v->bytes, room);
    if (!grown)
      return AVERROR(ENOMEM);
    v->bytes = grown;
    v->room = room;
  }
  memcpy(v->bytes + c->at, bytes, (size_t)n);
  c->at += n;
  v->n = end > v->n ? end : v->n;
  return n;
}

static int read_bytes(void *arg, uint8_t *bytes, int n)
{
  cursor *c = arg;
  if (c->at >= (int64_t)c->video->n)
    return AVERROR_EOF;
  int64_t n_left = (int64_t)c->video->n - c->at;
  n = n < n_left ? n : (int)n_left;
  memcpy(bytes, c->video->bytes + c->at, (size_t)n);
  c->at += n;
  return n;
}

static int64_t seek_bytes(void *arg, int64_t offset, int whence)
{
  cursor *c = arg;
  int64_t n = (int64_t)c->video->n;
  if (whence & AVSEEK_SIZE)
    return n;
  whence &= ~AVSEEK_FORCE;
  int64_t to = whence == SEEK_SET ? offset : (whence == SEEK_CUR ? c->at : n) + offset;
  if (to < 0 || to > n)
    return AVERROR(EINVAL);
  return c->at = to;
}

static AVIOContext *new_io(vk_video *v, cursor *c, bool is_writing)
{
  uint8_t *buffer = v->lib.av_malloc(IO_BYTES);
  AVIOContext *io =
      !buffer ? NULL
      : is_writing
          ? v->lib.avio_alloc_context(buffer, IO_BYTES, 1, c, NULL, write_bytes, seek_bytes)
          : v->lib.avio_alloc_context(buffer, IO_BYTES, 0, c, read_bytes, NULL, seek_bytes);
  if (!io)
    v->lib.av_freep(&buffer);
  return io;
}

static void free_io(const vk_video *v, AVIOContext **io)
{
  if (*io)
    v->lib.av_freep(&(*io)->buffer);
  v->lib.avio_context_free(io);
}

/* The muxer reads what it wrote once more, to move it behind the index. */
static int open_again(AVFormatContext *format, AVIOContext **io, const char *url, int flags,
                      AVDictionary **options)
{
  vk_video *v = format->opaque;
  cursor *c = flags & AVIO_FLAG_WRITE ? NULL : malloc(sizeof *c);
  if (!c)
    return AVERROR(flags & AVIO_FLAG_WRITE ? ENOSYS : ENOMEM);
  *c = (cursor){.video = v};
  *io = new_io(v, c, false);
  if (*io)
    return 0;
  free(c);
  return AVERROR(ENOMEM);
}

static int close_again(AVFormatContext *format, AVIOContext *io)
{
  free(io->opaque);
  free_io(format->opaque, &io);
  return 0;
}

#if LIBAVFORMAT_VERSION_MAJOR < 59
static void close_again_58(AVFormatContext *format, AVIOContext *io)
{
  close_again(format, io);
}
#endif

/* ---- a film ---- */

static vk_status open_encoder(vk_video *v, const vk_video_config *config, vk_err *err)
{
  const AVCodec *encoder;
  VK_TRY(find_encoder(&v->lib, config->encoder, &encoder, err));
  AVCodecContext *c = v->codec = v->lib.avcodec_alloc_context3(encoder);
  if (!c)
    return fail_av(v, AVERROR(ENOMEM), "begin", err);
  c->width = config->width;
  c->height = config->height;
  c->pix_fmt = AV_PIX_FMT_YUV420P;
  c->time_base = (AVRational){1, config->fps};
  c->framerate = (AVRational){config->fps, 1};
  c->gop_size = KEY_S * config->fps;
  /* Small pictures: what does not read these takes BT.601 as well. */
  c->color_range = AVCOL_RANGE_MPEG;
  c->colorspace = AVCOL_SPC_SMPTE170M;
  c->color_primaries = AVCOL_PRI_BT709;
  c->color_trc = AVCOL_TRC_IEC61966_2_1;
  c->chroma_sample_location = AVCHROMA_LOC_CENTER;
  c->thread_count = 1; /* films are made side by side; and their bytes do not depend on cores */
  c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  AVDictionary *options = NULL;
  if (strcmp(encoder->name, "libx264") == 0) {
    v->lib.av_dict_set(&options, "preset", "veryfast", 0);
    v->lib.av_dict_set(&options, "crf", "23", 0);
  } else {
    c->bit_rate = PLAIN_BITS_PER_S;
  }
  int rc = v->lib.avcodec_open2(c, encoder, &options);
  v->lib.av_dict_free(&options);
  return rc < 0 ? fail_av(v, rc, "begin", err) : VK_OK;
}

static vk_status open_format(vk_video *v, const vk_video_config *config, vk_err *err)
{
  int rc = v->lib.avformat_alloc_output_context2(&v->format, NULL, "mp4", NULL);
  if (rc < 0)
    return fail_av(v, rc, "begin", err);
  v->out = (cursor){.video = v};
  v->io = new_io(v, &v->out, true);
  v->stream = v->lib.avformat_new_stream(v->format, NULL);
  if (!v->io || !v->stream)
    return fail_av(v, AVERROR(ENOMEM), "begin", err);
  v->format->pb = v->io;
  v->format->flags |= AVFMT_FLAG_CUSTOM_IO;
  v->format->opaque = v;
  v->format->io_open = open_again;
#if LIBAVFORMAT_VERSION_MAJOR >= 59
  v->format->io_close2 = close_again;
#else
  v->format->io_close = close_again_58;
#endif
  v->stream->time_base = v->codec->time_base;
  v->stream->avg_frame_rate = v->codec->framerate;
  rc = v->lib.avcodec_parameters_from_context(v->stream->codecpar, v->codec);
  if (rc >= 0 && config->title)
    rc = v->lib.av_dict_set(&v->format->metadata, "title", config->title, 0);
  AVDictionary *options = NULL;
  if (rc >= 0)
    rc = v->lib.av_dict_set(&options, "movflags", "faststart", 0);
  if (rc >= 0)
    rc = v->lib.avformat_write_header(v->format, &options);
  v->lib.av_dict_free(&options);
  return rc < 0 ? fail_av(v, rc, "begin", err) : VK_OK;
}

static vk_status begin(vk_video *v, const vk_video_config *config, vk_err *err)
{
  VK_TRY(open_encoder(v, config, err));
  VK_TRY(open_format(v, config, err));
  v->packet = v->lib.av_packet_alloc();
  v->frame = v->lib.av_frame_alloc();
  if (!v->packet || !v->frame)
    return fail_av(v, AVERROR(ENOMEM), "begin", err);
  v->frame->format = v->codec->pix_fmt;
  v->frame->width = config->width;
  v->frame->height = config->height;
  v->frame->color_range = v->codec->color_range;
  v->frame->colorspace = v->codec->colorspace;
  v->frame->color_primaries = v->codec->color_primaries;
  v->frame->color_trc = v->codec->color_trc;
  v->frame->chroma_location = v->codec->chroma_sample_location;
  int rc = v->lib.av_frame_get_buffer(v->frame, 0);
  v->frame->pts = 0;
  return rc < 0 ? fail_av(v, rc, "begin", err) : VK_OK;
}

vk_status vk_video_new(vk_video **out, const vk_video_config *config, vk_err *err)
{
  *out = NULL;
  if (config->width < 2 || config->height < 2 || config->width % 2 || config->height % 2 ||
      config->width > VK_VIDEO_SIDE_MAX || config->height > VK_VIDEO_SIDE_MAX)
    return vk_fail(err, VK_E_RANGE, "a film of %d x %d pixels; even sides of 2 to %d are possible",
                   config->width, config->height, VK_VIDEO_SIDE_MAX);
  if (config->fps < 1 || config->fps > 240)
    return vk_fail(err, VK_E_RANGE, "a film of %d pictures a second; 1 to 240 are possible",
                   config->fps);
  vk_video *v = calloc(1, sizeof *v);
  if (!v)
    return vk_fail(err, VK_E_NOMEM, "no memory for a film");
  vk_status st = open_libraries(&v->lib, err);
  if (st != VK_OK) {
    free(v);
    return st;
  }
  st = begin(v, config, err);
  if (st == VK_OK)
    *out = v;
  else
    vk_video_free(v);
  return st;
}

void vk_video_free(vk_video *v)
{
  if (!v)
    return;
  v->lib.av_frame_free(&v->frame);
  v->lib.av_packet_free(&v->packet);
  v->lib.avcodec_free_context(&v->codec);
  v->lib.avformat_free_context(v->format);
  free_io(v, &v->io);
  free(v->bytes);
  free(v);
}

/* ITU-R BT.601 in 16 bits of fraction: luma 16 to 235, colour 16 to 240. */
static uint8_t luma(const uint8_t *p)
{
  return (uint8_t)((16829 * p[0] + 33039 * p[1] + 6416 * p[2] + (16 << 16) + (1 << 15)) >> 16);
}

/* Sums of four pixels. */
static uint8_t blue(const int *s)
{
  return (uint8_t)((-9714 * s[0] - 19070 * s[1] + 28784 * s[2] + (128 << 18) + (1 << 17)) >> 18);
}

static uint8_t red(const int *s)
{
  return (uint8_t)((28784 * s[0] - 24103 * s[1] - 4681 * s[2] + (128 << 18) + (1 << 17)) >> 18);
}

static void convert(AVFrame *frame, const uint8_t *pixel, size_t row_bytes)
{
  for (int y = 0; y < frame->height; y += 2) {
    const uint8_t *row[2] = {pixel + (size_t)y * row_bytes, pixel + (size_t)(y + 1) * row_bytes};
    uint8_t *out_y[2] = {frame->data[0] + y * frame->linesize[0],
                         frame->data[0] + (y + 1) * frame->linesize[0]};
    uint8_t *out_u = frame->data[1] + y / 2 * frame->linesize[1];
    uint8_t *out_v = frame->data[2] + y / 2 * frame->linesize[2];
    for (int x = 0; x < frame->width; x += 2) {
      int sum[3] = {0};
      for (int k = 0; k < 4; k++) {
        const uint8_t *p = row[k / 2] + 3 * (x + k % 2);
        out_y[k / 2][x + k % 2] = luma(p);
        sum[0] += p[0];
        sum[1] += p[1];
        sum[2] += p[2];
      }
      out_u[x / 2] = blue(sum);
      out_v[x / 2] = red(sum);
    }
  }
}

/* Hands a picture (NULL: the end) to the encoder, and what comes out of it to the muxer. */
static vk_status encode(vk_video *v, const AVFrame *frame, vk_err *err)
{
  int rc = v->lib.avcodec_send_frame(v->codec, frame);
  while (rc >= 0) {
    rc = v->lib.avcodec_receive_packet(v->codec, v->packet);
    if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
      return VK_OK;
    if (rc < 0)
      break;
    if (v->packet->duration <= 0)
      v->packet->duration = 1;
    v->lib.av_packet_rescale_ts(v->packet, v->codec->time_base, v->stream->time_base);
    v->packet->stream_index = v->stream->index;
    rc = v->lib.av_interleaved_write_frame(v->format, v->packet);
  }
  return fail_av(v, rc, "encode", err);
}

vk_status vk_video_add(vk_video *v, const uint8_t *pixel, size_t row_bytes, vk_err *err)
{
  int rc = v->lib.av_frame_make_writable(v->frame);
  if (rc < 0)
    return fail_av(v, rc, "encode", err);
  convert(v->frame, pixel, row_bytes);
  VK_TRY(encode(v, v->frame, err));
  v->frame->pts++;
  return VK_OK;
}

vk_status vk_video_write(vk_video *v, const char *path, vk_err *err)
{
  VK_TRY(encode(v, NULL, err));
  int rc = v->lib.av_write_trailer(v->format);
  if (rc < 0)
    return fail_av(v, rc, "complete", err);
  return vk_fs_write(path, v->bytes, v->n, err);
}
