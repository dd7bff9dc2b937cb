/* Whether an array's values stand in its file: every way in which HDF5 would read elsewhere, or make values up, is
 * refused by name. Views (virtual datasets) are followed to their sources, at most MOST_VIEWS deep. The cost is that of
 * the file's index of chunks, and a union of the selections of a view. */
#include "io/array_storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_VIEWS = 4, NAME_ROOM = 1024 };

typedef struct checking {
  const char *path, *name; /* of the array that was asked for */
  int views;               /* how many lead to the one that is looked at */
  cohort_error *error;
} checking;

static cohort_status check(const checking *own, hid_t dataset, const char *file);

static cohort_status fail(const checking *own, const char *what) {
  return cohort_fail(own->error, COHORT_BAD_DATA, "%s: array %s %s", own->path, own->name, what);
}

static cohort_status check_external(const checking *own, hid_t list) {
  const int files = H5Pget_external_count(list);
  if (files == 0) return COHORT_DONE;
  char file[NAME_ROOM] = "";
  if (files < 0 || H5Pget_external(list, 0, sizeof file - 1, file, NULL, NULL) < 0) file[0] = '\0';
  char text[NAME_ROOM + 128];
  (void)snprintf(text, sizeof text, "takes its values from another file, %s (external storage); copy them into one",
                 file);
  return fail(own, text);
}

static cohort_status check_chunks(const checking *own, hid_t dataset, hid_t list, hid_t space) {
  hsize_t size[H5S_MAX_RANK], chunk[H5S_MAX_RANK], written = 0;
  const int axes = H5Sget_simple_extent_dims(space, size, NULL);
  if (axes < 0 || H5Pget_chunk(list, axes, chunk) != axes || H5Dget_num_chunks(dataset, space, &written) < 0)
    return fail(own, "has an index of chunks that cannot be read");
  double wanted = 1;
  for (int a = 0; a < axes; a++) wanted *= (double)((size[a] + chunk[a] - 1) / chunk[a]);
  if ((double)written >= wanted) return COHORT_DONE;
  char text[160];
  (void)snprintf(text, sizeof text, "was not written whole: %.0f of its %.0f chunks have no values; write them all",
                 wanted - (double)written, wanted);
  return fail(own, text);
}

/* A source's name is tried as HDF5 tries it: beside the view's file, then from the working directory. */
static hid_t open_source(hid_t dataset, const char *file, const char *name) {
  if (strcmp(name, ".") == 0) return H5Iget_file_id(dataset);
  const char *const slash = strrchr(file, '/');
  hid_t source = -1;
  if (name[0] != '/' && slash) {
    char *const beside = cohort_format_text("%.*s/%s", (int)(slash - file), file, name);
    source = H5Fopen(beside, H5F_ACC_RDONLY, H5P_DEFAULT);
    free(beside);
  }
  return source >= 0 ? source : H5Fopen(name, H5F_ACC_RDONLY, H5P_DEFAULT);
}

static bool has_room(hid_t dataset, hid_t selection) {
  hsize_t size[H5S_MAX_RANK], low[H5S_MAX_RANK], high[H5S_MAX_RANK];
  const hid_t space = H5Dget_space(dataset);
  const int axes = H5Sget_simple_extent_dims(space, size, NULL);
  bool good =
      axes >= 0 && axes == H5Sget_simple_extent_ndims(selection) && H5Sget_select_bounds(selection, low, high) >= 0;
  for (int a = 0; good && a < axes; a++) good = high[a] < size[a];
  (void)H5Sclose(space);
  return good;
}

