/* The structure of a checkpoint in HDF5: formats, texts, flat datasets, and a virtual dataset for each tensor. It is
 * built in memory and written in one piece, so a full disk is met by a plain write and not inside HDF5. Costs some
 * microseconds a tensor, on rank 0. */
#include "io/checkpoint_structure.h"

#include <errno.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"

enum { FORMAT_VERSION = 1, DATA_ALIGNMENT = 4096, ALIGNED_FROM = 65536 };
enum { LIBRARY_BYTES = 1 << 20, OBJECT_BYTES = 4096 };

size_t cohort_stored_bytes(cohort_stored_type type) { return type == COHORT_STORED_FLOAT32 ? 4 : 8; }

const char *cohort_stored_type_name(cohort_stored_type type) {
  static const char *const names[] = {"float32", "float64", "int64"};
  return names[type];
}

void cohort_stored_shape_text(int axes, const int64_t *size, char out[128]) {
  size_t used = (size_t)snprintf(out, 128, "[");
  for (int i = 0; i < axes && used < 100; i++) {
    used += (size_t)snprintf(out + used, 128 - used, "%s%" PRId64, i ? ", " : "", size[i]);
  }
  snprintf(out + used, 128 - used, "]");
}

static hid_t file_type(cohort_stored_type type) {
  if (type == COHORT_STORED_FLOAT32) return H5T_IEEE_F32LE;
  return type == COHORT_STORED_FLOAT64 ? H5T_IEEE_F64LE : H5T_STD_I64LE;
}

/* The latest format has checksums in all its structure; no locks, which Lustre and NFS may refuse (the run directory
 * has its own); closing the file closes everything in it. */
static hid_t file_access(void) {
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  H5Pset_file_locking(access, false, true);
  H5Pset_alignment(access, ALIGNED_FROM, DATA_ALIGNMENT);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  return access;
}

/* ---- writing ---- */

static bool put_attribute(hid_t at, const char *name, hid_t type, const void *value) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  const bool done = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
  H5Aclose(attribute);
  H5Sclose(space);
  return done;
}

/* Of fixed length: texts of variable length lie in a heap that has no checksum. */
static bool put_text(hid_t at, const char *name, const char *text) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, strlen(text) + 1);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const bool done = put_attribute(at, name, type, text);
  H5Tclose(type);
  return done;
}

/* Makes the groups above `path` that are absent, one by one: groups that HDF5 makes in passing would bear the time. */
static bool make_parents(hid_t file, const char *path) {
  const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
  H5Pset_obj_track_times(creation, false);
  char *const part = cohort_copy_text(path);
  bool done = true;
  for (char *slash = strchr(part + 1, '/'); slash && done; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (H5Lexists(file, part, H5P_DEFAULT) <= 0) {
      const hid_t group = H5Gcreate2(file, part, H5P_DEFAULT, creation, H5P_DEFAULT);
      done = group >= 0;
      H5Gclose(group);
    }
    *slash = '/';
  }
  free(part);
  H5Pclose(creation);
  return done;
}

static bool put_flat(hid_t file, const cohort_stored_flat *flat, uint64_t digest, cohort_region *region) {
  const hsize_t size = (hsize_t)flat->elements;
  const hid_t space = H5Screate_simple(1, &size, NULL);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_layout(creation, H5D_CONTIGUOUS);
  H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(creation, false); /* equal states give equal files */
  const hid_t dataset = make_parents(file, flat->flat_path) ? H5Dcreate2(file, flat->flat_path, file_type(flat->type),
                                                                         space, H5P_DEFAULT, creation, H5P_DEFAULT)
                                                            : -1;
  bool done = dataset >= 0 && put_attribute(dataset, "digest", H5T_STD_U64LE, &digest) &&
              put_text(dataset, "view", flat->view_path);
  region->bytes = flat->elements * (int64_t)cohort_stored_bytes(flat->type);
  region->offset = 0;
  if (done && region->bytes > 0) {
    const haddr_t offset = H5Dget_offset(dataset);
    done = offset != HADDR_UNDEF;
    region->offset = (int64_t)offset;
  }
  H5Dclose(dataset);
  H5Pclose(creation);
  H5Sclose(space);
  return done;
}

