/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes, thresholds, promotion.  Runs in the target's threads, under the
 * guard.  A domain's numbers change under its bounded lock; the events go out
 * after it is released, because emitting may wait for the writer.
 */
#include "generation.h"

#include "emit.h"
#include "hot.h"
#include "spin.h"

struct domain {
	struct spin lock;
	uint32_t passes;   /* finished so far = number of the next one */
	uint32_t old_pass; /* one more than the number of the last pass of generation >= 1 */
	uint64_t count[GENERATION_COUNT];
	uint64_t live[GENERATION_COUNT];
	uint64_t long_lived_pending, long_lived_total;
	uint64_t serial;                       /* of the youngest object */
	uint64_t frozen_until, unfrozen_until; /* serials up to here are permanent, or old */
	uint64_t frozen;
	struct generation_stats stats[GENERATION_COUNT]; /* without live */
};

struct pass {
	bool ran;
	uint64_t values[5]; /* of the PASS event */
};

static HOT_WRITTEN struct domain s_domains[CASTAWAY_DOMAIN_COUNT];
static uint64_t s_thresholds[GENERATION_COUNT] = {700, 10, 10};
static bool s_enabled = true;

/* All of these are read, and some are counted, without the lock too. */
#define READ(what)         __atomic_load_n(&(what), __ATOMIC_RELAXED)
#define WRITE(what, value) __atomic_store_n(&(what), (value), __ATOMIC_RELAXED)
#define ADD(what, value)   __atomic_add_fetch(&(what), (value), __ATOMIC_RELAXED)
#define TAKE(what)         __atomic_exchange_n(&(what), 0, __ATOMIC_RELAXED)

static void subtract(uint64_t *from, uint64_t amount)
{
	uint64_t now = READ(*from);

	while (!__atomic_compare_exchange_n(from, &now, now > amount ? now - amount : 0, true,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void generation_init(const uint64_t thresholds[3])
{
	for (unsigned i = 0; i < GENERATION_COUNT; i++)
		WRITE(s_thresholds[i], thresholds[i]);
}

uint32_t generation_birth(enum castaway_domain domain)
{
	return __atomic_load_n(&s_domains[domain].passes, __ATOMIC_ACQUIRE);
}

unsigned generation_of(enum castaway_domain domain, uint32_t birth_pass)
{
	const struct domain *d = &s_domains[domain];

	if (birth_pass >= READ(d->passes))
		return 0;
	return birth_pass < READ(d->old_pass) ? 2 : 1;
}

/* What it examined goes to the next generation; the oldest stays. */
static void pass_run(struct domain *d, unsigned generation, struct pass *pass)
{
	unsigned to = generation + 1 < GENERATION_COUNT ? generation + 1 : generation;
	uint64_t examined = 0, stay = 0;

	for (unsigned i = 0; i <= generation; i++) {
		uint64_t here = TAKE(d->live[i]);

		examined += here;
		if (i == to)
			stay = here;
		WRITE(d->count[i], 0);
	}
	ADD(d->live[to], examined);
	if (generation + 1 < GENERATION_COUNT)
		ADD(d->count[to], 1);
	if (generation == GENERATION_COUNT - 2)
		d->long_lived_pending += examined;
	if (generation == GENERATION_COUNT - 1) {
		d->long_lived_pending = 0;
		d->long_lived_total = examined;
	}
	ADD(d->stats[generation].collections, 1);
	ADD(d->stats[generation].examined, examined);
	ADD(d->stats[generation].promoted, examined - stay);
	*pass = (struct pass){
		.ran = true,
		.values = {(uint64_t)(d - s_domains), d->passes, generation, examined, examined - stay},
	};
	if (generation > 0)
		WRITE(d->old_pass, d->passes + 1);
	__atomic_store_n(&d->passes, d->passes + 1, __ATOMIC_RELEASE);
}

/* The oldest generation whose threshold is passed, as gc_collect_generations()
 * looks for it; a full pass also waits for enough that is new among the old. */
static void pass_when_due(struct domain *d, struct pass *pass)
{
	pass->ran = false;
	if (!READ(s_enabled) || !READ(s_thresholds[0]) || READ(d->count[0]) <= READ(s_thresholds[0]))
		return;
	for (unsigned i = GENERATION_COUNT; i-- > 0;) {
		if (READ(d->count[i]) <= READ(s_thresholds[i]))
			continue;
		if (i == GENERATION_COUNT - 1 && d->long_lived_pending < d->long_lived_total / 4)
			continue;
		pass_run(d, i, pass);
		return;
	}
}

static void pass_emit(struct thread *thread, const struct pass *pass)
{
	if (pass->ran)
		emit_event(thread, CASTAWAY_EVENT_PASS, pass->values);
}

/* Which of the blocks died is not known here: the young ones first. */
static void blocks_died(struct domain *d, uint64_t deaths)
{
	subtract(&d->count[0], deaths);
	for (unsigned i = 0; i < GENERATION_COUNT; i++) {
		uint64_t here = READ(d->live[i]);

		here = deaths < here ? deaths : here;
		subtract(&d->live[i], here);
		deaths -= here;
	}
}

bool generation_count(struct thread *thread, enum castaway_domain domain, int64_t births)
{
	struct domain *d = &s_domains[domain];
	struct pass pass = {.ran = false};

	if (!spin_try(&d->lock))
		return false;
	if (births < 0) {
		blocks_died(d, (uint64_t)-births);
	} else {
		ADD(d->count[0], (uint64_t)births);
		pass_when_due(d, &pass);
		ADD(d->live[0], (uint64_t)births);
	}
	spin_unlock(&d->lock);
	pass_emit(thread, &pass);
	return true;
}

/* Objects: a birth or death that cannot get the lock in time counts all the
 * same; then one may be counted in the generation beside its own. */
static void objects_lock(bool *locked)
{
	*locked = spin_lock(&s_domains[CASTAWAY_DOMAIN_OBJECTS].lock);
}

static void objects_unlock(bool locked)
{
	if (locked)
		spin_unlock(&s_domains[CASTAWAY_DOMAIN_OBJECTS].lock);
}

void generation_object_born(struct thread *thread, struct generation_stamp *ret)
{
	struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];
	struct pass pass = {.ran = false};
	bool locked;

	objects_lock(&locked);
	ADD(d->count[0], 1);
	if (locked)
		pass_when_due(d, &pass);
	ret->serial = ADD(d->serial, 1);
	ret->pass = READ(d->passes);
	ADD(d->live[0], 1);
	objects_unlock(locked);
	pass_emit(thread, &pass);
}

unsigned generation_of_object(const struct generation_stamp *stamp)
{
	const struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];

	if (stamp->serial <= READ(d->frozen_until))
		return GENERATION_PERMANENT;
	if (stamp->serial <= READ(d->unfrozen_until))
		return GENERATION_COUNT - 1;
	return generation_of(CASTAWAY_DOMAIN_OBJECTS, stamp->pass);
}

void generation_object_died(struct thread *thread, const struct generation_stamp *stamp)
{
	struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];
	unsigned generation;
	bool locked;

	objects_lock(&locked);
	generation = generation_of_object(stamp);
	subtract(generation == GENERATION_PERMANENT ? &d->frozen : &d->live[generation], 1);
	subtract(&d->count[0], 1);
	objects_unlock(locked);
}

