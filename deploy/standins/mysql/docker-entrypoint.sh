#!/usr/bin/env bash
# As the official image, as far as the composition needs it: MYSQL_ROOT_PASSWORD for a fresh folder.
set -euo pipefail
[[ ${1:-} != -* ]] || set -- mysqld "$@"
[[ $1 == mysqld ]] || exec "$@"
shift
usr=/opt/mysql/usr
common=(--no-defaults --user=mysql --basedir=$usr --lc-messages-dir=$usr/share/mysql
  --plugin-dir=$usr/lib/mysql/plugin --datadir=/var/lib/mysql --secure-file-priv=/var/lib/mysql-files
  --socket=/var/run/mysqld/mysqld.sock --pid-file=/var/run/mysqld/mysqld.pid)
if [[ ! -d /var/lib/mysql/mysql ]]; then
  mysqld "${common[@]}" "$@" --initialize-insecure
  cat >/tmp/init.sql <<SQL
SET sql_log_bin=0;
ALTER USER 'root'@'localhost' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD:?}';
CREATE USER 'root'@'%' IDENTIFIED BY '${MYSQL_ROOT_PASSWORD}';
GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;
SQL
  chown mysql /tmp/init.sql
  chmod 600 /tmp/init.sql
  common+=(--init-file=/tmp/init.sql)
fi
exec mysqld "${common[@]}" "$@"
