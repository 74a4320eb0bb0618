storaged_test(NAME test_nng SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_nng.c LINK nng)

storaged_protobuf_c(probe_proto ROOT ${CMAKE_CURRENT_LIST_DIR}/proto FILES probe.proto)
add_library(rpc_fixture STATIC ${CMAKE_CURRENT_LIST_DIR}/rpc_fixture.c)
target_include_directories(rpc_fixture PUBLIC ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(rpc_fixture PUBLIC rpc probe_proto PkgConfig::CMOCKA PRIVATE storaged_warnings)

storaged_test(NAME test_rpc SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc.c LINK rpc_fixture)
storaged_test(NAME test_rpc_hostile SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_hostile.c LINK rpc_fixture)
storaged_test(NAME test_rpc_death SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_death.c LINK rpc_fixture)
storaged_test(NAME test_rpc_page SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_page.c LINK rpc)
storaged_test(NAME test_rpc_pure SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_pure.c LINK rpc probe_proto)
storaged_test(NAME test_rpc_turns SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_turns.c LINK rpc)
storaged_test(NAME test_rpc_users SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_rpc_users.c LINK rpc_fixture)
