/* The stage on the host: control groups, a network of its own with a listener in it, an unprivileged user.
 *
 * Options: -g FILE   a control group's file to step in by (repeated); this program has one thread
 *          -u UID    only as root: the host user the job runs as; what is shown is cloned to /sys/N first
 *          -m SRC    only with -u: a workspace, shown through an id-mapped mount, its owner as UID (next N)
 *          -b SRC    only with -u: a file or folder that UID may not be able to reach by its path (next N)
 *          -r N:V    a resource limit, by its number (repeated)
 *          -c FD     the program's own descriptor, closed when bubblewrap begins
 *          -l FD     listen on 127.0.0.1:3128 of the new network and pass the descriptor over this socket
 *
 * Why /sys: in the private mount namespace of this one launch a place is needed that every user may walk through
 * and that no recipe shows.
 */
#include "launch.h"

#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define TREE_CLONE 1
#define TREE_CLOEXEC O_CLOEXEC
#define MOVE_FROM_DESCRIPTOR 4
#define ATTR_IDMAP 0x00100000
#define SCRATCH "/sys"

struct attributes {
    uint64_t set, clear, propagation, namespace;
};

struct wish {
    const char *groups[8];
    int group_count;
    int user;
    const char *sources[MAX_PATHS];
    int mapped[MAX_PATHS];
    int source_count;
    int door;
    char **rest;
};

/* Lowered here, since a root without CAP_SYS_RESOURCE cannot do it to a process of another user. */
static void limit(const char *text)
{
    char *end = NULL;
    struct rlimit now;
    int which = (int)strtol(text, &end, 10);
    unsigned long long value = *end == ':' ? strtoull(end + 1, &end, 10) : 0;
    if (*end || getrlimit(which, &now) < 0)
        fail(2, "launcher: not a limit: %.32s", text);
    if (now.rlim_max == RLIM_INFINITY || value < now.rlim_max)
        now.rlim_max = value;
    now.rlim_cur = now.rlim_max;
    if (setrlimit(which, &now) < 0)
        fail(2, "launcher: the limit %.32s could not be set", text);
}

static struct wish read_wish(int argc, char **argv)
{
    struct wish wish = {.user = -1, .door = -1};
    int at = 1;
    for (; at + 1 < argc && strcmp(argv[at], "--") != 0; at += 2) {
        const char *value = argv[at + 1];
        errno = 0;
        if (strcmp(argv[at], "-g") == 0 && wish.group_count < 8)
            wish.groups[wish.group_count++] = value;
        else if (strcmp(argv[at], "-r") == 0)
            limit(value);
        else if (strcmp(argv[at], "-u") == 0)
            wish.user = number(value);
        else if ((strcmp(argv[at], "-m") == 0 || strcmp(argv[at], "-b") == 0) && wish.source_count < MAX_PATHS) {
            wish.mapped[wish.source_count] = argv[at][1] == 'm';
            wish.sources[wish.source_count++] = value;
        } else if (strcmp(argv[at], "-c") == 0)
            fcntl(number(value), F_SETFD, FD_CLOEXEC);
        else if (strcmp(argv[at], "-l") == 0)
            wish.door = number(value);
        else
            fail(2, "launcher: an unknown option");
    }
    errno = 0;
    if (at + 1 >= argc || strcmp(argv[at], "--") != 0)
        fail(2, "launcher: no program was named");
    wish.rest = argv + at + 1;
    return wish;
}

static void write_file(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
        fail(2, "launcher: %s could not be written", path);
    close(file);
}

