# Pure parts of the supervisor: their sources are compiled into the tests.
set(supervisor ${PROJECT_SOURCE_DIR}/supervisor)
storaged_test(NAME test_policy SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_policy.c ${supervisor}/policy.c LINK base)
storaged_test(
  NAME test_tail
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_tail.c ${supervisor}/tail.c ${supervisor}/text.c
  LINK base)
target_include_directories(test_policy PRIVATE ${supervisor})
target_include_directories(test_tail PRIVATE ${supervisor})
