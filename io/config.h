/* Reads YAML (libyaml) into documents, applies overrides, writes documents back. */
#ifndef COHORT_IO_CONFIG_H
#define COHORT_IO_CONFIG_H

#include "base/document.h"
#include "base/status.h"

/* Reads `path` and applies overrides "a.b=value" (value is YAML: a scalar, [list] or {map}; missing maps are made; a
 * list element is named by its number). Refused with file, line and column: what libyaml refuses, duplicate keys,
 * aliases and anchors, several documents, nesting deeper than 64, NUL bytes, files over 4 MiB, a root that is no map.
 */
cohort_status cohort_config_read(const char *path, int overrides, char *const *override, cohort_document **out,
                                 cohort_error *error);
/* Applies one override to a map; the places of what it sets are "command line". */
cohort_status cohort_config_override(cohort_document *root, const char *override, cohort_error *error);
/* The same as cohort_config_read from text; `file` names it in messages. */
cohort_status cohort_config_parse(const char *text, size_t length, const char *file, cohort_document **out,
                                  cohort_error *error);
/* YAML text that reads back equal; owned by the caller. Small maps and lists of scalars are written in one line. */
char *cohort_config_write(const cohort_document *document);
/* JSON text of the same (numbers and booleans unquoted when the scalar is not quoted); owned by the caller. */
char *cohort_config_write_json(const cohort_document *document);

/* Keys (dotted paths) whose values differ between two configs, as lines "  key: old -> new"; owned, NULL when equal. */
char *cohort_config_difference(const cohort_document *before, const cohort_document *after);

#endif
