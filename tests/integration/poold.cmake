# poold from boot to release, and what it does when pools come, go and hang.
storaged_integration_test(NAME test_poold SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_poold.c)
storaged_integration_test(NAME test_readonly SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_readonly.c)
storaged_integration_test(NAME test_crowd SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_crowd.c LINK rpc PkgConfig::UV)
# Worst days of a pool.
foreach(behaviour full model dying clones tenants)
  storaged_integration_test(NAME test_${behaviour}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${behaviour}.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
endforeach()
