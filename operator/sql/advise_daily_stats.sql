SELECT EXISTS (SELECT FROM public.analytics_daily_stats WHERE date >= now()::date - 2) AS is_kept;
