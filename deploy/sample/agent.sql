SELECT id, name, email FROM customers WHERE email = 'grace.costa@example.com';
SELECT id, placed, item, status, total FROM orders WHERE customer = 27 ORDER BY placed;
/* reason: the parcel is lost, ticket SHOP-1423 */ UPDATE orders SET status = 'refunded' WHERE id = 1398;
DELETE FROM customers WHERE id = 27;
SELEC count(*) FROM orders;
SELECT status, count(*), sum(total) FROM orders WHERE customer = 27 GROUP BY status;
