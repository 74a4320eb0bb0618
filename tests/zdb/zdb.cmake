# 0-db from outside: its files through an independent reader and writer, its protocol byte by byte, and what it must survive.
set(here ${CMAKE_CURRENT_LIST_DIR})
add_library(zdb_peer STATIC ${here}/peer_bytes.c ${here}/peer_ns.c ${here}/peer_verify.c ${here}/peer_dir.c)
target_include_directories(zdb_peer PUBLIC ${here})
target_link_libraries(zdb_peer PRIVATE storaged_warnings)
storaged_test(NAME test_zdb_peer SOURCES ${here}/test_peer.c LINK zdb_peer)

# The server itself, started by its tests as a process of its own.
if(NOT TARGET zdb)
  return()
endif()
storaged_test(NAME test_zdb_checksum SOURCES ${here}/test_checksum.c LINK zdb_store)
add_library(zdb_driver STATIC ${here}/client.c ${here}/server.c ${here}/fixture.c ${here}/script.c ${here}/sha1.c ${here}/twin.c)
target_compile_definitions(zdb_driver PRIVATE ZDB_PROGRAM="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/zdb")
target_link_libraries(zdb_driver PUBLIC zdb_peer base PkgConfig::CMOCKA PRIVATE storaged_warnings)
add_dependencies(zdb_driver zdb)
foreach(behaviour budget connect driver data files gates many mapping scan slots namespace admin framing
        other interop turns repair damage load hook kill compact realm torn)
  storaged_test(NAME test_zdb_${behaviour} SOURCES ${here}/test_${behaviour}.c LINK zdb_driver)
endforeach()
# Preloaded into the server, so without sanitizers.
add_library(zdb_badcalls MODULE ${here}/badcalls.c)
target_compile_options(zdb_badcalls PRIVATE -fno-sanitize=all)
target_link_options(zdb_badcalls PRIVATE -fno-sanitize=all)
set(model_sources ${here}/model.c ${here}/model_compare.c)
foreach(behaviour faults model removal settings sweep)
  storaged_test(NAME test_zdb_${behaviour} SOURCES ${here}/test_${behaviour}.c ${here}/faulty.c ${${behaviour}_sources}
    LINK zdb_driver)
  target_compile_definitions(test_zdb_${behaviour} PRIVATE BADCALLS_LIBRARY="$<TARGET_FILE:zdb_badcalls>")
  add_dependencies(test_zdb_${behaviour} zdb_badcalls)
endforeach()
storaged_test(NAME test_zdb_confine SOURCES ${here}/test_confine.c LINK zdb_driver zdb_server)
storaged_integration_test(NAME test_zdb_full SOURCES ${here}/test_full.c LINK zdb_driver)
storaged_integration_test(NAME test_zdb_power
  SOURCES ${here}/test_power.c ${here}/powerwork.c ${here}/../integration/powerhost.c LINK zdb_driver)
if(TARGET test_zdb_power)
  target_include_directories(test_zdb_power PRIVATE ${here}/../integration)
  # A filesystem of their own, and nobody who looks at disks: the others need not wait for them.
  set_tests_properties(test_zdb_full test_zdb_power PROPERTIES RESOURCE_LOCK "")
endif()
