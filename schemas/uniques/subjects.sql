-- The subjects of analytics_daily_uniques: a line with the name, and below it a boolean condition over the columns of tallymill.day_events (id, event_name, event_category,
-- session_id, user_id, event_data, created_at). At most 63, those that were taken out again included: a subject keeps its place and its meaning for ever, since the keys of old days
-- carry it; another condition wants another name. A condition may not fail, whatever an event holds: tallymill.number(json) is an exact number or NULL, ->> a text or NULL.
-- subject: *
true
-- subject: category:workflow
event_category = 'workflow'
-- subject: category:business
event_category = 'business'
-- subject: category:usage
event_category = 'usage'
-- subject: category:system
event_category = 'system'
-- The stages of the funnel (rollups/funnel.sql).
-- subject: stage:session_start
event_name = 'session_start'
-- subject: stage:code_input
event_name = 'code_input'
-- subject: stage:generation_started
event_name IN ('generation_started', 'doc_generation')
-- subject: stage:generation_completed
event_name = 'generation_completed' OR (event_name = 'doc_generation' AND event_data -> 'success' = 'true')
-- subject: stage:doc_export
event_name = 'doc_export'
-- The names of the catalogue.
-- subject: session_start
event_name = 'session_start'
-- subject: code_input
event_name = 'code_input'
-- subject: generation_started
event_name = 'generation_started'
-- subject: generation_completed
event_name = 'generation_completed'
-- subject: doc_export
event_name = 'doc_export'
-- subject: login
event_name = 'login'
-- subject: signup
event_name = 'signup'
-- subject: trial
event_name = 'trial'
-- subject: tier_change
event_name = 'tier_change'
-- subject: checkout_completed
event_name = 'checkout_completed'
-- subject: usage_alert
event_name = 'usage_alert'
-- subject: doc_generation
event_name = 'doc_generation'
-- subject: batch_generation
event_name = 'batch_generation'
-- subject: quality_score
event_name = 'quality_score'
-- subject: oauth_flow
event_name = 'oauth_flow'
-- subject: user_interaction
event_name = 'user_interaction'
-- subject: error
event_name = 'error'
-- subject: performance
event_name = 'performance'
