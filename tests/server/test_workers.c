#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <poll.h>
#include <stdatomic.h>

#include "server/workers.h"

struct gate {
    atomic_bool open;
    atomic_int done;
};

static void wait_at_gate(void *ctx)
{
    struct gate *gate = ctx;
    while (!atomic_load(&gate->open))
        poll(NULL, 0, 1);
    atomic_fetch_add(&gate->done, 1);
}

Test(server_workers, refuses_when_the_queue_is_full_and_runs_all_that_it_took)
{
    struct cb_workers *workers;
    struct gate gate = { false };
    int taken = 0;
    cr_assert(eq(int, cb_workers_create(2, 3, &workers).code, CB_OK));
    for (int i = 0; i < 50; i++) {
        taken += cb_workers_push(workers, wait_at_gate, &gate);
        poll(NULL, 0, 1);
    }
    cr_expect(eq(int, taken, 5), "2 run, 3 wait");
    cr_expect(eq(sz, cb_workers_waiting(workers), 3));
    atomic_store(&gate.open, true);
    cb_workers_destroy(workers);
    cr_expect(eq(int, atomic_load(&gate.done), 5));
}
