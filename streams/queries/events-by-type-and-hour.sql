-- Analytics: Events by type and hour
SELECT
  type,
  DATE_TRUNC('hour', timestamp) as hour,
  COUNT(*) as count
FROM events
WHERE timestamp > NOW() - INTERVAL '24 hours'
GROUP BY type, hour
ORDER BY hour DESC
