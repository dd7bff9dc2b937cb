/* Files by name. Every name that is written is either made here (O_EXCL) or opened without following a link; a whole
 * file stands under its name at every moment, the old one or the new one. The cost is that of the bytes. */
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

bool cohort_file_exists(const char *path) { return access(path, F_OK) == 0 || errno != ENOENT; }

cohort_status cohort_file_read(const char *path, char **text, size_t *length, cohort_error *error) {
  FILE *file = fopen(path, "rbe");
  if (!file) return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(errno));
  size_t room = 65536, count = 0;
  char *own = cohort_allocate(room);
  for (size_t got; (got = fread(own + count, 1, room - count - 1, file)) > 0;) {
    count += got;
    if (count + 1 < room) continue;
    room *= 2;
    own = cohort_reallocate(own, room);
  }
  const bool bad = ferror(file) != 0;
  const int fault = errno;
  (void)fclose(file);
  if (bad) {
    free(own);
    return cohort_fail(error, COHORT_BAD_DATA, "%s: cannot be read: %s", path, strerror(fault));
  }
  own[count] = '\0';
  *text = own;
  *length = count;
  return COHORT_DONE;
}

int cohort_file_create(const char *path) {
  if (unlink(path) != 0 && errno != ENOENT) return -1;
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

cohort_status cohort_file_refused(const char *path, int code, cohort_error *error) {
  if (code == ELOOP)
    return cohort_fail(error, COHORT_BAD_CONFIG,
                       "%s: is a symbolic link, and what a run writes goes through none; remove it", path);
  return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be written: %s", path, strerror(code));
}

cohort_status cohort_file_append(const char *path, FILE **out, cohort_error *error) {
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (file < 0) return cohort_file_refused(path, errno, error);
  FILE *const own = fdopen(file, "a");
  if (own) {
    *out = own;
    return COHORT_DONE;
  }
  const int fault = errno;
  (void)close(file);
  return cohort_file_refused(path, fault, error);
}

static cohort_status write_and_sync(const char *path, const char *text, size_t length, cohort_error *error) {
  const int file = cohort_file_create(path);
  if (file < 0) return cohort_file_refused(path, errno, error);
  bool good = true;
  for (size_t done = 0; good && done < length;) {
    const ssize_t wrote = write(file, text + done, length - done);
    good = wrote > 0;
    if (good) done += (size_t)wrote;
  }
  good = good && fsync(file) == 0;
  const int fault = errno;
  (void)close(file);
  if (good) return COHORT_DONE;
  (void)unlink(path);
  return cohort_file_refused(path, fault, error);
}

static char *parent_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return cohort_copy_text(".");
  return slash == path ? cohort_copy_text("/") : cohort_format_text("%.*s", (int)(slash - path), path);
}

cohort_status cohort_file_write(const char *path, const char *text, size_t length, cohort_error *error) {
  char *hidden = cohort_format_text("%s.part", path);
  cohort_status status = write_and_sync(hidden, text, length, error);
  if (status == COHORT_DONE && rename(hidden, path) != 0) {
    status = cohort_file_refused(path, errno, error);
    (void)unlink(hidden);
  }
  free(hidden);
  if (status != COHORT_DONE) return status;
  char *parent = parent_of(path);
  const int folder = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  free(parent);
  if (folder < 0) return COHORT_DONE;
  (void)fsync(folder);
  (void)close(folder);
  return COHORT_DONE;
}

cohort_status cohort_directory_create(const char *path, cohort_error *error) {
  if (!*path) return cohort_fail(error, COHORT_BAD_CONFIG, "a directory without a name; set run to a path");
  char *own = cohort_copy_text(path);
  for (char *at = own + 1; *at; at++) {
    if (*at != '/') continue;
    *at = '\0';
    (void)mkdir(own, 0777);
    *at = '/';
  }
  const int made = mkdir(own, 0777);
  const int fault = errno;
  free(own);
  struct stat found;
  if (made == 0 || (stat(path, &found) == 0 && S_ISDIR(found.st_mode))) return COHORT_DONE;
  return cohort_fail(error, fault == EEXIST ? COHORT_BAD_CONFIG : COHORT_NO_RESOURCE,
                     "%s: cannot be made a directory: %s", path, strerror(fault));
}

cohort_status cohort_directory_remove_links(const char *path, cohort_error *error) {
  DIR *const folder = opendir(path);
  if (!folder) return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot be read: %s", path, strerror(errno));
  cohort_status status = COHORT_DONE;
  for (struct dirent *entry; status == COHORT_DONE && (entry = readdir(folder));) {
    struct stat found;
    if (fstatat(dirfd(folder), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(found.st_mode)) continue;
    if (unlinkat(dirfd(folder), entry->d_name, 0) != 0)
      status = cohort_fail(error, COHORT_NO_RESOURCE, "%s/%s: this symbolic link cannot be removed: %s", path,
                           entry->d_name, strerror(errno));
  }
  (void)closedir(folder);
  return status;
}
