/* The stage behind the walls: Landlock, a short canary, then the job.
 *
 * Options: -v FD     where the verdict goes: "ok", or what does not hold; closed when the job begins
 *          -x PATH   may be read and executed           -r PATH  may be read
 *          -w PATH   may be written, not executed       -W PATH  may be written and executed, holds no new sockets
 *          -n PATH   may be written, not executed, holds no new sockets
 *          -l PATH   folders in it may be listed
 *          -d PATH   devices: may be read, written, asked
 *          -p PORT   the one TCP port that may be connected to; 0 is none; left out: not restricted
 *          -s PATH   looked through for socket files; when there is one, or too much to look through, the job gets
 *                    no unix sockets with names at all: neither this kernel's filter nor Landlock can tell them apart
 *          -e N      how many entries are looked through
 *          -a N      the oldest Landlock that will do
 */
#include "launch.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MAX_DEPTH 64
#define EXECUTE (1ull << 0)
#define WRITE_FILE (1ull << 1)
#define READ_FILE (1ull << 2)
#define READ_DIR (1ull << 3)
#define MAKE_SOCK (1ull << 9)
#define MAKE_CHAR (1ull << 6)
#define MAKE_BLOCK (1ull << 11)
#define REFER (1ull << 13)
#define TRUNCATE (1ull << 14)
#define IOCTL_DEV (1ull << 15)
#define CONNECT_TCP (1ull << 1)
#define ALL_FILE (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV)

struct rules {
    uint64_t fs, net, scoped;
};
struct beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));
struct port {
    uint64_t allowed, port;
};

static int verdict = 2;

static uint64_t known(int abi)
{
    uint64_t all = (1ull << 13) - 1;
    if (abi >= 2)
        all |= REFER;
    if (abi >= 3)
        all |= TRUNCATE;
    if (abi >= 5)
        all |= IOCTL_DEV;
    return all;
}

static uint64_t rights(char kind, uint64_t all)
{
    const uint64_t nodes = MAKE_CHAR | MAKE_BLOCK;
    switch (kind) {
    case 'x':
        return EXECUTE | READ_FILE | READ_DIR;
    case 'r':
        return READ_FILE | READ_DIR;
    case 'l':
        return READ_DIR;
    case 'd':
        return (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV) & all;
    case 'w':
        return all & ~(EXECUTE | nodes | IOCTL_DEV);
    case 'W':
        return all & ~(MAKE_SOCK | nodes | IOCTL_DEV);
    default:
        return all & ~(MAKE_SOCK | EXECUTE | nodes | IOCTL_DEV);
    }
}

static void allow_path(int set, const char *path, uint64_t allowed)
{
    struct stat about;
    int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0 && errno == ENOENT)
        return;
    if (place < 0 || fstat(place, &about) < 0)
        fail(verdict, "%s could not be opened for Landlock", path);
    if (!S_ISDIR(about.st_mode))
        allowed &= ALL_FILE;
    struct beneath rule = {.allowed = allowed, .parent = place};
    if (syscall(NR_LANDLOCK_ADD, set, 1, &rule, 0) < 0)
        fail(verdict, "Landlock did not take the rule for %s", path);
    close(place);
}

/* Is there a socket file beneath, or more than will be looked through? Unreadable folders are unreadable to the job. */
static int holds_socket(int folder, int depth, int *left)
{
    int found = depth > MAX_DEPTH;
    DIR *list = found ? NULL : fdopendir(folder);
    struct dirent *entry;
    if (list == NULL) {
        close(folder);
        return found;
    }
    while (!found && (entry = readdir(list)) != NULL) {
        struct stat about;
        int type = entry->d_type;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (type == DT_UNKNOWN && fstatat(dirfd(list), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0)
            type = S_ISSOCK(about.st_mode) ? DT_SOCK : S_ISDIR(about.st_mode) ? DT_DIR : DT_REG;
        found = type == DT_SOCK || --*left < 0;
        if (!found && type == DT_DIR) {
            int below = openat(dirfd(list), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            found = below >= 0 ? holds_socket(below, depth + 1, left) : 0;
        }
    }
    closedir(list);
    return found;
}

static void refuse_unix_sockets(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 4, 5),
        /* a pair that carries datagrams may be connected anew; one that carries a stream may not */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0)
        fail(verdict, "unix sockets could not be refused");
}

static void look_through(const char *path, int left)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        fail(verdict, "%s could not be looked through", path);
    if (holds_socket(folder, 0, &left))
        refuse_unix_sockets();
}

static void must_fail(int result, int wanted, const char *what)
{
    if (result >= 0 || errno != wanted) {
        errno = result >= 0 ? 0 : errno;
        fail(verdict, "%s", what);
    }
}

