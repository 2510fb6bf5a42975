/* The contract of every store, on a PostgreSQL of its own. */
#include "controlplane/store/postgres/postgres.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/postgres/test_server.h"
#include "controlplane/store/store_contract.h"

static struct store *open_there(struct test_server *server)
{
    char url[200];
    struct store *store = NULL;
    struct err_text why = {.text = ""};
    test_server_url(server, url, sizeof(url));
    enum err err = store_open_postgres(url, NULL, &store, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    return store;
}

static struct store *contract_open(void *context)
{
    test_server_create_database(context, "");
    return open_there(context);
}

static struct store *contract_reopen(void *context, struct store *store)
{
    store_close(store);
    return open_there(context);
}

static void contract_close(void *context, struct store *store)
{
    store_close(store);
    test_server_drop_database(context);
}

int main(void)
{
    struct test_server server;
    test_server_start(&server, false);
    const struct store_contract contract = {
        .open_empty = contract_open,
        .reopen = contract_reopen,
        .close = contract_close,
        .context = &server,
    };
    int failed = store_contract_run(&contract);
    test_server_stop(&server);
    return failed;
}
