/* SPDX-License-Identifier: Apache-2.0
 *
 * castaway.h - tell castaway about reference-counted objects of your own, and
 * ask it, from inside the program, what Python's gc module would tell.
 *
 * Header only; C99 and C++98 or later, GCC or Clang, ELF.  It links nothing.
 * When libcastaway.so is not preloaded, every call costs one load and one
 * branch, does nothing and returns what its comment says.
 *
 * All functions may be called from any thread, at any time, also from signal
 * handlers (there a call is left out if castaway itself was interrupted).  They
 * never fail visibly, never change errno except where said, and never touch
 * the object.  NULL for an object is ignored.  Names are copied.
 *
 *     struct node *n = malloc(sizeof(*n));
 *     castaway_object(n, sizeof(*n), "node");     born with count 1
 *     castaway_ref(child);                        the parent takes a reference
 *     castaway_link(n, child, "children");        ... and keeps it here
 *     castaway_weak(child, n, "parent");          does not own
 */
#ifndef CASTAWAY_H
#define CASTAWAY_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Objects may still be uninitialized when they are announced. */
#if defined(__has_attribute)
#if __has_attribute(access)
#define CASTAWAY_UNTOUCHED_ __attribute__((access(none, 1)))
#endif
#endif
#ifndef CASTAWAY_UNTOUCHED_
#define CASTAWAY_UNTOUCHED_
#endif

/* Per generation, over the life of the process. */
struct castaway_gc_stats {
	uint64_t collections; /* passes whose oldest generation this was */
	uint64_t examined;    /* objects that those looked at */
	uint64_t promoted;    /* of those, moved to an older generation */
	uint64_t live;        /* objects in this generation now */
};

/* Called for one object; a result other than 0 stops the enumeration. */
typedef int (*castaway_gc_visit)(void *object, void *arg);

/* ---- between this header and libcastaway.so; not for use ------------------- */
struct castaway_hooks {
	size_t size; /* of this structure in the library: later members may be missing */
	void (*object)(const volatile void *object, size_t size, const char *type_name) CASTAWAY_UNTOUCHED_;
	void (*object_end)(const volatile void *object) CASTAWAY_UNTOUCHED_;
	void (*ref)(const volatile void *object) CASTAWAY_UNTOUCHED_;
	void (*unref)(const volatile void *object) CASTAWAY_UNTOUCHED_;
	void (*link)(const volatile void *owner, const volatile void *target, const char *field);
	void (*unlink)(const volatile void *owner, const volatile void *target, const char *field);
	void (*weak)(const volatile void *owner, const volatile void *target, const char *field);
	void (*layout)(const char *type_name, size_t count_offset, size_t count_width, int64_t count_bias);
	int (*snapshot)(const char *name);
	void (*gc_set_enabled)(int enabled);
	int (*gc_isenabled)(void);
	void (*gc_get_count)(size_t counts[3]);
	void (*gc_get_threshold)(size_t thresholds[3]);
	void (*gc_set_threshold)(size_t threshold0, size_t threshold1, size_t threshold2);
	void (*gc_get_stats)(struct castaway_gc_stats stats[3]);
	size_t (*gc_get_objects)(int generation, castaway_gc_visit visit, void *arg);
	size_t (*gc_get_referrers)(const volatile void *object, castaway_gc_visit visit, void *arg);
	size_t (*gc_get_referents)(const volatile void *object, castaway_gc_visit visit, void *arg);
	int (*gc_is_tracked)(const volatile void *object);
	void (*gc_freeze)(int freeze);
	size_t (*gc_get_freeze_count)(void);
	int64_t (*getrefcount)(const volatile void *object);
	int64_t (*gc_collect)(int generation);
};

#define CASTAWAY_INLINE_ static __inline__ __attribute__((unused))

#if defined(__PIC__) || defined(__PIE__)
extern const struct castaway_hooks castaway_hooks_v1 __attribute__((weak));

CASTAWAY_INLINE_ const struct castaway_hooks *castaway_hooks_(void)
{
	return &castaway_hooks_v1;
}
#else
#ifdef __cplusplus
#define CASTAWAY_FOUND_(address) static_cast<const struct castaway_hooks *>(address)
#else
#define CASTAWAY_FOUND_(address) (address)
#endif

/* Code that is not position-independent: the linker settles a weak address that
 * it does not find for good, as 0.  So it is asked for when the program starts. */
extern void *castaway_dlsym_(void *handle, const char *name) __asm__("dlsym") __attribute__((weak));
extern char *castaway_dlerror_(void) __asm__("dlerror") __attribute__((weak));

static const struct castaway_hooks *castaway_hooks_found_ __attribute__((unused));

