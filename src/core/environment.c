/*
 * core/environment.c
 *		What outside the data directory decides results: one number for all of it.
 *
 * A result is kept over a restart only if the same statement would have it again.  Besides the data
 * that takes the same server, the same libraries (PostgreSQL's, those of extensions, and what these are
 * linked with: ICU, GEOS, libxml2), and the same files that functions read: dictionaries, time zones
 * and their abbreviations, locales, PROJ's tables.  Which of them some statement has used, nobody
 * knows, so whole directories are listed.  A false alarm costs a cold start only.
 *
 * A file is its name, size, and the times of its last change; not its time of modification alone,
 * which package managers and cp -p set back to what it was elsewhere.  Contents are not read.
 *
 * Not covered: modules that functions in untrusted languages load, and whatever else a function
 * reads from files.
 */
#include "postgres.h"

#include "core/environment.h"

#include <dirent.h>
#include <link.h>
#include <sys/stat.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#define MAX_DIRECTORIES 64

typedef struct directory_list
{
	int			count;
	char		paths[MAX_DIRECTORIES][MAXPGPATH];
} directory_list;

static uint64
hash_text(const char *text)
{
	return text == NULL ? 0 : hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

/* What is there under a path, links followed; what isn't there has a hash too. */
static uint64
hash_status(const char *name, const struct stat *status)
{
	uint64		facts[5] = {0};

	if (status != NULL)
	{
		facts[0] = (uint64) status->st_size;
		facts[1] = (uint64) status->st_mtim.tv_sec;
		facts[2] = (uint64) status->st_mtim.tv_nsec;
		facts[3] = (uint64) status->st_ctim.tv_sec;
		facts[4] = (uint64) status->st_ctim.tv_nsec;
	}
	return hash_combine64(hash_text(name),
						  hash_bytes_extended((unsigned char *) facts, sizeof(facts), 0));
}

static uint64
hash_file(const char *path)
{
	struct stat status;

	return hash_status(path, stat(path, &status) == 0 ? &status : NULL);
}

/*
 * The files in a directory, whose names hold part unless that is NULL, and those in directories below
 * it, as deep as levels says.  They come in any order: their hashes are added up.
 */
static uint64
hash_directory(const char *path, const char *part, int levels)
{
	DIR		   *directory = opendir(path);
	struct dirent *entry;
	uint64		sum = 0;

	if (directory == NULL)
		return 0;
	while ((entry = readdir(directory)) != NULL)
	{
		char		name[MAXPGPATH];
		struct stat status;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= sizeof(name))
			continue;
		if (part != NULL && strstr(entry->d_name, part) == NULL)
			continue;
		if (stat(name, &status) != 0)
			sum += hash_status(name, NULL);
		else if (!S_ISDIR(status.st_mode))
			sum += hash_status(name, &status);
		else if (levels > 1)
			sum += hash_directory(name, part, levels - 1);
	}
	closedir(directory);
	return hash_combine64(hash_text(path), sum);
}

static void
add_directory(directory_list *list, const char *path)
{
	if (path[0] != '/' || strlen(path) >= MAXPGPATH || list->count == MAX_DIRECTORIES)
		return;
	for (int i = 0; i < list->count; i++)
	{
		if (strcmp(list->paths[i], path) == 0)
			return;
	}
	strcpy(list->paths[list->count++], path);
}

/* A list of directories, $libdir being PostgreSQL's own. */
static void
add_directories(directory_list *list, const char *paths)
{
	while (paths != NULL && *paths != '\0')
	{
		size_t		length = strcspn(paths, ":");
		const char *rest = paths;
		char		path[MAXPGPATH];
		const char *prefix = "";

		if (strncmp(rest, "$libdir", strlen("$libdir")) == 0)
		{
			prefix = pkglib_path;
			rest += strlen("$libdir");
		}
		if (snprintf(path, sizeof(path), "%s%.*s", prefix, (int) (paths + length - rest),
					 rest) < sizeof(path))
			add_directory(list, path);
		paths += length + (paths[length] == ':');
	}
}

/* The directory of each library that is loaded: what extensions are linked with lies there too. */
static int
add_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	char	   *path = info->dlpi_name[0] == '/' ? realpath(info->dlpi_name, NULL) : NULL;

	if (path != NULL)
	{
		*strrchr(path, '/') = '\0';
		add_directory((directory_list *) arg, path);
	}
	free(path);
	return 0;
}

/* The libraries, by the way in which PostgreSQL and the dynamic linker look for them. */
static uint64
hash_libraries(void)
{
	static directory_list list;
	uint64		hash = hash_file("/etc/ld.so.cache");

	/* once, so that what the postmaster loads later changes nothing */
	if (list.count == 0)
	{
		add_directory(&list, pkglib_path);
		add_directories(&list, Dynamic_library_path);
		add_directories(&list, getenv("LD_LIBRARY_PATH"));
		add_directory(&list, "/usr/local/lib");
		dl_iterate_phdr(add_library, &list);
	}
	for (int i = 0; i < list.count; i++)
		hash = hash_combine64(hash, hash_directory(list.paths[i], ".so", 1));
	return hash;
}

uint64
cx_environment_hash(void)
{
	/* files that functions read: locales and their texts, time zones, PROJ */
	static const char *const outside[] = {
		"/usr/lib/locale", "/usr/share/zoneinfo", "/usr/share/proj", "/usr/local/share/proj"
	};
	static const char *const share[] = {"tsearch_data", "timezonesets", "timezone"};
	char		share_path[MAXPGPATH];
	char		path[MAXPGPATH + 32];
	uint64		hash = hash_text(GetConfigOption("server_version", false, false));

	hash = hash_combine64(hash, hash_file(my_exec_path));
	hash = hash_combine64(hash, hash_text(shared_preload_libraries_string));
	hash = hash_combine64(hash, hash_text(session_preload_libraries_string));
	hash = hash_combine64(hash, hash_libraries());

	for (int i = 0; i < lengthof(outside); i++)
		hash = hash_combine64(hash, hash_directory(outside[i], NULL, 4));

	get_share_path(my_exec_path, share_path);
	for (int i = 0; i < lengthof(share); i++)
	{
		snprintf(path, sizeof(path), "%s/%s", share_path, share[i]);
		hash = hash_combine64(hash, hash_directory(path, NULL, 4));
	}
	return hash;
}
