# storaged with scripted workers: testworker is built on lib/worker and misbehaves by its name.
add_executable(testworker ${CMAKE_CURRENT_LIST_DIR}/testworker.c)
target_link_libraries(testworker PRIVATE worker storaged_warnings)
foreach(part supervisor startup control process stuck)
  storaged_test(
    NAME test_${part}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${part}.c ${CMAKE_CURRENT_LIST_DIR}/supervised.c
    LINK base proto storage)
  target_compile_definitions(test_${part} PRIVATE
    STORAGED_PATH="$<TARGET_FILE:storaged>"
    TESTWORKER_PATH="$<TARGET_FILE:testworker>")
  add_dependencies(test_${part} storaged testworker)
endforeach()
