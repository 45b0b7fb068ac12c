/* doc.h - what can be said of a command from its tables: help, man page, JSON.
 * Test: tests/cmd/test_doc.sh */
#ifndef VK_CMD_DOC_H
#define VK_CMD_DOC_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "cmd/cmd.h"

/* A titled run of options, or of keys of a file, and the struct that holds their defaults. */
typedef struct vk_doc_group {
  const char *title; /* "Options", "Common options" */
  const vk_opt *opts;
  const void *defaults;
  const char *(*only)(const vk_opt *opt); /* who alone reads it, NULL: all; NULL: no difference */
} vk_doc_group;

enum { VK_DOC_GROUPS_MAX = 3, VK_DOC_KEY_GROUPS_MAX = 16 };

/* The command's own options, those of long commands, and the common ones that it reads; cmd NULL:
 * the options that stand in place of a command. Empty groups are left out. Returns their number. */
int vk_doc_groups(const vk_cmd *cmd, vk_doc_group out[VK_DOC_GROUPS_MAX]);

/* The command's keys; returns the number of groups, 0 when it has none. */
int vk_doc_key_groups(const vk_cmd *cmd, vk_doc_group out[VK_DOC_KEY_GROUPS_MAX]);

/* "all, none; default all; only ppo": what the table knows beyond the help line, which may say
 * itself what the default is; may be empty. */
void vk_doc_option_notes(const vk_doc_group *group, const vk_opt *opt, char *out, size_t size);

/* `vlakit help` */
void vk_doc_overview(FILE *out);
/* `vlakit CMD --help`: filled to 80 columns */
void vk_doc_help(FILE *out, const vk_cmd *cmd);
/* The command's keys alone, as help has them. */
void vk_doc_keys(FILE *out, const vk_cmd *cmd);
/* The man page vlakit-CMD(1), or vlakit(1) when cmd is NULL, in the man macro language. */
void vk_doc_man(FILE *out, const vk_cmd *cmd);
/* Its keys as an array; NULL when there is no memory. */
cJSON *vk_doc_keys_json(const vk_cmd *cmd);
/* The whole as an object; NULL when there is no memory. */
cJSON *vk_doc_json(const vk_cmd *cmd);

#endif
