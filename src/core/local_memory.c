/*
 * core/local_memory.c
 *		Pieces of a fixed area of shared memory.
 *
 * An allocator for a cache.  A general one has to find room in what is free.  A cache that is full
 * has next to nothing free, and what eviction frees lies scattered; but nearly all of the rest can
 * be given up too.  So pieces know their neighbours: where one large piece is wanted, the few that
 * lie side by side there go, and not everything until chance has made a hole.  (dsa.c, which can't
 * tell what lies beside a chunk and keeps blocks for each of its sizes, was tried: when the sizes
 * of entries changed, most of the memory stayed unused, and large entries emptied the tier in
 * vain.)
 *
 * The area is cut into pieces that lie back to back, each with a header that knows its size and
 * that of the piece before.
 *
 *	1. Sizes are multiples of GRANULE, and the sizes of all pieces add up to the area.
 *	2. No two neighbours are free: who frees a piece unites it with those beside it.
 *	3. A free piece is in the list of its size class, and the class's bit is set exactly if the list
 *	   has members.  Every piece of a class is smaller than all those of the classes above.
 *
 * Classes are single sizes up to SINGLE granules, then STEPS to each power of two.  Allocation
 * looks at the latest few pieces of its own class, where those are that were just freed, and else
 * takes any of the next class that has some.  Both take constant time.
 *
 * Memory is at the same address in every process, as all of PostgreSQL's main shared memory is.
 * Locks are the caller's.
 */
#include "postgres.h"

#include "core/local_memory.h"

#include "lib/ilist.h"
#include "port/pg_bitutils.h"

#define GRANULE 64

/* What is left of a piece goes with it if it is smaller: no entry would fit. */
#define SMALLEST_REST (4 * GRANULE)

#define SINGLE_BITS 4
#define SINGLE (1 << SINGLE_BITS)
#define STEP_BITS 3
#define STEPS (1 << STEP_BITS)
#define CLASSES (SINGLE + (64 - SINGLE_BITS) * STEPS)
#define CLASS_WORDS ((CLASSES + 63) / 64)

/* Pieces of the own class to look at. */
#define OWN_CLASS_LOOKS 8

typedef struct piece
{
	Size		size;			/* with this header */
	Size		size_before;	/* of the piece before; 0 for the first */
	bool		used;
	void	   *owner;			/* if used */
	char		content[FLEXIBLE_ARRAY_MEMBER];
} piece;

/* What the content of a free one is. */
#define LINKS(p) ((dlist_node *) (p)->content)

struct cx_memory
{
	char	   *start;			/* of the first piece */
	char	   *end;
	Size		area_size;		/* with this */
	Size		free;
	uint64		class_bits[CLASS_WORDS];
	dlist_head	classes[CLASSES];
};

static piece *
piece_of(const void *content)
{
	return (piece *) ((char *) unconstify(void *, content) - offsetof(piece, content));
}

static piece *
behind(const cx_memory *memory, const piece *p)
{
	char	   *next = (char *) unconstify(piece *, p) + p->size;

	return next < memory->end ? (piece *) next : NULL;
}

static piece *
before(const piece *p)
{
	return p->size_before ? (piece *) ((char *) unconstify(piece *, p) - p->size_before) : NULL;
}

static int
class_of(Size size)
{
	uint64		granules = size / GRANULE;
	int			log;

	if (granules < SINGLE)
		return (int) granules;
	log = pg_leftmost_one_pos64(granules);
	return SINGLE + (log - SINGLE_BITS) * STEPS +
		(int) ((granules >> (log - STEP_BITS)) & (STEPS - 1));
}

static void
enlist(cx_memory *memory, piece *p)
{
	int			class = class_of(p->size);

	p->used = false;
	p->owner = NULL;
	dlist_push_head(&memory->classes[class], LINKS(p));
	memory->class_bits[class / 64] |= UINT64CONST(1) << (class % 64);
	memory->free += p->size;
}

static void
delist(cx_memory *memory, piece *p)
{
	int			class = class_of(p->size);

	dlist_delete(LINKS(p));
	if (dlist_is_empty(&memory->classes[class]))
		memory->class_bits[class / 64] &= ~(UINT64CONST(1) << (class % 64));
	memory->free -= p->size;
}

/* Sets a piece's size, and says so to the one behind it. */
static void
set_size(cx_memory *memory, piece *p, Size size)
{
	piece	   *next;

	p->size = size;
	next = behind(memory, p);
	if (next != NULL)
		next->size_before = size;
}

/* Unites a piece that is in no list with its free neighbours. */
static piece *
unite(cx_memory *memory, piece *p)
{
	piece	   *next = behind(memory, p);
	piece	   *previous = before(p);

	if (next != NULL && !next->used)
	{
		delist(memory, next);
		set_size(memory, p, p->size + next->size);
	}
	if (previous != NULL && !previous->used)
	{
		delist(memory, previous);
		set_size(memory, previous, previous->size + p->size);
		p = previous;
	}
	return p;
}

/* Makes a piece that is in no list a used one of that size, and a free one of what is left. */
static void *
use(cx_memory *memory, piece *p, Size size)
{
	Size		rest = p->size - size;

	Assert(p->size >= size);
	p->used = true;
	p->owner = NULL;
	if (rest >= SMALLEST_REST)
	{
		piece	   *left;

		set_size(memory, p, size);
		left = behind(memory, p);
		left->size_before = size;
		set_size(memory, left, rest);
		enlist(memory, unite(memory, left));
	}
	return p->content;
}

