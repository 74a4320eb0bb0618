# The disk side of a pool, on real btrfs, without poold.
set(volume_behaviours open space holders cache quota)
foreach(behaviour ${volume_behaviours})
  storaged_integration_test(NAME test_volume_${behaviour}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_volume_${behaviour}.c ${CMAKE_CURRENT_LIST_DIR}/volume_fixture.c
    LINK poold_volume)
endforeach()
if(TARGET test_volume_quota)
  target_link_options(test_volume_quota PRIVATE -Wl,--wrap=ioctl)
endif()
if(TARGET test_volume_holders)
  target_link_options(test_volume_holders PRIVATE
    -Wl,--wrap=openat -Wl,--wrap=opendir -Wl,--wrap=fopen -Wl,--wrap=statx)
endif()
