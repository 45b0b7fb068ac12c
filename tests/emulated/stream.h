/* stream.h - between stream.c and graph.c. */
#ifndef VK_EMULATED_STREAM_H
#define VK_EMULATED_STREAM_H

#include <pthread.h>
#include <stdalign.h>
#include <stdint.h>

#include "internal.h"

/* Work: a function and bytes of its own. */
typedef struct item {
  struct item *next;
  void (*run)(void *data);
  bool (*is_ready)(void *data); /* NULL: it always is */
  size_t n;
  alignas(16) char data[];
} item;

/* Work of a graph, in the order in which it was captured; shared by those that hold it. */
typedef struct item_list {
  int n_ref, n;
  item *first, *last;
} item_list;

/* What a stream, and those that join it, do until the capture ends. */
typedef struct capture {
  int64_t id;
  int n_stream; /* that take part */
  cudaStream_t origin;
  enum cudaStreamCaptureMode mode;
  pthread_t thread;
  bool is_invalid;
  item_list *list;
  struct capture *next;
} capture;

struct vk_emulated_stream {
  struct vk_emulated_stream *next;
  int device;
  unsigned flags;
  capture *capture;
  bool has_unjoined;   /* captured work that no event told the origin of */
  int64_t n_in, n_out; /* items that came, and that ran */
  item *first, *last;  /* held back */
  int n_asked;         /* cudaStreamQuery: how often in a row nothing could run */
};

struct vk_emulated_event {
  int device;
  unsigned flags;
  bool is_recorded;
  cudaStream_t stream; /* NULL: nothing to wait for */
  int64_t at;          /* its n_in then */
  int64_t capture;     /* id; 0: none */
  double time_s;
};

struct vk_emulated_graph {
  item_list *list;
};

struct vk_emulated_exec {
  item_list *list;
};

extern cudaStream_t vk_emulated_streams; /* all but the legacy ones, of which a device has one */
bool vk_emulated_is_legacy(cudaStream_t s);
extern capture *vk_emulated_captures;

item *vk_emulated_new_item(void (*run)(void *data), const void *data, size_t n);
void vk_emulated_drop_list(item_list *list);
/* The stream that a handle names; NULL: none. */
cudaStream_t vk_emulated_find_stream(cudaStream_t stream);
/* Runs, holds back or captures an item with a copy of data. */
cudaError_t vk_emulated_add(cudaStream_t stream, void (*run)(void *data), const void *data,
                            size_t n);
/* The capture that s is part of goes on without it; the last one takes it along. */
void vk_emulated_leave_capture(cudaStream_t s);

#endif