static cohort_status check_source(const checking *own, hid_t view, hid_t list, size_t number, const char *file) {
  char name[NAME_ROOM] = "", array[NAME_ROOM] = "", text[2 * NAME_ROOM + 128] = "";
  const hid_t selection = H5Pget_virtual_srcspace(list, number);
  if (H5Pget_virtual_filename(list, number, name, sizeof name) < 0 ||
      H5Pget_virtual_dsetname(list, number, array, sizeof array) < 0 || selection < 0)
    return fail(own, "is a view whose sources cannot be read");
  const hid_t source = open_source(view, file, name);
  const hid_t dataset = source < 0 ? -1 : H5Dopen2(source, array, H5P_DEFAULT);
  cohort_status status = COHORT_DONE;
  if (dataset < 0 || !has_room(dataset, selection)) {
    (void)snprintf(text, sizeof text, "is a view of %s in %s, which %s; bring the source, or copy the values", array,
                   name, dataset < 0 ? "is missing" : "is smaller than the view");
    status = fail(own, text);
  } else {
    const checking next = {own->path, own->name, own->views + 1, own->error};
    const char *const there = strcmp(name, ".") == 0 ? file : name;
    status = check(&next, dataset, there);
  }
  if (dataset >= 0) (void)H5Dclose(dataset);
  if (source >= 0) (void)H5Fclose(source);
  (void)H5Sclose(selection);
  return status;
}

/* Adds a mapping's part of the view to `covered`; false where it cannot be told. */
static bool cover(hid_t list, size_t number, hid_t *covered) {
  const hid_t part = H5Pget_virtual_vspace(list, number);
  bool good = part >= 0;
  if (good && *covered < 0) {
    *covered = part;
    return true;
  }
  if (good && H5Sget_select_type(*covered) != H5S_SEL_ALL) {
    if (H5Sget_select_type(part) == H5S_SEL_ALL)
      good = H5Sselect_all(*covered) >= 0;
    else
      good = H5Smodify_select(*covered, H5S_SELECT_OR, part) >= 0;
  }
  if (part >= 0) (void)H5Sclose(part);
  return good;
}

static cohort_status check_view(const checking *own, hid_t view, hid_t list, hid_t space, const char *file) {
  if (own->views == MOST_VIEWS) return fail(own, "is a view of a view of a view and so on; copy its values");
  size_t sources = 0;
  if (H5Pget_virtual_count(list, &sources) < 0) return fail(own, "is a view whose sources cannot be read");
  hid_t covered = -1;
  cohort_status status = COHORT_DONE;
  for (size_t i = 0; i < sources && status == COHORT_DONE; i++) {
    status = check_source(own, view, list, i, file);
    if (status == COHORT_DONE && !cover(list, i, &covered)) status = fail(own, "is a view without a fixed size");
  }
  if (status == COHORT_DONE && (covered < 0 || H5Sget_select_npoints(covered) != H5Sget_simple_extent_npoints(space)))
    status = fail(own, "is a view with parts that no source fills; copy its values into one array");
  if (covered >= 0) (void)H5Sclose(covered);
  return status;
}

static cohort_status check_layout(const checking *own, hid_t dataset, hid_t list, hid_t space, const char *file) {
  H5D_space_status_t allocated = H5D_SPACE_STATUS_ERROR;
  COHORT_TRY(check_external(own, list));
  if (H5Sget_simple_extent_npoints(space) <= 0) return COHORT_DONE;
  switch (H5Pget_layout(list)) {
    case H5D_VIRTUAL:
      return check_view(own, dataset, list, space, file);
    case H5D_CHUNKED:
      return check_chunks(own, dataset, list, space);
    case H5D_COMPACT:
      return COHORT_DONE;
    case H5D_CONTIGUOUS:
      if (H5Dget_space_status(dataset, &allocated) >= 0 && allocated == H5D_SPACE_STATUS_ALLOCATED) return COHORT_DONE;
      return fail(own, "was made but never written; write its values");
    default:
      return fail(own, "has a layout that is not known");
  }
}

static cohort_status check(const checking *own, hid_t dataset, const char *file) {
  const hid_t list = H5Dget_create_plist(dataset), space = H5Dget_space(dataset);
  const cohort_status status =
      list < 0 || space < 0 ? fail(own, "has a damaged header") : check_layout(own, dataset, list, space, file);
  if (list >= 0) (void)H5Pclose(list);
  if (space >= 0) (void)H5Sclose(space);
  return status;
}

cohort_status cohort_array_check_stored(const char *path, const char *name, hid_t dataset, cohort_error *error) {
  const checking own = {path, name, 0, error};
  return check(&own, dataset, path);
}