/* A user namespace in which `owner` on the disk is `user` on the machine; only its mapping is used. */
static int mapping(unsigned owner_user, unsigned owner_group, int user)
{
    int steps[2];
    char path[64], text[64];
    if (pipe2(steps, O_CLOEXEC) < 0)
        fail(2, "launcher: pipe");
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (child < 0)
        fail(2, "launcher: a user namespace could not be made");
    if (child == 0) {
        char byte;
        close(steps[1]);
        _exit(read(steps[0], &byte, 1) < 0);
    }
    close(steps[0]);
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    snprintf(text, sizeof text, "%u %d 1\n", owner_user, user);
    write_file(path, text);
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    snprintf(text, sizeof text, "%u %d 1\n", owner_group, user);
    write_file(path, text);
    snprintf(path, sizeof path, "/proc/%d/ns/user", child);
    int found = open(path, O_RDONLY | O_CLOEXEC);
    if (found < 0)
        fail(2, "launcher: the user namespace could not be opened");
    close(steps[1]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    return found;
}

static int clone_tree(const char *source, int mapped, int user)
{
    struct stat about;
    int tree = (int)syscall(NR_OPEN_TREE, AT_FDCWD, source, TREE_CLONE | TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
    if (tree < 0 || fstat(tree, &about) < 0)
        fail(2, "launcher: %s could not be cloned", source);
    if (S_ISLNK(about.st_mode)) {
        errno = 0;
        fail(2, "launcher: %s became a link", source);
    }
    struct attributes change = {.propagation = MS_PRIVATE};
    if (mapped) {
        change.set = ATTR_IDMAP;
        change.namespace = (uint64_t)mapping(about.st_uid, about.st_gid, user);
    }
    if (syscall(NR_MOUNT_SETATTR, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change) < 0)
        fail(2, mapped ? "launcher: the file system of %s takes no id-mapped mount" : "launcher: %s stays shared",
             source);
    return tree;
}

static void show_sources(const struct wish *wish)
{
    int trees[MAX_PATHS];
    for (int n = 0; n < wish->source_count; n++)
        trees[n] = clone_tree(wish->sources[n], wish->mapped[n], wish->user);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        fail(2, "launcher: a mount namespace could not be made");
    if (mount("none", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, "size=65536,mode=0755") < 0)
        fail(2, "launcher: a temporary folder could not be mounted");
    for (int n = 0; n < wish->source_count; n++) {
        char path[32];
        struct stat about;
        snprintf(path, sizeof path, SCRATCH "/%d", n);
        if (fstat(trees[n], &about) < 0)
            fail(2, "launcher: %s", wish->sources[n]);
        int made = S_ISDIR(about.st_mode) ? mkdir(path, 0755) : mknod(path, S_IFREG | 0644, 0);
        if (made < 0 || syscall(NR_MOVE_MOUNT, trees[n], "", AT_FDCWD, path, MOVE_FROM_DESCRIPTOR) < 0)
            fail(2, "launcher: %s could not be shown", wish->sources[n]);
        close(trees[n]);
    }
}

static void new_network(int as_root)
{
    char text[64];
    unsigned user = getuid(), group = getgid();
    if (unshare(CLONE_NEWNET | (as_root ? 0 : CLONE_NEWUSER)) < 0)
        fail(2, "launcher: a network namespace could not be made");
    if (!as_root) {
        write_file("/proc/self/setgroups", "deny");
        snprintf(text, sizeof text, "%u %u 1\n", user, user);
        write_file("/proc/self/uid_map", text);
        snprintf(text, sizeof text, "%u %u 1\n", group, group);
        write_file("/proc/self/gid_map", text);
    }
    struct ifreq loopback = {.ifr_name = "lo"};
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (any < 0 || ioctl(any, SIOCSIFFLAGS, &loopback) < 0)
        fail(2, "launcher: the loopback interface did not come up");
    close(any);
}

/* The listener's descriptor leaves; nothing of it stays with the job. */
static void open_door(int door)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(WAY_PORT)};
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&place, sizeof place) < 0 || listen(listener, 128) < 0)
        fail(2, "launcher: the way out could not be opened");
    char byte = 1, space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &listener, sizeof listener);
    if (sendmsg(door, &message, MSG_NOSIGNAL) != 1)
        fail(2, "launcher: the way out could not be handed over");
    close(listener);
    close(door);
}

static void become(int user)
{
    struct stat about;
    for (int n = 1; n < 3; n++) /* so that the job may open /dev/stdout anew; never anything but a pipe */
        if (fstat(n, &about) == 0 && S_ISFIFO(about.st_mode) && fchown(n, (uid_t)user, (gid_t)user) < 0)
            fail(2, "launcher: the output pipe could not be handed over");
    if (setgroups(0, NULL) < 0 || setresgid((gid_t)user, (gid_t)user, (gid_t)user) < 0 ||
        setresuid((uid_t)user, (uid_t)user, (uid_t)user) < 0)
        fail(2, "launcher: root could not be given up");
    errno = 0;
    if (setuid(0) == 0 || getuid() != (uid_t)user)
        fail(2, "launcher: root was not given up");
}

int stage_outside(int argc, char **argv)
{
    char *nothing[] = {NULL};
    struct wish wish = read_wish(argc, argv);
    for (int n = 0; n < wish.group_count; n++)
        write_file(wish.groups[n], "0");
    if (wish.user >= 0)
        show_sources(&wish);
    new_network(wish.user >= 0);
    if (wish.door >= 0)
        open_door(wish.door);
    if (wish.user >= 0)
        become(wish.user);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail(2, "launcher: privileges could not be barred");
    execve(wish.rest[0], wish.rest, nothing);
    fail(2, "launcher: %s did not start", wish.rest[0]);
}