/* A scalar is shown as [1]: virtual datasets need an axis. */
static bool put_view(hid_t file, const cohort_stored_flat *flat, const cohort_stored_tensor *tensor) {
  hsize_t size[6] = {1}, count = 1;
  const int axes = tensor->axes > 0 ? tensor->axes : 1;
  for (int i = 0; i < tensor->axes; i++) {
    size[i] = (hsize_t)tensor->size[i];
    count *= size[i];
  }
  const hsize_t first = (hsize_t)tensor->offset, whole = (hsize_t)flat->elements;
  const hid_t space = H5Screate_simple(axes, size, NULL);
  const hid_t source = H5Screate_simple(1, &whole, NULL);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_obj_track_times(creation, false);
  char *const path = cohort_format_text("%s/%s", flat->view_path, tensor->name);
  bool done = make_parents(file, path) &&
              H5Sselect_hyperslab(source, H5S_SELECT_SET, &first, NULL, &count, NULL) >= 0 &&
              H5Pset_virtual(creation, space, ".", flat->flat_path, source) >= 0;
  const hid_t dataset =
      done ? H5Dcreate2(file, path, file_type(flat->type), space, H5P_DEFAULT, creation, H5P_DEFAULT) : -1;
  done = dataset >= 0;
  free(path);
  H5Dclose(dataset);
  H5Pclose(creation);
  H5Sclose(source);
  H5Sclose(space);
  return done;
}

static bool put_views(hid_t file, const cohort_stored_flat *flat) {
  bool done = true;
  for (int i = 0; i < flat->tensors && done; i++) done = put_view(file, flat, &flat->tensor[i]);
  return done;
}

static bool put_digests(hid_t format, const cohort_checkpoint *checkpoint, const uint64_t *digest) {
  size_t bytes = 1;
  for (int i = 0; i < checkpoint->flats; i++) bytes += strlen(checkpoint->flat[i].flat_path) + 18;
  char *const text = cohort_allocate(bytes);
  size_t used = 0;
  for (int i = 0; i < checkpoint->flats; i++) {
    used +=
        (size_t)snprintf(text + used, bytes - used, "%016" PRIx64 " %s\n", digest[i], checkpoint->flat[i].flat_path);
  }
  const bool done = put_text(format, "digests", text);
  free(text);
  return done;
}

static bool put_format(hid_t file, const cohort_checkpoint *checkpoint, const uint64_t *digest) {
  const int64_t version = FORMAT_VERSION;
  const hid_t format = make_parents(file, "/format/") ? H5Gopen2(file, "/format", H5P_DEFAULT) : -1;
  bool done = format >= 0 && put_attribute(format, "version", H5T_STD_I64LE, &version) &&
              put_attribute(format, "step", H5T_STD_I64LE, &checkpoint->step) &&
              put_attribute(format, "seed", H5T_STD_U64LE, &checkpoint->seed) &&
              put_digests(format, checkpoint, digest);
  for (int i = 0; i < checkpoint->texts && done; i++) {
    done = put_text(format, checkpoint->text[i].name, checkpoint->text[i].text);
  }
  H5Gclose(format);
  const hid_t sampler = make_parents(file, "/sampler/") ? H5Gopen2(file, "/sampler", H5P_DEFAULT) : -1;
  done = done && sampler >= 0;
  for (int i = 0; i < checkpoint->numbers && done; i++) {
    done = put_attribute(sampler, checkpoint->number[i].name, H5T_STD_I64LE, &checkpoint->number[i].value);
  }
  H5Gclose(sampler);
  return done;
}

/* All flat datasets come first, so that their places do not depend on texts such as the config. */
static bool put_all(hid_t file, const cohort_checkpoint *checkpoint, const uint64_t *digest, cohort_region *region) {
  bool done = true;
  for (int i = 0; i < checkpoint->flats && done; i++) {
    done = put_flat(file, &checkpoint->flat[i], digest[i], &region[i]);
  }
  for (int i = 0; i < checkpoint->flats && done; i++) done = put_views(file, &checkpoint->flat[i]);
  return done && put_format(file, checkpoint, digest);
}

