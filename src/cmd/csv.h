/* csv.h - lines of CSV (RFC 4180) on stdout. Test: tests/cmd/test_runs.sh */
#ifndef VK_CMD_CSV_H
#define VK_CMD_CSV_H

#include <stdbool.h>

/* A field; NULL is empty. The last of a line ends it. */
void vk_csv_text(const char *text, bool is_last);
/* With the digits that give the same double again; what is not finite is empty. */
void vk_csv_number(double value, bool is_last);

#endif
