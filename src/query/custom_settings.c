/*
 * query/custom_settings.c
 *		The settings that loaded libraries have defined, as a part of the key.
 *
 * What a library does is declared IMMUTABLE and follows its settings all the same: how many rows an
 * index access method gives (rum_fuzzy_search_limit, hnsw.ef_search), what an operator takes for similar
 * (pg_trgm.similarity_threshold), how PL/pgSQL reads a name (plpgsql.variable_conflict).  Which
 * function looks at which setting can't be told, so where a statement uses anything of a library, all
 * of these settings count but those known to reach no result.
 *
 * Invariants:
 * 1. Only settings that a library has defined count.  What is set before that is a placeholder, which
 *	  may be the application's own (app.user_id) or never be defined.  Where running the statement
 *	  could load a library, the names of all defined settings are in the key: a result is stored only
 *	  if they were the same at the end of its execution (plan/fill.c), so whoever asks with the same
 *	  key would not load one either, and no placeholder of his would come to mean anything.
 * 2. PostgreSQL frees a placeholder when a library defines the setting, but never a setting that a
 *	  library has defined.  So pointers to the latter can be kept.
 * 3. Libraries define their settings when they are loaded, as PostgreSQL's documentation tells them
 *	  to: the list is made anew when the dynamic linker has loaded anything.
 *
 * Values of settings that only privileged roles see go into the key as a hash, since keys go to Redis.
 *
 * Memory: TopMemoryContext.
 */
#include "postgres.h"

#include "base/compat.h"
#include "query/custom_settings.h"

#include <link.h>

#include "common/hashfn.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* Settings, by the first part of their names, that decide nothing but logging, statistics and the like. */
static const char *const harmless[] = {
	"auth_delay.", "auto_explain.", "basic_archive.", "cache_ext.", "cron.", "passwordcheck.",
	"pg_prewarm.", "pg_qualstats.", "pg_stat_kcache.", "pg_stat_monitor.", "pg_stat_statements.",
	"pg_store_plans.", "pg_wait_sampling.", "pgaudit.", "powa."
};

static struct config_generic **settings = NULL;
static int	setting_count = 0;
static uint64 names_hash = 0;	/* of the names of all of them */
static uint64 libraries_seen = 0;	/* loaded_libraries() when the list was made */

/* Stops at the first one: each knows how many were ever loaded. */
static int
read_count(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(uint64 *) arg = info->dlpi_adds;
	return 1;
}

static uint64
loaded_libraries(void)
{
	uint64		count = 0;

	dl_iterate_phdr(read_count, &count);
	return count;
}

static bool
counts(const struct config_generic *setting)
{
	if (setting->group != CUSTOM_OPTIONS || (setting->flags & GUC_CUSTOM_PLACEHOLDER) != 0)
		return false;
	for (int i = 0; i < lengthof(harmless); i++)
	{
		if (pg_strncasecmp(setting->name, harmless[i], strlen(harmless[i])) == 0)
			return false;
	}
	return true;
}

static int
compare_names(const void *one, const void *other)
{
	return strcmp((*(struct config_generic *const *) one)->name,
				  (*(struct config_generic *const *) other)->name);
}

static void
list_settings(uint64 libraries)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "cache_ext settings",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	int			all_count;
	struct config_generic **all = cx_all_settings(&all_count);
	struct config_generic **found = MemoryContextAlloc(TopMemoryContext,
													   sizeof(*found) * Max(all_count, 1));

	if (settings != NULL)
		pfree(settings);
	settings = found;
	setting_count = 0;
	for (int i = 0; i < all_count; i++)
	{
		if (counts(all[i]))
			settings[setting_count++] = all[i];
	}
	qsort(settings, setting_count, sizeof(*settings), compare_names);

	names_hash = 0;
	for (int i = 0; i < setting_count; i++)
		names_hash = hash_combine64(names_hash,
									hash_bytes_extended((const unsigned char *) settings[i]->name,
														strlen(settings[i]->name), 0));
	libraries_seen = libraries;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/* Has the setting its default?  If not, appends it. */
static void
put_setting(StringInfo out, const struct config_generic *setting)
{
	const void *value;
	size_t		length;
	uint64		hash;

	switch (setting->vartype)
	{
		case PGC_BOOL:
			value = ((const struct config_bool *) setting)->variable;
			length = sizeof(bool);
			if (*(const bool *) value == ((const struct config_bool *) setting)->boot_val)
				return;
			break;
		case PGC_INT:
			value = ((const struct config_int *) setting)->variable;
			length = sizeof(int);
			if (*(const int *) value == ((const struct config_int *) setting)->boot_val)
				return;
			break;
		case PGC_ENUM:
			value = ((const struct config_enum *) setting)->variable;
			length = sizeof(int);
			if (*(const int *) value == ((const struct config_enum *) setting)->boot_val)
				return;
			break;
		case PGC_REAL:
			value = ((const struct config_real *) setting)->variable;
			length = sizeof(double);
			if (*(const double *) value == ((const struct config_real *) setting)->boot_val)
				return;
			break;
		case PGC_STRING:
		default:
			{
				const struct config_string *text = (const struct config_string *) setting;

				value = *text->variable;
				if (value == NULL && text->boot_val == NULL)
					return;
				if (value != NULL && text->boot_val != NULL && strcmp(value, text->boot_val) == 0)
					return;
				length = value == NULL ? 0 : strlen(value) + 1;	/* none at all differs from an empty one */
				if (value != NULL && (setting->flags & GUC_SUPERUSER_ONLY) != 0)
				{
					hash = hash_bytes_extended(value, length, 0);
					value = &hash;
					length = sizeof(hash);
				}
			}
			break;
	}
	appendBinaryStringInfo(out, setting->name, strlen(setting->name) + 1);
	appendStringInfoChar(out, setting->vartype);
	appendBinaryStringInfo(out, (const char *) &(uint32) {length}, sizeof(uint32));
	if (length > 0)
		appendBinaryStringInfo(out, value, length);
}

void
cx_custom_settings_put(StringInfo out, bool names)
{
	uint64		libraries = loaded_libraries();

	if (libraries != libraries_seen)
		list_settings(libraries);
	if (names)
		appendBinaryStringInfo(out, (const char *) &names_hash, sizeof(names_hash));
	for (int i = 0; i < setting_count; i++)
		put_setting(out, settings[i]);
	appendStringInfoChar(out, '\0');	/* no name */
}
