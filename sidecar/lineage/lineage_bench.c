/* What an analysis costs: prints nanoseconds for each text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sidecar/lineage/lineage_fixture.h"

static const char ten_joins[] =
    "SELECT c.name, o.id, sum(i.price * i.amount) AS total, max(s.at) FROM customers c "
    "JOIN orders o ON o.customer_id = c.id JOIN items i ON i.order_id = o.id "
    "JOIN products p ON p.id = i.product_id JOIN categories k ON k.id = p.category_id "
    "LEFT JOIN shipments s ON s.order_id = o.id LEFT JOIN carriers r ON r.id = s.carrier_id "
    "JOIN people a ON a.id = o.id JOIN gen n ON n.id = a.id LEFT JOIN sales.leads v ON v.id = o.id "
    "WHERE o.total > 10 AND o.status IN ('DE', 'FR', 'IT') AND c.id = 7 AND k.name LIKE 'tools%' "
    "GROUP BY c.name, o.id HAVING sum(i.price) > 100 ORDER BY total DESC LIMIT 50";

static int64_t now(void)
{
    struct clock c = clock_system();
    return clock_monotonic(&c);
}

static void measure(const struct lineage_marks *m, const char *name, const char *text, int rounds)
{
    int64_t start = now();
    for (int i = 0; i < rounds; i++) {
        struct lineage *l = NULL;
        if (lineage_analyse(m, bytes_of_string(text), &l) != OK) {
            (void)fprintf(stderr, "%s: not analysed\n", name);
            exit(1);
        }
        lineage_destroy(l);
    }
    printf("%-28s %8" PRId64 " ns\n", name, (now() - start) / rounds);
}

int main(void)
{
    struct catalog *c = fixture_catalog(false);
    struct lineage_marks *m = fixture_marks(c, FIXTURE_SOME);
    measure(m, "lineage, point", "SELECT id, total FROM public.orders WHERE id = 7", 20000);
    measure(m, "lineage, masked column", "SELECT id, ssn FROM customers WHERE id = 7", 20000);
    measure(m, "lineage, view", "SELECT n FROM v_deep WHERE id = 7", 20000);
    measure(m, "lineage, ten joins", ten_joins, 5000);
    lineage_marks_destroy(m);
    catalog_unref(c);
    return 0;
}
