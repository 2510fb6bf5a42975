SELECT id, name, email, ssn FROM customers WHERE id = 27;
SELECT id, item, status, total, note FROM orders WHERE customer = 27 ORDER BY placed;
SELECT id FROM customers WHERE ssn LIKE '927%';
/* reason: the parcel is lost, ticket SHOP-1423 */ UPDATE orders SET status = 'refunded' WHERE id = 1398;
DROP TABLE orders;
/* reason: older than the law lets us keep them, ticket SHOP-1425 */ DELETE FROM orders WHERE placed < '2026-01-08';
SELECT status, count(*), sum(total) FROM orders WHERE customer = 27 GROUP BY status;