static __attribute__((constructor(101), unused)) void castaway_hooks_find_(void)
{
	if (!castaway_dlsym_)
		return;
	castaway_hooks_found_ = CASTAWAY_FOUND_(castaway_dlsym_(NULL, "castaway_hooks_v1"));
	if (!castaway_hooks_found_ && castaway_dlerror_)
		(void)castaway_dlerror_();
}

CASTAWAY_INLINE_ const struct castaway_hooks *castaway_hooks_(void)
{
	return castaway_hooks_found_;
}
#endif

/* Direct calls through the table, so that the first recorded frame is the
 * function in which these are written; the empty statement behind the call keeps
 * it from becoming a jump, which would take that function off the stack. */
#define CASTAWAY_CALL_(call)                     \
	do {                                     \
		if (castaway_hooks_())           \
			castaway_hooks_()->call; \
		__asm__ __volatile__("");        \
	} while (0)
#define CASTAWAY_ASK_(call, otherwise) return castaway_hooks_() ? castaway_hooks_()->call : (otherwise)

#define CASTAWAY_API_ CASTAWAY_INLINE_ __attribute__((always_inline))

/* ---- objects ----------------------------------------------------------------- */

/* 1 when the program runs under castaway, else 0. */
CASTAWAY_API_ int castaway_active(void)
{
	return castaway_hooks_() != NULL;
}

/* An object of `size` bytes is born at `object`, with count 1: its creator's
 * reference.  It may be a block of malloc, a part of one, or any other memory.
 * Freeing the block that it is in ends it too. */
CASTAWAY_API_ CASTAWAY_UNTOUCHED_ void castaway_object(const volatile void *object, size_t size,
						       const char *type_name)
{
	CASTAWAY_CALL_(object(object, size, type_name));
}

/* The object dies, before its memory is freed; its outgoing links end with it. */
CASTAWAY_API_ CASTAWAY_UNTOUCHED_ void castaway_object_end(const volatile void *object)
{
	CASTAWAY_CALL_(object_end(object));
}

/* One reference more. */
CASTAWAY_API_ CASTAWAY_UNTOUCHED_ void castaway_ref(const volatile void *object)
{
	CASTAWAY_CALL_(ref(object));
}

/* One reference less; does not end the object.  Below zero is reported. */
CASTAWAY_API_ CASTAWAY_UNTOUCHED_ void castaway_unref(const volatile void *object)
{
	CASTAWAY_CALL_(unref(object));
}

/* One counted reference to target lives in `field` of owner.  It changes no
 * count: the castaway_ref() beside it does. */
CASTAWAY_API_ void castaway_link(const volatile void *owner, const volatile void *target, const char *field)
{
	CASTAWAY_CALL_(link(owner, target, field));
}

/* Takes one such link, or one of castaway_weak(), away. */
CASTAWAY_API_ void castaway_unlink(const volatile void *owner, const volatile void *target, const char *field)
{
	CASTAWAY_CALL_(unlink(owner, target, field));
}

/* `field` of owner points to target and owns no reference. */
CASTAWAY_API_ void castaway_weak(const volatile void *owner, const volatile void *target, const char *field)
{
	CASTAWAY_CALL_(weak(owner, target, field));
}

/* Objects of this type keep their count in memory: a signed number of
 * count_width bytes (1, 2, 4 or 8) at count_offset bytes from their start; the
 * count is that number plus count_bias. */
CASTAWAY_API_ void castaway_layout(const char *type_name, size_t count_offset, size_t count_width,
				   int64_t count_bias)
{
	CASTAWAY_CALL_(layout(type_name, count_offset, count_width, count_bias));
}

/* Names this moment in the trace, and writes out everything recorded so far.
 * Returns 0; -1 when not under castaway, or when it could not be written. */
CASTAWAY_API_ int castaway_snapshot(const char *name)
{
	CASTAWAY_ASK_(snapshot(name), -1);
}

/* ---- the gc module, over annotated objects ------------------------------------ *
 * A pass here finds nothing and frees nothing: it moves objects to the next
 * generation, by the rules and defaults of CPython 3.11 (700, 10, 10).  To find
 * is castaway_gc_collect(). */

/* Passes on and off; on at first. */
CASTAWAY_API_ void castaway_gc_enable(void)
{
	CASTAWAY_CALL_(gc_set_enabled(1));
}

CASTAWAY_API_ void castaway_gc_disable(void)
{
	CASTAWAY_CALL_(gc_set_enabled(0));
}

/* 1 or 0; 0 when not under castaway. */
CASTAWAY_API_ int castaway_gc_isenabled(void)
{
	CASTAWAY_ASK_(gc_isenabled(), 0);
}