static void emit_control(struct thread *thread, enum castaway_gc_control control, const uint64_t *arguments)
{
	const uint64_t none[3] = {0, 0, 0};

	if (!arguments)
		arguments = none;
	emit_event(thread, CASTAWAY_EVENT_GC_CONTROL,
		   (const uint64_t[]){(uint64_t)control, arguments[0], arguments[1], arguments[2]});
}

void generation_set_enabled(struct thread *thread, bool enabled)
{
	WRITE(s_enabled, enabled);
	emit_control(thread, enabled ? CASTAWAY_GC_ENABLE : CASTAWAY_GC_DISABLE, NULL);
}

bool generation_is_enabled(void)
{
	return READ(s_enabled);
}

void generation_get_counts(uint64_t counts[3])
{
	for (unsigned i = 0; i < GENERATION_COUNT; i++)
		counts[i] = READ(s_domains[CASTAWAY_DOMAIN_OBJECTS].count[i]);
}

void generation_get_thresholds(uint64_t thresholds[3])
{
	for (unsigned i = 0; i < GENERATION_COUNT; i++)
		thresholds[i] = READ(s_thresholds[i]);
}

void generation_set_thresholds(struct thread *thread, const uint64_t thresholds[3])
{
	for (unsigned i = 0; i < GENERATION_COUNT; i++)
		WRITE(s_thresholds[i], thresholds[i]);
	emit_control(thread, CASTAWAY_GC_THRESHOLD, thresholds);
}

void generation_get_stats(struct generation_stats stats[3])
{
	const struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];

	for (unsigned i = 0; i < GENERATION_COUNT; i++) {
		stats[i].collections = READ(d->stats[i].collections);
		stats[i].examined = READ(d->stats[i].examined);
		stats[i].promoted = READ(d->stats[i].promoted);
		stats[i].live = READ(d->live[i]);
	}
}

/* Without the lock another thread is at a pass right now: that one counts. */
void generation_collect(struct thread *thread, unsigned generation)
{
	struct pass pass = {.ran = false};
	bool locked;

	objects_lock(&locked);
	if (locked)
		pass_run(&s_domains[CASTAWAY_DOMAIN_OBJECTS], generation, &pass);
	objects_unlock(locked);
	pass_emit(thread, &pass);
}

void generation_freeze(struct thread *thread)
{
	struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];
	bool locked;

	objects_lock(&locked);
	for (unsigned i = 0; i < GENERATION_COUNT; i++) {
		ADD(d->frozen, TAKE(d->live[i]));
		WRITE(d->count[i], 0);
	}
	WRITE(d->frozen_until, READ(d->serial));
	objects_unlock(locked);
	emit_control(thread, CASTAWAY_GC_FREEZE, NULL);
}

void generation_unfreeze(struct thread *thread)
{
	struct domain *d = &s_domains[CASTAWAY_DOMAIN_OBJECTS];
	bool locked;

	objects_lock(&locked);
	ADD(d->live[GENERATION_COUNT - 1], TAKE(d->frozen));
	if (d->frozen_until) {
		WRITE(d->unfrozen_until, d->frozen_until);
		WRITE(d->frozen_until, 0);
	}
	objects_unlock(locked);
	emit_control(thread, CASTAWAY_GC_UNFREEZE, NULL);
}

uint64_t generation_frozen_count(void)
{
	return READ(s_domains[CASTAWAY_DOMAIN_OBJECTS].frozen);
}
