/* What a decision costs on each path: nanoseconds for each operation, the least, the median and the
 * greatest of many batches. On a machine that does other work the least is what to compare.
 *
 * `bazel run -c opt //sidecar/sql:sql_bench`, 2026-11-21, two cores of a shared Xeon:
 *
 *   ns                              min    median       max     before (min, median, max)
 *   point, exact                     32        33       939        29      29     1392
 *   point, normalised               135       137       571      2669    2809     4268
 *   point, by normal form          2293      2364      4083      2243    2308     3285
 *   point, full                   14108     14610     23323     16784   17657    22087
 *   ten joins, exact                166       171      1567       159     164     1567
 *   ten joins, normalised          1401      1468      2821     20401   21525    68017
 *   ten joins, full              144520    148838    252505    164158  172407   586242
 *   comments, none                   71        75       151        70      73      306
 *   comments, reason               1946      2006      2823      1995    2059    22033
 *
 * "before" is the same day and machine without skeletons. Both with the machine nearly idle; of
 * twenty runs of the present state under a load of six on its two cores the least are: point, exact
 * 32, normalised 152; ten joins, normalised 1435, full 145873 (median of a run: 200000 to 500000).
 *
 * "normalised": constants that were never seen, in a text whose skeleton is known. "by normal
 * form": the same in a text that has no skeleton (here for its E''), which takes a parse. "full": a
 * cache that keeps nothing. Of the full analysis of the ten joins pg_query_parse_protobuf takes 102
 * µs, the most of it in packing the tree; PostgreSQL's own parser is some 20 of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sidecar/sql/sql.h"

static const char point[] = "SELECT id, customer_id, total FROM public.orders WHERE id = %d";
static const char point_escape[] = "SELECT id, total FROM public.orders WHERE name = E'a\\t%d'";
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

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

enum { BATCHES = 300, BATCH_MAX = 200, TEXT_SIZE = 1024 };

static void report(const char *name, double times[BATCHES])
{
    qsort(times, BATCHES, sizeof(times[0]), compare);
    printf("%-28s %9.0f %9.0f %9.0f\n", name, times[0], times[BATCHES / 2], times[BATCHES - 1]);
}

/* `is_varied`: each text has another constant. */
static void measure(const char *name, const char *format, size_t cache_bytes, size_t batch,
                    bool is_varied)
{
    struct sql_cache_options options = {.max_bytes = cache_bytes, .seed = {7, 9}};
    struct sql_cache *c = sql_cache_create(&options);
    char(*texts)[TEXT_SIZE] = calloc(BATCH_MAX, sizeof(*texts));
    if (c == NULL || texts == NULL) {
        exit(1);
    }
    double times[BATCHES];
    int constant = 0;
    for (size_t b = 0; b < BATCHES; b++) {
        for (size_t i = 0; i < batch; i++) {
            constant += is_varied;
            (void)snprintf(texts[i], TEXT_SIZE, format, constant); // NOLINT: the formats are above
        }
        int64_t start = now();
        for (size_t i = 0; i < batch; i++) {
            ask(c, texts[i]);
        }
        times[b] = (double)(now() - start) / (double)batch;
    }
    report(name, times);
    free(texts);
    sql_cache_destroy(c);
}

static void measure_comments(const char *name, const char *text)
{
    struct sql_note notes[SQL_NOTES_MAX];
    double times[BATCHES];
    size_t found = 0;
    for (size_t b = 0; b < BATCHES; b++) {
        int64_t start = now();
        for (int i = 0; i < BATCH_MAX; i++) {
            found += sql_comments_read(bytes_of_string(text), notes);
        }
        times[b] = (double)(now() - start) / BATCH_MAX;
    }
    report(name, times);
    if (found % BATCH_MAX != 0) {
        exit(1);
    }
}

int main(void)
{
    printf("%-28s %9s %9s %9s\n", "ns", "min", "median", "max");
    measure("point, exact", point, 8 << 20, 200, false);
    measure("point, normalised", point, 8 << 20, 200, true);
    measure("point, by normal form", point_escape, 8 << 20, 50, true);
    measure("point, full", point, 0, 20, true);
    measure("ten joins, exact", ten_joins, 8 << 20, 200, false);
    measure("ten joins, normalised", ten_joins, 8 << 20, 200, true);
    measure("ten joins, full", ten_joins, 0, 10, true);
    measure_comments("comments, none", point);
    measure_comments("comments, reason", "/* reason: report */ SELECT id FROM orders WHERE id = 1");
    return 0;
}
