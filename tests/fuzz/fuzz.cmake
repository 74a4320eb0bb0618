# The decoders of whatever comes from outside (sockets, disks, the config) under libFuzzer, one program each.
#
# libFuzzer is clang's, and the tree is built with gcc. So the sanitized build runs a second one of the same tree below
# itself, by the preset `fuzz`: there the programs are made, here they become the tests fuzz_<decoder>. Without clang they
# are skipped. Each runs for a minute, those of the short list for five seconds; all of them for an hour each:
#
#   STORAGED_FUZZ_SECONDS=3600 STORAGED_FUZZ_SEED=0 scripts/test -L fuzz
#
# What a program has learned stays in the build folder (fuzz/corpus), and so does an input that it fails on (fuzz/found);
# once that is mended the input goes to kept/<decoder> here, and every run begins with it.
set(fuzz_decoders call channel config control descriptor event record reply request superblock)
set(fuzz_short channel reply request superblock) # what they read comes from our own side, or is small
if(TARGET zdb_store)
  list(APPEND fuzz_decoders zdb_data zdb_index)
endif()
if(TARGET zdb_server)
  list(APPEND fuzz_decoders zdb_resp)
endif()

if(STORAGED_FUZZ)
  storaged_protobuf_c(fuzz_proto ROOT ${CMAKE_CURRENT_LIST_DIR} FILES every.proto)
  add_library(fuzz_fixture STATIC ${CMAKE_CURRENT_LIST_DIR}/fuzz.c)
  target_include_directories(fuzz_fixture PUBLIC ${CMAKE_CURRENT_LIST_DIR})
  target_link_libraries(fuzz_fixture PUBLIC base PkgConfig::PROTOBUF_C PRIVATE storaged_warnings)

  set(fuzz_link_call rpc)
  set(fuzz_link_channel worker_channel rpc_validate)
  set(fuzz_link_config config)
  set(fuzz_link_control verbs_fixture)
  set(fuzz_link_descriptor poold_volume)
  set(fuzz_link_event event)
  set(fuzz_link_record poold_volume)
  set(fuzz_link_reply rpc)
  set(fuzz_link_request rpc_validate fuzz_proto)
  set(fuzz_link_superblock diskd_parts)
  set(fuzz_link_zdb_data fuzz_zdb_files)
  set(fuzz_link_zdb_index fuzz_zdb_files)
  set(fuzz_link_zdb_resp zdb_server)
  if(TARGET zdb_store)
    add_library(fuzz_zdb_files STATIC ${CMAKE_CURRENT_LIST_DIR}/zdb_files.c)
    target_link_libraries(fuzz_zdb_files PUBLIC fuzz_fixture zdb_store zdb_peer PRIVATE storaged_warnings)
  endif()

  foreach(decoder ${fuzz_decoders})
    add_executable(fuzz_${decoder} EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/${decoder}.c)
    target_link_libraries(fuzz_${decoder} PRIVATE ${fuzz_link_${decoder}} fuzz_fixture storaged_warnings)
    target_link_options(fuzz_${decoder} PRIVATE -fsanitize=fuzzer)
    list(APPEND fuzz_programs fuzz_${decoder})
  endforeach()
  add_custom_target(fuzz DEPENDS ${fuzz_programs})
  return()
endif()

if(NOT STORAGED_SANITIZE)
  return()
endif()
find_program(CLANG clang)
if(CLANG)
  set(fuzz_probe "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return !d && n; }")
  execute_process(
    COMMAND sh -c "echo '${fuzz_probe}' | ${CLANG} -fsanitize=fuzzer,address,undefined -x c -o /dev/null -"
    RESULT_VARIABLE fuzz_missing OUTPUT_QUIET ERROR_QUIET)
endif()
set(fuzz_build ${PROJECT_BINARY_DIR}/fuzz)
if(CLANG AND fuzz_missing EQUAL 0)
  include(ExternalProject)
  ExternalProject_Add(fuzz
    SOURCE_DIR ${PROJECT_SOURCE_DIR}
    BINARY_DIR ${fuzz_build}
    PREFIX ${fuzz_build}/steps
    CONFIGURE_COMMAND ${CMAKE_COMMAND} --preset fuzz -S <SOURCE_DIR> -B <BINARY_DIR>
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR> --target fuzz
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD ON
    INSTALL_COMMAND "")
endif()
foreach(decoder ${fuzz_decoders})
  set(fuzz_seconds 60)
  if(decoder IN_LIST fuzz_short)
    set(fuzz_seconds 5)
  endif()
  add_test(NAME fuzz_${decoder} COMMAND ${CMAKE_CURRENT_LIST_DIR}/run ${decoder} ${fuzz_build} ${fuzz_seconds})
  set_tests_properties(fuzz_${decoder} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 3600 LABELS fuzz)
endforeach()
