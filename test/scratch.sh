# test/scratch.sh
#
# For bash scripts to source: work in a scratch directory, as an unprivileged user, with servers of
# one's own, and leave nothing behind.
#
#   enter_scratch PACKAGE...   installs Debian packages that are missing, makes the directory
#                              $CX_SCRATCH with a copy of the source tree and a private copy of the
#                              PostgreSQL installation, and runs the calling script again in there:
#                              it returns only in that second run, in the directory of the copy.
#   build ...                  builds the copy and installs it into the private PostgreSQL
#   start_redis, start_postgres, stop_postgres, stop_redis
#
# Never touched: the checkout, the system's PostgreSQL directories, other servers.  Whatever way the
# script ends, the first run ends every process that came from the directory, and removes it.

set -euo pipefail
cx_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cx_script=$(realpath --relative-to="$cx_top" "$0")

die()
{
	echo "$*" >&2
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "Not root, and no sudo to run: $*"
	fi
}

# The PostgreSQL version of this Debian, or the one that PG_MAJOR in the environment names.
if [ -z "${PG_MAJOR:-}" ]; then
	case $(. /etc/os-release && echo "${VERSION_ID:-}") in
		13*) PG_MAJOR=17 ;;
		*) PG_MAJOR=15 ;;
	esac
fi

# The programs of the private PostgreSQL.
cx_bin=${CX_SCRATCH:-}/root/usr/lib/postgresql/$PG_MAJOR/bin

# What building needs, and what running servers needs.  redis-tools (or valkey-tools) has the server's
# program too, without the service that redis-server would start on every boot.
# clang_version is the one that comes with postgresql-server-dev.
if [ "$PG_MAJOR" = 15 ]; then
	msgpack_package=libmsgpack-dev redis_package=redis-tools clang_version=14
else
	msgpack_package=libmsgpack-c-dev redis_package=valkey-tools clang_version=19
fi
build_packages="gcc make pkg-config libhiredis-dev $msgpack_package libicu-dev libssl-dev"
build_packages+=" postgresql-server-dev-$PG_MAJOR"
server_packages="postgresql-$PG_MAJOR $redis_package"

#
# Packages
#

# Installs those of the named packages that are missing.  Nothing installed is upgraded, no database
# cluster is created and no service is started.
install_packages()
{
	local missing=() name
	for name in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] ||
			missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "Installing Debian packages: ${missing[*]}"
	as_root bash "$cx_top/test/install_packages" "${missing[@]}"
}

#
# The scratch directory
#

enter_scratch()
{
	if [ -n "${CX_SCRATCH:-}" ]; then
		# Nothing of the caller's reaches what runs here.
		unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL CDPATH "${!PG@}"
		umask 022
		export PATH=$CX_SCRATCH/bin:$cx_bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
		export HOME=$CX_SCRATCH TMPDIR=$CX_SCRATCH/tmp LC_ALL=C
		cd "$CX_SCRATCH/src"
		return
	fi

	install_packages "$@"
	# Short, since the name of a Unix socket may have no more than 107 bytes.
	CX_SCRATCH=$(mktemp -d /tmp/cx.XXXXXX)
	export CX_SCRATCH PG_MAJOR
	trap leave_scratch EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	copy_source
	copy_postgres
	copy_redis

	local inner=(bash "$CX_SCRATCH/src/$cx_script")
	if [ "$(id -u)" = 0 ]; then
		chown -R postgres: "$CX_SCRATCH"
		inner=(runuser -u postgres -- "${inner[@]}")
	fi
	# In the background, since bash runs traps only between commands in the foreground.
	local status=0
	"${inner[@]}" </dev/null &
	wait $! || status=$?
	exit $status
}

copy_source()
{
	mkdir "$CX_SCRATCH/src" "$CX_SCRATCH/tmp"
	tar -C "$cx_top" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' --exclude='*.d' -cf - . |
		tar -C "$CX_SCRATCH/src" --no-same-owner -xf -
}

# PostgreSQL finds its directories relative to its programs, so a copy of these is a private
# installation: the rest can be links, and the extension goes beside them.
copy_postgres()
{
	local lib=usr/lib/postgresql/$PG_MAJOR share=usr/share/postgresql to=$CX_SCRATCH/root
	mkdir -p "$to/$lib" "$to/$share" "$to/usr/include"
	cp -r "/$lib/bin" "$to/$lib/bin"
	cp -rs "/$lib/lib" "$to/$lib/lib"
	cp -rs "/$share/$PG_MAJOR" "$to/$share/$PG_MAJOR"
	ln -s /usr/include/postgresql "$to/usr/include/postgresql"

	# An installed version of ours would be links that the build writes through.
	rm -rf "$to/$lib/lib/cache_ext.so" "$to/$lib/lib/bitcode/"cache_ext* \
		"$to/$share/$PG_MAJOR/extension/"cache_ext*
}

