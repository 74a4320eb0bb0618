# storaged with scripted workers: testworker is built on lib/worker and misbehaves by its name.
add_executable(testworker ${CMAKE_CURRENT_LIST_DIR}/testworker.c)
target_link_libraries(testworker PRIVATE worker storaged_warnings)
storaged_test(
  NAME test_supervisor
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_supervisor.c ${CMAKE_CURRENT_LIST_DIR}/supervised.c
  LINK base proto)
target_compile_definitions(test_supervisor PRIVATE
  STORAGED_PATH="$<TARGET_FILE:storaged>"
  TESTWORKER_PATH="$<TARGET_FILE:testworker>")
add_dependencies(test_supervisor storaged testworker)
