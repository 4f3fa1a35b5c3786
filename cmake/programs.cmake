# What the programs and the tests need and the library does not.
include(cmake/embed_migrations.cmake)
include(cmake/embed_schema_objects.cmake)
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq>=15)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.71)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85) # CURLOPT_PROTOCOLS_STR; SigV4 since 7.75
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(LZMA REQUIRED IMPORTED_TARGET liblzma)
find_package(BZip2 REQUIRED) # has no .pc file on Debian
pkg_search_module(MSGPACK REQUIRED IMPORTED_TARGET msgpack-c msgpack)
# Debian 13's msgpack-c.pc says `includedir=include`, which is no folder; its header lies where every compiler looks.
get_target_property(msgpack_includes PkgConfig::MSGPACK INTERFACE_INCLUDE_DIRECTORIES)
if(msgpack_includes)
  list(FILTER msgpack_includes INCLUDE REGEX "^/")
  set_target_properties(PkgConfig::MSGPACK PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${msgpack_includes}")
endif()
