# The event messages of TensorBoard, compiled by protoc-c into the build folder.
find_program(PROTOC_C protoc-c REQUIRED)
set(COHORT_EVENT ${CMAKE_BINARY_DIR}/generated/event.pb-c)
add_custom_command(
  OUTPUT ${COHORT_EVENT}.c ${COHORT_EVENT}.h
  COMMAND ${PROTOC_C} --c_out=${CMAKE_BINARY_DIR}/generated --proto_path=${CMAKE_SOURCE_DIR}/io event.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/io/event.proto)
add_library(cohort_event STATIC ${COHORT_EVENT}.c ${COHORT_EVENT}.h)
target_compile_options(cohort_event PRIVATE -w)
target_include_directories(cohort_event SYSTEM PUBLIC ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(cohort_event PUBLIC PkgConfig::PROTOBUFC)
