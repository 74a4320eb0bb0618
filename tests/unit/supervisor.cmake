# Pure parts of the supervisor: their sources are compiled into the tests.
set(supervisor ${PROJECT_SOURCE_DIR}/supervisor)
storaged_test(NAME test_policy SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_policy.c ${supervisor}/policy.c LINK base)
storaged_test(
  NAME test_tail
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_tail.c ${supervisor}/tail.c ${supervisor}/text.c
  LINK base)
target_include_directories(test_policy PRIVATE ${supervisor})
target_include_directories(test_tail PRIVATE ${supervisor})

add_library(verbs_fixture STATIC ${CMAKE_CURRENT_LIST_DIR}/verbs_fixture.c ${supervisor}/verbs.c ${supervisor}/text.c)
target_include_directories(verbs_fixture PUBLIC ${CMAKE_CURRENT_LIST_DIR} ${supervisor})
target_link_libraries(verbs_fixture PUBLIC rpc_validate config worker_channel PkgConfig::UV PRIVATE storaged_warnings)
storaged_test(NAME test_verbs SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_verbs.c LINK verbs_fixture)
