# What an application's programmer gets: the component `library` is what a program needs to run, `development` what it is built with (by CMake:
# tallymillConfig.cmake.in, by pkg-config: tallymill.pc.in). Both are relative to themselves, so that `cmake --install --prefix` and a moved tree work.
include(CMakePackageConfigHelpers)
file(RELATIVE_PATH TALLYMILL_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
# What libtallymill.a is linked with. Words for the linker, not other .pc files: pkg-config would want those for --cflags too, where only we need them.
set(folders ${RDKAFKA_LIBRARY_DIRS} ${YYJSON_LIBRARY_DIRS} ${JANSSON_LIBRARY_DIRS} ${XXHASH_LIBRARY_DIRS})
list(REMOVE_ITEM folders ${CMAKE_C_IMPLICIT_LINK_DIRECTORIES} "")
list(REMOVE_DUPLICATES folders)
list(TRANSFORM folders PREPEND -L)
set(TALLYMILL_STATIC_LINKS ${folders} -ljansson -lxxhash)
if(TALLYMILL_RDKAFKA_IS_BUNDLED)
  list(APPEND TALLYMILL_STATIC_LINKS ${TALLYMILL_RDKAFKA_LINKS})
else()
  list(PREPEND TALLYMILL_STATIC_LINKS -lrdkafka)
endif()
if(NOT TALLYMILL_YYJSON_ARCHIVE)
  list(PREPEND TALLYMILL_STATIC_LINKS -lyyjson)
endif()
list(APPEND TALLYMILL_STATIC_LINKS -pthread -lm)
list(REMOVE_DUPLICATES TALLYMILL_STATIC_LINKS)
list(JOIN TALLYMILL_STATIC_LINKS " " TALLYMILL_PC_LIBS)
configure_file(tallymill.pc.in tallymill.pc @ONLY)

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/tallymill)
configure_package_config_file(tallymillConfig.cmake.in tallymillConfig.cmake INSTALL_DESTINATION ${config_folder}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(tallymillConfigVersion.cmake COMPATIBILITY SameMinorVersion) # of 0.x: each minor version may break
install(TARGETS libtallymill EXPORT tallymill LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(libtallymill PROPERTIES EXPORT_NAME tallymill)
install(EXPORT tallymill FILE tallymillShared.cmake NAMESPACE tallymill:: DESTINATION ${config_folder} COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tallymillConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/tallymillConfigVersion.cmake
  DESTINATION ${config_folder} COMPONENT development)
install(FILES ${static_library} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES include/tallymill/producer.h include/tallymill/producer.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tallymill COMPONENT development)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/tallymill.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
