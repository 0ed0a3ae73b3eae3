-- Cross-DO query: All customers created today
SELECT * FROM events
WHERE type = 'Customer.created'
  AND DATE(timestamp) = CURRENT_DATE
  AND ns LIKE 'startups.%'
