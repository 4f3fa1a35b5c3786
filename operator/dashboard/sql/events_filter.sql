-- What the cursor of events_csv.sql asks for: first day, the day behind the last, users (external, all, internal), rows at most, name, category, user, session; '' asks for all.
SELECT set_config('tallymill.export_first', $1, true), set_config('tallymill.export_last', $2, true), set_config('tallymill.export_who', $3, true),
       set_config('tallymill.export_rows', $4, true), set_config('tallymill.export_name', $5, true), set_config('tallymill.export_category', $6, true),
       set_config('tallymill.export_user', $7, true), set_config('tallymill.export_session', $8, true);
