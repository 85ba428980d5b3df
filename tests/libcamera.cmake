# The libcamera driver: over a camera that the test plays, and over libcamera itself,
# which needs a camera: the emulated target's.
sl_test(libcamera_test unit/libcamera_test.c skylane_hal_camera)
sl_test(libcamera_target_test contract/libcamera_target_test.c skylane_hal_camera)
# libcamera is not built for ThreadSanitizer.
set_tests_properties(libcamera_target_test PROPERTIES LABELS one_thread)
