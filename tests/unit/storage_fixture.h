/*
 * What libstorage's tests talk to: a run directory with a real transport server named poold on a
 * thread of its own, and a small control socket on another.
 */
#ifndef TESTS_STORAGE_FIXTURE_H
#define TESTS_STORAGE_FIXTURE_H

#include "base/cleanup.h"
#include "storage.h"

#include <setjmp.h>
#include <stdarg.h>
/* cmocka.h wants the three above. */
#include <cmocka.h>

enum { FIXTURE_EPOCH = 4711 };

/* Made by mkdtemp() once per program. */
extern char fixture_run_dir[64];

int fixture_setup(void **state);
int fixture_teardown(void **state);

/*
 * poold: Reserve answers what was asked, with its own count of invocations as the generation; its
 * name says otherwise: "held" is refused with two blockers, "hang" is never answered, and
 * "burst-N" publishes N events first. Get is not served. Starts listening `after_ms` from now.
 */
void fixture_start_poold(unsigned after_ms);
void fixture_stop_poold(void);

/* The control socket: answers every request with this reply (copied), and keeps the verb. */
void fixture_start_control(const Storage__V1__ControlReply *reply);
void fixture_stop_control(void);
Storage__V1__ControlRequest__VerbCase fixture_last_verb(void);

#endif
