/* Files by name: read whole, written whole, made, appended to.
 *
 * What a run writes it writes into files of its own: a new file is one that this process has made, and a name that is a
 * symbolic link is never written through, so that a link which somebody has planted in a shared folder harms no file
 * elsewhere. Folders on the way may be links. */
#ifndef COHORT_IO_FILE_H
#define COHORT_IO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

/* False only when nothing has this name: what cannot be looked at counts as there, and who reads it says why not. */
bool cohort_file_exists(const char *path);

/* Reads a whole file; NUL-terminated, owned by the caller. COHORT_BAD_DATA when it cannot be read. */
cohort_status cohort_file_read(const char *path, char **text, size_t *length, cohort_error *error);

/* Writes a whole text file through a new file PATH.part, fsync and rename. */
cohort_status cohort_file_write(const char *path, const char *text, size_t length, cohort_error *error);

/* A new, empty file to write; what had the name before, a link too, loses it. Returns a descriptor, or -1 with errno.
 */
int cohort_file_create(const char *path);

/* Opens to append, or makes. A symbolic link is refused (COHORT_BAD_CONFIG). */
cohort_status cohort_file_append(const char *path, FILE **out, cohort_error *error);

/* Makes a directory with its parents; one that is there is fine. */
cohort_status cohort_directory_create(const char *path, cohort_error *error);

/* Removes the symbolic links in a directory whose files another program will write by name (pictures, by gnuplot).
 * COHORT_NO_RESOURCE when one cannot be removed. */
cohort_status cohort_directory_remove_links(const char *path, cohort_error *error);

/* The error of a file that could not be opened to write, by errno: a link where none may be is COHORT_BAD_CONFIG. */
cohort_status cohort_file_refused(const char *path, int code, cohort_error *error);

#endif