/* Bytes that the file will not exceed. */
static int64_t largest_file(const cohort_checkpoint *checkpoint) {
  int64_t bytes = cohort_seal_bytes(checkpoint->flats) + LIBRARY_BYTES;
  for (int i = 0; i < checkpoint->texts; i++) bytes += 2 * (int64_t)strlen(checkpoint->text[i].text);
  for (int i = 0; i < checkpoint->flats; i++) {
    const cohort_stored_flat *const flat = &checkpoint->flat[i];
    bytes += flat->elements * (int64_t)cohort_stored_bytes(flat->type) + (flat->tensors + 4) * OBJECT_BYTES;
  }
  return bytes;
}

static bool write_structure(int memory, const cohort_checkpoint *checkpoint, const uint64_t *digest,
                            cohort_region *region) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
  const hid_t access = file_access();
  H5Pset_fapl_stdio(access); /* the standard driver resolves links, and a file in memory has no name behind its one */
  const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
  H5Pset_obj_track_times(creation, false);
  H5Pset_userblock(creation, (hsize_t)cohort_seal_bytes(checkpoint->flats));
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access);
  bool done = file >= 0 && put_all(file, checkpoint, digest, region);
  if (file >= 0) done = H5Fclose(file) >= 0 && done;
  H5Pclose(creation);
  H5Pclose(access);
  return done;
}

/* HDF5 1.10 is left with dangling state, and crashes at exit, when closing a file fails for want of space. So it writes
 * into a file in memory, whose data regions are holes that cost nothing, and what it wrote is copied by us. */
cohort_status cohort_structure_create(int descriptor, const char *path, const cohort_checkpoint *checkpoint,
                                      const uint64_t *digest, cohort_region *region, cohort_error *error) {
  const int memory = memfd_create("checkpoint", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, (off_t)largest_file(checkpoint)) != 0) { /* a limit on the size of files */
    const int code = errno;
    if (memory >= 0) close(memory);
    return cohort_fail(error, COHORT_NO_RESOURCE, "%s: cannot make a file of that size: %s", path, strerror(code));
  }
  cohort_status status = COHORT_DONE;
  if (!write_structure(memory, checkpoint, digest, region)) {
    status = cohort_fail(error, COHORT_NO_RESOURCE, "%s: HDF5 could not lay out the file; is there memory left?", path);
  }
  if (status == COHORT_DONE) status = cohort_seal_write(memory, path, checkpoint->flats, region, error);
  if (status == COHORT_DONE) status = cohort_seal_copy(memory, descriptor, path, checkpoint->flats, error);
  close(memory);
  return status;
}

/* ---- reading ---- */

static bool get_attribute(hid_t at, const char *name, hid_t type, void *value) {
  const hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
  const hid_t space = H5Aget_space(attribute);
  const bool done = attribute >= 0 && H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, type, value) >= 0;
  H5Sclose(space);
  H5Aclose(attribute);
  return done;
}

/* NULL when there is no such text. */
static char *get_text(hid_t at, const char *name) {
  const hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
  const hid_t type = H5Aget_type(attribute);
  char *text = NULL;
  if (type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0) {
    text = cohort_allocate(H5Tget_size(type) + 1);
    if (H5Aread(attribute, type, text) < 0) {
      free(text);
      text = NULL;
    }
  }
  H5Tclose(type);
  H5Aclose(attribute);
  return text;
}

static herr_t collect_format(hid_t at, const char *name, const H5A_info_t *info, void *argument) {
  (void)info;
  cohort_structure *const out = argument;
  char *const text = strcmp(name, "digests") ? get_text(at, name) : NULL;
  if (!text) return 0;
  out->text = cohort_reallocate(out->text, (size_t)(out->texts + 1) * sizeof *out->text);
  out->text[out->texts++] = (cohort_stored_text){cohort_copy_text(name), text};
  return 0;
}