# One program does it all, by the name under which it is started.
copy_redis()
{
	local program
	for program in redis-check-rdb valkey-check-rdb; do
		if program=$(command -v "$program"); then
			mkdir "$CX_SCRATCH/bin"
			cp "$(readlink -f "$program")" "$CX_SCRATCH/bin/redis-server"
			ln -s "$(command -v redis-cli || command -v valkey-cli)" "$CX_SCRATCH/bin/redis-cli"
			return
		fi
	done
	die "Neither redis-check-rdb nor valkey-check-rdb found."
}

# A process came from the directory if its environment names it, or its program lies in it: servers
# overwrite their environment.
scratch_processes()
{
	local process
	for process in /proc/[0-9]*; do
		if [[ $(readlink "$process/exe" 2>/dev/null) == "$CX_SCRATCH"/* ]] ||
			grep -qzxF "CX_SCRATCH=$CX_SCRATCH" "$process/environ" 2>/dev/null; then
			echo "${process#/proc/}"
		fi
	done
}

leave_scratch()
{
	local status=$? pid file
	trap '' HUP INT TERM
	disown -a						# or bash would tell of each that it is killed
	# Servers first and in order, so that they release their shared memory.
	for file in $(find "$CX_SCRATCH" -name postmaster.pid 2>/dev/null); do
		pid=$(head -1 "$file" 2>/dev/null) || continue
		[[ $(readlink "/proc/$pid/exe" 2>/dev/null) == "$CX_SCRATCH"/* ]] || continue
		kill -CONT "$pid" 2>/dev/null || true
		kill -QUIT "$pid" 2>/dev/null || true
		timeout 10 tail --pid="$pid" -s 0.1 -f /dev/null 2>/dev/null || true
	done
	while pid=$(scratch_processes) && [ -n "$pid" ]; do
		kill -KILL $pid 2>/dev/null || true
		sleep 0.1
	done
	if [ -n "${KEEP:-}" ]; then
		echo "Kept: $CX_SCRATCH"
	else
		rm -rf "$CX_SCRATCH"
	fi
	exit $status
}

#
# Building and running, inside
#

# build [VARIABLE=VALUE...]: without warnings, or it fails.
build()
{
	make -s -j "$(nproc)" PG_CONFIG="$cx_bin/pg_config" WERROR=-Werror "$@" all
	make -s PG_CONFIG="$cx_bin/pg_config" "$@" install
}

start_redis()
{
	mkdir -p "$CX_SCRATCH/redis"
	redis-server --port 0 --unixsocket "$CX_SCRATCH/redis/s" --dir "$CX_SCRATCH/redis" \
		--save '' --daemonize yes --pidfile "$CX_SCRATCH/redis/pid" --logfile log "$@" >/dev/null
	until redis 'PING' >/dev/null 2>&1; do
		kill -0 "$(cat "$CX_SCRATCH/redis/pid" 2>/dev/null || echo $$)" ||
			die "Redis did not start."
		sleep 0.05
	done
}

redis()
{
	redis-cli -s "$CX_SCRATCH/redis/s" "$@"
}

stop_redis()
{
	redis SHUTDOWN NOSAVE >/dev/null 2>&1 || true
}

# start_postgres [SETTING...]: a fresh cluster with the library preloaded, and the environment that
# clients need to find it.  $cx_server, if set, is a program that takes the server's place.
start_postgres()
{
	local setting
	export PGHOST=$CX_SCRATCH/pg PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	mkdir "$PGHOST"
	initdb -D "$PGHOST/data" -U postgres -A trust -E UTF8 --no-locale --no-sync >"$PGHOST/initdb.log"
	cat >>"$PGHOST/data/postgresql.conf" <<-END
		listen_addresses = ''
		unix_socket_directories = '$PGHOST'
		port = $PGPORT
		fsync = off
		shared_preload_libraries = 'cache_ext'
		cache_ext.redis_url = 'unix://$CX_SCRATCH/redis/s'
	END
	for setting in "$@"; do
		echo "$setting" >>"$PGHOST/data/postgresql.conf"
	done
	pg_ctl -s -w ${cx_server:+-p "$cx_server"} -D "$PGHOST/data" -l "$PGHOST/log" start || {
		cat "$PGHOST/log" >&2
		die "PostgreSQL did not start."
	}
}

stop_postgres()
{
	pg_ctl -s -w -m fast -D "$PGHOST/data" stop
}
