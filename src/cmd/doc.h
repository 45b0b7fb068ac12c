/* doc.h - what can be said of a command from its tables: help and man page.
 * Test: tests/cmd/test_doc.sh */
#ifndef VK_CMD_DOC_H
#define VK_CMD_DOC_H

#include <stdio.h>

#include "cmd/cmd.h"

/* `vlakit help`: the commands. */
void vk_doc_overview(FILE *out);
/* `vlakit CMD --help` */
void vk_doc_help(FILE *out, const vk_cmd *cmd);

/* "default 50", "at most 1", ...: what the table knows beyond the help line; may be empty.
 *   args  the struct that holds the default */
void vk_doc_option_notes(const vk_opt *opt, const void *args, char *out, size_t size);

#endif
