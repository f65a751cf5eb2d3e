/* What both stages of the launcher share: the numbers of newer system calls, bounds, and how a fault is told. */
#ifndef CARAPAX_LAUNCH_H
#define CARAPAX_LAUNCH_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NR_OPEN_TREE 428 /* from 424 up the same on every machine */
#define NR_MOVE_MOUNT 429
#define NR_MOUNT_SETATTR 442
#define NR_LANDLOCK_CREATE 444
#define NR_LANDLOCK_ADD 445
#define NR_LANDLOCK_RESTRICT 446

#define FAILED 125
#define MAX_PATHS 64
#define WAY_PORT 3128

int stage_outside(int argc, char **argv);
int stage_inside(int argc, char **argv);

/* Say what failed and why, then end. `tell` is the descriptor to say it on. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(int tell, const char *format, ...);

/* A small number in decimal, or the end. */
int number(const char *text);

#endif
