SELECT count(*) AS events FROM public.analytics_events /* tallymill advise */;
