/* The SQLSTATE codes that we send or look at (PostgreSQL documentation, appendix "PostgreSQL
 * Error Codes"). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_SQLSTATE_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_SQLSTATE_H

#define PG_SQLSTATE_SUCCESS "00000"
#define PG_SQLSTATE_WARNING "01000"

/* Class 08: connection exception */
#define PG_SQLSTATE_CANNOT_CONNECT "08001"      /* sqlclient_unable_to_establish_… */
#define PG_SQLSTATE_CONNECTION_REJECTED "08004" /* sqlserver_rejected_establishment_… */
#define PG_SQLSTATE_CONNECTION_FAILURE "08006"
#define PG_SQLSTATE_PROTOCOL_VIOLATION "08P01"

#define PG_SQLSTATE_FEATURE_NOT_SUPPORTED "0A000"

/* Class 25: invalid transaction state */
#define PG_SQLSTATE_READ_ONLY_TRANSACTION "25006"
#define PG_SQLSTATE_IN_FAILED_TRANSACTION "25P02"

#define PG_SQLSTATE_INVALID_STATEMENT_NAME "26000"

/* Class 28: invalid authorization specification */
#define PG_SQLSTATE_INVALID_AUTHORIZATION "28000"
#define PG_SQLSTATE_INVALID_PASSWORD "28P01"

#define PG_SQLSTATE_INVALID_CURSOR_NAME "34000"  /* also: no such portal */
#define PG_SQLSTATE_INVALID_CATALOG_NAME "3D000" /* no such database */

/* Class 42: syntax error or access rule violation */
#define PG_SQLSTATE_INSUFFICIENT_PRIVILEGE "42501" /* a denial by policy */
#define PG_SQLSTATE_SYNTAX_ERROR "42601"
#define PG_SQLSTATE_DUPLICATE_STATEMENT "42P05"

/* Class 53: insufficient resources */
#define PG_SQLSTATE_INSUFFICIENT_RESOURCES "53000"
#define PG_SQLSTATE_DISK_FULL "53100"
#define PG_SQLSTATE_OUT_OF_MEMORY "53200"
#define PG_SQLSTATE_TOO_MANY_CONNECTIONS "53300"

/* Class 54: program limit exceeded */
#define PG_SQLSTATE_LIMIT_EXCEEDED "54000"

/* Class 57: operator intervention */
#define PG_SQLSTATE_QUERY_CANCELED "57014"
#define PG_SQLSTATE_ADMIN_SHUTDOWN "57P01"
#define PG_SQLSTATE_CANNOT_CONNECT_NOW "57P03"
#define PG_SQLSTATE_IDLE_SESSION_TIMEOUT "57P05"

/* Class 58: system error */
#define PG_SQLSTATE_SYSTEM_ERROR "58000"
#define PG_SQLSTATE_IO_ERROR "58030"

#define PG_SQLSTATE_INTERNAL_ERROR "XX000"

#endif
