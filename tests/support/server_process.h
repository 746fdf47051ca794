/* tests/support/server_process.h - the real server as a child process, on a free port, with a data
 * folder of its own. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct server_process {
    pid_t pid;
    int port;
    char folder[64]; /* made by server_start when it is ""; holds data/ and log */
};

/* Starts $CAMBIUM_BIN serve with these options (blanks between) and waits until it is ready. The
 * folder "" is made new; one that is given is used again. Skips the test when $CAMBIUM_BIN is not
 * set. */
struct server_process server_start(const char *folder, const char *options);

/* Sends the signal and waits. The exit status; 128 + n when signal n ended it. */
int server_stop(struct server_process *server, int signal);

/* The log has this text. */
bool server_logged(const struct server_process *server, const char *text);

/* Removes the folder. */
void server_clean(struct server_process *server);
