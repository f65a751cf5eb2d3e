/* First process of the disposable machine: boots it to a ready word, then, in each restored copy, runs one job.
 *
 * Everything before `frame('R')` is done once and is in the snapshot; everything after it is done in every copy.
 * The first thing a copy does is to stir the host's fresh bytes into the kernel's random numbers: without it, two
 * copies of one snapshot would draw the same. Trusts the host; the host trusts nothing that comes out of here.
 */
#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_MESSAGE (192u << 20)
#define MODULES 64
#define SEED 64

int port = -1, way_port = -1, in_job = 0;

void fail(const char *what) {
    char text[256];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    if (port >= 0)
        frame('F', text, strlen(text));
    dprintf(2, "carapax guest: %s\n", text);
    if (in_job)
        _exit(126);
    for (;;)
        pause();
}

void check(int ok, const char *what) {
    if (!ok)
        fail(what);
}

void put(int fd, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    while (length) {
        ssize_t done = write(fd, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            for (;;)
                pause(); /* the host is gone; so shall we be */
        at += done, length -= (size_t)done;
    }
}

void frame(char kind, const void *bytes, size_t length) {
    uint8_t head[5] = {(uint8_t)kind, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8),
                       (uint8_t)length};
    put(port, head, sizeof head);
    put(port, bytes, length);
}

void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

uint64_t take_number(struct cursor *from, int bytes) {
    uint64_t number = 0;
    if (from->end - from->at < bytes) {
        from->bad = 1;
        return 0;
    }
    while (bytes--)
        number = number << 8 | *from->at++;
    return number;
}

const uint8_t *take_bytes(struct cursor *from, size_t *length) {
    const uint8_t *found = from->at + 4;
    *length = take_number(from, 4);
    if (from->bad || (size_t)(from->end - from->at) < *length) {
        from->bad = 1, *length = 0;
        return from->at;
    }
    from->at += *length;
    return found;
}

char *take_text(struct cursor *from) {
    size_t length;
    const uint8_t *bytes = take_bytes(from, &length);
    char *text = malloc(length + 1);
    check(text != NULL, "no memory for a text");
    memcpy(text, bytes, length);
    text[length] = 0;
    return text;
}

static char **take_texts(struct cursor *from) {
    size_t count = take_number(from, 4);
    check(count < 100000, "a list of texts is too long");
    char **texts = calloc(count + 1, sizeof *texts);
    check(texts != NULL, "no memory for texts");
    for (size_t n = 0; n < count; n++)
        texts[n] = take_text(from);
    return texts;
}

static void get(void *bytes, size_t length) {
    uint8_t *at = bytes;
    while (length) {
        ssize_t done = read(port, at, length);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) { /* nobody at the other end yet */
            usleep(1000);
            continue;
        }
        at += done, length -= (size_t)done;
    }
}

/* Modules need each other in an order that differs between kernels: those that do not load are tried again. */
static void load_modules(void) {
    char done[MODULES] = {0}, path[64];
    for (int round = 0; round < MODULES; round++) {
        int progress = 0;
        for (int n = 0; n < MODULES; n++) {
            snprintf(path, sizeof path, "/modules/%d", n);
            int fd = done[n] ? -1 : open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                continue;
            if (syscall(SYS_finit_module, fd, "", 0) == 0 || errno == EEXIST ||
                syscall(SYS_finit_module, fd, "", 4) == 0) /* 4: compressed */
                done[n] = 1, progress = 1, unlink(path);
            close(fd);
        }
        if (!progress)
            return;
    }
}

static int open_port(const char *path) {
    for (int tries = 0; tries < 3000; tries++) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0)
            return fd;
        usleep(10000);
    }
    return -1;
}

static void loopback_up(void) {
    struct ifreq wish = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &wish) == 0, "loopback");
    close(fd);
}

