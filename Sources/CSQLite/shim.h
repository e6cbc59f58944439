#include <sqlite3.h>

/* sqlite3_db_config takes a variable number of arguments, which Swift does not call. */
static inline int stint_sqlite_keep_log(sqlite3 *database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
