-- Audit: All changes by actor
SELECT * FROM events
WHERE actor = 'User/nathan'
  AND op IN ('c', 'u', 'd')
ORDER BY timestamp DESC
LIMIT 100