static herr_t collect_number(hid_t at, const char *name, const H5A_info_t *info, void *argument) {
  (void)info;
  cohort_structure *const out = argument;
  int64_t value = 0;
  if (!get_attribute(at, name, H5T_NATIVE_INT64, &value)) return 0;
  out->number = cohort_reallocate(out->number, (size_t)(out->numbers + 1) * sizeof *out->number);
  out->number[out->numbers++] = (cohort_stored_number){cohort_copy_text(name), value};
  return 0;
}

/* The first edition put the scope of the reference before the names of its tensors. */
static const char *own_name(const cohort_flat_entry *flat, const char *name) {
  static const char space[] = "/reference/", prefix[] = "reference.";
  const bool of_reference = strncmp(flat->path, space, sizeof space - 1) == 0;
  return of_reference && strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}

/* Adds the virtual dataset `name` when it shows a part of the flat dataset given. */
static herr_t collect_view(hid_t group, const char *name, const H5L_info_t *info, void *argument) {
  cohort_flat_entry *const out = argument;
  if (info->type != H5L_TYPE_HARD) return 0;
  const hid_t dataset = H5Dopen2(group, name, H5P_DEFAULT);
  if (dataset < 0) return 0; /* a group */
  const hid_t creation = H5Dget_create_plist(dataset);
  char *const source_name = cohort_allocate(strlen(out->path) + 2);
  cohort_stored_tensor tensor = {0};
  bool is_view = H5Pget_layout(creation) == H5D_VIRTUAL &&
                 H5Pget_virtual_dsetname(creation, 0, source_name, strlen(out->path) + 2) >= 0 &&
                 strcmp(source_name, out->path) == 0;
  if (is_view) {
    hsize_t size[H5S_MAX_RANK] = {0}, first = 0, last = 0;
    const hid_t space = H5Dget_space(dataset);
    const hid_t source = H5Pget_virtual_srcspace(creation, 0);
    tensor.axes = H5Sget_simple_extent_ndims(space);
    is_view = tensor.axes >= 1 && tensor.axes <= 6 && H5Sget_simple_extent_dims(space, size, NULL) >= 0 &&
              H5Sget_simple_extent_ndims(source) == 1 && H5Sget_select_bounds(source, &first, &last) >= 0;
    for (int i = 0; i < tensor.axes && is_view; i++) tensor.size[i] = (int64_t)size[i];
    tensor.offset = (int64_t)first;
    H5Sclose(source);
    H5Sclose(space);
  }
  if (is_view) {
    tensor.name = cohort_copy_text(own_name(out, name));
    out->tensor = cohort_reallocate(out->tensor, (size_t)(out->tensors + 1) * sizeof *out->tensor);
    out->tensor[out->tensors++] = tensor;
  }
  free(source_name);
  H5Pclose(creation);
  H5Dclose(dataset);
  return 0;
}

static int compare_tensors(const void *a, const void *b) {
  const cohort_stored_tensor *const left = a, *const right = b;
  return (left->offset > right->offset) - (left->offset < right->offset);
}

static bool stored_type_of(hid_t type, cohort_stored_type *out) {
  for (int i = COHORT_STORED_FLOAT32; i <= COHORT_STORED_INT64; i++) {
    *out = (cohort_stored_type)i;
    if (H5Tequal(type, file_type(*out)) > 0) return true;
  }
  return false;
}

static bool get_flat(hid_t file, cohort_flat_entry *out) {
  const hid_t dataset = H5Dopen2(file, out->path, H5P_DEFAULT);
  const hid_t type = H5Dget_type(dataset);
  const hid_t space = H5Dget_space(dataset);
  hsize_t size = 0;
  bool done = dataset >= 0 && stored_type_of(type, &out->type) && H5Sget_simple_extent_ndims(space) == 1 &&
              H5Sget_simple_extent_dims(space, &size, NULL) == 1 &&
              get_attribute(dataset, "digest", H5T_NATIVE_UINT64, &out->digest);
  if (done) {
    out->elements = (int64_t)size;
    out->region.bytes = out->elements * (int64_t)cohort_stored_bytes(out->type);
    out->view_path = get_text(dataset, "view");
    const haddr_t offset = H5Dget_offset(dataset);
    done = out->view_path && (size == 0 || offset != HADDR_UNDEF);
    out->region.offset = size ? (int64_t)offset : 0;
  }
  H5Sclose(space);
  H5Tclose(type);
  H5Dclose(dataset);
  if (done && H5Lexists(file, out->view_path, H5P_DEFAULT) > 0) {
    H5Lvisit_by_name(file, out->view_path, H5_INDEX_NAME, H5_ITER_INC, collect_view, out, H5P_DEFAULT);
    if (out->tensors) qsort(out->tensor, (size_t)out->tensors, sizeof *out->tensor, compare_tensors);
  }
  return done;
}

