# The catalogue's registry is made from folders. A family is a folder FAMILY with FAMILY.c, which exports its descriptor
# `cohort_family_FAMILY`; every other FAMILY/KEY.c but template*.c is a method file and exports `cohort_FAMILY_KEY`, a
# NULL-ended array of descriptors; a numeric file exports one per variant (`cohort_FAMILY_KEY_f32_avx512` ...). The tables
# are sorted, so lists and pages are reproducible. COHORT_FILE is the file's name without ".c". Numeric methods are compiled
# without contraction: what they do to an element must not depend on whether the vector loop or its remainder does it.

# The files of the families below the folders ROOTS: sets <out>_sources, and <out>_table to the text of the registry's table.
function(cohort_registry out)
  set(files)
  foreach(root ${ARGN})
    file(GLOB found CONFIGURE_DEPENDS ${root}/*/*.c)
    foreach(path ${found})
      if(NOT path MATCHES "/template[^/]*\\.c$")
        file(RELATIVE_PATH file ${root} ${path})
        list(APPEND files "${file}|${path}")
      endif()
    endforeach()
  endforeach()
  list(SORT files)
  set(sources)
  set(declarations "")
  set(families "")
  set(entries "")
  foreach(item ${files})
    string(REGEX REPLACE "\\|.*" "" method ${item})
    string(REGEX REPLACE ".*\\|" "" path ${item})
    list(APPEND sources ${path})
    string(REGEX REPLACE "/.*" "" family ${method})
    get_filename_component(file ${method} NAME_WE)
    if(file STREQUAL family)
      string(APPEND declarations "extern const cohort_family cohort_family_${family};\n")
      string(APPEND families "  &cohort_family_${family},\n")
      continue()
    endif()
    set_source_files_properties(${path} PROPERTIES COMPILE_DEFINITIONS COHORT_FILE=${file}
      COMPILE_OPTIONS -ffp-contract=off)
    cohort_split_numeric(numeric plain ${path})
    set(tables "")
    foreach(variant ${COHORT_VARIANTS})
      set(symbol cohort_${family}_${file})
      if(numeric)
        string(APPEND symbol _${variant})
      endif()
      string(APPEND tables "${symbol}, ")
      if(numeric OR variant STREQUAL f32_sse2)
        string(APPEND declarations "extern const cohort_method *const ${symbol}[];\n")
      endif()
    endforeach()
    string(APPEND entries "  {\"${method}\", {${tables}}},\n")
  endforeach()
  set(${out}_sources ${sources} PARENT_SCOPE)
  set(${out}_table "/* Made by cmake/registry.cmake from the families' folders. */
${declarations}
static const cohort_family *const registry_families[] = {
${families}};
static const cohort_registry_file registry_files[] = {
${entries}};
" PARENT_SCOPE)
endfunction()

function(cohort_methods name)
  cmake_parse_arguments(FOLDER "" "" "LIBRARIES" ${ARGN})
  cohort_registry(method ${CMAKE_SOURCE_DIR}/src/method)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/registry_table.h CONTENT "${method_table}")
  # What the methods of a family share stands in a folder of the family's.
  file(GLOB core CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/method/*.c ${CMAKE_SOURCE_DIR}/src/method/*/*/*.c)
  cohort_split_numeric(numeric plain ${method_sources})
  add_library(cohort_${name} STATIC ${core} ${plain})
  target_include_directories(cohort_${name} PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(cohort_${name} PUBLIC ${FOLDER_LIBRARIES})
  if(numeric)
    cohort_add_variants(cohort_${name} ${numeric})
  endif()
endfunction()

# The programs of src/probe that are called as a family: the table of those that `cohort probe` runs.
function(cohort_probe_programs target)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/probe/*.c)
  list(SORT files)
  set(declarations "")
  set(entries "")
  foreach(path ${files})
    get_filename_component(file ${path} NAME_WE)
    if(EXISTS ${CMAKE_SOURCE_DIR}/src/method/${file}/${file}.c)
      string(APPEND declarations "extern const cohort_probe_program cohort_probe_${file};\n")
      string(APPEND entries "  &cohort_probe_${file},\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/probe_table.h CONTENT
"/* Made by cmake/registry.cmake from the folder src/probe. */
${declarations}
static const cohort_probe_program *const probe_programs[] = {
${entries}};
")
  target_include_directories(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()