/* A few cheap attempts to get out; one that succeeds refuses the job. */
static void canary(const char *self)
{
    char line[512];
    char *words[] = {(char *)self, NULL}, *nothing[] = {NULL};
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(9)};
    far.sin_addr.s_addr = htonl(0xC0000201u); /* a documentation address; no route may exist */
    if (getuid() == 0 || geteuid() == 0) {
        errno = 0;
        fail(verdict, "the job would be root");
    }
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2) {
        errno = 0;
        fail(verdict, "the system call filter is not in force");
    }
    for (int n = 0; n < 64; n++)
        if (prctl(PR_CAPBSET_READ, n, 0, 0, 0) == 1) {
            errno = 0;
            fail(verdict, "a privilege is left");
        }
    must_fail((int)syscall(SYS_unshare, 0x10000000), EPERM, "a user namespace could be made");
    must_fail((int)syscall(SYS_memfd_create, "x", 0), EPERM, "a program file in memory could be made");
    must_fail(open("/proc/1/environ", O_RDONLY | O_CLOEXEC), EACCES, "the first process could be read");
    must_fail(execve(self, words, nothing), EACCES, "Landlock is not in force");
    FILE *table = fopen("/proc/self/net/dev", "re");
    for (int n = 0; table != NULL && fgets(line, sizeof line, table) != NULL; n++)
        if (n >= 2 && strncmp(line + strspn(line, " "), "lo:", 3) != 0) {
            errno = 0;
            fail(verdict, "a network interface of the host is there");
        }
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (table == NULL || any < 0)
        fail(verdict, "the network could not be looked at");
    must_fail(connect(any, (struct sockaddr *)&far, sizeof far), ENETUNREACH, "there is a route to the network");
    fclose(table);
    close(any);
}

int stage_inside(int argc, char **argv)
{
    int abi = (int)syscall(NR_LANDLOCK_CREATE, NULL, 0, 1), oldest = 1, port = -1, entries = 0, at = 1;
    const char *paths[MAX_PATHS], *through = NULL;
    char kinds[MAX_PATHS];
    int count = 0;
    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        char kind = argv[at][0] == '-' ? argv[at][1] : 0;
        if (kind == 'v')
            verdict = number(argv[at + 1]);
        else if (kind == 'a')
            oldest = number(argv[at + 1]);
        else if (kind == 'e')
            entries = number(argv[at + 1]);
        else if (kind == 'p')
            port = number(argv[at + 1]);
        else if (kind == 's')
            through = argv[at + 1];
        else if (strchr("xrwWdnl", kind) != NULL && kind != 0 && count < MAX_PATHS) {
            kinds[count] = kind;
            paths[count++] = argv[at + 1];
        } else {
            errno = 0;
            fail(verdict, "the launcher does not know an option");
        }
    }
    errno = 0;
    if (at + 1 >= argc || strcmp(argv[at], "--") != 0)
        fail(verdict, "the launcher was given no program");
    if (abi < oldest)
        fail(verdict, "this kernel's Landlock is too old or switched off (it has %d, %d is needed)", abi, oldest);
    fcntl(verdict, F_SETFD, FD_CLOEXEC);
    struct rules rules = {.fs = known(abi)};
    size_t size = offsetof(struct rules, net);
    if (abi >= 4) {
        rules.net = port >= 0 ? CONNECT_TCP : 0;
        size = offsetof(struct rules, scoped);
    }
    if (abi >= 6) {
        rules.scoped = 3; /* abstract unix sockets and signals stay inside */
        size = sizeof rules;
    }
    int set = (int)syscall(NR_LANDLOCK_CREATE, &rules, size, 0);
    if (set < 0)
        fail(verdict, "Landlock made no rules");
    for (int n = 0; n < count; n++)
        allow_path(set, paths[n], rights(kinds[n], rules.fs));
    struct port open_port = {CONNECT_TCP, (uint64_t)port};
    if (rules.net && port > 0 && syscall(NR_LANDLOCK_ADD, set, 2, &open_port, 0) < 0)
        fail(verdict, "Landlock did not take the way out");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || syscall(NR_LANDLOCK_RESTRICT, set, 0) < 0)
        fail(verdict, "Landlock could not be put in force");
    close(set);
    if (through != NULL)
        look_through(through, entries);
    canary(argv[-1]);
    if (write(verdict, "ok", 2) != 2)
        _exit(FAILED);
    execvp(argv[at + 1], argv + at + 1);
    dprintf(2, "%s: %s\n", argv[at + 1], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}
