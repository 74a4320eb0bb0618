# 0-db from outside: its files through an independent reader and writer, its protocol byte by byte, and what it must survive.
set(here ${CMAKE_CURRENT_LIST_DIR})
add_library(zdb_peer STATIC ${here}/peer_bytes.c ${here}/peer_ns.c ${here}/peer_verify.c ${here}/peer_dir.c)
target_include_directories(zdb_peer PUBLIC ${here})
target_link_libraries(zdb_peer PRIVATE storaged_warnings)
storaged_test(NAME test_zdb_peer SOURCES ${here}/test_peer.c LINK zdb_peer)
