#include "formats/json.h"

#include <stdlib.h>

#include "base/clock.h"
#include "formats/text.h"

void json_init(struct json *j)
{
    j->root = cJSON_CreateObject();
    j->failed = j->root == NULL;
}

void json_finish(struct json *j)
{
    cJSON_Delete(j->root);
    j->root = NULL;
}

/* Takes `item`. */
static cJSON *attach(struct json *j, cJSON *to, const char *name, cJSON *item)
{
    bool added = item != NULL && to != NULL &&
                 (name == NULL ? cJSON_AddItemToArray(to, item)
                               : cJSON_AddItemToObject(to, name, item)) != 0;
    if (!added) {
        cJSON_Delete(item);
        j->failed = true;
        return NULL;
    }
    return item;
}

void json_add_text(struct json *j, cJSON *to, const char *name, struct bytes text)
{
    char *utf8 = text_to_utf8(text);
    (void)attach(j, to, name, utf8 == NULL ? NULL : cJSON_CreateString(utf8));
    free(utf8);
}

void json_add_string(struct json *j, cJSON *to, const char *name, const char *text)
{
    if (text == NULL) {
        json_add_null(j, to, name);
    } else {
        json_add_text(j, to, name, bytes_of_string(text));
    }
}

/* cJSON's numbers are doubles: 2^53 and beyond would lose digits. */
void json_add_unsigned(struct json *j, cJSON *to, const char *name, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    (void)attach(j, to, name, cJSON_CreateRaw(digits));
}

void json_add_signed(struct json *j, cJSON *to, const char *name, int64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%lld", (long long)value);
    (void)attach(j, to, name, cJSON_CreateRaw(digits));
}

void json_add_bool(struct json *j, cJSON *to, const char *name, bool value)
{
    (void)attach(j, to, name, cJSON_CreateBool(value));
}

void json_add_null(struct json *j, cJSON *to, const char *name)
{
    (void)attach(j, to, name, cJSON_CreateNull());
}

void json_add_time(struct json *j, cJSON *to, const char *name, int64_t wall_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(wall_ns, time);
    json_add_string(j, to, name, time);
}

void json_add_hex(struct json *j, cJSON *to, const char *name, struct bytes data)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = data.size > SIZE_MAX / 2 - 3 ? NULL : malloc(data.size * 2 + 3);
    if (hex == NULL) {
        j->failed = true;
        return;
    }
    size_t at = 0;
    hex[at++] = '\\';
    hex[at++] = 'x';
    for (size_t i = 0; i < data.size; i++) {
        hex[at++] = digits[data.data[i] >> 4];
        hex[at++] = digits[data.data[i] & 0xf];
    }
    hex[at] = '\0';
    (void)attach(j, to, name, cJSON_CreateString(hex));
    free(hex);
}

cJSON *json_add_object(struct json *j, cJSON *to, const char *name)
{
    return attach(j, to, name, cJSON_CreateObject());
}

cJSON *json_add_array(struct json *j, cJSON *to, const char *name)
{
    return attach(j, to, name, cJSON_CreateArray());
}

void json_add_strings(struct json *j, cJSON *to, const char *name, char *const *items, size_t count)
{
    cJSON *list = json_add_array(j, to, name);
    for (size_t i = 0; i < count; i++) {
        json_add_string(j, list, NULL, items[i]);
    }
}

enum err json_write_line(struct json *j, FILE *out)
{
    char *text = j->failed ? NULL : cJSON_PrintUnformatted(j->root);
    if (text == NULL) {
        return ERR_NO_MEMORY;
    }
    text_write_json(out, text);
    (void)fputc('\n', out);
    cJSON_free(text);
    return OK;
}
