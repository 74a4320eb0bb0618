# The whole system on real devices: one program per behaviour.
set(behaviours sandbox boot hotplug holders stop events access cli hostile)
foreach(behaviour ${behaviours})
  storaged_integration_test(NAME test_${behaviour} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${behaviour}.c)
endforeach()
if(TARGET test_holders)
  target_link_libraries(test_holders PRIVATE poold_volume)
endif()
foreach(behaviour wipe foreign)
  storaged_integration_test(NAME test_${behaviour}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${behaviour}.c ${CMAKE_CURRENT_LIST_DIR}/disknode.c)
endforeach()
