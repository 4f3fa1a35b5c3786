unit_test(operator operator_terminal.c operator_table.c operator_command.c operator_day_range.c operator_packed.c operator_schema.c operator_finding.c operator_rollup_file.c operator_top.c operator_backlog.c operator_export.c operator_erase.c operator_archive.c
  LIBS operator_core)
if(TALLYMILL_DASHBOARD_IS_BUILT)
  unit_test(dashboard dashboard.c LIBS operator_core)
endif()
