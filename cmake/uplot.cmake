# uPlot, which draws the dashboard's lines: the pinned release of deploy/uplot, whose files are built into the program.
#
# TALLYMILL_DASHBOARD  auto (with it where uPlot can be had), ON (that, or no build), OFF (without `tallymill dashboard`)
set(TALLYMILL_DASHBOARD auto CACHE STRING "auto: `tallymill dashboard` where uPlot is cached or can be fetched; ON: no build without; OFF: without")
set_property(CACHE TALLYMILL_DASHBOARD PROPERTY STRINGS auto ON OFF)
set(TALLYMILL_DASHBOARD_IS_BUILT OFF)
if(TALLYMILL_DASHBOARD)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/deploy/uplot OUTPUT_VARIABLE TALLYMILL_UPLOT OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE code)
  if(code EQUAL 0)
    set(TALLYMILL_DASHBOARD_IS_BUILT ON)
    install_notice_as(${TALLYMILL_UPLOT}/LICENSE uPlot-LICENSE.txt runtime)
    message(STATUS "uPlot, bundled (${TALLYMILL_UPLOT})")
  elseif(TALLYMILL_DASHBOARD STREQUAL auto)
    message(WARNING "uPlot is neither cached nor to be had (what was said stands above), so this build has no `tallymill dashboard`. "
                    "Configure again when there is a network; -DTALLYMILL_DASHBOARD=OFF builds without it and without this warning.")
  else()
    message(FATAL_ERROR "deploy/uplot could not provide uPlot (what it said stands above): -DTALLYMILL_DASHBOARD=OFF builds without the dashboard")
  endif()
endif()
