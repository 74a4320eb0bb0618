if(TARGET diskd_parts)
  foreach(part classify superblock sysfs usage)
    storaged_test(NAME test_disk_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_disk_${part}.c LINK diskd_parts)
  endforeach()
  storaged_test(
    NAME test_disk_watch
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_disk_watch.c ${PROJECT_SOURCE_DIR}/workers/diskd/watch.c
    LINK diskd_parts PkgConfig::UV PkgConfig::UDEV)
  target_link_options(test_disk_watch PRIVATE -Wl,--wrap=inotify_init1)
endif()
