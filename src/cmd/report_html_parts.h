/* report_html_parts.h - what is the same in every report.html. Test: tests/cmd/test_film.sh */
#ifndef VK_CMD_REPORT_HTML_PARTS_H
#define VK_CMD_REPORT_HTML_PARTS_H

/* Parts one after another, NULL-terminated: compilers limit how long a text may be. */
extern const char *const vk_report_html_style[];
extern const char *const vk_report_html_script[];

#endif
