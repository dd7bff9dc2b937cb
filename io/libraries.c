/* Versions of the libraries that files depend on, for provenance. */
#include "io/libraries.h"

#include <hdf5.h>
#include <jansson.h>
#include <yaml.h>
#include <zlib.h>

#include "base/memory.h"

char *cohort_io_libraries(void) {
  unsigned hdf5[3] = {0};
  int yaml[3] = {0};
  (void)H5get_libversion(&hdf5[0], &hdf5[1], &hdf5[2]);
  yaml_get_version(&yaml[0], &yaml[1], &yaml[2]);
  return cohort_format_text("HDF5 %u.%u.%u, libyaml %d.%d.%d, jansson %s, zlib %s", hdf5[0], hdf5[1], hdf5[2], yaml[0],
                            yaml[1], yaml[2], jansson_version_str(), zlibVersion());
}
