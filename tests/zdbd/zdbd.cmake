# What zdbd is made of, on real 0-db processes.
if(NOT TARGET zdbd_parts)
  return()
endif()
set(here ${CMAKE_CURRENT_LIST_DIR})
storaged_test(NAME test_zdbd_record SOURCES ${here}/test_record.c LINK zdbd_parts)
storaged_test(NAME test_zdbd_account SOURCES ${here}/test_account.c LINK zdbd_account)
storaged_test(NAME test_zdbd_link SOURCES ${here}/test_link.c ${here}/linkbed.c LINK zdbd_parts zdb_driver)

# The launcher, with the real 0-db.
if(NOT TARGET test_harness)
  return()
endif()
add_library(zdbd_launcher STATIC ${here}/launcher.c)
target_include_directories(zdbd_launcher PUBLIC ${here})
target_link_libraries(zdbd_launcher PUBLIC zdbd_parts zdb_driver test_harness PRIVATE storaged_warnings)
target_compile_definitions(zdbd_launcher PUBLIC $<$<BOOL:${STORAGED_SEAMS}>:STORAGED_SEAMS>)
add_dependencies(zdbd_launcher zdb zdblaunch)
foreach(behaviour launch process)
  storaged_integration_test(NAME test_zdbd_${behaviour} SOURCES ${here}/test_${behaviour}.c LINK zdbd_launcher)
endforeach()

# An instance, with the real 0-db and with one that misbehaves.
add_executable(test_zdbd_standin ${here}/standin.c)
target_link_libraries(test_zdbd_standin PRIVATE base storaged_warnings)
add_library(zdbd_instbed STATIC ${here}/instbed.c)
target_include_directories(zdbd_instbed PUBLIC ${here})
target_link_libraries(zdbd_instbed PUBLIC zdbd_parts test_harness PRIVATE storaged_warnings)
add_dependencies(zdbd_instbed zdb zdblaunch test_zdbd_standin)
foreach(behaviour instance)
  storaged_integration_test(NAME test_zdbd_${behaviour} SOURCES ${here}/test_${behaviour}.c LINK zdbd_instbed)
endforeach()

# zdbd itself, on real nodes.
if(TARGET zdbd)
  foreach(behaviour namespaces)
    storaged_integration_test(NAME test_zdbd_${behaviour}
      SOURCES ${here}/test_${behaviour}.c ${here}/zdbnode.c ${CMAKE_SOURCE_DIR}/tests/integration/poolnode.c
      LINK zdb_driver poold_volume)
    target_include_directories(test_zdbd_${behaviour} PRIVATE ${CMAKE_SOURCE_DIR}/tests/integration)
  endforeach()
endif()
