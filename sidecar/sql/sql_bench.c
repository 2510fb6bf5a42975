/* What a decision costs on each path: prints nanoseconds for each operation. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sidecar/sql/sql.h"

static const char point[] = "SELECT id, customer_id, total FROM public.orders WHERE id = %d";
static const char ten_joins[] =
    "SELECT c.name, o.id, sum(i.price * i.amount) AS total, max(s.at) FROM customers c "
    "JOIN orders o ON o.customer_id = c.id JOIN items i ON i.order_id = o.id "
    "JOIN products p ON p.id = i.product_id JOIN categories k ON k.id = p.category_id "
    "LEFT JOIN shipments s ON s.order_id = o.id LEFT JOIN carriers r ON r.id = s.carrier_id "
    "JOIN addresses a ON a.id = o.address_id JOIN countries n ON n.id = a.country_id "
    "LEFT JOIN invoices v ON v.order_id = o.id WHERE o.created_at > now() - interval '7 days' "
    "AND n.code IN ('DE', 'FR', 'IT') AND c.id = %d AND k.name LIKE 'tools%%' "
    "GROUP BY c.name, o.id HAVING sum(i.price) > 100 ORDER BY total DESC LIMIT 50";

static int64_t now(void)
{
    struct clock c = clock_system();
    return clock_monotonic(&c);
}

static void ask(struct sql_cache *c, const char *text)
{
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    if (sql_cache_analyse(c, bytes_of_string(text), &a, &error) != OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
}

/* `distinct`: how many texts that differ in their constant. */
static void measure(const char *name, const char *format, size_t cache_bytes, int rounds,
                    int distinct)
{
    struct sql_cache_options options = {.max_bytes = cache_bytes, .seed = {7, 9}};
    struct sql_cache *c = sql_cache_create(&options);
    char text[2048];
    int64_t spent = 0;
    for (int i = 0; i < rounds; i++) {
        (void)snprintf(text, sizeof(text), format, i % distinct); // NOLINT: the formats are above
        int64_t start = now();
        ask(c, text);
        spent += now() - start;
    }
    printf("%-28s %8" PRId64 " ns\n", name, spent / rounds);
    sql_cache_destroy(c);
}

static void measure_comments(const char *name, const char *text)
{
    struct sql_note notes[SQL_NOTES_MAX];
    const int rounds = 200000;
    int64_t start = now();
    size_t found = 0;
    for (int i = 0; i < rounds; i++) {
        found += sql_comments_read(bytes_of_string(text), notes);
    }
    printf("%-28s %8" PRId64 " ns (%zu found)\n", name, (now() - start) / rounds,
           found / (size_t)rounds);
}

int main(void)
{
    measure("clock", "SELECT 1", 1 << 20, 1000000, 1);
    measure("point, exact", point, 8 << 20, 1000000, 1);
    measure("point, normalised", point, 8 << 20, 100000, 100000);
    measure("point, full", point, 0, 20000, 100000);
    measure("ten joins, exact", ten_joins, 8 << 20, 1000000, 1);
    measure("ten joins, normalised", ten_joins, 8 << 20, 30000, 100000);
    measure("ten joins, full", ten_joins, 0, 5000, 100000);
    measure_comments("comments, none", point);
    measure_comments("comments, reason", "/* reason: report */ SELECT id FROM orders WHERE id = 1");
    return 0;
}
