# The disk side of a pool, on real btrfs, without poold.
set(volume_behaviours open space holders cache quota want damage)
foreach(behaviour ${volume_behaviours})
  storaged_integration_test(NAME test_volume_${behaviour}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_volume_${behaviour}.c ${CMAKE_CURRENT_LIST_DIR}/volume_fixture.c
    LINK poold_volume)
endforeach()
if(TARGET test_volume_quota)
  target_link_options(test_volume_quota PRIVATE -Wl,--wrap=ioctl)
endif()
foreach(behaviour holders want)
  if(TARGET test_volume_${behaviour})
    target_sources(test_volume_${behaviour} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/want.c)
    target_link_options(test_volume_${behaviour} PRIVATE
      -Wl,--wrap=openat,--wrap=open,--wrap=opendir,--wrap=fopen,--wrap=statx,--wrap=fgetxattr)
  endif()
endforeach()
