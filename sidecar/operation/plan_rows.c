#include "sidecar/operation/plan_rows.h"

#include <cjson/cJSON.h>

static const cJSON *first_plan(const cJSON *root)
{
    const cJSON *first = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, 0) : NULL;
    return cJSON_GetObjectItemCaseSensitive(first, "Plan");
}

/* InitPlans and SubPlans are asked by the node, they do not feed it. */
static bool is_input(const cJSON *plan)
{
    const char *relation =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan, "Parent Relationship"));
    return relation == NULL || strcmp(relation, "Outer") == 0 || strcmp(relation, "Member") == 0;
}

static bool rows_of(const cJSON *plan, double *out)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(plan, "Plan Rows");
    if (!cJSON_IsNumber(rows)) {
        return false;
    }
    *out = rows->valuedouble;
    return true;
}

bool plan_rows_estimate(struct bytes json, double *out_rows)
{
    cJSON *root = cJSON_ParseWithLength((const char *)json.data, json.size);
    const cJSON *plan = first_plan(root);
    const char *node = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan, "Node Type"));
    double sum = 0;
    bool found = false;
    if (node != NULL && strcmp(node, "ModifyTable") == 0) {
        const cJSON *below = NULL;
        cJSON_ArrayForEach(below, cJSON_GetObjectItemCaseSensitive(plan, "Plans"))
        {
            double rows = 0;
            if (is_input(below) && rows_of(below, &rows)) {
                sum += rows;
                found = true;
            }
        }
    } else if (node != NULL) {
        found = rows_of(plan, &sum);
    }
    cJSON_Delete(root);
    if (found) {
        *out_rows = sum;
    }
    return found;
}
