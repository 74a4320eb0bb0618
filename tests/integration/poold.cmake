# poold from boot to release, and what it does when pools come, go and hang.
storaged_integration_test(NAME test_readonly SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_readonly.c)
storaged_integration_test(NAME test_crowd SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_crowd.c LINK rpc PkgConfig::UV)
# A pool's days, from the best to the worst.
foreach(behaviour poold space full want model dying clones tenants kill bookings booking_races)
  storaged_integration_test(NAME test_${behaviour}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${behaviour}.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
endforeach()
if(TARGET test_dying)
  target_sources(test_dying PRIVATE ${CMAKE_CURRENT_LIST_DIR}/slowfile.c)
endif()
# Pools that hang while they are opened.
storaged_integration_test(NAME test_slow_open
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_slow_open.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c
          ${CMAKE_CURRENT_LIST_DIR}/slowfile.c)
if(TARGET test_clones)
  target_link_libraries(test_clones PRIVATE poold_volume)
endif()
# What somebody did to its tree.
storaged_integration_test(NAME test_pool_damage
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_pool_damage.c ${CMAKE_CURRENT_LIST_DIR}/damage.c
          ${CMAKE_CURRENT_LIST_DIR}/damage_quota.c ${CMAKE_CURRENT_LIST_DIR}/poolnode.c
  LINK poold_volume)
storaged_integration_test(NAME test_kill_storm
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_kill_storm.c ${CMAKE_CURRENT_LIST_DIR}/storm.c
          ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
# A minute that measures nothing: the others need not wait for it.
if(TARGET test_kill_storm)
  set_tests_properties(test_kill_storm PROPERTIES RESOURCE_LOCK "")
endif()
storaged_integration_test(NAME test_booking_steps
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_booking_steps.c ${CMAKE_CURRENT_LIST_DIR}/steps.c
          ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
storaged_integration_test(NAME test_steps
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_steps.c ${CMAKE_CURRENT_LIST_DIR}/steps.c
          ${CMAKE_CURRENT_LIST_DIR}/poolnode.c)
if(TARGET test_steps)
  target_compile_definitions(test_steps PRIVATE $<$<BOOL:${STORAGED_SEAMS}>:STORAGED_SEAMS>)
endif()
