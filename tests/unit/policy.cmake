# The restart policy is the supervisor's own: its source is compiled into the test.
storaged_test(
  NAME test_policy
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_policy.c ${PROJECT_SOURCE_DIR}/supervisor/policy.c
  LINK base)
target_include_directories(test_policy PRIVATE ${PROJECT_SOURCE_DIR}/supervisor)