static void make_devices(void) {
    static const struct {
        const char *name;
        int major, minor;
    } nodes[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
    check(mount("tmpfs", ROOT "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") == 0, "devices");
    for (size_t n = 0; n < sizeof nodes / sizeof *nodes; n++) {
        char path[64];
        snprintf(path, sizeof path, ROOT "/dev/%s", nodes[n].name);
        check(mknod(path, S_IFCHR, makedev(nodes[n].major, nodes[n].minor)) == 0 && chmod(path, 0666) == 0, path);
    }
    check(mkdir(ROOT "/dev/pts", 0755) == 0 && mkdir(ROOT "/dev/shm", 01777) == 0, "device folders");
    check(mount("devpts", ROOT "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620") == 0,
          "terminals");
    check(symlink("pts/ptmx", ROOT "/dev/ptmx") == 0 && symlink("/proc/self/fd", ROOT "/dev/fd") == 0 &&
              symlink("/proc/self/fd/0", ROOT "/dev/stdin") == 0 &&
              symlink("/proc/self/fd/1", ROOT "/dev/stdout") == 0 &&
              symlink("/proc/self/fd/2", ROOT "/dev/stderr") == 0,
          "device links");
}

static void boot(void) {
    mkdir("/proc", 0755), mkdir("/dev", 0755), mkdir("/cg", 0755), mkdir("/sys", 0755);
    check(mount("proc", "/proc", "proc", 0, "") == 0, "proc");
    check(mount("devtmpfs", "/dev", "devtmpfs", 0, "") == 0, "devtmpfs");
    load_modules();
    port = open_port("/dev/vport0p1");
    check(port >= 0, "the port to the host");
    way_port = open_port("/dev/vport0p2");
    check(way_port >= 0, "the way's port");
    check(mount("cgroup2", "/cg", "cgroup2", 0, "") == 0, "control groups");
    write_file("/cg/cgroup.subtree_control", "+memory +pids");
    check(mkdir("/cg/job", 0755) == 0, "the job's control group");
    write_file("/proc/sys/user/max_user_namespaces", "0");
    write_file("/proc/sys/kernel/sysrq", "0");
    write_file("/proc/sys/kernel/core_pattern", "|/bin/false");
    write_file("/proc/sys/kernel/dmesg_restrict", "1");
    write_file("/proc/sys/kernel/kptr_restrict", "2");
    check(sethostname("carapax", 7) == 0, "host name");
    loopback_up();
    check(mount(ROOT, ROOT, NULL, MS_BIND, NULL) == 0, "root");
    make_devices();
}

/* Fresh randomness and the time, before anything else in a copy. */
static void stir(void) {
    struct {
        struct rand_pool_info info;
        uint8_t bytes[SEED];
    } seed = {.info = {.entropy_count = SEED * 8, .buf_size = SEED}};
    uint8_t told[SEED + 8];
    get(told, sizeof told);
    memcpy((uint8_t *)&seed + offsetof(struct rand_pool_info, buf), told, SEED);
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    check(fd >= 0 && ioctl(fd, RNDADDENTROPY, &seed) == 0 && ioctl(fd, RNDRESEEDCRNG) == 0, "random numbers");
    close(fd);
    struct cursor from = {told + SEED, told + SEED + 8, 0};
    uint64_t now = take_number(&from, 8);
    struct timespec clock = {.tv_sec = (time_t)(now / 1000000000), .tv_nsec = (long)(now % 1000000000)};
    check(clock_settime(CLOCK_REALTIME, &clock) == 0, "the clock");
}

static void receive(struct job *job) {
    uint8_t head[4];
    get(head, sizeof head);
    struct cursor from = {head, head + 4, 0};
    size_t length = take_number(&from, 4);
    check(length <= MAX_MESSAGE, "the job is too large");
    uint8_t *message = malloc(length + 1);
    check(message != NULL, "no memory for the job");
    get(message, length);
    from = (struct cursor){message, message + length, 0};
    job->mount = (uint8_t)take_number(&from, 1);
    job->library = (uint8_t)take_number(&from, 1);
    job->way = (uint8_t)take_number(&from, 1);
    uint64_t *numbers[] = {&job->memory,    &job->processes,  &job->tmp_bytes,
                           &job->shm_bytes, &job->file_bytes, &job->open_files};
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
        *numbers[n] = take_number(&from, 8);
    job->interpreter_path = take_text(&from);
    job->library_path = take_text(&from);
    job->argv = take_texts(&from);
    job->envp = take_texts(&from);
    job->filter = take_bytes(&from, &job->filter_len);
    job->files = take_bytes(&from, &job->files_len);
    job->input = take_bytes(&from, &job->input_len);
    job->archive = take_bytes(&from, &job->archive_len);
    check(!from.bad && job->argv[0] != NULL && job->filter_len >= 8, "the job does not parse");
}

int main(void) {
    struct job job = {0};
    umask(022);
    boot();
    frame('R', "", 0); /* the snapshot is taken while the next read waits */
    stir();
    receive(&job);
    show(&job);
    if (job.way)
        start_relay();
    run_job(&job);
    for (;;)
        pause();
}