/* The list of flat datasets is the text `digests`. */
static bool get_flats(hid_t file, char *digests, cohort_structure *out) {
  char *rest = NULL;
  for (char *line = strtok_r(digests, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    const char *const path = strchr(line, ' ');
    if (!path) return false;
    out->flat = cohort_reallocate(out->flat, (size_t)(out->flats + 1) * sizeof *out->flat);
    out->flat[out->flats] = (cohort_flat_entry){.path = cohort_copy_text(path + 1)};
    if (!get_flat(file, &out->flat[out->flats++])) return false;
  }
  return true;
}

static bool get_all(hid_t file, cohort_structure *out) {
  const hid_t format = H5Gopen2(file, "/format", H5P_DEFAULT);
  const hid_t sampler = H5Gopen2(file, "/sampler", H5P_DEFAULT);
  bool done = format >= 0 && sampler >= 0 && get_attribute(format, "version", H5T_NATIVE_INT64, &out->version) &&
              out->version == FORMAT_VERSION && get_attribute(format, "step", H5T_NATIVE_INT64, &out->step) &&
              get_attribute(format, "seed", H5T_NATIVE_UINT64, &out->seed) &&
              H5Aiterate2(format, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_format, out) >= 0 &&
              H5Aiterate2(sampler, H5_INDEX_NAME, H5_ITER_INC, NULL, collect_number, out) >= 0;
  char *const digests = done ? get_text(format, "digests") : NULL;
  done = digests && get_flats(file, digests, out);
  free(digests);
  H5Gclose(sampler);
  H5Gclose(format);
  return done;
}

cohort_status cohort_structure_read(const char *path, cohort_structure *out, cohort_error *error) {
  COHORT_TRY(cohort_seal_verify(path, error));
  const hid_t access = file_access();
  const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
  cohort_structure found = {0};
  const bool done = file >= 0 && get_all(file, &found);
  if (file >= 0) H5Fclose(file);
  H5Pclose(access);
  if (!done) {
    const int64_t version = found.version;
    cohort_structure_release(&found);
    if (version > FORMAT_VERSION) {
      return cohort_fail(error, COHORT_BAD_DATA,
                         "%s: checkpoint layout %" PRId64 " is newer than this version of Cohort knows (%d)", path,
                         version, FORMAT_VERSION);
    }
    return cohort_fail(error, COHORT_BAD_DATA, "%s: not laid out as a checkpoint; use another one", path);
  }
  *out = found;
  return COHORT_DONE;
}

void cohort_structure_release(cohort_structure *structure) {
  for (int i = 0; i < structure->texts; i++) {
    free((char *)structure->text[i].name);
    free((char *)structure->text[i].text);
  }
  for (int i = 0; i < structure->numbers; i++) free((char *)structure->number[i].name);
  for (int i = 0; i < structure->flats; i++) {
    cohort_flat_entry *const flat = &structure->flat[i];
    for (int j = 0; j < flat->tensors; j++) free((char *)flat->tensor[j].name);
    free(flat->tensor);
    free(flat->path);
    free(flat->view_path);
  }
  free(structure->text);
  free(structure->number);
  free(structure->flat);
  *structure = (cohort_structure){0};
}

const cohort_flat_entry *cohort_structure_flat(const cohort_structure *structure, const char *path) {
  for (int i = 0; i < structure->flats; i++) {
    if (strcmp(structure->flat[i].path, path) == 0) return &structure->flat[i];
  }
  return NULL;
}