/* counts[0]: births minus deaths since the last pass; counts[1], counts[2]:
 * passes of the generation before since the last one of this.  Left alone when
 * not under castaway; the same holds for the next three. */
CASTAWAY_API_ void castaway_gc_get_count(size_t counts[3])
{
	CASTAWAY_CALL_(gc_get_count(counts));
}

CASTAWAY_API_ void castaway_gc_get_threshold(size_t thresholds[3])
{
	CASTAWAY_CALL_(gc_get_threshold(thresholds));
}

/* threshold0 == 0: no passes. */
CASTAWAY_API_ void castaway_gc_set_threshold(size_t threshold0, size_t threshold1, size_t threshold2)
{
	CASTAWAY_CALL_(gc_set_threshold(threshold0, threshold1, threshold2));
}

CASTAWAY_API_ void castaway_gc_get_stats(struct castaway_gc_stats stats[3])
{
	CASTAWAY_CALL_(gc_get_stats(stats));
}

/* Calls visit for every live object of the generation (0, 1, 2; -1 = all that
 * are not frozen), in order of address, and returns how often it did.  visit
 * may call anything; objects that are born or end meanwhile may be seen or not.
 * 0 when not under castaway; the same holds for the next two. */
CASTAWAY_API_ size_t castaway_gc_get_objects(int generation, castaway_gc_visit visit, void *arg)
{
	CASTAWAY_ASK_(gc_get_objects(generation, visit, arg), 0);
}

/* The objects that have a link (not a weak one) to this one, each once. */
CASTAWAY_API_ size_t castaway_gc_get_referrers(const volatile void *object, castaway_gc_visit visit,
					       void *arg)
{
	CASTAWAY_ASK_(gc_get_referrers(object, visit, arg), 0);
}

/* The targets of its links (not the weak ones), once per link, newest first. */
CASTAWAY_API_ size_t castaway_gc_get_referents(const volatile void *object, castaway_gc_visit visit,
					       void *arg)
{
	CASTAWAY_ASK_(gc_get_referents(object, visit, arg), 0);
}

/* 1 for a live annotated object, else 0. */
CASTAWAY_API_ int castaway_gc_is_tracked(const volatile void *object)
{
	CASTAWAY_ASK_(gc_is_tracked(object), 0);
}

/* All objects born so far become permanent: no generation, no candidates. */
CASTAWAY_API_ void castaway_gc_freeze(void)
{
	CASTAWAY_CALL_(gc_freeze(1));
}

/* Permanent objects go to generation 2. */
CASTAWAY_API_ void castaway_gc_unfreeze(void)
{
	CASTAWAY_CALL_(gc_freeze(0));
}

/* Number of permanent objects; 0 when not under castaway. */
CASTAWAY_API_ size_t castaway_gc_get_freeze_count(void)
{
	CASTAWAY_ASK_(gc_get_freeze_count(), 0);
}

/* The count: the one in memory when the type has a layout, else the one that
 * ref and unref add up to.  -1 for what is no live object (errno EINVAL), and
 * when not under castaway. */
CASTAWAY_API_ int64_t castaway_getrefcount(const volatile void *object)
{
	CASTAWAY_ASK_(getrefcount(object), -1);
}

/* How many objects of this generation (0, 1, 2) and younger ones are stranded
 * now: a collector would free them.  References from older objects, and from
 * frozen ones, count as external.  Then their survivors, the stranded ones
 * included, go to the next generation.  Nothing is ever freed.
 *
 * It takes a snapshot and waits until the castaway program, run beside, has
 * judged it: milliseconds at best, and in proportion to the trace so far.
 * -1 when it cannot tell, with errno ENOSYS: not under castaway; EINVAL: no such
 * generation; ENOTSUP: there is no trace, or helper=no; ENODATA: events were
 * lost; ENOENT: no castaway program (the environment's CASTAWAY_EXE can name
 * it); EAGAIN: in a signal handler that interrupted castaway; EIO: the judgement
 * failed; ECANCELED: the process ends.
 *
 *     assert(!castaway_active() || castaway_gc_collect(2) == 0); */
CASTAWAY_API_ int64_t castaway_gc_collect(int generation)
{
	if (castaway_hooks_() && castaway_hooks_()->size > offsetof(struct castaway_hooks, gc_collect))
		return castaway_hooks_()->gc_collect(generation);
	errno = ENOSYS;
	return -1;
}

#undef CASTAWAY_API_
#undef CASTAWAY_ASK_
#undef CASTAWAY_CALL_
#undef CASTAWAY_FOUND_
#undef CASTAWAY_INLINE_
#undef CASTAWAY_UNTOUCHED_

#ifdef __cplusplus
}
#endif

#endif
