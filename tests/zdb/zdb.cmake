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
add_library(zdb_driver STATIC ${here}/client.c ${here}/server.c ${here}/fixture.c ${here}/script.c ${here}/sha1.c ${here}/twin.c)
target_compile_definitions(zdb_driver PRIVATE ZDB_PROGRAM="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/zdb")
target_link_libraries(zdb_driver PUBLIC zdb_peer base PkgConfig::CMOCKA PRIVATE storaged_warnings)
add_dependencies(zdb_driver zdb)
foreach(behaviour driver data namespace admin framing other interop repair load hook)
  storaged_test(NAME test_zdb_${behaviour} SOURCES ${here}/test_${behaviour}.c LINK zdb_driver)
endforeach()
storaged_integration_test(NAME test_zdb_full SOURCES ${here}/test_full.c LINK zdb_driver)
