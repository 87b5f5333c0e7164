/*
 * base/stop_point.h
 *		Named places where a test can hold a session.  Nothing at all in release builds.
 *
 * Built with -DCX_STOP_POINTS, a session that did SET cache_ext.stop_at = 'name' waits each time
 * it reaches that place until another calls stop_release('name'), at most STOP_LIMIT_US.  The wait
 * uses neither locks nor latches nor memory and ignores interrupts, so that it is fit for the inside
 * of a commit.  test/stop_points.sql declares the functions.
 *
 * A transaction that did SET LOCAL cache_ext.stop_write = 'command' runs that command in PRE_COMMIT,
 * after core/dirty.c has done its part, as another library might.
 *
 * With cache_ext.stop_outermost on, statements inside functions count as a client's own, so that a
 * function can compare what mode auto serves with what the tables hold.
 */
#ifndef CX_BASE_STOP_POINT_H
#define CX_BASE_STOP_POINT_H

typedef enum cx_stop_point
{
	CX_STOP_WRITER_PRE_COMMIT,		/* something marked, no clock touched */
	CX_STOP_WRITER_COMMITTING,		/* writers raised, no commit record */
	CX_STOP_WRITER_VISIBLE,			/* visible to others, clocks not moved */
	CX_STOP_WRITER_RAISED,			/* a clock moved, its writers not lowered */
	CX_STOP_WRITER_UNSENT,			/* committed, invalidation messages not sent */
	CX_STOP_WRITER_LATE,			/* D and G: messages sent, writers not lowered */
	CX_STOP_PREPARED_BEGUN,			/* COMMIT PREPARED: writers raised, command not run */
	CX_STOP_PREPARED_COMMITTED,		/* COMMIT PREPARED done, clocks not moved */
	CX_STOP_PLANNED,				/* plan of a cacheable statement made, snapshot not taken */
	CX_STOP_LOOKUP_MISSED,			/* looked up and missed, E not read */
	CX_STOP_FILL_STAMPED,			/* E and clocks read, fresh snapshot not taken */
	CX_STOP_FILL_FRESH,				/* the snapshot is the latest, the plan's age not tested */
	CX_STOP_FILL_READY,				/* rows collected, entry not stored */
	CX_STOP_HIT_BETWEEN,			/* writers read, changed_at not */
	CX_STOP_FLIGHT_FOUND,			/* another fills the key, its queue not joined */
	CX_STOP_FLIGHT_VACATED,			/* a fill has ended, its queue not woken */
	CX_STOP_OUTBOX_RESERVED,		/* room reserved for what Redis will be told, no commit record */
	CX_STOP_OUTBOX_VISIBLE,			/* visible to others and to the clocks, Redis's worker not told */
	CX_STOP_POINTS_COUNT
} cx_stop_point;

#ifdef CX_STOP_POINTS
extern bool cx_stop_outermost;

extern void cx_stop_init(void);
extern void cx_stop_here(cx_stop_point point);
#define CX_STOP(point) cx_stop_here(point)
#else
#define CX_STOP(point) ((void) 0)
#endif

#endif