static Size
needed(Size size)
{
	return TYPEALIGN(GRANULE, size + offsetof(piece, content));
}

cx_memory *
cx_memory_create(void *area, Size size)
{
	cx_memory  *memory = area;
	char	   *start = (char *) TYPEALIGN(GRANULE, (char *) area + sizeof(cx_memory));
	piece	   *all = (piece *) start;

	StaticAssertStmt(offsetof(piece, content) == MAXALIGN(offsetof(piece, content)) &&
					 offsetof(piece, content) + sizeof(dlist_node) <= GRANULE,
					 "links of a free piece have room in the smallest one");

	memory->start = start;
	memory->end = start + TYPEALIGN_DOWN(GRANULE, (char *) area + size - start);
	memory->area_size = size;
	memory->free = 0;
	memset(memory->class_bits, 0, sizeof(memory->class_bits));
	for (int class = 0; class < CLASSES; class++)
		dlist_init(&memory->classes[class]);

	all->size = memory->end - start;
	all->size_before = 0;
	enlist(memory, all);
	return memory;
}

/* The first class from this one on that has a piece; CLASSES if none has. */
static int
class_with_some(const cx_memory *memory, int class)
{
	for (int word = class / 64; word < CLASS_WORDS; word++)
	{
		uint64		bits = memory->class_bits[word];

		if (word == class / 64)
			bits &= PG_UINT64_MAX << (class % 64);
		if (bits != 0)
			return word * 64 + pg_rightmost_one_pos64(bits);
	}
	return CLASSES;
}

static piece *
find_free(cx_memory *memory, Size size)
{
	int			class = class_of(size);
	int			looks = 0;
	dlist_iter	at;

	dlist_foreach(at, &memory->classes[class])
	{
		piece	   *p = piece_of(at.cur);

		if (p->size >= size)
			return p;
		if (++looks == OWN_CLASS_LOOKS)
			break;
	}
	class = class_with_some(memory, class + 1);
	return class < CLASSES ? piece_of(dlist_head_node(&memory->classes[class])) : NULL;
}

void *
cx_memory_allocate(cx_memory *memory, Size size)
{
	piece	   *p = find_free(memory, needed(size));

	if (p == NULL)
		return NULL;
	delist(memory, p);
	return use(memory, p, needed(size));
}

void
cx_memory_free(cx_memory *memory, void *content)
{
	piece	   *p = piece_of(content);

	Assert(p->used);
#ifdef USE_ASSERT_CHECKING
	memset(content, 0x7f, p->size - offsetof(piece, content));
#endif
	enlist(memory, unite(memory, p));
}

void
cx_memory_set_owner(void *content, void *owner)
{
	piece_of(content)->owner = owner;
}

Size
cx_memory_taken(const void *content)
{
	return piece_of(content)->size;
}

static bool
may_take(const piece *p, cx_memory_question may_go)
{
	return p != NULL && (!p->used || (p->owner != NULL && may_go(p->owner)));
}

bool
cx_memory_can_widen(cx_memory *memory, void *content, Size size, cx_memory_question may_go)
{
	piece	   *start = piece_of(content);
	Size		wanted = needed(size);
	Size		found = start->size;

	for (piece *p = behind(memory, start); found < wanted && may_take(p, may_go);
		 p = behind(memory, p))
		found += p->size;
	for (piece *p = before(start); found < wanted && may_take(p, may_go); p = before(p))
		found += p->size;
	return found >= wanted;
}

static bool
take(piece *p, cx_memory_question let_go)
{
	return p != NULL && p->owner != NULL && let_go(p->owner);
}

void *
cx_memory_widen(cx_memory *memory, void *content, Size size, cx_memory_question let_go)
{
	piece	   *p = piece_of(content);
	Size		wanted = needed(size);

	/* It stays in use meanwhile, so that what is freed around it does not move it. */
	p->owner = NULL;
	for (;;)
	{
		p = unite(memory, p);
		p->used = true;
		p->owner = NULL;
		if (p->size >= wanted)
			return use(memory, p, wanted);
		if (!take(behind(memory, p), let_go) && !take(before(p), let_go))
		{
			cx_memory_free(memory, p->content);
			return NULL;
		}
	}
}

Size
cx_memory_used(const cx_memory *memory)
{
	return memory->area_size - memory->free;
}

#ifdef USE_ASSERT_CHECKING
bool
cx_memory_sound(const cx_memory *memory)
{
	Size		total_free = 0;
	Size		listed_free = 0;
	Size		size_before = 0;
	bool		free_before = false;
	const piece *p;

	for (p = (const piece *) memory->start; p != NULL; p = behind(memory, p))
	{
		if (p->size == 0 || p->size % GRANULE != 0 || p->size_before != size_before ||
			(free_before && !p->used) || (const char *) p + p->size > memory->end)
			return false;
		size_before = p->size;
		free_before = !p->used;
		if (!p->used)
			total_free += p->size;
	}
	for (int class = 0; class < CLASSES; class++)
	{
		bool		some = (memory->class_bits[class / 64] >> (class % 64)) & 1;
		dlist_iter	at;

		if (some == dlist_is_empty(unconstify(dlist_head *, &memory->classes[class])))
			return false;
		dlist_foreach(at, unconstify(dlist_head *, &memory->classes[class]))
		{
			if (piece_of(at.cur)->used || class_of(piece_of(at.cur)->size) != class)
				return false;
			listed_free += piece_of(at.cur)->size;
		}
	}
	return total_free == memory->free && listed_free == memory->free;
}
#endif
