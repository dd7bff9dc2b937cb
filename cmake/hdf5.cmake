# HDF5 as the target PkgConfig::HDF5. Ranks write their slices of a file with pwrite at known offsets, so no call needs
# HDF5's MPI driver and any build of it serves: the one that was built with this MPI where it is there (one copy of the
# library in a program that others load too), else the serial one. COHORT_HDF5 names another pkg-config module.
set(COHORT_HDF5 "" CACHE STRING "pkg-config module of HDF5, such as hdf5-openmpi or hdf5-serial; empty: what is there")
if(COHORT_HDF5)
  set(modules ${COHORT_HDF5})
else()
  include(CheckSymbolExists)
  set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
  check_symbol_exists(OPEN_MPI mpi.h COHORT_IS_OPEN_MPI)
  unset(CMAKE_REQUIRED_LIBRARIES)
  set(modules hdf5-serial hdf5)
  if(COHORT_IS_OPEN_MPI)
    list(PREPEND modules hdf5-openmpi)
  endif()
endif()
unset(HDF5_FOUND CACHE) # another module may be named at every configuration
pkg_search_module(HDF5 IMPORTED_TARGET ${modules})
if(NOT HDF5_FOUND)
  if(COHORT_HDF5)
    message(FATAL_ERROR "COHORT_HDF5: pkg-config knows no module ${COHORT_HDF5}")
  endif()
  find_package(HDF5 REQUIRED COMPONENTS C) # built from source, it has no module
  add_library(PkgConfig::HDF5 INTERFACE IMPORTED)
  target_include_directories(PkgConfig::HDF5 INTERFACE ${HDF5_C_INCLUDE_DIRS})
  target_link_libraries(PkgConfig::HDF5 INTERFACE ${HDF5_C_LIBRARIES})
endif()
