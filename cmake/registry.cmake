# The catalogue's registry is made from the folder: every src/method/FAMILY/KEY.c (but template.c and FAMILY.c) exports
# `cohort_FAMILY_KEY`, a NULL-ended array of descriptors; a numeric file exports one per variant
# (`cohort_FAMILY_KEY_f32_avx512` ...). The table is sorted, so lists and pages are reproducible. COHORT_FILE is the file's
# name without ".c". Numeric methods are compiled without contraction: what they do to an element must not depend on
# whether the vector loop or its remainder does it.
function(cohort_methods name)
  cmake_parse_arguments(FOLDER "" "" "LIBRARIES" ${ARGN})
  file(GLOB methods RELATIVE ${CMAKE_SOURCE_DIR}/src/method CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/method/*/*.c)
  list(FILTER methods EXCLUDE REGEX "/template\\.c$")
  list(SORT methods)
  file(GLOB core CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/method/*.c)
  set(sources)
  set(declarations "")
  set(entries "")
  foreach(method ${methods})
    set(path ${CMAKE_SOURCE_DIR}/src/method/${method})
    list(APPEND sources ${path})
    string(REGEX REPLACE "\\.c$" "" symbol ${method})
    string(REPLACE "/" "_" symbol ${symbol})
    string(REGEX REPLACE "/.*" "" family ${method})
    get_filename_component(file ${method} NAME_WE)
    if(file STREQUAL family)
      continue()
    endif()
    set_source_files_properties(${path} PROPERTIES COMPILE_DEFINITIONS COHORT_FILE=${file}
      COMPILE_OPTIONS -ffp-contract=off)
    cohort_split_numeric(numeric plain ${path})
    if(numeric)
      set(tables "")
      foreach(variant ${COHORT_VARIANTS})
        string(APPEND declarations "extern const cohort_method *const cohort_${symbol}_${variant}[];\n")
        string(APPEND tables "cohort_${symbol}_${variant}, ")
      endforeach()
    else()
      string(APPEND declarations "extern const cohort_method *const cohort_${symbol}[];\n")
      set(tables "cohort_${symbol}, cohort_${symbol}, cohort_${symbol}, cohort_${symbol}, ")
    endif()
    string(APPEND entries "  {\"${method}\", {${tables}}},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/registry_table.h CONTENT
"/* Made by cmake/registry.cmake from the folder src/method. */
${declarations}
static const cohort_registry_file registry_files[] = {
${entries}};
")
  cohort_split_numeric(numeric plain ${sources})
  add_library(cohort_${name} STATIC ${core} ${plain})
  target_include_directories(cohort_${name} PRIVATE ${CMAKE_BINARY_DIR}/generated)
  target_link_libraries(cohort_${name} PUBLIC ${FOLDER_LIBRARIES})
  if(numeric)
    cohort_add_variants(cohort_${name} ${numeric})
  endif()
endfunction()
